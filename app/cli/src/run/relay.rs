//! While a program runs: its terminal is relayed, signals are passed on, and its end becomes ours.

use std::{
    io::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use lonewire_api::AppInfo;
use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, PidfdFlags},
    pty::OpenptFlags,
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};

use super::{
    guardian::Guardian,
    signals::Signals,
    tie::{self, News},
};
use crate::{
    context::Context,
    failure::{Exit, Failure},
    helper_error::About,
};

/// A terminal of the program's own: we are at the outer end.
pub struct Terminal {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Terminal {
    /// One that is set as ours is.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, Failure> {
        let failed = |errno: Errno| Failure::system("a terminal for the program", errno);
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outer = rustix::pty::openpt(flags).map_err(failed)?;
        rustix::pty::grantpt(&outer).map_err(failed)?;
        rustix::pty::unlockpt(&outer).map_err(failed)?;
        let inner = rustix::pty::ioctl_tiocgptpeer(&outer, flags).map_err(failed)?;
        let ours = tcgetattr(std::io::stdin()).map_err(failed)?;
        tcsetattr(&inner, OptionalActions::Now, &ours).map_err(failed)?;
        let terminal = Self { outer, inner };
        terminal.take_size();
        Ok(terminal)
    }

    pub fn inner(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }

    /// The size of our window; the kernel tells the program.
    fn take_size(&self) {
        if let Ok(size) = tcgetwinsize(std::io::stdin()) {
            let _ = tcsetwinsize(&self.outer, size);
        }
    }
}

/// Our own terminal, raw while the program's is in front of it. It is given back when this goes, and by the guardian when we are killed.
struct Raw {
    before: Termios,
    _guardian: Option<Guardian>,
}

impl Raw {
    fn set() -> Result<Self, Failure> {
        let before =
            tcgetattr(std::io::stdin()).map_err(|errno| Failure::system("the terminal", errno))?;
        let guardian = Guardian::start(&std::io::stdin());
        let raw = Self {
            before,
            _guardian: guardian,
        };
        raw.make();
        Ok(raw)
    }

    fn make(&self) {
        let mut raw = self.before.clone();
        raw.make_raw();
        // One that has been closed has nobody to be raw for.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw);
    }

    fn give_back(&self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The program's first process, to be signalled by us: it is ours, as the same user.
struct Program<'a> {
    context: &'a Context,
    id: &'a str,
    pid: Option<Pid>,
    process: Option<OwnedFd>,
}

impl<'a> Program<'a> {
    fn new(context: &'a Context, info: &AppInfo, id: &'a str) -> Self {
        let pid = i32::try_from(info.pid).ok().and_then(Pid::from_raw);
        let process =
            pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        Self {
            context,
            id,
            pid,
            process,
        }
    }

    /// Passes a signal on; where the system does not let us (the program became another user's), the helper does.
    fn signal(&self, signal: Signal) {
        let direct = rustix::process::Signal::from_named_raw(signal as i32)
            .zip(self.process.as_ref())
            .is_some_and(|(signal, process)| {
                rustix::process::pidfd_send_signal(process, signal).is_ok()
            });
        if !direct {
            // A program that has ended is no error.
            let number = signal as u32;
            let _ = self.context.call(About::Nothing, async |client| {
                client.signal(self.id, number).await
            });
        }
    }

    /// To the process group that it leads.
    fn signal_group(&self, signal: Signal) {
        let sent = rustix::process::Signal::from_named_raw(signal as i32)
            .zip(self.pid)
            .is_some_and(|(signal, pid)| rustix::process::kill_process_group(pid, signal).is_ok());
        if !sent {
            self.signal(signal);
        }
    }
}

/// Waits for the program that has our streams.
pub fn streams(
    context: &Context,
    signals: &Signals,
    tie: &OwnedFd,
    info: &AppInfo,
    id: &str,
) -> Result<u8, Failure> {
    let program = Program::new(context, info, id);
    loop {
        let mut polled = [
            PollFd::new(tie, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        wait(&mut polled)?;
        while let Some((signal, key)) = signals.next() {
            match signal {
                // A program in a session of its own is not stopped by the key; by this it is.
                Signal::SIGTSTP => program.signal_group(Signal::SIGSTOP),
                Signal::SIGCONT => program.signal_group(signal),
                // Keys are for all in front of the terminal, `sh -c 'a | b'` too.
                signal if key => program.signal_group(signal),
                signal => program.signal(signal),
            }
        }
        while let Some(news) = tie::news(tie) {
            match news {
                News::Stopped => stop_ourselves(),
                News::Continued => {}
                News::Exited(code) => return Ok(code),
                News::Ended => return lost(context, id),
            }
        }
    }
}

/// Relays the program's terminal to ours until it ends.
pub fn terminal(
    context: &Context,
    signals: &Signals,
    terminal: Terminal,
    tie: &OwnedFd,
    info: &AppInfo,
    id: &str,
) -> Result<u8, Failure> {
    let program = Program::new(context, info, id);
    let raw = Raw::set()?;
    terminal.take_size();
    let Terminal { outer, inner } = terminal;
    // The program has it; were it held here too, its end would never be seen.
    drop(inner);
    let outer = Outer { fd: outer };
    let stdin = std::io::stdin();
    let mut typed: Vec<u8> = Vec::new();
    let mut at_end = false;
    loop {
        let mut outer_wants = PollFlags::IN;
        outer_wants.set(PollFlags::OUT, !typed.is_empty());
        let keys = if typed.is_empty() && !at_end {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let mut polled = [
            PollFd::new(tie, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            PollFd::new(&outer.fd, outer_wants),
            PollFd::from_borrowed_fd(stdin.as_fd(), keys),
        ];
        if at_end {
            // A line that was hung up is told again and again.
            polled[3] = PollFd::new(tie, PollFlags::empty());
        }
        wait(&mut polled)?;
        let [_, _, screen, keyboard] = polled.map(|fd| fd.revents());

        if screen.intersects(PollFlags::IN | PollFlags::HUP) && outer.show()? == Shown::Closed {
            // The program's end is told by the tie; without a reader there is nothing to wait for but that.
            return after_hangup(context, signals, tie, &program, id);
        }
        if screen.contains(PollFlags::OUT) {
            outer.take(&mut typed);
        }
        if !at_end && keyboard.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            let mut buffer = [0_u8; 4096];
            match rustix::io::read(&stdin, &mut buffer) {
                Ok(0) => at_end = true,
                Ok(length) => typed.extend(buffer.get(..length).unwrap_or_default()),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => at_end = true,
            }
        }
        while let Some((signal, _)) = signals.next() {
            match signal {
                Signal::SIGWINCH => outer.take_size(),
                Signal::SIGCONT => {
                    raw.make();
                    outer.take_size();
                    program.signal_group(signal);
                }
                signal => program.signal(signal),
            }
        }
        while let Some(news) = tie::news(tie) {
            match news {
                News::Stopped => {
                    outer.show_rest();
                    raw.give_back();
                    stop_ourselves();
                }
                News::Continued => raw.make(),
                News::Exited(code) => {
                    outer.show_rest();
                    return Ok(code);
                }
                News::Ended => return lost(context, id),
            }
        }
    }
}

/// The terminal has no program at it any more: what is left is to hear how the first process ended.
fn after_hangup(
    context: &Context,
    signals: &Signals,
    tie: &OwnedFd,
    program: &Program<'_>,
    id: &str,
) -> Result<u8, Failure> {
    loop {
        let mut polled = [
            PollFd::new(tie, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        wait(&mut polled)?;
        while let Some((signal, _)) = signals.next() {
            program.signal(signal);
        }
        while let Some(news) = tie::news(tie) {
            match news {
                News::Exited(code) => return Ok(code),
                News::Ended => return lost(context, id),
                News::Stopped | News::Continued => {}
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Shown {
    All,
    Closed,
}

/// Our end of the program's terminal.
struct Outer {
    fd: OwnedFd,
}

impl Outer {
    fn take_size(&self) {
        if let Ok(size) = tcgetwinsize(std::io::stdin()) {
            let _ = tcsetwinsize(&self.fd, size);
        }
    }

    /// Puts what the program wrote on our terminal, once.
    fn show(&self) -> Result<Shown, Failure> {
        let mut buffer = [0_u8; 16 * 1024];
        match rustix::io::read(&self.fd, &mut buffer) {
            // EIO: the last process has closed its end.
            Ok(0) | Err(Errno::IO) => Ok(Shown::Closed),
            Ok(length) => {
                let mut stdout = std::io::stdout().lock();
                stdout
                    .write_all(buffer.get(..length).unwrap_or_default())
                    .and_then(|()| stdout.flush())
                    .map_err(|error| Failure::system("standard output", error))?;
                Ok(Shown::All)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(Shown::All),
            Err(errno) => Err(Failure::system("the program's terminal", errno)),
        }
    }

    /// All that is there already, without waiting for more.
    fn show_rest(&self) {
        let now = Duration::ZERO.try_into().ok();
        loop {
            let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
            let is_there = poll(&mut polled, now.as_ref()).is_ok_and(|count| count > 0)
                && polled[0].revents().contains(PollFlags::IN);
            if !is_there || !matches!(self.show(), Ok(Shown::All)) {
                return;
            }
        }
    }

    /// Gives the program what was typed, as much as it takes now.
    fn take(&self, typed: &mut Vec<u8>) {
        // A terminal that says it can be written to takes some bytes without waiting.
        match rustix::io::write(
            &self.fd,
            typed.get(..typed.len().min(1024)).unwrap_or_default(),
        ) {
            Ok(length) => drop(typed.drain(..length)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => typed.clear(),
        }
    }
}

/// Stops us as the program was stopped: the shell that started us sees it. We go on when we are continued, and hear of that by SIGCONT.
fn stop_ourselves() {
    let _ = nix::sys::signal::raise(Signal::SIGSTOP);
}

fn wait(polled: &mut [PollFd<'_>]) -> Result<(), Failure> {
    match poll(polled, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Failure::system("waiting for the program", errno)),
    }
}

/// The keeper has gone without a word of the end: the helper may know.
fn lost(context: &Context, id: &str) -> Result<u8, Failure> {
    let info = context
        .call(About::Nothing, async |client| client.app(id).await)
        .ok();
    let code = info
        .as_ref()
        .and_then(|info| info.exit_code)
        .and_then(|code| u8::try_from(code).ok());
    let signal = info
        .as_ref()
        .and_then(|info| info.exit_signal)
        .and_then(|signal| u8::try_from(signal).ok())
        .map(|signal| signal.saturating_add(128));
    code.or(signal).ok_or_else(|| {
        Failure::new(
            Exit::Own,
            "keeper_lost",
            "the program's keeper has gone: how it ended is not known",
        )
    })
}
