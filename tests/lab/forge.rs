//! Packets and frames made byte by byte: what no socket would send, what an attacker beside the host sends, and leaks that a judge must see.

use std::net::{IpAddr, Ipv6Addr};

use crate::frame::Mac;

/// To everybody on the link.
pub const EVERYBODY: Mac = [0xff; 6];

const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP6: u8 = 58;

/// RFC 1071.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    let folded = (folded >> 16) + (folded & 0xffff);
    (!(folded as u16)).to_be_bytes()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// Of what a transport's checksum covers beside itself.
fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = [octets(from), octets(to)].concat();
    bytes.extend([0, protocol]);
    bytes.extend(length(body).to_be_bytes());
    bytes
}

/// An IP packet of either family around a transport's bytes; its checksum goes to `place` in them.
fn packet(
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    mut body: Vec<u8>,
    place: Option<usize>,
) -> Vec<u8> {
    if let Some(place) = place {
        let sum = checksum(&[&pseudo(from, to, protocol, &body), &body]);
        body[place..place + 2].copy_from_slice(&sum);
    }
    let mut header = match from {
        IpAddr::V4(_) => {
            let mut header = vec![0x45, 0];
            header.extend((length(&body) + 20).to_be_bytes());
            header.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
            header
        }
        IpAddr::V6(_) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length(&body).to_be_bytes());
            // Neighbour discovery is believed only with all hops left.
            header.extend([protocol, 255]);
            header
        }
    };
    header.extend(octets(from));
    header.extend(octets(to));
    if from.is_ipv4() {
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum);
    }
    [header, body].concat()
}

/// A datagram with its IP header.
pub fn udp(from: (IpAddr, u16), to: (IpAddr, u16), bytes: &[u8]) -> Vec<u8> {
    let mut body = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    body.extend((length(bytes) + 8).to_be_bytes());
    body.extend([0, 0]);
    body.extend(bytes);
    packet(from.0, to.0, UDP, body, Some(6))
}

/// A TCP segment with its IP header; `flags` as RFC 9293 has them: 2 is SYN, 0x12 is SYN and ACK.
pub fn tcp(from: (IpAddr, u16), to: (IpAddr, u16), flags: u8, bytes: &[u8]) -> Vec<u8> {
    let mut body = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    body.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(bytes);
    packet(from.0, to.0, TCP, body, Some(16))
}

/// A packet of another protocol with its IP header.
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, bytes: &[u8]) -> Vec<u8> {
    packet(from, to, protocol, bytes.to_vec(), None)
}

/// An ICMPv6 message with its IP header.
fn icmp6(from: Ipv6Addr, to: Ipv6Addr, kind: u8, rest: &[u8]) -> Vec<u8> {
    let body = [&[kind, 0, 0, 0], rest].concat();
    packet(from.into(), to.into(), ICMP6, body, Some(2))
}

/// Asks who has an address (RFC 4861).
pub fn solicitation(mac: Mac, from: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    let rest = [[0; 4].as_slice(), &target.octets(), &[1, 1], &mac].concat();
    icmp6(from, group, 135, &rest)
}

/// Says who has an address (RFC 4861).
pub fn advertisement(mac: Mac, from: Ipv6Addr, to: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    // Solicited, and it replaces what was known.
    let rest = [[0x60, 0, 0, 0].as_slice(), &target.octets(), &[2, 1], &mac].concat();
    icmp6(from, to, 136, &rest)
}

/// Says that a router is there, and a network that every host may take an address of.
pub fn router_advertisement(mac: Mac, from: Ipv6Addr, network: Ipv6Addr) -> Vec<u8> {
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut rest = vec![64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    rest.extend(mac);
    rest.extend([3, 4, 64, 0xc0]);
    rest.extend([0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
    rest.extend(network.octets());
    icmp6(from, all, 134, &rest)
}

/// Says that another way to an address is better.
pub fn redirect(from: Ipv6Addr, to: Ipv6Addr, target: Ipv6Addr, way: Ipv6Addr) -> Vec<u8> {
    let rest = [[0; 4].as_slice(), &way.octets(), &target.octets()].concat();
    icmp6(from, to, 137, &rest)
}

/// Asks who has an IPv4 address (RFC 826), as a whole frame.
pub fn arp(mac: Mac, from: std::net::Ipv4Addr, target: std::net::Ipv4Addr) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1];
    body.extend(mac);
    body.extend(from.octets());
    body.extend([0; 6]);
    body.extend(target.octets());
    ethernet(mac, EVERYBODY, 0x0806, &body)
}

/// A frame around a packet of either family.
pub fn frame(from: Mac, to: Mac, packet: &[u8]) -> Vec<u8> {
    let kind = if packet.first().is_some_and(|first| first >> 4 == 6) {
        0x86dd
    } else {
        0x0800
    };
    ethernet(from, to, kind, packet)
}

fn ethernet(from: Mac, to: Mac, kind: u16, body: &[u8]) -> Vec<u8> {
    [to.as_slice(), &from, &kind.to_be_bytes(), body].concat()
}
