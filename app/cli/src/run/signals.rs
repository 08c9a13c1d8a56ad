//! Signals as messages, for as long as a program runs: they are passed on to it, not acted on.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::IsTerminal as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
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

/// How long after a signal the answer to a launch is still waited for.
const ANSWER: Duration = Duration::from_millis(500);

/// sigaction(2): sent by the kernel, as keys of a terminal are.
const SI_KERNEL: i32 = 0x80;

#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    /// Read already, not yet asked for.
    read: RefCell<VecDeque<(Signal, bool)>>,
}

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
            .map(|fd| Self {
                fd,
                read: RefCell::default(),
            })
            .map_err(|errno| Failure::system("signals cannot be waited for", errno))
    }

    /// The next one that has come, and whether it was a key of the terminal's.
    pub fn next(&self) -> Option<(Signal, bool)> {
        let read = self.read.borrow_mut().pop_front();
        read.or_else(|| self.read())
    }

    fn read(&self) -> Option<(Signal, bool)> {
        let info = self.fd.read_signal().ok().flatten()?;
        let signal = Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
        Some((signal, info.ssi_code == SI_KERNEL))
    }

    /// Stops us as Ctrl-Z would, with the others of our job; returns when we go on. `false` where the system stopped nobody: no shell of our session
    /// could wake us again (an orphaned process group, POSIX).
    pub fn stop_with_our_job(&self) -> bool {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTSTP);
        let ours = Pid::from_raw(0);
        let _ = nix::sys::signal::kill(ours, Signal::SIGTSTP);
        // It takes effect here.
        let _ = set.thread_unblock();
        let _ = set.thread_block();
        let mut woken = false;
        let mut read = self.read.borrow_mut();
        while let Some(one) = self.read() {
            woken |= one.0 == Signal::SIGCONT;
            read.push_back(one);
        }
        woken
    }

    /// Until it is dropped: Ctrl-C and the like end us with 130, as nothing runs yet.
    pub fn while_launching(&self) -> Option<Watch> {
        let signals = self.fd.as_fd().try_clone_to_owned().ok()?;
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
        self.fd.as_fd()
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
        if polled[1].revents().is_empty() {
            continue;
        }
        // The program may run already, and the answer be on its way: then the signal is for the program, and stays where it is.
        let mut polled = [PollFd::new(stopped, PollFlags::IN)];
        if poll(&mut polled, ANSWER.try_into().ok().as_ref()) != Ok(0) {
            return;
        }
        ended_by(signals);
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
