//! Starting a program in a tunnel, as far as it is the same for a terminal and a window: which file it is, what environment it gets, its place in the user's
//! session. Privileges are the helper's: nothing here has any.

pub mod environment;
pub mod program;
pub mod scope;

use std::{io, os::fd::OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// Two ends of a line for short words: theirs goes with the launch.
///
/// # Errors
/// The system's.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    Ok(socketpair(AddressFamily::UNIX, kind, flags, None)?)
}
