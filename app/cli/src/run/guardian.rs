//! The guardian: a second process of ours that gives the terminal back as it was if we are killed before we can. It is this program again, called in
//! a way that nobody types.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, ExitCode, Stdio},
};

use nix::sys::signal::{SigSet, Signal};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// The argument by which `main` knows a guardian.
pub const ARGUMENT: &str = "--guard-terminal";

/// A guardian that watches us.
#[derive(Debug)]
pub struct Guardian {
    life: UnixStream,
    child: Child,
}

impl Guardian {
    /// Starts one for a terminal that is as it should be again later. `None` where that is not possible: then only a kill would leave it raw.
    pub fn start(terminal: &impl AsFd) -> Option<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned().ok()?;
        let (mut life, theirs) = UnixStream::pair().ok()?;
        let child = Command::new("/proc/self/exe")
            .arg(ARGUMENT)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(terminal))
            .stderr(Stdio::null())
            // Ctrl-C is for the program.
            .process_group(0)
            .spawn()
            .ok()?;
        // It has seen the terminal once it says so.
        life.read_exact(&mut [0]).ok()?;
        Some(Self { life, child })
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // We have given the terminal back ourselves.
        let _ = self.life.write_all(b".");
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
    let (Ok(()), Ok(before)) = (block.thread_block(), tcgetattr(&terminal)) else {
        return ExitCode::FAILURE;
    };
    let Ok(life) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::FAILURE;
    };
    let mut life = UnixStream::from(life);
    if life.write_all(b".").is_err() {
        return ExitCode::FAILURE;
    }
    // A byte: all is well. The end of the line without one: it was killed.
    if !matches!(life.read(&mut [0]), Ok(1)) {
        let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
    }
    ExitCode::SUCCESS
}
