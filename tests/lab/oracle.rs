//! The one judge of captured frames: what may be on an uplink while programs run in tunnels. An allow-list: what it does not know fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use anyhow::{Result, bail};

use crate::{
    capture::Captured,
    frame::{Frame, Mac, Payload, is_wireguard},
    marker::{Finder, Marker},
};

/// What the judge knows of the world.
#[derive(Debug, Clone)]
pub struct Oracle {
    /// Addresses of the host on its uplinks.
    pub host: Vec<IpAddr>,
    /// Addresses of the routers on the uplinks.
    pub routers: Vec<IpAddr>,
    /// Hardware addresses of the host's interfaces, and of the routers': nobody else speaks on an uplink.
    pub host_macs: Vec<Mac>,
    pub router_macs: Vec<Mac>,
    /// Whose packets to the host are an attack that the test makes itself; nobody may answer.
    pub attackers: Vec<IpAddr>,
    /// Endpoints of the configured peers.
    pub endpoints: Vec<SocketAddr>,
    /// What must not be seen in any form.
    pub markers: Vec<Marker>,
    /// Content of datagrams sent as a control by the test itself, and of their echo: counted, not judged.
    pub controls: Vec<Vec<u8>>,
}

/// The verdict over all frames of some captures.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Frames and bytes by kind.
    pub kinds: BTreeMap<&'static str, (u64, u64)>,
    /// What must not be there: which capture, and what it is. At most 20 with a marker and 20 without are kept.
    pub violations: Vec<String>,
    /// How many there were, and how many of them had no marker.
    pub violation_count: u64,
    pub unmarked: u64,
    /// Markers that were found where none may be.
    pub found: BTreeSet<String>,
}

impl Report {
    pub fn frames(&self, kind: &str) -> u64 {
        self.kinds.get(kind).map_or(0, |(frames, _)| *frames)
    }

    /// # Errors
    /// Any violation: the text lists them.
    pub fn assert_clean(&self) -> Result<()> {
        if self.violation_count > 0 {
            bail!(
                "{} frames that must not be: {}",
                self.violation_count,
                self.violations.join("; ")
            );
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(_, (frames, _))| std::cmp::Reverse(frames));
        let kinds: Vec<_> = kinds
            .iter()
            .map(|(kind, (frames, _))| format!("{frames} {kind}"))
            .collect();
        out.write_str(if kinds.is_empty() { "no frame" } else { "" })?;
        out.write_str(&kinds.join(", "))
    }
}

impl Oracle {
    /// Judges every frame of one capture into `report`.
    pub fn judge(&self, name: &str, frames: &[Captured], report: &mut Report) {
        let finder = Finder::new(&self.markers);
        for captured in frames {
            let kind = self.kind(&captured.bytes);
            let found = if kind == Ok("control") {
                None
            } else {
                finder.find(&captured.bytes)
            };
            report.found.extend(found.map(str::to_owned));
            let unmarked = found.is_none();
            let (label, violation) = match (kind, found) {
                (_, Some(marker)) => (
                    "with a marker in the clear",
                    Some(format!("marker {marker}")),
                ),
                (Ok(label), None) => (label, None),
                (Err(label), None) => (label, Some(label.into())),
            };
            let entry = report.kinds.entry(label).or_default();
            entry.0 += 1;
            entry.1 += captured.bytes.len() as u64;
            if let Some(why) = violation {
                report.violation_count += 1;
                report.unmarked += u64::from(unmarked);
                let kept = if unmarked {
                    report.unmarked
                } else {
                    report.violation_count - report.unmarked
                };
                if kept <= 20 {
                    let shown = Frame::parse(&captured.bytes)
                        .map_or_else(|| "no Ethernet frame".into(), |frame| frame.to_string());
                    report
                        .violations
                        .push(format!("{name}: {shown} {why}").trim_end().into());
                }
            }
        }
    }

    /// The kind of an allowed frame, or of one that must not be.
    fn kind(&self, bytes: &[u8]) -> Result<&'static str, &'static str> {
        let Some(frame) = Frame::parse(bytes) else {
            return Err("malformed");
        };
        let by_host = self.host_macs.contains(&frame.from);
        if !by_host && !self.router_macs.contains(&frame.from) {
            return Err("from an unknown interface");
        }
        if frame
            .payload
            .source()
            .is_some_and(|source| self.attackers.contains(&source))
        {
            return Ok("attack");
        }
        match frame.payload {
            Payload::Arp { sender } => self.arp(by_host, sender.into()),
            Payload::Icmp {
                source,
                destination,
                kind,
                body,
            } if self.refuses_wireguard(source, destination, kind, body) => {
                Ok("refusals of WireGuard")
            }
            Payload::Icmp {
                source,
                destination,
                kind,
                body,
            } => self.icmp(source, destination, kind, body),
            Payload::Udp {
                source,
                destination,
                body,
            } => {
                if self.controls.iter().any(|content| content == body) {
                    return Ok("control");
                }
                let out = self.host.contains(&source.ip()) && self.endpoints.contains(&destination);
                let back =
                    self.host.contains(&destination.ip()) && self.endpoints.contains(&source);
                match (out || back, is_wireguard(body)) {
                    (true, true) => Ok("WireGuard"),
                    (true, false) => Err("other UDP to the endpoint"),
                    (false, _) if destination.port() == 53 || source.port() == 53 => {
                        Err("DNS in the clear")
                    }
                    (false, _) => Err("other UDP"),
                }
            }
            Payload::Tcp { .. } => Err("TCP in the clear"),
            Payload::Ip { .. } => Err("other IP"),
            Payload::Unknown { .. } => Err("unknown EtherType"),
        }
    }

    /// Each side speaks for its own addresses only: what is inside a tunnel is nobody's here.
    fn arp(&self, by_host: bool, sender: IpAddr) -> Result<&'static str, &'static str> {
        let own = if by_host { &self.host } else { &self.routers };
        if own.contains(&sender) || sender.is_unspecified() {
            Ok("ARP")
        } else {
            Err("ARP for another's address")
        }
    }

    /// A kernel says that nothing listens where a WireGuard message went: the host's to an endpoint when the data plane is dead, or the
    /// endpoint's or a router's to the host. It quotes that message, which came over the same wire, and nothing else.
    fn refuses_wireguard(
        &self,
        source: IpAddr,
        destination: IpAddr,
        kind: u8,
        body: &[u8],
    ) -> bool {
        // Unreachable, in each family; the quoted packet begins after code, checksum and an unused word.
        let (unreachable, header) = match source {
            IpAddr::V4(_) => (kind == 3, 20),
            IpAddr::V6(_) => (kind == 1, 40),
        };
        let (Some(quoted), true) = (body.get(7..), unreachable) else {
            return false;
        };
        let addresses = match source {
            IpAddr::V4(_) if quoted.first() == Some(&0x45) && quoted.get(9) == Some(&17) => {
                quoted.get(12..20).and_then(v4_pair)
            }
            IpAddr::V6(_) if quoted.get(6) == Some(&17) => quoted.get(8..40).and_then(v6_pair),
            _ => None,
        };
        let port = |at| {
            let bytes = quoted.get(header + at..header + at + 2)?;
            Some(u16::from_be_bytes(bytes.try_into().ok()?))
        };
        let Some((from, to)) = addresses else {
            return false;
        };
        let is_endpoint = |ip, port: Option<u16>| {
            port.is_some_and(|port| self.endpoints.contains(&SocketAddr::from((ip, port))))
        };
        let by_host = self.host.contains(&source)
            && (from, to) == (destination, source)
            && is_endpoint(from, port(0));
        let by_others = self.host.contains(&destination)
            && from == destination
            && is_endpoint(to, port(2))
            && (to == source || self.routers.contains(&source));
        let message = quoted.get(header + 8..header + 12);
        (by_host || by_others) && matches!(message, Some([1..=4, 0, 0, 0]))
    }

    /// Neighbour discovery and its multicast groups, between the stacks at both ends; nothing that an app could have asked for.
    fn icmp(
        &self,
        source: IpAddr,
        destination: IpAddr,
        kind: u8,
        body: &[u8],
    ) -> Result<&'static str, &'static str> {
        let own = |address: &IpAddr| {
            self.host.contains(address) || self.routers.contains(address) || is_local(address)
        };
        let (IpAddr::V6(_), true) = (source, own(&source)) else {
            return Err("ICMP");
        };
        match kind {
            // Whoever has an address says so: what is inside a tunnel is nobody's here.
            136 if !target(body).is_some_and(|target| own(&target)) => {
                Err("neighbour discovery for another's address")
            }
            133..=136 if own(&destination) || destination.is_multicast() => {
                Ok("neighbour discovery")
            }
            143 if listener_groups(body).is_some_and(|groups| groups.iter().all(is_solicited)) => {
                Ok("neighbour discovery")
            }
            _ => Err("ICMP"),
        }
    }
}

/// Of a neighbour advertisement; `body` begins after the type.
fn target(body: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::from(<[u8; 16]>::try_from(body.get(7..23)?).ok()?))
}

fn v4_pair(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let one = |range| Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(range)?).ok()?));
    Some((one(0..4)?, one(4..8)?))
}

fn v6_pair(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let one = |range| Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(range)?).ok()?));
    Some((one(0..16)?, one(16..32)?))
}

/// Link-local or unspecified: a stack that has just come up.
fn is_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unspecified() || v6.is_unicast_link_local())
}

/// Groups of a listener report, version 2 (RFC 3810, 5.2); `body` begins after the type.
fn listener_groups(body: &[u8]) -> Option<Vec<Ipv6Addr>> {
    let count = u16::from_be_bytes(body.get(5..7)?.try_into().ok()?);
    let mut at = 7;
    let mut groups = Vec::new();
    for _ in 0..count {
        let sources = usize::from(u16::from_be_bytes(
            body.get(at + 2..at + 4)?.try_into().ok()?,
        ));
        groups.push(Ipv6Addr::from(
            <[u8; 16]>::try_from(body.get(at + 4..at + 20)?).ok()?,
        ));
        at += 20 + 16 * sources + 4 * usize::from(*body.get(at + 1)?);
    }
    Some(groups)
}

/// Of an address's own neighbour discovery, or the all-routers groups that a forwarding stack joins.
fn is_solicited(group: &Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = group.segments();
    (a, b, c, d, e, f) == (0xff02, 0, 0, 0, 0, 1) && g >> 8 == 0xff
        || [0xff01, 0xff02, 0xff05].contains(&a)
            && (b, c, d, e, f, g) == (0, 0, 0, 0, 0, 0)
            && h == 2
        || a == 0xff02 && (b, c, d, e, f, g) == (0, 0, 0, 0, 0, 0) && h == 0x6a
}
