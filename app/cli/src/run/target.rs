//! The program's first process as something to pass signals to: it is ours, as the same user.

use std::os::fd::OwnedFd;

use lonewire_api::AppInfo;
use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags};

use crate::{context::Context, helper_error::About};

pub struct Target<'a> {
    context: &'a Context,
    id: &'a str,
    pid: Option<Pid>,
    process: Option<OwnedFd>,
}

impl<'a> Target<'a> {
    pub fn new(context: &'a Context, info: &AppInfo, id: &'a str) -> Self {
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
    pub fn signal(&self, signal: Signal) {
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
    pub fn signal_group(&self, signal: Signal) {
        let sent = rustix::process::Signal::from_named_raw(signal as i32)
            .zip(self.pid)
            .is_some_and(|(signal, pid)| rustix::process::kill_process_group(pid, signal).is_ok());
        if !sent {
            self.signal(signal);
        }
    }
}
