//! One captured Ethernet frame, taken apart as far as the oracle needs.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

pub type Mac = [u8; 6];

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// RFC 826, for IPv4 over Ethernet: who says that he has which address.
    Arp { sender: Ipv4Addr },
    /// Type of the message and the address it goes to.
    Icmp {
        source: IpAddr,
        destination: IpAddr,
        kind: u8,
        body: &'a [u8],
    },
    Udp {
        source: SocketAddr,
        destination: SocketAddr,
        body: &'a [u8],
    },
    Tcp {
        source: SocketAddr,
        destination: SocketAddr,
    },
    /// Another protocol of IP, or a fragment.
    Ip {
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
    },
    /// Another EtherType, or cut short.
    Unknown { ethertype: u16 },
}

/// An Ethernet frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    pub from: Mac,
    pub to: Mac,
    pub payload: Payload<'a>,
}

impl Payload<'_> {
    /// The address that it says it comes from.
    pub fn source(&self) -> Option<IpAddr> {
        match self {
            Self::Arp { sender } => Some((*sender).into()),
            Self::Icmp { source, .. } | Self::Ip { source, .. } => Some(*source),
            Self::Udp { source, .. } | Self::Tcp { source, .. } => Some(source.ip()),
            Self::Unknown { .. } => None,
        }
    }
}

impl<'a> Frame<'a> {
    /// Takes bytes apart; `None` if they are no Ethernet frame.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let to = bytes.get(..6)?.try_into().ok()?;
        let from = bytes.get(6..12)?.try_into().ok()?;
        let ethertype = u16_at(bytes, 12)?;
        let rest = bytes.get(14..)?;
        let payload = match ethertype {
            0x0806 => arp(rest).unwrap_or(Payload::Unknown { ethertype }),
            0x0800 => ipv4(rest).unwrap_or(Payload::Unknown { ethertype }),
            0x86dd => ipv6(rest).unwrap_or(Payload::Unknown { ethertype }),
            _ => Payload::Unknown { ethertype },
        };
        Some(Self { from, to, payload })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn arp(bytes: &[u8]) -> Option<Payload<'_>> {
    // Ethernet, IPv4, and the lengths of their addresses.
    if bytes.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let sender = <[u8; 4]>::try_from(bytes.get(14..18)?).ok()?.into();
    Some(Payload::Arp { sender })
}

/// RFC 791.
fn ipv4(bytes: &[u8]) -> Option<Payload<'_>> {
    let header = usize::from(bytes.first()? & 0xf) * 4;
    let length = usize::from(u16_at(bytes, 2)?);
    let fragment = u16_at(bytes, 6)? & 0x3fff;
    let protocol = *bytes.get(9)?;
    let source = Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(12..16)?).ok()?).into();
    let destination = Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(16..20)?).ok()?).into();
    // Ethernet pads short frames: what counts is the datagram's own length.
    let body = bytes.get(header..length)?;
    if fragment != 0 {
        return Some(Payload::Ip {
            source,
            destination,
            protocol,
        });
    }
    Some(transport(source, destination, protocol, body))
}

/// RFC 8200; of extension headers only the hop-by-hop one that multicast listener reports carry.
fn ipv6(bytes: &[u8]) -> Option<Payload<'_>> {
    let length = usize::from(u16_at(bytes, 4)?);
    let mut next = *bytes.get(6)?;
    let source = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).into();
    let destination = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(24..40)?).ok()?).into();
    let mut body = bytes.get(40..40 + length)?;
    if next == 0 {
        let size = (usize::from(*body.get(1)?) + 1) * 8;
        next = *body.first()?;
        body = body.get(size..)?;
    }
    Some(transport(source, destination, next, body))
}

fn transport(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Payload<'_> {
    let other = Payload::Ip {
        source,
        destination,
        protocol,
    };
    let ports = || Some((u16_at(body, 0)?, u16_at(body, 2)?));
    match protocol {
        1 | 58 => match body.split_first() {
            Some((kind, body)) => Payload::Icmp {
                source,
                destination,
                kind: *kind,
                body,
            },
            None => other,
        },
        17 => match (ports(), body.get(8..)) {
            (Some((from, to)), Some(body)) => Payload::Udp {
                source: (source, from).into(),
                destination: (destination, to).into(),
                body,
            },
            _ => other,
        },
        6 => match ports() {
            Some((from, to)) => Payload::Tcp {
                source: (source, from).into(),
                destination: (destination, to).into(),
            },
            None => other,
        },
        _ => other,
    }
}

/// Of the VPN servers' links.
const SERVER_MTU: usize = 1420;

/// Whether a datagram has the shape of one of WireGuard's four messages (its paper, section 5.4): 148, 92 and 64 bytes; data: a header of 16
/// bytes, whole blocks of 16 bytes, a tag of 16 bytes. What fills a link is padded no further.
pub fn is_wireguard(body: &[u8]) -> bool {
    let [kind @ 1..=4, 0, 0, 0, ..] = body else {
        return false;
    };
    match kind {
        1 => body.len() == 148,
        2 => body.len() == 92,
        3 => body.len() == 64,
        _ => body
            .len()
            .checked_sub(32)
            .is_some_and(|packet| packet.is_multiple_of(16) || packet == SERVER_MTU),
    }
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.payload {
            Payload::Arp { sender } => write!(out, "ARP of {sender}"),
            Payload::Icmp {
                source,
                destination,
                kind,
                ..
            } => {
                write!(out, "ICMP type {kind} {source} > {destination}")
            }
            Payload::Udp {
                source,
                destination,
                body,
            } => {
                write!(out, "UDP {source} > {destination}, {} bytes", body.len())
            }
            Payload::Tcp {
                source,
                destination,
            } => write!(out, "TCP {source} > {destination}"),
            Payload::Ip {
                source,
                destination,
                protocol,
            } => {
                write!(
                    out,
                    "IP protocol {protocol} (or a fragment) {source} > {destination}"
                )
            }
            Payload::Unknown { ethertype } => write!(out, "EtherType {ethertype:#06x}"),
        }
    }
}
