//! The system bus of a program: xdg-dbus-proxy(1) listens in its place and passes on what its rules allow. It is run as the program is: by the same user, in the same
//! namespaces, scope and limits, so that polkit, which is asked about the proxy, sees what it would see of the program. Its parent is the keeper, with which it ends.
//! Where it does not run nobody listens: there is no bus inside, and never the host's.

use std::{
    ffi::CString,
    fs::File,
    os::fd::{AsRawFd as _, OwnedFd},
};

use lonewire_core::{
    bus::{PROXIES, command},
    launch::{Launch, Stage},
};
use nix::{sys::signal::SigSet, unistd::Pid};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, FdFlags},
};

use crate::{
    failure::{At as _, Failure},
    identity::{self, Caller},
    raw,
};

/// How long a program waits for it.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Starts the proxy of the host's bus as the user, while this process goes on. `kept` is the socket of the host's bus, and a line: the proxy writes a byte to it once it
/// listens, and ends when the other end is closed by the last who has it. The answer is its number, if there is a process.
pub fn start(request: &Launch, caller: &Caller, kept: [&OwnedFd; 2]) -> Option<Pid> {
    let proxy = raw::fork_sibling().ok()?;
    if proxy.is_none() {
        let _ = become_proxy(request, caller, kept);
        raw::exit(127)
    }
    proxy
}

/// Waits until the proxy listens, or has ended.
pub fn wait(told: &OwnedFd) {
    let _ = poll(&mut [PollFd::new(told, PollFlags::IN)], Some(&PATIENCE));
}

fn become_proxy(request: &Launch, caller: &Caller, kept: [&OwnedFd; 2]) -> Result<(), Failure> {
    // Not in front of the terminal: Ctrl-C is for the program.
    let me = nix::unistd::getpid();
    nix::unistd::setpgid(me, me).at(Stage::Terminal)?;
    identity::become_caller(request, caller)?;
    let null = File::options().read(true).write(true).open("/dev/null").at(Stage::Exec)?.into();
    (0..3).try_for_each(|number| raw::place(&null, number)).at(Stage::Exec)?;
    raw::close_from(3, libc::CLOSE_RANGE_CLOEXEC).at(Stage::Exec)?;
    for kept in kept {
        rustix::io::fcntl_setfd(kept, FdFlags::empty()).at(Stage::Exec)?;
    }
    SigSet::empty().thread_set_mask().at(Stage::Exec)?;
    let [host, line] = kept.map(|kept| kept.as_raw_fd());
    let argv = command(line, host, &request.bus).into_iter().map(CString::new);
    let argv = argv.collect::<Result<Vec<_>, _>>().at(Stage::Exec)?;
    for path in PROXIES {
        let path = CString::new(path).at(Stage::Exec)?;
        let _ = nix::unistd::execve(&path, &argv, &[] as &[CString]);
    }
    Err(Failure::new(Stage::Exec, Errno::NOENT))
}
