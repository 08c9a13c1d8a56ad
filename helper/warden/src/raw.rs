//! The calls that no safe wrapper covers, each behind a safe function: the only unsafe code of the warden.
#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use nix::unistd::{ForkResult, Pid};

/// Takes over a descriptor that this process was started with. To be called once, before anything else could have taken its number.
pub fn inherited(descriptor: RawFd) -> OwnedFd {
    // SAFETY: it was handed to this process for this and nothing else owns it; were it closed, each use would fail with EBADF.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Closes every descriptor from `first` on. Only at the start, while nothing owns one of them.
pub fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: no memory is passed, and by the contract above no owner is left with a closed descriptor.
    check(unsafe { libc::close_range(first.unsigned_abs(), u32::MAX, 0) })
}

/// Has every descriptor from `first` on closed at execve.
pub fn close_from_at_exec(first: RawFd) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: no memory is passed; owners keep what they own.
    check(unsafe { libc::close_range(first.unsigned_abs(), u32::MAX, flags) })
}

/// dup2(2): makes `number` another name of `descriptor`, open over execve.
pub fn place(descriptor: &OwnedFd, number: RawFd) -> io::Result<()> {
    // SAFETY: `number` is 0, 1, 2 or the connection's, which no value here owns at that time.
    check(unsafe { libc::dup2(descriptor.as_raw_fd(), number) })
}

/// fork(2); `None` is the child.
pub fn fork() -> nix::Result<Option<Pid>> {
    // SAFETY: this program has one thread, so no lock can be held by another one in the child.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(None),
        ForkResult::Parent { child } => Ok(Some(child)),
    }
}

/// _exit(2): nothing of the parent's is flushed or run.
pub fn exit(code: i32) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Every signal does what it does by default. By the kernel's own call: libc keeps 32 and 33 to itself, and whoever was started by
/// posix_spawn(3) ignores them.
pub fn default_signals() {
    // `struct sigaction` of the kernel, in no architecture longer: all zero is SIG_DFL, no flag, no mask.
    let default = [0u64; 4];
    let mask_size: libc::size_t = 8;
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: `default` lives over the call and is only read, and nothing is written through the null pointer. Numbers that
        // cannot be set are refused, which changes nothing.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                mask_size,
            )
        };
    }
}

/// Children are reaped by the kernel.
pub fn ignore_children() {
    // SAFETY: SIG_IGN is no function of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// A session keyring of its own (keyctl(2) KEYCTL_JOIN_SESSION_KEYRING); a kernel without keyrings has none to leave.
pub fn new_session_keyring() -> io::Result<()> {
    // SAFETY: the name is null, as documented; no other argument is read.
    let joined = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    match check(i32::from(joined >= 0) - 1) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        done => done,
    }
}

/// A resource limit of this process: soft and hard; RLIM_INFINITY is `u64::MAX`.
pub fn limit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives over the call, which writes it.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets a resource limit of this process.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` lives over the call and is only read.
    check(unsafe { libc::setrlimit(resource, &raw const limit) })
}

/// The head of `struct ifreq` that TUNSETIFF reads, in the size of the whole.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// Attaches a descriptor of `/dev/net/tun` to the TUN `name`, made where it is missing, and has it stay when the descriptor is closed.
pub fn attach_tun(tun: &OwnedFd, name: &str) -> io::Result<()> {
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    let mut request = InterfaceRequest {
        name: [0; libc::IFNAMSIZ],
        flags,
        rest: [0; 22],
    };
    for (to, from) in request
        .name
        .iter_mut()
        .take(libc::IFNAMSIZ - 1)
        .zip(name.bytes())
    {
        *to = from;
    }
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, of which `request` has layout and size.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    let stay: libc::c_ulong = 1;
    // SAFETY: TUNSETPERSIST takes a number.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETPERSIST, stay) })
}

/// Makes a terminal the controlling one of this session; never takes it from another session.
pub fn control_terminal(terminal: &OwnedFd) -> io::Result<()> {
    let never_steal: libc::c_int = 0;
    // SAFETY: TIOCSCTTY takes a number.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, never_steal) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
