//! A person's desktop in a world: an X server, a window manager, a session bus with the accessibility bus, and the window on it, as a test
//! meets them: nodes with roles and names, keys, the clipboard and pictures.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lab::{ALICE, Spec, World, desktop::{Desktop, Look}};
//! let world = World::new(Spec::product())?;
//! let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
//! let mut window = desktop.window()?;                       // the program `lonewire-gtk`
//! window.click("button", "Paste Configuration")?;      // waits until it is there; a `*` at an end stands for anything
//! window.find("label", "*clipboard*")?;
//! desktop.picture("paste")?;                                // pictures/paste.png
//! assert_eq!(window.activations(), 1);
//! # Ok(()) }
//! ```
//!
//! Must never: wait a fixed time, reach a display or a bus of the machine, leave a process behind its [`Desktop`].

pub mod access;
pub mod look;
pub mod notices;
pub mod picture;
mod stage;
pub mod tour;
mod window;

use std::{
    ffi::OsStr,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use zbus::Connection;

use crate::{Person, World, world::Output};

pub use access::{Node, State, Tree};
pub use look::Look;
pub use window::Window;

use stage::Stage;

/// Dots an inch, half as many again.
const LARGE: &str = "Xft.dpi: 144\n";

/// See the module's documentation. A person has one at a time. Dropping it ends all that was started on it.
#[derive(Debug)]
pub struct Desktop {
    stage: Stage,
    /// The accessibility bus.
    pub access: Connection,
    /// The session bus, as root: for a test that plays a service of the session.
    pub session: Connection,
    /// What its notification service was told.
    pub notices: notices::Notices,
}

impl Desktop {
    /// Starts one in the world's host network, for a person of it.
    ///
    /// # Errors
    /// The machine lacks something: see `cargo xtask setup`.
    pub fn start(world: &World, person: &Person, look: &Look) -> Result<Self> {
        look.prepare(world, person)?;
        let mut stage = Stage::new(world, person, look)?;
        let (session, access) = stage.start(look.screen)?;
        let notices = notices::Notices::default();
        notices.serve(&session)?;
        let desktop = Self {
            stage,
            access,
            session,
            notices,
        };
        if look.large_text {
            // As desktops do it: a point is larger, whatever is written in points.
            let name = "RESOURCE_MANAGER";
            let line = ["xprop", "-root", "-f", name, "8s", "-set", name, LARGE];
            desktop.run(&line)?;
        }
        Ok(desktop)
    }

    /// A command of the desktop's person, with the desktop's environment.
    pub fn command(&self, line: &[impl AsRef<OsStr>]) -> Command {
        self.stage.command(line)
    }

    /// Runs a program on the desktop; half a minute at most.
    ///
    /// # Errors
    /// It cannot be started, or fails.
    pub fn run(&self, line: &[&str]) -> Result<Output> {
        let mut whole = vec!["timeout", "-k", "1", "30"];
        whole.extend(line);
        let out = self.command(&whole).stdin(Stdio::null()).output()?;
        let out = Output {
            code: out.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&out.stdout).into(),
            stderr: String::from_utf8_lossy(&out.stderr).into(),
        };
        out.ok().with_context(|| line.join(" "))
    }

    /// Starts the window.
    ///
    /// # Errors
    /// It does not come up.
    pub fn window(&self) -> Result<Window<'_>> {
        self.open(&["lonewire-gtk"])
    }

    /// Starts a program with a window.
    ///
    /// # Errors
    /// It does not come up.
    pub fn open(&self, line: &[&str]) -> Result<Window<'_>> {
        Window::open(self, line)
    }

    /// Gives the window with this title the focus, once it is shown.
    ///
    /// # Errors
    /// xdotool fails.
    pub fn focus(&self, title: &str) -> Result<()> {
        let search = ["search", "--sync", "--onlyvisible", "--name", title];
        self.run(&[&["xdotool"], &search[..], &["windowfocus", "--sync"]].concat())?;
        Ok(())
    }

    /// Presses keys, as xdotool(1) names them: `Tab`, `ctrl+v`, `Return`. They go to where the focus is.
    ///
    /// # Errors
    /// xdotool fails.
    pub fn keys(&self, keys: &[&str]) -> Result<()> {
        self.run(&[&["xdotool", "key", "--clearmodifiers"], keys].concat())?;
        Ok(())
    }

    /// Types a text to where the focus is.
    ///
    /// # Errors
    /// xdotool fails.
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.run(&["xdotool", "type", "--clearmodifiers", "--", text])?;
        Ok(())
    }

    /// Puts a text on the clipboard; somebody else's program holds it there, as where a person copied it.
    ///
    /// # Errors
    /// xclip fails.
    pub fn copy(&self, text: &str) -> Result<()> {
        let line = ["xclip", "-selection", "clipboard", "-in"];
        // It forks once it holds the text; its child keeps no stream of ours.
        let mut child = self
            .command(&line)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        child
            .stdin
            .take()
            .context("no standard input")?
            .write_all(text.as_bytes())?;
        ensure!(child.wait()?.success(), "xclip");
        Ok(())
    }

    /// What is on the clipboard.
    ///
    /// # Errors
    /// xclip fails: there is none.
    pub fn clipboard(&self) -> Result<String> {
        Ok(self
            .run(&["xclip", "-selection", "clipboard", "-out"])?
            .stdout)
    }

    /// A path in the world as the machine's root reaches it.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.stage.path(inside)
    }
}
