//! Sockets below and beside the internet's: raw, packet, and other families.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{VsockAddr, connect};
use rustix::net::{
    AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, send, sendto, socket_with,
};

use crate::packet;

/// linux/socket.h.
const VSOCK: u16 = 40;
/// vm_sockets.h: the machine that this one runs on.
const HYPERVISOR: u32 = 2;

fn open(family: u16, kind: u32, protocol: u32) -> Result<OwnedFd> {
    let protocol = NonZeroU32::new(protocol).map(Protocol::from_raw);
    let family = AddressFamily::from_raw(family);
    socket_with(
        family,
        SocketType::from_raw(kind),
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        protocol,
    )
    .context("socket")
}

/// A packet of a protocol of IP; with 255 its header is in it.
pub fn ip(to: IpAddr, protocol: u8, packet: &[u8]) -> Result<String> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = open(
        family.as_raw(),
        SocketType::RAW.as_raw(),
        u32::from(protocol),
    )?;
    let to = SocketAddr::from((to, 0));
    let sent = sendto(&socket, packet, SendFlags::empty(), &to).context("send")?;
    Ok(format!("{sent} sent"))
}

/// A frame as it is, or on a link without frames a packet.
pub fn frame(interface: &str, frame: &[u8]) -> Result<String> {
    let socket = packet::sender(interface)?;
    let sent = send(&socket, frame, SendFlags::empty()).context("send")?;
    Ok(format!("{sent} sent"))
}

/// Whether there is such a socket, and what becomes of bytes on it.
pub fn family(family: u16, kind: u32, protocol: u32, bytes: &[u8]) -> Result<String> {
    let socket = open(family, kind, protocol)?;
    if family == VSOCK {
        connect(socket.as_raw_fd(), &VsockAddr::new(HYPERVISOR, 9)).context("connect")?;
    }
    match send(&socket, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(format!("{sent} sent")),
        Err(error) => bail!("a socket, but: {error}"),
    }
}
