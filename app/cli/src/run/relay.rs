//! While a program runs: its terminal is relayed, signals are passed on, stops are ours too, and its end becomes ours.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use lonewire_api::AppInfo;
use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use super::{
    signals::Signals,
    target::Target,
    terminal::{self, Ours, Outer, Shown, Terminal},
    tie::{self, News},
};
use crate::{
    context::Context,
    failure::{Exit, Failure},
    helper_error::About,
};

/// A shell does not tell a job that runs in the background that it comes to the front: it is looked at this often.
const IN_BACKGROUND: Duration = Duration::from_millis(200);

/// Waits for the program that has our streams.
pub fn streams(
    context: &Context,
    signals: &Signals,
    tie: &OwnedFd,
    info: &AppInfo,
    id: &str,
) -> Result<u8, Failure> {
    let program = Target::new(context, info, id);
    let mut asked_to_stop = false;
    loop {
        let mut polled = [
            PollFd::new(tie, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        wait(&mut polled, None)?;
        while let Some((signal, key)) = signals.next() {
            match signal {
                // A program in a session of its own is not stopped by the key; by this it is.
                Signal::SIGTSTP => {
                    asked_to_stop = true;
                    program.signal_group(Signal::SIGSTOP);
                }
                Signal::SIGCONT => program.signal_group(signal),
                // Keys are for all in front of the terminal, `sh -c 'a | b'` too.
                signal if key => program.signal_group(signal),
                signal => program.signal(signal),
            }
        }
        while let Some(news) = tie::news(tie) {
            match news {
                // Without a shell that could wake us again we go on waiting: who stopped the program will wake it.
                News::Stopped if asked_to_stop || terminal::has_job_control() => {
                    if !signals.stop_with_our_job() {
                        program.signal_group(Signal::SIGCONT);
                    }
                    asked_to_stop = false;
                }
                News::Stopped | News::Continued => {}
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
    let program = Target::new(context, info, id);
    let mut relay = Relay {
        ours: Ours::new(),
        outer: terminal.into_outer(),
        typed: Vec::new(),
        program_stopped: false,
    };
    loop {
        relay.come_to_front(&program);
        if relay.pass_on(signals, tie)? == Shown::Closed {
            // The last process has left its terminal, or ours is gone, and what is in front of the other hears of it by this. Then there is nothing
            // to wait for but the end, which is told by the tie.
            drop(relay);
            return after_hangup(context, signals, tie, &program, id);
        }
        while let Some((signal, _)) = signals.next() {
            match signal {
                Signal::SIGWINCH => relay.outer.take_size(),
                Signal::SIGCONT => relay.go_on(&program),
                signal => program.signal(signal),
            }
        }
        while let Some(news) = tie::news(tie) {
            match news {
                News::Stopped => relay.stop(signals, &program),
                News::Continued => relay.program_stopped = false,
                News::Exited(code) => {
                    relay.outer.show_rest();
                    return Ok(code);
                }
                News::Ended => return lost(context, id),
            }
        }
    }
}

/// Between the two terminals.
struct Relay {
    ours: Ours,
    outer: Outer,
    /// Typed, and not yet taken by the program's terminal.
    typed: Vec<u8>,
    program_stopped: bool,
}

impl Relay {
    /// Waits, and passes on what was written and typed.
    fn pass_on(&mut self, signals: &Signals, tie: &OwnedFd) -> Result<Shown, Failure> {
        let stdin = std::io::stdin();
        let is_read = self.typed.is_empty() && self.ours.is_taken();
        let mut outer_wants = PollFlags::IN;
        outer_wants.set(PollFlags::OUT, !self.typed.is_empty());
        let mut polled = vec![
            PollFd::new(tie, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            PollFd::new(&self.outer, outer_wants),
        ];
        // Asked for nothing, it would still tell of a hangup, again and again.
        if is_read {
            polled.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
        }
        wait(
            &mut polled,
            (!self.ours.is_taken()).then_some(IN_BACKGROUND),
        )?;
        let heard = |index: usize| {
            polled
                .get(index)
                .map_or(PollFlags::empty(), PollFd::revents)
        };
        let (screen, keyboard) = (heard(2), heard(3));
        if screen.intersects(PollFlags::IN | PollFlags::HUP) && self.outer.show()? == Shown::Closed
        {
            return Ok(Shown::Closed);
        }
        if screen.contains(PollFlags::OUT) {
            self.outer.take(&mut self.typed);
        }
        if keyboard.contains(PollFlags::IN) {
            let mut buffer = [0_u8; 4096];
            match rustix::io::read(&stdin, &mut buffer) {
                Ok(length) => self.typed.extend(buffer.get(..length).unwrap_or_default()),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return Ok(Shown::Closed),
            }
        }
        // The window was closed: so is the program's.
        if keyboard.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(Shown::Closed);
        }
        Ok(Shown::All)
    }

    /// Where the shell has put us in front: takes the terminal, and lets a program go on that was stopped meanwhile.
    fn come_to_front(&mut self, program: &Target<'_>) {
        if self.ours.is_taken() {
            return;
        }
        self.ours.take();
        if self.ours.is_taken() {
            self.outer.take_size();
            if self.program_stopped {
                self.go_on(program);
            }
        }
    }

    /// The program goes on, and we do: in front or in the background.
    fn go_on(&mut self, program: &Target<'_>) {
        self.ours.take();
        self.outer.take_size();
        self.program_stopped = false;
        program.signal_group(Signal::SIGCONT);
    }

    /// The program was stopped: so are we, and our job with us, if there is a shell to wake us.
    fn stop(&mut self, signals: &Signals, program: &Target<'_>) {
        self.program_stopped = true;
        self.outer.show_rest();
        if !terminal::in_front() {
            return;
        }
        self.ours.give_back();
        if !signals.stop_with_our_job() {
            self.go_on(program);
        }
    }
}

/// There is no terminal between us any more: what is left is to hear how the first process ended.
fn after_hangup(
    context: &Context,
    signals: &Signals,
    tie: &OwnedFd,
    program: &Target<'_>,
    id: &str,
) -> Result<u8, Failure> {
    loop {
        let mut polled = [
            PollFd::new(tie, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        wait(&mut polled, None)?;
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

fn wait(polled: &mut [PollFd<'_>], limit: Option<Duration>) -> Result<(), Failure> {
    let limit = limit.and_then(|limit| limit.try_into().ok());
    match poll(polled, limit.as_ref()) {
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
        .hint("It may run still: lonewire ps")
        .hint("The cause is in the log: journalctl -u 'lonewire-warden@*'")
    })
}
