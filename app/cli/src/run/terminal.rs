//! Two terminals: the program's own, of which we hold the outer end, and the one that we were started on, which is raw as long as we are in
//! front of it. In the background it is the shell's: it is neither read nor changed then.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    pty::OpenptFlags,
    termios::{
        OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetwinsize,
    },
};

use super::guardian::Guardian;
use crate::failure::Failure;

/// A terminal of the program's own.
pub struct Terminal {
    outer: Outer,
    inner: OwnedFd,
}

impl Terminal {
    /// One that is set as ours is.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, Failure> {
        let failed =
            |errno: Errno| Failure::system("a terminal for the program cannot be made", errno);
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outer = rustix::pty::openpt(flags).map_err(failed)?;
        rustix::pty::grantpt(&outer).map_err(failed)?;
        rustix::pty::unlockpt(&outer).map_err(failed)?;
        let inner = rustix::pty::ioctl_tiocgptpeer(&outer, flags).map_err(failed)?;
        // In the background ours is as the shell's line editor has it: that is nothing to start with.
        if in_front() {
            let ours = tcgetattr(std::io::stdin()).map_err(failed)?;
            tcsetattr(&inner, OptionalActions::Now, &ours).map_err(failed)?;
        }
        let outer = Outer(outer);
        outer.take_size();
        Ok(Self { outer, inner })
    }

    pub fn inner(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }

    /// Once the program has the inner end: were it held here too, its end would never be seen.
    pub fn into_outer(self) -> Outer {
        self.outer
    }
}

/// Whether we are in front of our terminal. One that is not our session's has nobody else in front.
pub fn in_front() -> bool {
    is_ours(std::io::stdin().as_fd())
}

/// The same where our standard streams need be no terminal: whether a person's shell has us in front.
pub fn has_job_control() -> bool {
    std::fs::File::open("/dev/tty").is_ok_and(|terminal| {
        tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
    })
}

fn is_ours(terminal: BorrowedFd<'_>) -> bool {
    tcgetpgrp(terminal).map_or(true, |group| group == rustix::process::getpgrp())
}

/// What the program wrote, and whether there can be more.
#[derive(PartialEq, Eq)]
pub enum Shown {
    All,
    Closed,
}

/// Our end of the program's terminal.
pub struct Outer(OwnedFd);

impl AsFd for Outer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Outer {
    /// The size of our window; the kernel tells the program.
    pub fn take_size(&self) {
        if let Ok(size) = tcgetwinsize(std::io::stdin()) {
            let _ = tcsetwinsize(&self.0, size);
        }
    }

    /// Puts what the program wrote on our terminal, once.
    ///
    /// # Errors
    /// Our terminal is gone.
    pub fn show(&self) -> Result<Shown, Failure> {
        let mut buffer = [0_u8; 16 * 1024];
        match rustix::io::read(&self.0, &mut buffer) {
            // EIO: the last process has closed its end.
            Ok(0) | Err(Errno::IO) => Ok(Shown::Closed),
            Ok(length) => {
                write_all(std::io::stdout(), buffer.get(..length).unwrap_or_default()).map_err(
                    |errno| Failure::system("this terminal cannot be written to", errno),
                )?;
                Ok(Shown::All)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(Shown::All),
            Err(errno) => Err(Failure::system(
                "the program's terminal cannot be read",
                errno,
            )),
        }
    }

    /// All that is there already, without waiting for more.
    pub fn show_rest(&self) {
        let now = Duration::ZERO.try_into().ok();
        loop {
            let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
            let is_there = poll(&mut polled, now.as_ref()).is_ok_and(|count| count > 0)
                && polled[0].revents().contains(PollFlags::IN);
            if !is_there || !matches!(self.show(), Ok(Shown::All)) {
                return;
            }
        }
    }

    /// Gives the program what was typed, as much as it takes now.
    pub fn take(&self, typed: &mut Vec<u8>) {
        // A terminal that says it can be written to takes some bytes without waiting.
        let portion = typed.get(..typed.len().min(1024)).unwrap_or_default();
        match rustix::io::write(&self.0, portion) {
            Ok(length) => drop(typed.drain(..length)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => typed.clear(),
        }
    }
}

/// Writes all, to a terminal that somebody made non-blocking too: it is shared, and any program may.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&to, PollFlags::OUT)], None)),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Our own terminal. It is given back when this goes, and by the guardian when we are killed.
pub struct Ours {
    /// How it was before we took it; none while it is not taken.
    before: Option<Termios>,
    guardian: Option<Guardian>,
}

impl Ours {
    pub fn new() -> Self {
        Self {
            before: None,
            guardian: Guardian::start(&std::io::stdin()),
        }
    }

    pub fn is_taken(&self) -> bool {
        self.before.is_some()
    }

    /// Makes it raw, if we are in front of it and have not done so.
    pub fn take(&mut self) {
        if self.is_taken() || !in_front() {
            return;
        }
        let Ok(before) = tcgetattr(std::io::stdin()) else {
            return;
        };
        if let Some(guardian) = &mut self.guardian {
            guardian.taken();
        }
        let mut raw = before.clone();
        raw.make_raw();
        // One that has been closed has nobody to be raw for.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &raw);
        self.before = Some(before);
    }

    /// As it was.
    pub fn give_back(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &before);
            if let Some(guardian) = &mut self.guardian {
                guardian.given_back();
            }
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn what_is_written_arrives_whole_where_writing_does_not_wait() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(&reader, false).unwrap();
        let text: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let wanted = text.clone();
        let writing = std::thread::spawn(move || write_all(writer, &text));
        let mut read = Vec::new();
        std::fs::File::from(reader).read_to_end(&mut read).unwrap();
        writing.join().unwrap().unwrap();
        assert!(read == wanted, "{} bytes", read.len());
    }
}
