//! polkit's own text agent, for a terminal without a desktop (ssh): `pkttyagent` beside us for as long as we live.

use std::{
    io::Read as _,
    os::fd::AsRawFd as _,
    process::{Child, Command, Stdio},
};

use rustix::pipe::{PipeFlags, pipe_with};

/// A running agent; it is ended with us.
#[derive(Debug)]
pub struct Agent(Child);

impl Agent {
    /// Starts it and waits until it is registered; `None` where there is none, or polkit has a better one (`--fallback`).
    pub fn start() -> Option<Self> {
        // Only its two ends matter: the agent closes its own when it is registered, and when it fails.
        let (mut ready, notify) = pipe_with(PipeFlags::empty())
            .map(|(reader, writer)| (std::fs::File::from(reader), writer))
            .ok()?;
        rustix::io::fcntl_setfd(&ready, rustix::io::FdFlags::CLOEXEC).ok()?;
        let child = Command::new("pkttyagent")
            .arg("--process")
            .arg(std::process::id().to_string())
            .arg("--notify-fd")
            .arg(notify.as_raw_fd().to_string())
            .arg("--fallback")
            .stdin(Stdio::inherit())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        drop(notify);
        let mut agent = Self(child);
        ready.read_to_end(&mut Vec::new()).ok()?;
        match agent.0.try_wait() {
            Ok(None) => Some(agent),
            _ => None,
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
