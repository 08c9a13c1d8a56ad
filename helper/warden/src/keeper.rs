//! The keeper: beside each app, its parent and the parent of all its orphans, until the last of them has ended. It tells the helper and the launching client what happens,
//! and signals the app's processes when the helper asks. Of root's powers it has kept two: to signal and to look.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, OwnedFd},
};

use lonewire_core::launch::{Command, Event, Exit, Stage};
use nix::{
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{SendFlags, SocketFlags},
    process::{WaitOptions, WaitStatus},
};

use crate::{
    connection::Connection,
    descendants,
    failure::{At as _, Failure},
    namespace,
};

/// What a keeper holds on to.
pub struct Kept {
    pub connection: Option<Connection>,
    /// Where a restarted helper connects.
    pub socket: OwnedFd,
    pub tie: Option<OwnedFd>,
    pub exit_record: OwnedFd,
    pub signals: SignalFd,
}

/// Signals that come as messages: of children, and those by which a terminal or a service manager would end this process before its app.
pub fn signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGPIPE,
    ] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

struct Keeper {
    app: Pid,
    /// Of the first process; it names that one alone.
    process: Option<OwnedFd>,
    stopped: Option<i32>,
    exit: Option<Exit>,
    kept: Kept,
}

/// Keeps until the last process of the app has ended.
pub fn keep(app: Pid, kept: Kept) -> Result<(), Failure> {
    let mut keeper = Keeper {
        app,
        process: descendants::open(app),
        stopped: None,
        exit: None,
        kept,
    };
    keeper.introduce()?;
    loop {
        // First what has happened to the children, then new questions.
        if !keeper.reap() {
            keeper.tell(&Event::Ended, "ended");
            return Ok(());
        }
        keeper.wait()?;
    }
}

impl Keeper {
    /// Waits until something is to be done, and does it; children are reaped by the caller.
    fn wait(&mut self) -> Result<(), Failure> {
        let mut polled = vec![
            PollFd::from_borrowed_fd(self.kept.signals.as_fd(), PollFlags::IN),
            PollFd::new(&self.kept.socket, PollFlags::IN),
        ];
        let connection = self.kept.connection.as_ref().map(|connection| {
            polled.push(PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN));
            polled.len() - 1
        });
        let tie = self.kept.tie.as_ref().map(|tie| {
            // Nothing is read from it: only its end is heard.
            polled.push(PollFd::new(tie, PollFlags::empty()));
            polled.len() - 1
        });
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Failure::new(Stage::Request, errno)),
        }
        let heard = |index: Option<usize>| {
            index
                .and_then(|index| polled.get(index))
                .is_some_and(|fd| !fd.revents().is_empty())
        };
        let (signalled, asked, commanded, untied) = (
            heard(Some(0)),
            heard(Some(1)),
            heard(connection),
            heard(tie),
        );
        if signalled {
            while let Ok(Some(_)) = self.kept.signals.read_signal() {}
        }
        if untied {
            self.kept.tie = None;
            // After the first process's end the client has gone because it was told so: what goes on in the background goes on.
            if self.exit.is_none() {
                descendants::signal_all(rustix::process::Signal::HUP);
                descendants::signal_all(rustix::process::Signal::CONT);
            }
        }
        if commanded {
            self.obey();
        }
        if asked {
            self.accept();
        }
        Ok(())
    }

    /// Takes note of what became of the children; `false` when there is none left.
    fn reap(&mut self) -> bool {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            match rustix::process::wait(options) {
                Ok(Some((pid, status))) if pid.as_raw_pid() == self.app.as_raw() => {
                    self.note(status);
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Something happened to the first process.
    fn note(&mut self, status: WaitStatus) {
        if let Some(signal) = status.stopping_signal() {
            self.stopped = Some(signal);
            self.tell(&Event::Stopped { signal }, &format!("stopped {signal}"));
        } else if status.continued() {
            self.stopped = None;
            self.tell(&Event::Continued, "continued");
        } else if let Some(code) = status.exit_status() {
            self.ended(Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)));
        } else if let Some(signal) = status.terminating_signal() {
            self.ended(Exit::Signal(signal));
        }
    }

    fn ended(&mut self, exit: Exit) {
        self.process = None;
        self.stopped = None;
        self.exit = Some(exit);
        let record = exit.to_record();
        // The record is what a helper that is away now will read; without room for it the keeper still tells.
        if let Ok(mut file) = self.kept.exit_record.try_clone().map(File::from) {
            let _ = file.write_all(record.as_bytes());
        }
        self.tell(&Event::Exited(exit), record.trim_end());
    }

    /// To the helper, and in words to the client that launched; neither is waited for, neither has to be there.
    fn tell(&mut self, event: &Event, words: &str) {
        if let Some(tie) = &self.kept.tie {
            let _ = rustix::net::send(
                tie,
                words.as_bytes(),
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            );
        }
        self.report(event, &[]);
    }

    fn report(&mut self, event: &Event, descriptors: &[OwnedFd]) {
        let sent = self
            .kept
            .connection
            .as_ref()
            .map(|connection| connection.send(event, descriptors));
        if let Some(Err(_)) = sent {
            self.kept.connection = None;
        }
    }

    /// Where things stand, to a helper that has just come.
    fn introduce(&mut self) -> Result<(), Failure> {
        let me = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(me, rustix::process::PidfdFlags::empty())
            .at(Stage::Request)?;
        let keeper = me.as_raw_pid();
        let started = Event::Started {
            pid: self.app.as_raw(),
            keeper,
            keeper_start: own_start()?,
        };
        self.report(&started, &[pidfd]);
        if let Some(signal) = self.stopped {
            self.report(&Event::Stopped { signal }, &[]);
        }
        if let Some(exit) = self.exit {
            self.report(&Event::Exited(exit), &[]);
        }
        Ok(())
    }

    /// A helper that was restarted: the newest one counts, if it is root's.
    fn accept(&mut self) {
        let Ok(socket) = rustix::net::accept_with(&self.kept.socket, SocketFlags::CLOEXEC) else {
            return;
        };
        if let Ok(connection) = Connection::of(socket) {
            self.kept.connection = Some(connection);
            if self.introduce().is_err() {
                self.kept.connection = None;
            }
        }
    }

    fn obey(&mut self) {
        let Some(commands) = self.kept.connection.as_mut().and_then(Connection::commands) else {
            self.kept.connection = None;
            return;
        };
        for command in commands {
            match command {
                Command::Signal { signal, all } => self.signal(signal, all),
                Command::Processes => {
                    let pids = descendants::all();
                    let host = namespace::own_inode().ok();
                    let is_outside = |pid: &&Pid| {
                        let found = descendants::namespace_of(**pid);
                        found.is_some() && found == host
                    };
                    let outside = pids.iter().filter(is_outside).count();
                    let pids = pids.into_iter().map(Pid::as_raw).collect();
                    let outside = u32::try_from(outside).unwrap_or(u32::MAX);
                    self.report(&Event::Processes { pids, outside }, &[]);
                }
            }
        }
    }

    fn signal(&self, number: i32, all: bool) {
        let Some(signal) = rustix::process::Signal::from_named_raw(number) else {
            return;
        };
        if all {
            descendants::signal_all(signal);
            // A stopped process only ends once it goes on.
            if matches!(
                signal,
                rustix::process::Signal::TERM | rustix::process::Signal::HUP
            ) {
                descendants::signal_all(rustix::process::Signal::CONT);
            }
        } else if let Some(process) = &self.process {
            let _ = rustix::process::pidfd_send_signal(process, signal);
        }
    }
}

/// Field 22 of proc(5)'s stat: when this process began, in clock ticks since boot.
fn own_start() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/stat").at(Stage::Request)?;
    // The second field is the name, in parentheses, and may hold anything.
    let start = text
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19))
        .and_then(|field| field.parse().ok());
    start.ok_or(Failure::new(Stage::Request, rustix::io::Errno::PROTO))
}
