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

/// Closes every descriptor from `first` on: only at the start, while nothing owns one of them. Else with CLOSE_RANGE_CLOEXEC: they are closed at execve.
pub fn close_from(first: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: no memory is passed, and by the contract above no owner is left with a closed descriptor.
    check(unsafe { libc::close_range(first.unsigned_abs(), u32::MAX, flags.cast_signed()) })
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

/// A fork whose child is one of this process's parent; `None` is the child.
pub fn fork_sibling() -> io::Result<Option<Pid>> {
    let (flags, none) = (libc::CLONE_PARENT | libc::SIGCHLD, 0_usize);
    // SAFETY: as for `fork`; without a stack of its own the child goes on with a copy of this one, and no pointer is passed.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    check(pid)?;
    Ok((pid != 0).then(|| Pid::from_raw(pid as libc::pid_t)))
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
    let (old, mask_size) = (std::ptr::null_mut::<u64>(), 8_usize);
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: `default` lives over the call and is only read, and nothing is written through the null pointer. Numbers that
        // cannot be set are refused, which changes nothing.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, &raw const default, old, mask_size)
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
    let (join, no_name) = (libc::KEYCTL_JOIN_SESSION_KEYRING, 0_usize);
    // SAFETY: the name is null, as documented; no other argument is read.
    where_known(check(unsafe { libc::syscall(libc::SYS_keyctl, join, no_name) }))
}

/// This process's disk priority is that of its niceness (ioprio_set(2), IOPRIO_CLASS_NONE); a kernel without any has none to reset.
pub fn default_disk_priority() -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: three numbers are passed.
    where_known(check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, 0) }))
}

/// A resource limit of this process as it was, soft and hard, and sets a new one; RLIM_INFINITY is `u64::MAX`.
pub fn limit(resource: u32, new: Option<(u64, u64)>) -> io::Result<(u64, u64)> {
    let of = |(rlim_cur, rlim_max)| libc::rlimit { rlim_cur, rlim_max };
    let (mut old, new) = (of((0, 0)), new.map(of));
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `old` lives over the call, which writes it; `new` is null or lives over the call and is only read.
    check(unsafe { libc::prlimit(0, resource, new, &raw mut old) })?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// The head of `struct ifreq` with a name and flags, in the size of the whole.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// netdevice(7): asks something of the interface `name` by its flags.
fn interface(fd: &OwnedFd, call: libc::Ioctl, name: &str, flags: libc::c_int) -> io::Result<()> {
    let (flags, rest) = (flags as libc::c_short, [0; 22]);
    let mut request = InterfaceRequest { name: [0; libc::IFNAMSIZ], flags, rest };
    let room = request.name.iter_mut().take(libc::IFNAMSIZ - 1);
    room.zip(name.bytes()).for_each(|(to, from)| *to = from);
    // SAFETY: the two calls that are passed here read, and one writes, a `struct ifreq`, of which `request` has layout and size.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), call, &raw mut request) })
}

/// Attaches a descriptor of `/dev/net/tun` to the TUN `name`, made where it is missing, and has it stay when the descriptor is closed. TCP comes in large
/// segments, each packet behind a `struct virtio_net_hdr`.
pub fn attach_tun(tun: &OwnedFd, name: &str) -> io::Result<()> {
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    interface(tun, libc::TUNSETIFF, name, flags)?;
    let large: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    for (call, number) in [(libc::TUNSETPERSIST, 1_u32), (libc::TUNSETOFFLOAD, large)] {
        // SAFETY: both calls take a number.
        check(unsafe { libc::ioctl(tun.as_raw_fd(), call, libc::c_ulong::from(number)) })?;
    }
    Ok(())
}

/// Sets an interface up, by any socket of its network.
pub fn raise(socket: &OwnedFd, name: &str) -> io::Result<()> {
    interface(socket, libc::SIOCSIFFLAGS, name, libc::IFF_UP)
}

/// Takes a mount that has no place yet, and those below it, out of the groups that its source is in (mount_setattr(2), MS_PRIVATE).
pub fn make_private(tree: &OwnedFd) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    let private =
        libc::mount_attr { attr_set: 0, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    let (call, size) = (libc::SYS_mount_setattr, size_of_val(&private));
    // SAFETY: the path is an empty string, and `private` lives over the call, which reads `size` bytes of it.
    check(unsafe {
        libc::syscall(call, tree.as_raw_fd(), c"".as_ptr(), flags, &raw const private, size)
    })
}

/// Makes a terminal the controlling one of this session; never takes it from another session.
pub fn control_terminal(terminal: &OwnedFd) -> io::Result<()> {
    let never_steal: libc::c_int = 0;
    // SAFETY: TIOCSCTTY takes a number.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, never_steal) })
}

fn check(result: impl Into<i64>) -> io::Result<()> {
    if result.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What this kernel does not have need not be done.
fn where_known(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        done => done,
    }
}
