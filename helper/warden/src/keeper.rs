//! The keeper: beside each app, its parent and the parent of all its orphans, until the last of them has ended. It tells the helper and the launching client what happens,
//! and signals the app's processes when the helper asks. Of root's powers it has kept two: to signal and to look. It waits for neither of whom it tells.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, OwnedFd},
};

use lonewire_core::{
    launch::{Command, Event, Exit, Stage},
    process,
};
use nix::{
    sys::{
        signal::{SigSet, Signal as Number},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{SendFlags, SocketFlags},
    process::{PidfdFlags, Signal, WaitOptions, WaitStatus},
};

use crate::{
    connection::Connection,
    failure::{At as _, Failure},
    namespace, proc,
};

/// Pids in one answer: so many fit into a frame, whatever they are.
const MOST_PIDS: usize = 10_000;

/// What a keeper holds on to.
pub struct Kept {
    /// Where a restarted helper connects.
    pub socket: OwnedFd,
    pub tie: Option<OwnedFd>,
    pub exit_record: OwnedFd,
    pub signals: SignalFd,
    /// The proxy of the app's system bus, until it has ended.
    pub bus: Option<Pid>,
    /// It ends when this is closed: with the keeper at the latest.
    pub _line: OwnedFd,
}

/// Signals that come as messages: of children, and those by which a terminal or a service manager would end this process before its app.
pub fn signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.extend([Number::SIGCHLD, Number::SIGHUP, Number::SIGINT, Number::SIGQUIT]);
    set.extend([Number::SIGTERM, Number::SIGTSTP, Number::SIGTTIN, Number::SIGTTOU]);
    set.add(Number::SIGPIPE);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

struct Keeper {
    app: Pid,
    connection: Option<Connection>,
    /// Of the first process; it names that one alone.
    process: Option<OwnedFd>,
    stopped: Option<i32>,
    exit: Option<Exit>,
    /// Something was not told to the helper, because it did not read.
    missed: bool,
    hung_up: bool,
    kept: Kept,
}

/// Keeps until the last process of the app has ended.
pub fn keep(app: Pid, connection: Connection, kept: Kept) -> Result<(), Failure> {
    let mut keeper = Keeper {
        app,
        connection: Some(connection),
        process: proc::open(app),
        stopped: None,
        exit: None,
        missed: false,
        hung_up: false,
        kept,
    };
    keeper.introduce()?;
    if keeper.connection.is_none() {
        // Nobody has heard of it: it must not run.
        proc::signal_all(Signal::KILL, None);
    }
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
        let signals = self.kept.signals.as_fd();
        // Who is not there is stood for by a descriptor that is not asked for anything.
        let (connection, wanted) = match &self.connection {
            Some(connection) if connection.is_behind() => (connection.as_fd(), PollFlags::OUT),
            Some(connection) => (connection.as_fd(), PollFlags::IN),
            None => (signals, PollFlags::empty()),
        };
        // Nothing is read from the tie: only its end is heard.
        let tie = self.kept.tie.as_ref().map_or(signals, |tie| tie.as_fd());
        let mut polled = [
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            PollFd::new(&self.kept.socket, PollFlags::IN),
            PollFd::from_borrowed_fd(connection, wanted),
            PollFd::from_borrowed_fd(tie, PollFlags::empty()),
        ];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => {}
            done => drop(done.at(Stage::Request)?),
        }
        let [signalled, asked, heard, untied] = polled.map(|fd| !fd.revents().is_empty());
        if signalled {
            while let Ok(Some(signal)) = self.kept.signals.read_signal() {
                // The kernel tells the end of a terminal to the session's leader alone, which is to pass it on.
                if signal.ssi_signo == Number::SIGHUP as u32 {
                    self.hang_up();
                }
            }
        }
        if untied {
            self.kept.tie = None;
            self.hang_up();
        }
        if heard && wanted == PollFlags::OUT {
            self.catch_up();
        } else if heard {
            self.obey();
        }
        if asked {
            self.accept();
        }
        Ok(())
    }

    /// Whom the app was started for has gone, or its terminal has. After the first process's end that is because it was told so: what goes on in
    /// the background goes on.
    fn hang_up(&mut self) {
        if self.exit.is_none() && !self.hung_up {
            self.hung_up = true;
            proc::signal_all(Signal::HUP, self.kept.bus);
            proc::signal_all(Signal::CONT, self.kept.bus);
        }
    }

    /// Takes note of what became of the children; `false` when there is none left.
    fn reap(&mut self) -> bool {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            match rustix::process::wait(options) {
                Ok(Some((pid, status))) if pid.as_raw_pid() == self.app.as_raw() => {
                    self.note(status);
                }
                Ok(Some((pid, status)))
                    if self.kept.bus.is_some_and(|bus| bus.as_raw() == pid.as_raw_pid())
                        && (status.exited() || status.signaled()) =>
                {
                    self.kept.bus = None;
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => {
                    // The app has ended.
                    if let Some(bus) = self.kept.bus
                        && proc::descendants(Some(bus)).is_empty()
                    {
                        let _ = nix::sys::signal::kill(bus, Number::SIGKILL);
                    }
                    return true;
                }
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

    /// To the helper, and in words to the client that launched; neither is waited for, neither has to be there. A helper that does not read is
    /// told later where things stand then, not all that happened: so nothing piles up here.
    fn tell(&mut self, event: &Event, words: &str) {
        if let Some(tie) = &self.kept.tie {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let _ = rustix::net::send(tie, words.as_bytes(), flags);
        }
        match &self.connection {
            Some(connection) if connection.is_behind() => self.missed = true,
            _ => self.report(event, &[]),
        }
    }

    fn report(&mut self, event: &Event, descriptors: &[OwnedFd]) {
        let connection = self.connection.as_mut();
        if connection.is_some_and(|connection| connection.send(event, descriptors).is_err()) {
            self.connection = None;
        }
    }

    /// The helper reads again.
    fn catch_up(&mut self) {
        let connection = self.connection.as_mut();
        match connection.map(|connection| connection.flush(&[]).map(|()| connection.is_behind())) {
            Some(Ok(false)) if self.missed => {
                self.missed = false;
                self.report(&self.state(), &[]);
            }
            Some(Err(_)) => self.connection = None,
            _ => {}
        }
    }

    fn state(&self) -> Event {
        match (self.exit, self.stopped) {
            (Some(exit), _) => Event::Exited(exit),
            (None, Some(signal)) => Event::Stopped { signal },
            (None, None) => Event::Continued,
        }
    }

    /// Where things stand, to a helper that has just come.
    fn introduce(&mut self) -> Result<(), Failure> {
        let me = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(me, PidfdFlags::empty()).at(Stage::Request)?;
        let stat = std::fs::read_to_string("/proc/self/stat").at(Stage::Request)?;
        let invalid = Failure::new(Stage::Request, rustix::io::Errno::PROTO);
        let started = Event::Started {
            pid: self.app.as_raw(),
            keeper: me.as_raw_pid(),
            keeper_start: process::stat_field(&stat, 22).ok_or(invalid)?,
        };
        self.report(&started, &[pidfd]);
        self.missed = false;
        match self.state() {
            Event::Continued => {}
            state => self.report(&state, &[]),
        }
        Ok(())
    }

    /// A helper that was restarted: the newest one counts, if it is root's.
    fn accept(&mut self) {
        let Ok(socket) = rustix::net::accept_with(&self.kept.socket, SocketFlags::CLOEXEC) else {
            return;
        };
        if let Ok(connection) = Connection::of(socket) {
            self.connection = Some(connection);
            if self.introduce().is_err() {
                self.connection = None;
            }
        }
    }

    fn obey(&mut self) {
        let Some(commands) = self.connection.as_mut().and_then(Connection::commands) else {
            self.connection = None;
            return;
        };
        for command in commands {
            match command {
                Command::Signal { signal, all } => self.signal(signal, all),
                Command::Processes => {
                    let found = proc::descendants(self.kept.bus);
                    let host = namespace::own_inode().ok();
                    let is_outside = |pid: &&Pid| {
                        let found = proc::namespace_of(**pid);
                        found.is_some() && found == host
                    };
                    let outside = found.iter().filter(is_outside).count();
                    let outside = u32::try_from(outside).unwrap_or(u32::MAX);
                    let pids = found.into_iter().take(MOST_PIDS).map(Pid::as_raw).collect();
                    self.report(&Event::Processes { pids, outside }, &[]);
                }
            }
        }
    }

    fn signal(&self, number: i32, all: bool) {
        let Some(signal) = Signal::from_named_raw(number) else {
            return;
        };
        if all {
            proc::signal_all(signal, self.kept.bus);
            // A stopped process only ends once it goes on.
            if matches!(signal, Signal::TERM | Signal::HUP) {
                proc::signal_all(Signal::CONT, self.kept.bus);
            }
        } else if let Some(process) = &self.process {
            let _ = rustix::process::pidfd_send_signal(process, signal);
        }
    }
}
