//! The packet socket of a capture, and a TUN: the three calls that no safe wrapper has. Nothing else of the tests needs `unsafe`.
#![expect(
    unsafe_code,
    reason = "bind(2) and PACKET_STATISTICS of packet(7), TUNSETIFF"
)]

use std::{
    fs, io, mem,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt,
};

/// Bytes of frames that may wait to be read.
const BUFFER: usize = 64 << 20;

/// A socket that gets every frame of one interface of this network, outgoing ones too, without a filter.
///
/// # Errors
/// No such interface, no CAP_NET_RAW, or, for the large buffer, no CAP_NET_ADMIN.
pub fn open(interface: &str) -> Result<OwnedFd> {
    let packet = unbound()?;
    setsockopt(&packet, sockopt::RcvBufForce, &BUFFER)?;
    setsockopt(&packet, sockopt::ReceiveTimestampns, &true)?;
    bind(&packet, interface)?;
    Ok(packet)
}

/// A socket that sends frames by one interface of this network.
///
/// # Errors
/// No such interface, or no CAP_NET_RAW.
pub fn sender(interface: &str) -> Result<OwnedFd> {
    let packet = unbound()?;
    bind(&packet, interface)?;
    Ok(packet)
}

/// Made without a protocol it gets nothing until it is bound: no frame of another interface slips in.
fn unbound() -> Result<OwnedFd> {
    Ok(socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

fn bind(packet: &OwnedFd, interface: &str) -> Result<()> {
    let index = nix::net::if_::if_nametoindex(interface)
        .with_context(|| format!("no interface {interface}"))?;
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (SockProtocol::EthAll as i32) as u16;
    address.sll_ifindex = index as i32;
    // SAFETY: the address outlives the call and the length is its own.
    let done = unsafe {
        libc::bind(
            packet.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error()).context("bind a packet socket");
    }
    Ok(())
}

/// Frames lost since the last call because the buffer was full.
///
/// # Errors
/// Not a packet socket.
pub fn dropped(packet: &OwnedFd) -> Result<u32> {
    // SAFETY: all zero is a valid tpacket_stats.
    let mut stats: libc::tpacket_stats = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of the struct.
    let done = unsafe {
        libc::getsockopt(
            packet.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error()).context("PACKET_STATISTICS");
    }
    Ok(stats.tp_drops)
}

/// A fresh TUN of this network, with a virtio_net_hdr before each packet as the warden makes its own; it goes with the descriptor.
///
/// # Errors
/// No `/dev/net/tun`, no CAP_NET_ADMIN, or the name is taken.
pub fn open_tun(name: &str) -> Result<OwnedFd> {
    let tun = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: all zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    ensure!(name.len() < libc::IFNAMSIZ, "{name} is too long");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    let done = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error()).context("TUNSETIFF");
    }
    Ok(tun.into())
}
