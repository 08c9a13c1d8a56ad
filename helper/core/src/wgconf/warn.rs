// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is allowed in a configuration but will surprise: told at import, never refused.

use super::Config;
use crate::resolv::MAX_SERVERS;

/// Something that will surprise. `data/dbus/org.lonewire.Helper1.Tunnels.xml` lists the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// There is nobody to talk to yet.
    NoPeer,
    /// Apps resolve no names.
    NoDns,
    /// A DNS server is out of reach of every peer.
    DnsOutsideAllowedIps,
    /// libc asks the first three only.
    ManyDns,
    /// Some addresses are out of reach.
    NotFullTunnel,
    /// Apps reach nothing over IPv6.
    NoIpv6,
}

impl Warning {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NoPeer,
        Self::NoDns,
        Self::DnsOutsideAllowedIps,
        Self::ManyDns,
        Self::NotFullTunnel,
        Self::NoIpv6,
    ];

    /// The word of the API.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoPeer => "no-peer",
            Self::NoDns => "no-dns",
            Self::DnsOutsideAllowedIps => "dns-outside-allowed-ips",
            Self::ManyDns => "many-dns",
            Self::NotFullTunnel => "not-full-tunnel",
            Self::NoIpv6 => "no-ipv6",
        }
    }
}

/// Everything surprising; of a configuration without peers only that, as all the rest would follow from it.
pub fn warnings(config: &Config) -> Vec<Warning> {
    if config.peers.is_empty() {
        return vec![Warning::NoPeer];
    }
    let dns = &config.interface.dns;
    let found = [
        (dns.is_empty(), Warning::NoDns),
        (
            dns.iter().any(|server| !config.reaches(*server)),
            Warning::DnsOutsideAllowedIps,
        ),
        (dns.len() > MAX_SERVERS, Warning::ManyDns),
        (!config.is_full_tunnel(), Warning::NotFullTunnel),
        (!config.uses_ipv6(), Warning::NoIpv6),
    ];
    found
        .into_iter()
        .filter_map(|(is_so, warning)| is_so.then_some(warning))
        .collect()
}
