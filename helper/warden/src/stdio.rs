//! Which descriptors of a caller's may go to a program: standard streams that cannot leak, and socket pairs for its reports. What is looked at here
//! may lie on a file system of the caller's own making: nothing may wait for it.

use std::os::fd::OwnedFd;

use lonewire_core::{inside::is_stream_device, launch::Stage};
use rustix::{
    fs::{AtFlags, FileType, StatxFlags},
    io::Errno,
    net::{AddressFamily, SocketType, sockopt},
};

use crate::failure::{At as _, Failure};

/// A standard stream is a terminal, a pipe, a file, /dev/null or an AF_UNIX stream socket. Every other socket would keep the host's network with it.
pub fn check_stream(stream: &OwnedFd) -> Result<(), Failure> {
    // AT_STATX_DONT_SYNC asks no server of a file system.
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(stream, "", flags, StatxFlags::TYPE).at(Stage::Stdio)?;
    let allowed = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Fifo | FileType::RegularFile => true,
        FileType::CharacterDevice => is_stream_device(stat.stx_rdev_major, stat.stx_rdev_minor),
        FileType::Socket => is_unix(stream, SocketType::STREAM),
        _ => false,
    };
    if allowed { Ok(()) } else { Err(Failure::new(Stage::Stdio, Errno::NOTSUP)) }
}

/// Reports go to one end of a pair of AF_UNIX sockets that keep messages apart: sending to it never waits.
pub fn check_pair(socket: &OwnedFd) -> Result<(), Failure> {
    let refused = Failure::new(Stage::Descriptors, Errno::NOTSUP);
    if is_unix(socket, SocketType::SEQPACKET) { Ok(()) } else { Err(refused) }
}

fn is_unix(socket: &OwnedFd, kind: SocketType) -> bool {
    sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(socket) == Ok(kind)
}
