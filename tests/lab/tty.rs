//! A person at a terminal: a pseudo-terminal of the test's own, something that runs in front of it, keys and what is shown.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsRawFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::termios::{Termios, tcgetattr};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::{Person, World, world::until};

/// Makes a program the leader of a session of its own on its standard input.
pub const LEADER: &[&str] = &["setsid", "--ctty", "--wait"];

/// What a person would wait for; machines that are emulated take long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a session in front of it.
#[derive(Debug)]
pub struct Desk {
    keys: Option<File>,
    /// Held, so that its settings can be read after the last program has left it.
    inner: Option<OwnedFd>,
    shown: Vec<u8>,
    /// Up to where a test has read.
    read: usize,
    pub session: Child,
}

impl Desk {
    /// A person runs a program as the leader of a session of its own on a new terminal of 80 columns and 24 lines.
    ///
    /// # Errors
    /// There is no terminal, or it cannot be started.
    pub fn start(world: &World, person: &Person, line: &[&str]) -> Result<Self> {
        let whole = [LEADER, line].concat();
        let mut command = world.command("host", Some(person), &whole)?;
        command.env("PS1", "ready> ").env("INPUTRC", "/dev/null");
        Self::before(command, Some(person.uid))
    }

    /// The same for a command beside all worlds.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn beside(line: &[&str]) -> Result<Self> {
        let whole = [LEADER, line].concat();
        let (program, arguments) = whole.split_first().context("no program")?;
        let mut command = Command::new(program);
        command.args(arguments);
        Self::before(command, None)
    }

    /// Puts a new terminal, which may have another owner, before a command that takes it as its own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn before(mut command: Command, owner: Option<u32>) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outer = openpt(flags)?;
        grantpt(&outer)?;
        unlockpt(&outer)?;
        let inner = ioctl_tiocgptpeer(&outer, flags)?;
        rustix::fs::fcntl_setfl(&outer, rustix::fs::OFlags::NONBLOCK)?;
        std::os::unix::fs::fchown(&inner, owner, None)?;
        let inner = File::from(inner);
        let session = command
            .env("TERM", "xterm")
            .stdin(Stdio::from(inner.try_clone()?))
            .stdout(Stdio::from(inner.try_clone()?))
            .stderr(Stdio::from(inner.try_clone()?))
            .spawn()?;
        let desk = Self {
            keys: Some(File::from(outer)),
            inner: Some(inner.into()),
            shown: Vec::new(),
            read: 0,
            session,
        };
        desk.resize(24, 80)?;
        Ok(desk)
    }

    /// A person's interactive shell, when it is ready.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shell(world: &World, person: &Person) -> Result<Self> {
        let mut desk = Self::start(world, person, &["bash", "--norc", "--noprofile", "-i"])?;
        desk.expect("ready> ")?;
        // Only what programs write is of interest.
        desk.line("bind 'set enable-bracketed-paste off'")?;
        desk.expect("ready> ")?;
        Ok(desk)
    }

    /// Presses keys.
    ///
    /// # Errors
    /// The terminal is closed.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        let file = self.keys.as_mut().context("closed")?;
        Ok(file.write_all(keys.as_bytes())?)
    }

    /// Types a line.
    ///
    /// # Errors
    /// As [`Self::press`].
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.press(&format!("{text}\r"))
    }

    /// Waits until a text is shown behind what was read before; answers all up to it.
    ///
    /// # Errors
    /// It is not shown in time.
    pub fn expect(&mut self, text: &str) -> Result<String> {
        let (mut found, from) = (None, self.read);
        let finder = memchr::memmem::Finder::new(text.as_bytes());
        let seen = until(PATIENCE, text, || {
            self.look()?;
            found = finder.find(self.shown.get(from..).unwrap_or_default());
            Ok(found.is_some())
        });
        seen.with_context(|| format!("shown instead: {:?}", self.since(from)))?;
        self.read = from + found.unwrap_or(0) + text.len();
        let read = self.shown.get(from..self.read).unwrap_or_default();
        Ok(String::from_utf8_lossy(read).into_owned())
    }

    /// All that was shown.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn all(&mut self) -> Result<String> {
        self.look()?;
        Ok(self.since(0))
    }

    fn since(&self, from: usize) -> String {
        String::from_utf8_lossy(self.shown.get(from..).unwrap_or_default()).into_owned()
    }

    /// Takes what is there, without waiting for more.
    fn look(&mut self) -> Result<()> {
        let Some(screen) = &mut self.keys else {
            return Ok(());
        };
        let mut buffer = [0; 4096];
        loop {
            match screen.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.shown.extend(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                // Nobody is at the inner end.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The window gets another size.
    ///
    /// # Errors
    /// The terminal is closed.
    pub fn resize(&self, lines: u16, columns: u16) -> Result<()> {
        let size = rustix::termios::Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let keys = self.keys.as_ref().context("closed")?;
        Ok(rustix::termios::tcsetwinsize(keys, size)?)
    }

    /// How the terminal is set.
    ///
    /// # Errors
    /// It is closed.
    pub fn modes(&self) -> Result<Termios> {
        Ok(tcgetattr(self.inner.as_ref().context("closed")?)?)
    }

    /// Closes the window: whoever holds the terminal gets SIGHUP.
    pub fn close(&mut self) {
        self.keys = None;
        self.inner = None;
    }

    /// Waits for the end of what was started; its exit code, or 128 and the signal that ended it.
    ///
    /// # Errors
    /// It goes on.
    pub fn end(&mut self) -> Result<i32> {
        let mut code = None;
        until(PATIENCE, "the end of a session", || {
            code = self.session.try_wait()?;
            Ok(code.is_some())
        })?;
        let status = code.context("no status")?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        Ok(status
            .code()
            .or(signal.map(|signal| 128 + signal))
            .unwrap_or(-1))
    }
}

/// The role `inject`: pushes keys into the terminal at standard input and into the controlling one, as a hostile program would (TIOCSTI, see
/// ioctl_tty(2)); says for each what the system said.
///
/// # Errors
/// Standard output is gone.
pub fn inject(text: &str) -> Result<()> {
    let push = |fd: i32| {
        for byte in text.bytes() {
            push_key(fd, byte)?;
        }
        Ok::<_, std::io::Error>(())
    };
    let told =
        |result: std::io::Result<()>| result.map_or_else(|e| e.to_string(), |()| "pushed".into());
    let own = told(push(0));
    let controlling = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .and_then(|terminal| push(terminal.as_raw_fd()));
    println!("stdin: {own}; /dev/tty: {}", told(controlling));
    Ok(())
}

#[expect(unsafe_code, reason = "no safe wrapper of TIOCSTI")]
fn push_key(fd: i32, byte: u8) -> std::io::Result<()> {
    // SAFETY: TIOCSTI reads one byte from the pointer, which lives until the call returns.
    let done = unsafe { libc::ioctl(fd, libc::TIOCSTI, &raw const byte) };
    if done == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Whether the kernel lets any program push keys (`dev.tty.legacy_tiocsti`; older kernels always do).
pub fn keys_can_be_pushed() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti")
        .map_or(true, |text| text.trim() == "1")
}

/// A little longer than programs take for what should not happen.
pub const A_MOMENT: Duration = Duration::from_millis(300);
