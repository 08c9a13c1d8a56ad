// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seal: whether a namespace, looked at from inside, holds only what the plan put there.

use std::net::IpAddr;

use ipnet::IpNet;

/// What was found inside, from the kernel's dumps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    /// Every route of every table but `local`, both families.
    pub routes: Vec<Route>,
    /// Policy rules that are not the kernel's own three (v4) and two (v6).
    pub rules: Vec<String>,
    /// From the warden: name and value.
    pub sysctls: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// IFLA_INFO_KIND: "wireguard", "tun", "sit"…; empty for `lo`.
    pub kind: String,
    pub up: bool,
    pub loopback: bool,
    pub mtu: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub link: u32,
    /// Address and prefix length.
    pub net: IpNet,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// RT_TABLE_*; 254 is `main`.
    pub table: u32,
    pub destination: IpNet,
    pub kind: RouteKind,
    /// Of the outgoing link; `None` for an unreachable one.
    pub link: Option<u32>,
    pub gateway: Option<IpAddr>,
    pub metric: u32,
    /// RTPROT_KERNEL: came with an address.
    pub by_kernel: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    Unicast,
    Unreachable,
    /// Multicast, anycast, local, broadcast entries that the kernel keeps itself.
    Kernel,
    Other,
}

/// What the plan put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Name of the tunnel's link.
    pub link: String,
    pub mtu: u32,
    pub addresses: Vec<IpNet>,
    pub routes: Vec<IpNet>,
}

/// What is wrong, and under which probe of `Check` it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub probe: Probe,
    /// What was found or is missing; link names, addresses and numbers only.
    pub found: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Links,
    Addresses,
    Routes,
    Sysctls,
}

/// RT_TABLE_MAIN.
const MAIN: u32 = 254;

/// Name and IFLA_INFO_KIND of the links the kernel itself puts into every new namespace where `fb_tunnels_only_for_init_net` is 0.
const FALLBACK: &[(&str, &str)] = &[
    ("sit0", "sit"),
    ("tunl0", "ipip"),
    ("gre0", "gre"),
    ("gretap0", "gretap"),
    ("erspan0", "erspan"),
    ("ip_vti0", "vti"),
    ("ip6_vti0", "vti6"),
    ("ip6tnl0", "ip6tnl"),
    ("ip6gre0", "ip6gre"),
    ("ip6erspan0", "ip6erspan"),
];

/// Whether a link has the name of one of the kernel's own fallback tunnels.
pub fn is_fallback(name: &str) -> bool {
    FALLBACK.iter().any(|(known, _)| *known == name)
}

/// Whether the namespace holds what the plan put there and nothing else.
///
/// # Errors
/// All that differs, never an empty list.
pub fn check(observed: &Observed, expected: &Expected) -> Result<(), Vec<Violation>> {
    let mut found = Vec::new();
    let tunnel = links(observed, expected, &mut found);
    let loopback = observed
        .links
        .iter()
        .find(|link| link.loopback)
        .map(|link| link.index);
    addresses(observed, expected, tunnel, loopback, &mut found);
    routes(observed, expected, tunnel, loopback, &mut found);
    sysctls(observed, &mut found);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Index of the tunnel's link, where it is.
fn links(observed: &Observed, expected: &Expected, found: &mut Vec<Violation>) -> Option<u32> {
    let mut tell = |text: String| {
        found.push(Violation {
            probe: Probe::Links,
            found: text,
        })
    };
    let mut tunnel = None;
    let mut loopback = false;
    for link in &observed.links {
        if link.loopback && link.name == "lo" {
            loopback = true;
            if !link.up {
                tell("lo is down".into());
            }
        } else if link.name == expected.link && matches!(&*link.kind, "wireguard" | "tun") {
            tunnel = Some(link.index);
            if !link.up {
                tell(format!("{} is down", link.name));
            }
            if link.mtu != expected.mtu {
                tell(format!(
                    "{} has MTU {}, not {}",
                    link.name, link.mtu, expected.mtu
                ));
            }
        } else if !FALLBACK.contains(&(&*link.name, &*link.kind)) {
            tell(format!("another link: {}", printable(&link.name)));
        } else if link.up {
            tell(format!("{} is up", link.name));
        }
    }
    if tunnel.is_none() {
        tell(format!("{} is missing", expected.link));
    }
    if !loopback {
        tell("lo is missing".into());
    }
    tunnel
}

fn addresses(
    observed: &Observed,
    expected: &Expected,
    tunnel: Option<u32>,
    loopback: Option<u32>,
    found: &mut Vec<Violation>,
) {
    let mut tell = |text: String| {
        found.push(Violation {
            probe: Probe::Addresses,
            found: text,
        })
    };
    for address in &observed.addresses {
        let right = if Some(address.link) == tunnel {
            expected.addresses.contains(&address.net) || is_link_local(&address.net)
        } else if Some(address.link) == loopback {
            address.net.addr().is_loopback()
        } else {
            false
        };
        if !right {
            tell(format!("another address: {}", address.net));
        }
    }
    for wanted in &expected.addresses {
        let there = |address: &Address| Some(address.link) == tunnel && address.net == *wanted;
        if !observed.addresses.iter().any(there) {
            tell(format!("{wanted} is missing"));
        }
    }
}

fn routes(
    observed: &Observed,
    expected: &Expected,
    tunnel: Option<u32>,
    loopback: Option<u32>,
    found: &mut Vec<Violation>,
) {
    let mut tell = |text: String| {
        found.push(Violation {
            probe: Probe::Routes,
            found: text,
        })
    };
    let over_tunnel = |route: &Route| {
        route.kind == RouteKind::Unicast
            && route.table == MAIN
            && route.link.is_some()
            && route.link == tunnel
            && route.gateway.is_none()
    };
    for route in &observed.routes {
        let inside = route
            .link
            .is_none_or(|link| Some(link) == tunnel || Some(link) == loopback);
        let right = match route.kind {
            RouteKind::Kernel => inside,
            RouteKind::Unreachable => is_last_resort(route),
            // `::1` stands in the main table too.
            RouteKind::Unicast if route.link.is_some() && route.link == loopback => {
                route.by_kernel && route.destination.addr().is_loopback()
            }
            RouteKind::Unicast => {
                over_tunnel(route)
                    && (expected
                        .routes
                        .iter()
                        .any(|net| net.trunc() == route.destination)
                        || (route.by_kernel && is_own(&route.destination, expected)))
            }
            RouteKind::Other => false,
        };
        if !right {
            tell(format!(
                "another route: {} in table {}",
                route.destination, route.table
            ));
        }
    }
    for wanted in &expected.routes {
        let there = |route: &Route| over_tunnel(route) && route.destination == wanted.trunc();
        if !observed.routes.iter().any(there) {
            tell(format!("the route to {wanted} is missing"));
        }
    }
    let has_v6 = has_v6(observed);
    for v6 in [false, true] {
        let there =
            |route: &Route| is_last_resort(route) && route.destination.addr().is_ipv6() == v6;
        if (!v6 || has_v6) && !observed.routes.iter().any(there) {
            let family = if v6 { "IPv6" } else { "IPv4" };
            tell(format!("unreachable default is missing for {family}"));
        }
    }
    for rule in &observed.rules {
        tell(format!("another rule: {}", printable(rule)));
    }
}

fn sysctls(observed: &Observed, found: &mut Vec<Violation>) {
    let value_of = |name: &str| {
        observed
            .sysctls
            .iter()
            .find(|(there, _)| there == name)
            .map(|(_, value)| value.as_str())
    };
    let has_v6 = has_v6(observed);
    for (name, wanted) in crate::plan::SYSCTLS {
        let text = match value_of(name) {
            Some(value) if value.split_whitespace().eq(wanted.split_whitespace()) => continue,
            Some(value) => format!("{name} is {}, not {wanted}", printable(value)),
            None if name.starts_with("ipv6/") && !has_v6 => continue,
            None => format!("{name} is missing"),
        };
        found.push(Violation {
            probe: Probe::Sysctls,
            found: text,
        });
    }
}

/// A kernel without IPv6 has neither its sysctls nor its addresses and routes. One that got it since the sysctls were set has the last two.
fn has_v6(observed: &Observed) -> bool {
    let mut sysctls = observed.sysctls.iter();
    let mut addresses = observed.addresses.iter();
    let mut routes = observed.routes.iter();
    sysctls.any(|(name, _)| name.starts_with("ipv6/"))
        || addresses.any(|address| address.net.addr().is_ipv6())
        || routes.any(|route| route.destination.addr().is_ipv6())
}

fn is_last_resort(route: &Route) -> bool {
    route.kind == RouteKind::Unreachable
        && route.table == MAIN
        && route.destination.prefix_len() == 0
        && route.metric == crate::plan::LAST_METRIC
}

/// The network of one of the link's addresses, the address itself, or the link-local network.
fn is_own(destination: &IpNet, expected: &Expected) -> bool {
    let own = |net: &IpNet| net.trunc() == *destination || IpNet::from(net.addr()) == *destination;
    expected.addresses.iter().any(own) || is_link_local(destination)
}

/// `fe80::/10`, which the kernel gives to a TUN by itself. It reaches nothing but the link.
fn is_link_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

/// Names may hold any byte but `/`.
fn printable(text: &str) -> String {
    text.chars()
        .take(64)
        .flat_map(char::escape_default)
        .collect()
}

#[cfg(test)]
mod tests;
