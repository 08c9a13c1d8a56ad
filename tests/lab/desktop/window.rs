//! A program's window as a person uses it, by what the accessibility bus tells of it. It counts what a person would have to do.

use std::{
    fs,
    io::Read as _,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Desktop, Node, State, Tree, access};
use crate::{Running, world::READY};

/// What is worth a walk through the tree again.
const PAUSE: Duration = Duration::from_millis(25);

/// A program with a window. Dropping it ends the program.
#[derive(Debug)]
pub struct Window<'d> {
    desktop: &'d Desktop,
    pub running: Running,
    /// On the accessibility bus.
    program: String,
    /// Where its standard error goes, in the world.
    log: std::path::PathBuf,
    activations: usize,
}

impl<'d> Window<'d> {
    pub(super) fn open(desktop: &'d Desktop, line: &[&str]) -> Result<Self> {
        let before = access::programs(&desktop.access)?;
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = desktop.path(&format!(
            "/run/lab/window-{}-{number}.log",
            desktop.stage.mark
        ));
        let output = fs::File::create(&log)?;
        let child = desktop
            .command(line)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut window = Self {
            desktop,
            running: crate::world::started(child)?,
            program: String::new(),
            log,
            activations: 0,
        };
        let end = Instant::now() + READY;
        loop {
            if let Some(code) = window.running.waiter.try_wait()? {
                bail!("{line:?} ended, {code}: {}", window.log());
            }
            let now = access::programs(&desktop.access)?;
            let new = now.into_iter().find(|name| !before.contains(name));
            if let Some(name) = new {
                window.program = name;
                // Registered before its first window.
                if window.tree()?.nodes.len() > 1 {
                    return Ok(window);
                }
            }
            ensure!(
                Instant::now() < end,
                "{line:?} shows no window: {}",
                window.log()
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// What it has written to its standard streams.
    pub fn log(&self) -> String {
        let mut text = Vec::new();
        let _ = fs::File::open(&self.log).and_then(|mut file| file.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The screen as it is now; see [`Desktop::picture`].
    ///
    /// # Errors
    /// As there.
    pub fn picture(&self, name: &str) -> Result<()> {
        self.desktop.picture(name)?;
        Ok(())
    }

    /// What GTK and GLib complained of: lines of its log.
    pub fn complaints(&self) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| line.contains("WARNING **") || line.contains("CRITICAL **"))
            .map(str::to_owned)
            .collect()
    }

    /// What a person has done so far: clicks, choices and texts.
    pub fn activations(&self) -> usize {
        self.activations
    }

    /// Counts something that was done by other means than those of this window.
    pub fn count(&mut self) {
        self.activations += 1;
    }

    /// All nodes as they are now.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn tree(&self) -> Result<Tree> {
        Tree::of(&self.desktop.access, &self.program)
    }

    /// Waits until there is a visible node.
    ///
    /// # Errors
    /// There is none by the deadline: the text shows what there is.
    pub fn find(&self, role: &str, name: &str) -> Result<Node> {
        self.find_within(READY, role, name)
    }

    /// The same with another deadline.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_within(&self, limit: Duration, role: &str, name: &str) -> Result<Node> {
        self.wait(limit, &format!("{role} “{name}”"), |tree| {
            tree.find(role, name).cloned()
        })
    }

    /// Waits until there is no such visible node.
    ///
    /// # Errors
    /// It is still there at the deadline.
    pub fn gone(&self, role: &str, name: &str) -> Result<()> {
        self.wait(READY, &format!("the end of {role} “{name}”"), |tree| {
            tree.find(role, name).is_none().then_some(())
        })
    }

    /// Waits until a visible node has a text in its name, whatever its role.
    ///
    /// # Errors
    /// None has by the deadline.
    pub fn reads(&self, words: &str) -> Result<Node> {
        self.reads_within(READY, words)
    }

    /// The same with another deadline.
    ///
    /// # Errors
    /// As [`Self::reads`].
    pub fn reads_within(&self, limit: Duration, words: &str) -> Result<Node> {
        self.wait(limit, &format!("“{words}”"), |tree| {
            (0..tree.nodes.len())
                .find(|at| tree.nodes[*at].name.contains(words) && tree.is_visible(*at))
                .map(|at| tree.nodes[at].clone())
        })
    }

    /// Waits until a tree is as wanted: what it is asked for.
    ///
    /// # Errors
    /// It is not by the deadline: the text shows the tree and what the program wrote.
    pub fn wait<T>(
        &self,
        limit: Duration,
        what: &str,
        mut check: impl FnMut(&Tree) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            // One that ended has said why.
            let tree = self.tree().with_context(|| self.log())?;
            if let Some(found) = check(&tree) {
                return Ok(found);
            }
            if Instant::now() >= end {
                let picture = self.desktop.picture("failed").unwrap_or_default();
                bail!(
                    "waited {} s for {what}; {} shows\n{tree}{}",
                    limit.as_secs(),
                    picture.display(),
                    self.log()
                );
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits for a node that can be used, and does what it is for: a button's or a switch's action, or that of the first thing in it
    /// that has one; a row of a list is selected.
    ///
    /// # Errors
    /// There is none by the deadline, or it does nothing.
    pub fn click(&mut self, role: &str, name: &str) -> Result<()> {
        let what = format!("{role} “{name}” to be used");
        let (tree, node) = self.wait(READY, &what, |tree| {
            let mut nodes = tree.all(role, name);
            let node = nodes.find(|node| node.is(State::Sensitive))?.clone();
            Some((tree.clone(), node))
        })?;
        self.activations += 1;
        ensure!(
            access::click(&self.desktop.access, &tree, &node)?,
            "{node} does nothing"
        );
        Ok(())
    }

    /// Where a node is in its window: left, top, width, height.
    ///
    /// # Errors
    /// There is none by the deadline.
    pub fn place(&self, role: &str, name: &str) -> Result<(i32, i32, i32, i32)> {
        let node = self.find(role, name)?;
        access::extents(&self.desktop.access, &node.place)
    }

    /// Moves the mouse pointer to the middle of a node.
    ///
    /// # Errors
    /// There is none by the deadline.
    pub fn hover(&self, role: &str, name: &str) -> Result<()> {
        let (left, top, width, height) = self.place(role, name)?;
        let (x, y) = (left + width / 2, top + height / 2);
        let (x, y) = (x.to_string(), y.to_string());
        let window = self.on_screen()?;
        self.desktop
            .run(&["xdotool", "mousemove", "--window", &window, &x, &y])?;
        Ok(())
    }

    /// Clicks with the mouse in the middle of a node: for what has no action.
    ///
    /// # Errors
    /// There is none by the deadline.
    pub fn point(&mut self, role: &str, name: &str) -> Result<()> {
        self.press("1", role, name)
    }

    /// Clicks with the mouse's other button in the middle of a node.
    ///
    /// # Errors
    /// There is none by the deadline.
    pub fn menu_of(&mut self, role: &str, name: &str) -> Result<()> {
        self.press("3", role, name)
    }

    fn press(&mut self, button: &str, role: &str, name: &str) -> Result<()> {
        self.hover(role, name)?;
        self.activations += 1;
        self.desktop.run(&["xdotool", "click", button])?;
        Ok(())
    }

    /// Presses keys; see [`Desktop::keys`].
    ///
    /// # Errors
    /// xdotool fails.
    pub fn keys(&self, keys: &[&str]) -> Result<()> {
        self.desktop.keys(keys)
    }

    /// The X server's number of the window that has the focus.
    fn on_screen(&self) -> Result<String> {
        let out = self.desktop.run(&["xdotool", "getactivewindow"])?;
        Ok(out.stdout.trim().to_owned())
    }

    /// Makes the window that has the focus this large.
    ///
    /// # Errors
    /// xdotool fails, or there is none.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let (width, height) = (width.to_string(), height.to_string());
        self.desktop.run(&[
            "xdotool",
            "getactivewindow",
            "windowsize",
            "--sync",
            &width,
            &height,
            "windowmove",
            "0",
            "0",
        ])?;
        Ok(())
    }

    /// Replaces the text of an entry, by its name.
    ///
    /// # Errors
    /// There is none by the deadline, or it does not take it.
    pub fn write(&mut self, role: &str, name: &str, text: &str) -> Result<()> {
        let node = self.find(role, name)?;
        self.activations += 1;
        access::write(&self.desktop.access, &node.place, text)
    }

    /// The text in an entry, by its name.
    ///
    /// # Errors
    /// There is none by the deadline.
    pub fn read(&self, role: &str, name: &str) -> Result<String> {
        let node = self.find(role, name)?;
        access::read(&self.desktop.access, &node.place)
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.running.pid),
            nix::sys::signal::Signal::SIGKILL,
        );
        let _ = self.running.waiter.wait();
    }
}
