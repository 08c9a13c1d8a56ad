//! Bytes over a Unix socket, and the descriptors that come with them (unix(7), SCM_RIGHTS).

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use anyhow::{Result, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, send as send_bytes, sendmsg,
};

/// Descriptors in a message: nothing of ours sends more.
const MOST: usize = 8;

/// Sends all bytes; the descriptors go with the first.
///
/// # Errors
/// The other end is gone.
pub fn send(socket: impl AsFd, bytes: &[u8], rights: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ensure!(
        rights.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(rights)),
        "too many descriptors"
    );
    let parts = [IoSlice::new(bytes)];
    let mut sent = sendmsg(&socket, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        sent += send_bytes(&socket, rest, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// What has come: how many bytes, 0 at the end, and descriptors.
///
/// # Errors
/// The other end is gone.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(buffer)];
    let got = recvmsg(socket, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    Ok((got.bytes, rights.flatten().collect()))
}
