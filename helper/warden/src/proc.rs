//! What `/proc` tells of processes. An app's are the descendants of its keeper: a process that loses its parent becomes the keeper's child, so none
//! gets away.

use std::os::{fd::OwnedFd, unix::fs::MetadataExt as _};

use nix::unistd::Pid;
use rustix::process::{PidfdFlags, Signal};

/// Passes over the tree when signalling: each catches what was forked during the one before.
const PASSES: usize = 16;

/// All descendants of this process now, parents first, `but` the one that is no part of the app.
pub fn descendants(but: Option<Pid>) -> Vec<Pid> {
    let mut found = children_of(nix::unistd::getpid());
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        for child in children_of(pid) {
            if !found.contains(&child) {
                found.push(child);
            }
        }
    }
    found.retain(|pid| Some(*pid) != but);
    found
}

/// Sends a signal to each once, those too that come to be while it is sent.
pub fn signal_all(signal: Signal, but: Option<Pid>) {
    let mut done = Vec::new();
    for _ in 0..PASSES {
        let mut fresh = descendants(but);
        fresh.retain(|pid| !done.contains(pid));
        let opened: Vec<_> = fresh.iter().filter_map(|pid| Some((*pid, open(*pid)?))).collect();
        if opened.is_empty() {
            break;
        }
        // A descriptor is of one process for ever; that it is a descendant is looked at once more now that it is open, so that no number that
        // went to another process meanwhile is hit.
        let now = descendants(but);
        for (pid, process) in opened {
            if now.contains(&pid) {
                // One that has ended is no error.
                let _ = rustix::process::pidfd_send_signal(&process, signal);
            }
            done.push(pid);
        }
    }
}

pub fn open(pid: Pid) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw())?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Inode of a process's network namespace; `None` once it is ending.
pub fn namespace_of(pid: Pid) -> Option<u64> {
    let found = std::fs::metadata(format!("/proc/{pid}/ns/net"));
    found.map(|found| found.ino()).ok()
}

/// proc(5): `/proc/PID/task/TID/children`.
fn children_of(pid: Pid) -> Vec<Pid> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for task in tasks.flatten() {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = text.split_whitespace().filter_map(|word| word.parse().ok());
        children.extend(pids.map(Pid::from_raw));
    }
    children
}
