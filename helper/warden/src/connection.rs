//! A connection of the helper's: one request with its descriptors comes in, frames go out. Root alone is answered, and nobody is waited for: a helper
//! that reads nothing for a while gets what it missed later.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use lonewire_core::launch::{self, Command, Event, MAX_REQUEST, REQUEST, Request, Stage};
use rustix::{
    fs::SealFlags,
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, sockopt,
    },
};

use crate::{
    failure::{At as _, Failure},
    raw,
};

/// The descriptor on which systemd (sd_listen_fds(3)) and our own listener hand over a connection.
pub const DESCRIPTOR: i32 = 3;

/// A memfd and at most seven for a launch.
const MOST_DESCRIPTORS: usize = 8;

pub struct Connection {
    socket: OwnedFd,
    /// What has come of a frame that is not whole yet.
    partial: Vec<u8>,
    /// What could not go out yet.
    unsent: Vec<u8>,
}

impl Connection {
    /// The one this process was started with. Every other descriptor past the standard ones is closed.
    pub fn inherited() -> Result<Self, Failure> {
        raw::close_from(DESCRIPTOR + 1, 0).at(Stage::Request)?;
        let socket = raw::inherited(DESCRIPTOR);
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).at(Stage::Request)?;
        Self::of(socket)
    }

    /// A connected socket, if its other end is root's.
    pub fn of(socket: OwnedFd) -> Result<Self, Failure> {
        if !is_root(&socket) {
            return Err(Failure::new(Stage::Request, Errno::PERM));
        }
        Ok(Self { socket, partial: Vec::new(), unsent: Vec::new() })
    }

    /// The request, from its sealed memfd, and the other descriptors in order.
    pub fn request(&self) -> Result<(Request, Vec<OwnedFd>), Failure> {
        let mut byte = [0_u8; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut byte)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = rustix::net::recvmsg(&self.socket, parts, &mut ancillary, flags);
        let received = received.at(Stage::Request)?.bytes;
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received != 1 || byte != [REQUEST] || descriptors.is_empty() {
            return Err(Failure::new(Stage::Request, Errno::PROTO));
        }
        let text = read_sealed(&descriptors.remove(0))?;
        let request = launch::decode(&text);
        let request = request.map_err(|_| Failure::new(Stage::Request, Errno::BADMSG))?;
        Ok((request, descriptors))
    }

    /// Sends an event; descriptors come with its first byte, when nothing else waits to be sent.
    pub fn send(&mut self, event: &Event, descriptors: &[OwnedFd]) -> Result<(), Failure> {
        let invalid = Failure::new(Stage::Request, Errno::MSGSIZE);
        self.unsent.extend(launch::frame(event).map_err(|_| invalid)?);
        self.flush(descriptors)
    }

    /// Sends what waits, as far as it can without waiting itself.
    pub fn flush(&mut self, descriptors: &[OwnedFd]) -> Result<(), Failure> {
        let rights: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !rights.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&rights)) {
            return Err(Failure::new(Stage::Request, Errno::MSGSIZE));
        }
        let parts = [IoSlice::new(&self.unsent)];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::net::sendmsg(&self.socket, &parts, &mut ancillary, flags) {
            Err(Errno::AGAIN) => Ok(()),
            sent => sent.map(|sent| drop(self.unsent.drain(..sent))).at(Stage::Request),
        }
    }

    /// Whether the other end has not taken all yet.
    pub fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether the other end has gone.
    pub fn is_closed(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(&self.socket, &mut [0_u8], flags), Ok((0, _)))
    }

    /// The commands that have come, without waiting; `None` once the other end is closed or talks nonsense.
    pub fn commands(&mut self) -> Option<Vec<Command>> {
        let mut buffer = [0_u8; 512];
        match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return None,
            Ok((length, _)) => self.partial.extend(buffer.get(..length)?),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return None,
        }
        let mut commands = Vec::new();
        while let Some(command) = launch::take_frame(&mut self.partial).ok()? {
            commands.push(command);
        }
        Some(commands)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether root connected a socket.
pub fn is_root(socket: &OwnedFd) -> bool {
    sockopt::socket_peercred(socket).is_ok_and(|peer| peer.uid.is_root())
}

/// What a memfd holds that nobody can change any more.
fn read_sealed(memfd: &OwnedFd) -> Result<Vec<u8>, Failure> {
    let wanted = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let seals = rustix::fs::fcntl_get_seals(memfd).at(Stage::Request)?;
    let size = rustix::fs::fstat(memfd).at(Stage::Request)?.st_size;
    let size = u64::try_from(size).ok().filter(|size| *size <= MAX_REQUEST);
    let (true, Some(size)) = (seals.contains(wanted), size) else {
        return Err(Failure::new(Stage::Request, Errno::PERM));
    };
    let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
    // A memfd gives all it has at once, however much that is.
    match rustix::io::pread(memfd, &mut text, 0).at(Stage::Request)? {
        read if read == text.len() => Ok(text),
        _ => Err(Failure::new(Stage::Request, Errno::PROTO)),
    }
}
