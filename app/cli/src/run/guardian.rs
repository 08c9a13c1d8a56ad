//! The guardian: a second process of ours that gives the terminal back as it was if we are killed before we can. It is this program again, called in
//! a way that nobody types. It must never touch a terminal that is not as we left it: somebody else is in front of it then.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, ExitCode, Stdio},
};

use nix::sys::signal::{SigSet, Signal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The argument by which `main` knows a guardian.
pub const ARGUMENT: &str = "--guard-terminal";

/// What a guardian is told; it answers the first, once it has looked at the terminal.
const TAKEN: u8 = b't';
const GIVEN_BACK: u8 = b'g';

/// A guardian that watches us.
#[derive(Debug)]
pub struct Guardian {
    life: UnixStream,
    child: Child,
}

impl Guardian {
    /// Starts one for a terminal. `None` where that is not possible: then only a kill would leave it raw.
    pub fn start(terminal: &impl AsFd) -> Option<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned().ok()?;
        let (life, theirs) = UnixStream::pair().ok()?;
        let child = Command::new("/proc/self/exe")
            .arg(ARGUMENT)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(terminal))
            .stderr(Stdio::null())
            // Ctrl-C is for the program.
            .process_group(0)
            .spawn()
            .ok()?;
        Some(Self { life, child })
    }

    /// The terminal is about to be made raw: it is to be as it is now if we are killed.
    pub fn taken(&mut self) {
        let _ = self.life.write_all(&[TAKEN]);
        // It has seen the terminal once it says so.
        let _ = self.life.read_exact(&mut [0]);
    }

    /// The terminal is the shell's again.
    pub fn given_back(&mut self) {
        let _ = self.life.write_all(&[GIVEN_BACK]);
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // The end of the line is its end.
        let _ = self.life.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// The life of a guardian: standard input is the line to who started it, standard output the terminal.
pub fn guard() -> ExitCode {
    let mut block = SigSet::empty();
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGQUIT,
        Signal::SIGTTOU,
        Signal::SIGTSTP,
    ] {
        block.add(signal);
    }
    let terminal = std::io::stdout();
    let Ok(life) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::FAILURE;
    };
    if block.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    let mut life = UnixStream::from(life);
    let mut before: Option<Termios> = None;
    let mut word = [0];
    while matches!(life.read(&mut word), Ok(1)) {
        before = match word {
            [TAKEN] => tcgetattr(&terminal).ok(),
            _ => None,
        };
        if word == [TAKEN] && life.write_all(b".").is_err() {
            break;
        }
    }
    // It ended with the terminal in its hands: it was killed.
    if let Some(before) = before
        && tcgetattr(&terminal).is_ok_and(|now| is_raw_form(&now, &before))
    {
        let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
    }
    ExitCode::SUCCESS
}

/// Whether a terminal is what we make of another: not yet another program's.
fn is_raw_form(now: &Termios, before: &Termios) -> bool {
    let mut raw = before.clone();
    raw.make_raw();
    let modes = |termios: &Termios| {
        (
            termios.input_modes,
            termios.output_modes,
            termios.control_modes,
            termios.local_modes,
        )
    };
    modes(now) == modes(&raw)
}
