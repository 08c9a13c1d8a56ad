// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `Check` looks at from inside: told to a program that the warden starts as any app, and told back by it. What was met is judged here.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    launch::DNS_INSIDE,
    resolv::{self, MAX_SERVERS, NO_SERVER},
    seal::is_fallback,
};

/// The argument by which the command line's program knows that it is to look around, its standard input a [`Task`], its output [`Line`]s.
pub const ARGUMENT: &str = "--look-around";

/// What the program is told, as a [`frame`](crate::launch::frame).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub link: String,
    /// Of the tunnel.
    pub addresses: Vec<IpNet>,
    pub routes: Vec<IpNet>,
    pub dns: Vec<IpAddr>,
    /// Of the host, with their networks.
    pub host: Vec<IpNet>,
    /// Where somebody listens on the host.
    pub doors: Vec<SocketAddr>,
    /// Nothing but the drop test: what is sent before and after the link is cut. The program answers, waits for a byte, and answers once more.
    pub drop: bool,
}

/// A probe and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// A code.
    pub probe: String,
    pub passed: bool,
    pub tried: String,
    pub found: String,
}

impl Line {
    pub fn new(
        probe: &str,
        passed: bool,
        tried: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            probe: probe.to_owned(),
            passed,
            tried: tried.into(),
            found: found.into(),
        }
    }
}

/// Sockets by which libc and others ask services of the host for names.
pub const RESOLVERS: [&str; 5] = [
    "nscd/socket",
    "systemd/resolve/io.systemd.Resolve",
    "systemd/resolve/io.systemd.Resolve.Monitor",
    "avahi-daemon/socket",
    "mdnsd",
];

/// Services of the bus that look names up.
pub const BUS_RESOLVERS: [&str; 2] = ["org.freedesktop.resolve1", "org.freedesktop.Avahi"];

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It left by the interface of this address.
    From(IpAddr),
    /// The kernel had no way, or no taker; its words.
    Refused(String),
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::From(address) => write!(f, "by {address}"),
            Self::Refused(words) => write!(f, "{words}"),
        }
    }
}

impl Task {
    /// Whether a datagram could only have gone into the tunnel, or nowhere.
    fn is_inside(&self, sent: &Sent) -> bool {
        match sent {
            Sent::From(from) if self.addresses.iter().any(|own| own.addr() == *from) => true,
            // Without an address of the family the kernel takes one that every namespace has.
            Sent::From(IpAddr::V6(from)) => {
                (from.is_loopback() || from.is_unicast_link_local())
                    && !self.addresses.iter().any(|own| own.addr().is_ipv6())
            }
            Sent::From(IpAddr::V4(_)) => false,
            Sent::Refused(_) => true,
        }
    }

    /// The links that are seen by three ways: names, or why not.
    pub fn links(&self, ways: &[(&str, Result<Vec<String>, String>)]) -> Line {
        let mut found = Vec::new();
        for (way, names) in ways {
            let wrong = match names {
                Err(error) => Some(error.clone()),
                Ok(names) => {
                    let is_ours =
                        |name: &&String| **name == self.link || *name == "lo" || is_fallback(name);
                    let others: Vec<_> = names
                        .iter()
                        .filter(|name| !is_ours(name))
                        .cloned()
                        .collect();
                    let has = |wanted: &str| names.iter().any(|name| name == wanted);
                    match others[..] {
                        [] if has(&self.link) && has("lo") => None,
                        [] => Some("not both of lo and the tunnel's link".to_owned()),
                        _ => Some(others.join(", ")),
                    }
                }
            };
            found.extend(wrong.map(|wrong| format!("{way}: {wrong}")));
        }
        let tried = ways
            .iter()
            .map(|(way, _)| *way)
            .collect::<Vec<_>>()
            .join(", ");
        let passed = found.is_empty() && !ways.is_empty();
        let found = if passed {
            format!("lo, {}", self.link)
        } else {
            found.join("; ")
        };
        Line::new(
            "links-visible",
            passed,
            format!("list the links by {tried}"),
            found,
        )
    }

    /// Addresses of the host in what is seen: `seen` is all text that the kernel shows, and all addresses of links.
    pub fn host_addresses(&self, seen: &str, of_links: &[IpAddr]) -> Line {
        let known = |address: &IpAddr| self.addresses.iter().any(|own| own.addr() == *address);
        let host = self
            .host
            .iter()
            .map(IpNet::addr)
            .filter(|address| !known(address));
        let host: Vec<_> = host.collect();
        let is_seen = |address: &&IpAddr| {
            let words = match address {
                IpAddr::V4(address) => vec![address.to_string()],
                // proc(5): /proc/net/if_inet6 has 32 digits.
                IpAddr::V6(address) => vec![
                    format!("{:032x}", u128::from(*address)),
                    address.to_string(),
                ],
            };
            let text = |word: &String| {
                seen.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'))
                    .any(|part| part == *word)
            };
            of_links.contains(address) || words.iter().any(text)
        };
        let seen: Vec<_> = host
            .iter()
            .filter(is_seen)
            .map(ToString::to_string)
            .collect();
        let tried = format!(
            "look for the host's {} addresses on links and in /proc/net",
            host.len()
        );
        let found = if seen.is_empty() {
            "none is seen".to_owned()
        } else {
            format!("seen: {}", seen.join(", "))
        };
        Line::new("host-addresses", seen.is_empty(), tried, found)
    }

    /// One address in each of the host's networks, the first that is not the host's; and those of the host that are the world's too.
    pub fn neighbours(&self) -> Vec<IpAddr> {
        let is_own = |address: &IpAddr| self.host.iter().any(|own| own.addr() == *address);
        let of = |net: &IpNet| first(net, |address| !is_own(&address));
        let public = self.host.iter().map(IpNet::addr);
        let public = public.filter(|address| !is_private(*address));
        // Those of a link alone have no way without it being named.
        let is_of_link =
            |net: &&IpNet| matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local());
        let networks = self.host.iter().filter(|net| !is_of_link(net));
        let mut all: Vec<_> = networks.filter_map(of).chain(public).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What became of datagrams to the host's networks.
    pub fn lan(&self, sent: &[(IpAddr, Sent)]) -> Line {
        let passed = sent.iter().all(|(_, sent)| self.is_inside(sent));
        let tried = match sent {
            [] => "send to the host's networks".to_owned(),
            _ => format!(
                "send to {}",
                list(sent.iter().map(|(to, _)| to.to_string()))
            ),
        };
        let found = match sent {
            [] => "the host is in none".to_owned(),
            _ => list(sent.iter().map(|(to, sent)| format!("{to}: {sent}"))),
        };
        Line::new("lan", passed, tried, found)
    }

    /// What came of connecting to the host's own addresses, by the inside's account; who arrived is told by the host.
    pub fn doors(&self, met: &[(SocketAddr, String)], arrived: &[SocketAddr]) -> Line {
        let is_through = |from: &&SocketAddr| {
            // Through the far end of the tunnel it comes from an address of the world's.
            !self
                .host
                .iter()
                .chain(&self.addresses)
                .any(|own| own.addr() == from.ip())
                && !is_private(from.ip())
        };
        let past: Vec<_> = arrived.iter().filter(|from| !is_through(from)).collect();
        let tried = match met {
            [] => "connect to the host's own private addresses".to_owned(),
            _ => format!(
                "connect to {}",
                list(met.iter().map(|(to, _)| to.to_string()))
            ),
        };
        let found = match (&past[..], met) {
            ([], []) => "the host has no private one that answers itself".to_owned(),
            ([], _) => list(met.iter().map(|(to, how)| format!("{}: {how}", to.ip()))),
            (past, _) => format!(
                "arrived from {}",
                list(past.iter().map(|from| from.ip().to_string()))
            ),
        };
        Line::new("host-unreachable", past.is_empty(), tried, found)
    }

    /// Sockets that are there, and services of the bus that answered.
    pub fn resolvers(&self, there: &[String], bus: &[(String, Result<(), String>)]) -> Line {
        let answered = bus
            .iter()
            .filter(|(_, answer)| answer.is_ok())
            .map(|(name, _)| name.clone());
        let found: Vec<String> = there.iter().cloned().chain(answered).collect();
        let tried = format!(
            "connect to nscd, resolved, avahi and mdnsd; call {}",
            BUS_RESOLVERS.join(" and ")
        );
        let refusals: Vec<_> = bus
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().err())
            .collect();
        let words = refusals
            .first()
            .map_or_else(String::new, |words| format!("; on the bus: {words}"));
        let text = if found.is_empty() {
            format!("no socket{words}")
        } else {
            format!("there: {}", list(found.clone().into_iter()))
        };
        Line::new("resolvers", found.is_empty(), tried, text)
    }

    /// The files that a program reads, and where the way to each server leads.
    pub fn names(&self, resolv_conf: &str, switch: &str, sent: &[(IpAddr, Sent)]) -> Line {
        let servers: Vec<IpAddr> = servers(resolv_conf);
        let mut wanted: Vec<IpAddr> = self.dns.iter().copied().take(MAX_SERVERS).collect();
        if wanted.is_empty() {
            wanted.push(NO_SERVER.into());
        }
        let mut wrong = Vec::new();
        if servers != wanted {
            wrong.push(format!(
                "/etc/resolv.conf names {}",
                list(servers.iter().map(ToString::to_string))
            ));
        }
        if resolv::nsswitch(switch) != switch {
            wrong.push("/etc/nsswitch.conf asks others".to_owned());
        }
        let outside = sent
            .iter()
            .filter(|(to, sent)| !to.is_loopback() && !self.is_inside(sent));
        wrong.extend(outside.map(|(to, sent)| format!("{to}: {sent}")));
        let tried = format!(
            "read {DNS_INSIDE}, /etc/nsswitch.conf; send to {}",
            list(wanted.iter().map(ToString::to_string))
        );
        let found = match (&wrong[..], &self.dns[..]) {
            ([], []) => "no server".to_owned(),
            ([], _) => list(sent.iter().map(|(to, sent)| format!("{to}: {sent}"))),
            (wrong, _) => wrong.join("; "),
        };
        Line::new("names", wrong.is_empty(), tried, found)
    }

    /// An address for each family that the tunnel carries, which is nobody's (RFC 5737, RFC 3849) where all is carried.
    pub fn targets(&self) -> Vec<IpAddr> {
        let mut targets = Vec::new();
        for nobody in ["192.0.2.1", "2001:db8::1"] {
            let nobody: Option<IpAddr> = nobody.parse().ok();
            let of_family = |net: &&IpNet| {
                nobody.is_some_and(|nobody| nobody.is_ipv6() == net.addr().is_ipv6())
            };
            let carried = |address: &IpAddr| self.routes.iter().any(|net| net.contains(address));
            let own = |address: &IpAddr| self.addresses.iter().any(|own| own.addr() == *address);
            let other = || {
                self.routes
                    .iter()
                    .filter(of_family)
                    .find_map(|net| first(net, |address| !own(&address)))
            };
            targets.extend(nobody.filter(carried).or_else(other));
        }
        targets
    }

    /// The drop test: what was sent with the link and what without it.
    pub fn dropped(&self, before: &[(IpAddr, Sent)], after: &[(IpAddr, Sent)]) -> Line {
        let tried = format!(
            "send to {}, cut the link, send again",
            list(before.iter().map(|(to, _)| to.to_string()))
        );
        let went = |(_, sent): &&(IpAddr, Sent)| matches!(sent, Sent::From(_));
        // Without a way before the cut its end would prove nothing.
        let control = !before.is_empty()
            && before
                .iter()
                .all(|one| went(&one) && self.is_inside(&one.1));
        let past: Vec<_> = after
            .iter()
            .filter(went)
            .map(|(to, sent)| format!("{to}: {sent}"))
            .collect();
        let passed = control && past.is_empty() && after.len() == before.len();
        let words = |sent: &[(IpAddr, Sent)]| list(sent.iter().map(|(_, sent)| sent.to_string()));
        let found = format!("before: {}; after: {}", words(before), words(after));
        Line::new("drop", passed, tried, found)
    }
}

/// One of the first addresses that a network has for somebody.
fn first(net: &IpNet, fits: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let is_one = net.prefix_len() + 1 >= net.max_prefix_len();
    let hosts = net
        .hosts()
        .take(4)
        .filter(|address| is_one || *address != net.network());
    hosts.into_iter().find(|address| fits(*address))
}

/// The servers of a resolv.conf(5).
fn servers(text: &str) -> Vec<IpAddr> {
    let of = |line: &str| line.strip_prefix("nameserver")?.trim().parse().ok();
    text.lines().filter_map(of).collect()
}

/// Whether an address is nobody's on the internet. To any other nothing is sent: through the far end of the tunnel it would arrive, and tell whoever watches both that they
/// belong together. The kernel is only asked for its way there.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || address.is_link_local() || address.is_loopback()
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
