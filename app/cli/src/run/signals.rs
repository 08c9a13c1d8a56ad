//! Signals as messages, for as long as a program runs: they are passed on to it, not acted on.

use std::{
    io::IsTerminal as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread::JoinHandle,
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::failure::{Exit, Failure};

const PASSED_ON: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// These end a launch that is under way.
const ENDING: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// sigaction(2): sent by the kernel, as keys of a terminal are.
const SI_KERNEL: i32 = 0x80;

#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them in this thread and all that come of it.
    ///
    /// # Errors
    /// The system's.
    pub fn block() -> Result<Self, Failure> {
        let mut set = SigSet::empty();
        PASSED_ON.iter().for_each(|signal| set.add(*signal));
        // What we write to may go away: that is an error there, no end here. And whoever sets a terminal in the background is not to be stopped.
        let mut quiet = set;
        quiet.add(Signal::SIGTTOU);
        quiet
            .thread_block()
            .and_then(|()| {
                SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            })
            .map(Self)
            .map_err(|errno| Failure::system("signals", errno))
    }

    /// The next one that has come, and whether it was a key of the terminal's.
    pub fn next(&self) -> Option<(Signal, bool)> {
        let info = self.0.read_signal().ok().flatten()?;
        let signal = Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
        Some((signal, info.ssi_code == SI_KERNEL))
    }

    /// Until it is dropped: Ctrl-C and the like end us with 130, as nothing runs yet.
    pub fn while_launching(&self) -> Option<Watch> {
        let signals = self.0.as_fd().try_clone_to_owned().ok()?;
        let (stop, stopped) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map(|(reader, writer)| (writer, reader))
            .ok()?;
        let thread = std::thread::spawn(move || watch(&signals, &stopped));
        Some(Watch {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub struct Watch {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn watch(signals: &OwnedFd, stopped: &OwnedFd) {
    loop {
        let mut polled = [
            PollFd::new(stopped, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        let _ = poll(&mut polled, None);
        if !polled[0].revents().is_empty() {
            return;
        }
        if !polled[1].revents().is_empty() {
            ended_by(signals);
        }
    }
}

/// signalfd(2): a message is 128 bytes, its first four the number.
fn ended_by(signals: &OwnedFd) {
    let mut info = [0_u8; 128];
    let Ok(128) = rustix::io::read(signals, &mut info) else {
        return;
    };
    let number = info
        .first_chunk::<4>()
        .map(|bytes| u32::from_ne_bytes(*bytes));
    if ENDING.iter().any(|signal| Some(*signal as u32) == number) {
        if std::io::stderr().is_terminal() {
            crate::print::note("");
        }
        std::process::exit(Exit::Interrupted as i32);
    }
}
