//! Sockets of the internet's families, asked for everything by which one could hope to get round a tunnel.

use std::{
    io::IoSlice,
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    num::NonZeroU32,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, bind,
    connect, recv, send, sendto, shutdown, socket_with,
    sockopt::{self as option, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, Timeout},
};

use super::shot::How;
use crate::world::slowness;

/// For a connection; a socket whose peer never answers gives up then.
const PATIENCE: Duration = Duration::from_millis(2500);
/// For an answer over a socket that works.
const ANSWER: Duration = Duration::from_millis(700);

/// IPPROTO_MPTCP (linux/in.h).
const MPTCP: u32 = 262;
/// SOCK_DCCP (linux/net.h).
const DCCP: u32 = 6;

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

fn open(ip: IpAddr, kind: SocketType, protocol: Option<u32>) -> Result<OwnedFd> {
    let protocol = protocol.and_then(NonZeroU32::new).map(Protocol::from_raw);
    let socket = socket_with(family(ip), kind, SocketFlags::CLOEXEC, protocol).context("socket")?;
    option::set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE * slowness()))?;
    option::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER * slowness()))?;
    Ok(socket)
}

fn any(ip: IpAddr, port: u16) -> SocketAddr {
    (ip, port).into()
}

/// What is asked before the first packet.
fn prepare(socket: &OwnedFd, how: &How, v4: bool) -> Result<()> {
    match how {
        How::Device(name) => {
            setsockopt(socket, sockopt::BindToDevice, &name.into()).context("SO_BINDTODEVICE")?;
        }
        How::From(ip) => bind(socket, &any(*ip, 0)).context("bind")?,
        How::Mark(mark) => setsockopt(socket, sockopt::Mark, mark).context("SO_MARK")?,
        How::Transparent(ip) => {
            setsockopt(socket, sockopt::IpTransparent, &true).context("IP_TRANSPARENT")?;
            bind(socket, &any(*ip, 0)).context("bind")?;
        }
        How::Hops(hops) if v4 => option::set_ip_ttl(socket, u32::from(*hops))?,
        How::Hops(hops) => option::set_ipv6_unicast_hops(socket, Some(*hops))?,
        How::DontFragment if v4 => {
            option::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO)?;
        }
        How::DontFragment => option::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO)?,
        How::Broadcast => option::set_socket_broadcast(socket, true)?,
        _ => {}
    }
    Ok(())
}

pub fn udp(to: SocketAddr, bytes: &[u8], how: &How) -> Result<String> {
    let (kind, protocol) = match how {
        How::Protocol(number, kind) => (SocketType::from_raw(*kind), Some(*number)),
        _ => (SocketType::DGRAM, None),
    };
    // The others begin by themselves with what is sent.
    let connects = [SocketType::STREAM, SocketType::from_raw(DCCP)].contains(&kind);
    let socket = open(to.ip(), kind, protocol)?;
    prepare(&socket, how, to.is_ipv4())?;
    let sent = match how {
        How::Segments(size) => {
            let parts = [IoSlice::new(bytes)];
            let segments = [ControlMessage::UdpGsoSegments(size)];
            let to = SockaddrStorage::from(to);
            sendmsg(
                socket.as_raw_fd(),
                &parts,
                &segments,
                MsgFlags::empty(),
                Some(&to),
            )?
        }
        How::PacketInfo(source, index) => with_source(&socket, to, bytes, *source, *index)?,
        _ if connects || *how == How::Connected => {
            connect(&socket, &to).context("connect")?;
            send(&socket, bytes, SendFlags::NOSIGNAL).context("send")?
        }
        _ => sendto(&socket, bytes, SendFlags::NOSIGNAL, &to).context("send")?,
    };
    let answer = matches!(how, How::Connected)
        .then(|| recv(&socket, &mut [0; 2048][..], RecvFlags::empty()));
    Ok(match answer {
        Some(Ok((got, _))) => format!("{sent} sent, {got} came back"),
        _ => format!("{sent} sent"),
    })
}

/// RFC 3542 and ip(7): the source address and the interface of one datagram.
fn with_source(
    socket: &OwnedFd,
    to: SocketAddr,
    bytes: &[u8],
    source: IpAddr,
    index: u32,
) -> Result<usize> {
    let parts = [IoSlice::new(bytes)];
    let storage = SockaddrStorage::from(to);
    let sent = match source {
        IpAddr::V4(v4) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: index.cast_signed(),
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let message = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(
                socket.as_raw_fd(),
                &parts,
                &message,
                MsgFlags::empty(),
                Some(&storage),
            )
        }
        IpAddr::V6(v6) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: v6.octets(),
                },
                ipi6_ifindex: index,
            };
            let message = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(
                socket.as_raw_fd(),
                &parts,
                &message,
                MsgFlags::empty(),
                Some(&storage),
            )
        }
    };
    sent.context("a control message with a source")
}

pub fn tcp(to: SocketAddr, bytes: &[u8], how: &How) -> Result<String> {
    let protocol = match how {
        How::Multipath => Some(MPTCP),
        _ => None,
    };
    let socket = open(to.ip(), SocketType::STREAM, protocol)?;
    prepare(&socket, how, to.is_ipv4())?;
    if *how == How::FastOpen {
        let flags = SendFlags::NOSIGNAL.union(SendFlags::from_bits_retain(
            libc::MSG_FASTOPEN.cast_unsigned(),
        ));
        sendto(&socket, bytes, flags, &to).context("send with MSG_FASTOPEN")?;
    } else {
        connect(&socket, &to).context("connect")?;
        send(&socket, bytes, SendFlags::NOSIGNAL).context("send")?;
    }
    let _ = shutdown(&socket, Shutdown::Write);
    // Until the other end has it, or the time is over.
    let got = recv(&socket, &mut [0; 2048][..], RecvFlags::empty());
    Ok(format!(
        "connected, {:?} came back",
        got.map(|(got, _)| got)
    ))
}

/// icmp(7): a socket of this kind needs no right but a group.
pub fn echo(to: IpAddr, marker: &[u8]) -> Result<String> {
    let (protocol, kind) = if to.is_ipv4() { (1, 8) } else { (58, 128) };
    let socket = open(to, SocketType::DGRAM, Some(protocol))?;
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    message.extend(marker);
    let to: SocketAddr = match to {
        IpAddr::V4(v4) => SocketAddrV4::new(v4, 0).into(),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, 0, 0, 0).into(),
    };
    sendto(&socket, &message, SendFlags::empty(), &to).context("send")?;
    let (got, _) = recv(&socket, &mut [0; 2048][..], RecvFlags::empty()).context("no answer")?;
    Ok(format!("{got} came back"))
}

/// By the interface of the default route, as the kernel chooses it.
pub fn join(group: IpAddr) -> Result<String> {
    let socket = open(group, SocketType::DGRAM, None)?;
    match group {
        IpAddr::V4(v4) if v4.is_multicast() => {
            option::set_ip_add_membership(&socket, &v4, &[0; 4].into())?;
        }
        IpAddr::V6(v6) if v6.is_multicast() => option::set_ipv6_add_membership(&socket, &v6, 0)?,
        other => bail!("{other} is no group"),
    }
    // A report is sent at once, and again within a second.
    std::thread::sleep(Duration::from_millis(1200));
    Ok("joined".into())
}
