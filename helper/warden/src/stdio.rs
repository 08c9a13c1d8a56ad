//! Which descriptors of a caller's may go to a program: standard streams that cannot leak, and socket pairs for its reports. What is looked at here
//! may lie on a file system of the caller's own making: nothing may wait for it.

use std::os::fd::OwnedFd;

use lonewire_core::launch::Stage;
use rustix::{
    fs::{AtFlags, FileType, StatxFlags},
    io::Errno,
    net::{AddressFamily, SocketType, sockopt},
};

use crate::failure::{At as _, Failure};

/// Majors of character devices: /dev/null and its like; terminals (Documentation/admin-guide/devices.txt).
const MEMORY: u32 = 1;
const MEMORY_MINORS: [u32; 5] = [3, 5, 7, 8, 9];
const TERMINALS: [std::ops::RangeInclusive<u32>; 2] = [4..=5, 136..=143];

/// A standard stream is a terminal, a pipe, a file, /dev/null or an AF_UNIX stream socket. Every other socket would keep the host's network with it.
pub fn check_stream(stream: &OwnedFd) -> Result<(), Failure> {
    let refused = Err(Failure::new(Stage::Stdio, Errno::NOTSUP));
    // AT_STATX_DONT_SYNC asks no server of a file system.
    let stat = rustix::fs::statx(
        stream,
        "",
        AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC,
        StatxFlags::TYPE,
    )
    .at(Stage::Stdio)?;
    match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Fifo | FileType::RegularFile => Ok(()),
        FileType::CharacterDevice => {
            let terminal = TERMINALS
                .iter()
                .any(|majors| majors.contains(&stat.stx_rdev_major));
            let memory =
                stat.stx_rdev_major == MEMORY && MEMORY_MINORS.contains(&stat.stx_rdev_minor);
            if terminal || memory { Ok(()) } else { refused }
        }
        FileType::Socket if is_unix(stream, SocketType::STREAM) => Ok(()),
        _ => refused,
    }
}

/// Reports go to one end of a pair of AF_UNIX sockets that keep messages apart: sending to it never waits.
pub fn check_pair(socket: &OwnedFd) -> Result<(), Failure> {
    if is_unix(socket, SocketType::SEQPACKET) {
        Ok(())
    } else {
        Err(Failure::new(Stage::Descriptors, Errno::NOTSUP))
    }
}

fn is_unix(socket: &OwnedFd, kind: SocketType) -> bool {
    sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(socket) == Ok(kind)
}
