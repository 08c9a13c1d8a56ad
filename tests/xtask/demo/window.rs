//! `cargo xtask demo --window`: the window of the world's alice on the developer's screen.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{ALICE, World};

/// Where X servers listen, Xwayland too.
const SERVERS: &str = "/tmp/.X11-unix";

/// The developer's X server.
#[derive(Debug)]
pub struct Screen {
    /// `:0`, `:1.0`.
    display: String,
    /// What lets one in, where the server asks for it.
    authority: Option<PathBuf>,
}

impl Screen {
    /// Of this terminal.
    ///
    /// # Errors
    /// It has none that can be reached by a file.
    pub fn find() -> Result<Self> {
        let display = std::env::var("DISPLAY").unwrap_or_default();
        let number = display
            .strip_prefix(':')
            .and_then(|rest| rest.split('.').next());
        let Some(number) = number.filter(|number| number.parse::<u16>().is_ok()) else {
            bail!(
                "--window needs an X server of this machine (Xwayland is one): DISPLAY is “{display}”, and should be like :0"
            );
        };
        let socket = Path::new(SERVERS).join(format!("X{number}"));
        ensure!(
            socket.exists(),
            "--window: no X server at {}",
            socket.display()
        );
        let own = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".Xauthority"));
        let authority = std::env::var_os("XAUTHORITY")
            .map(PathBuf::from)
            .or_else(own);
        Ok(Self {
            display,
            authority: authority.filter(|path| path.is_file()),
        })
    }

    /// Opens the window there, until it is closed.
    ///
    /// # Errors
    /// The world does not reach the screen, or the window fails.
    pub fn open(&self, world: &World) -> Result<()> {
        // A mount does not cross into the world from here: a process of its own takes it along.
        let graft = Command::new(std::env::current_exe()?)
            .args(["role", "graft", SERVERS, &world.init.to_string()])
            .status()?;
        worked(graft, "the screen cannot be shown to the world")?;
        let mut command = world.command(
            "host",
            Some(&ALICE),
            &["dbus-run-session", "--", "lonewire-gtk"],
        )?;
        command
            .env("DISPLAY", &self.display)
            .env("GDK_BACKEND", "x11");
        if let Some(authority) = &self.authority {
            let inside = format!("{}/.Xauthority", ALICE.home);
            let copy = world.path(&inside);
            fs::copy(authority, &copy).with_context(|| authority.display().to_string())?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o600))?;
            chown(&copy, Some(ALICE.uid), Some(ALICE.gid))?;
            command.env("XAUTHORITY", inside);
        }
        worked(command.status()?, "the window")
    }
}

fn worked(status: ExitStatus, what: &str) -> Result<()> {
    ensure!(status.success(), "{what}: {status}");
    Ok(())
}
