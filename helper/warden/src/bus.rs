//! The system bus of a program: xdg-dbus-proxy(1) listens in its place and passes on what its rules allow. It is run as the program is: by the same user, in the same
//! namespaces, scope and limits, so that polkit, which is asked about the proxy, sees what it would see of the program. Its parent is the keeper, with which it ends.
//! Where it does not run nobody listens: there is no bus inside, and never the host's.

use std::{
    convert::Infallible,
    ffi::CString,
    fs::File,
    os::fd::{AsRawFd as _, OwnedFd},
};

use lonewire_core::{
    bus::{PROXIES, command},
    launch::Stage,
};
use nix::{sys::signal::SigSet, unistd::Pid};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, FdFlags},
};

use crate::{
    failure::{At as _, Failure},
    raw,
};

/// How long a program waits for it.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Starts the proxy of the host's bus and waits until it listens, or has ended. It writes a byte to `line` then, and ends when the other end of it, `told`, is closed
/// by the last who has it. The answer is its number, if there is a process.
pub fn start(rules: &[String], host: &OwnedFd, told: &OwnedFd, line: OwnedFd) -> Option<Pid> {
    let Some(proxy) = raw::fork_sibling().ok()? else {
        let _ = become_proxy(rules, host, &line);
        raw::exit(127)
    };
    drop(line);
    let _ = poll(&mut [PollFd::new(told, PollFlags::IN)], Some(&PATIENCE));
    Some(proxy)
}

fn become_proxy(rules: &[String], host: &OwnedFd, line: &OwnedFd) -> Result<Infallible, Failure> {
    let null = File::options().read(true).write(true).open("/dev/null").at(Stage::Exec)?.into();
    (0..3).try_for_each(|number| raw::place(&null, number)).at(Stage::Exec)?;
    raw::close_from_at_exec(3).at(Stage::Exec)?;
    for kept in [host, line] {
        rustix::io::fcntl_setfd(kept, FdFlags::empty()).at(Stage::Exec)?;
    }
    SigSet::empty().thread_set_mask().at(Stage::Exec)?;
    let argv = command(line.as_raw_fd(), host.as_raw_fd(), rules).into_iter().map(CString::new);
    let argv = argv.collect::<Result<Vec<_>, _>>().at(Stage::Exec)?;
    for path in PROXIES {
        let path = CString::new(path).at(Stage::Exec)?;
        let _ = nix::unistd::execve(&path, &argv, &[] as &[CString]);
    }
    Err(Failure::new(Stage::Exec, Errno::NOENT))
}
