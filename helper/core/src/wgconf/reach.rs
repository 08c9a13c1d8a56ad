// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a configuration reaches: which addresses its peers take, and whether that is everything.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Config;

impl Config {
    /// Every range of every peer.
    pub fn allowed_ips(&self) -> impl Iterator<Item = &IpNet> {
        self.peers.iter().flat_map(|peer| &peer.allowed_ips)
    }

    /// Whether some peer takes packets to this address. Loopback never leaves the namespace.
    pub fn reaches(&self, address: IpAddr) -> bool {
        !address.is_loopback() && self.allowed_ips().any(|range| range.contains(&address))
    }

    /// Whether the link speaks IPv4 to somebody: it has such an address (or none at all) and such a range.
    pub fn uses_ipv4(&self) -> bool {
        self.uses(|net| matches!(net, IpNet::V4(_)))
    }

    /// The same of IPv6.
    pub fn uses_ipv6(&self) -> bool {
        self.uses(|net| matches!(net, IpNet::V6(_)))
    }

    fn uses(&self, family: impl Fn(&IpNet) -> bool) -> bool {
        let addresses = &self.interface.addresses;
        (addresses.is_empty() || addresses.iter().any(&family)) && self.allowed_ips().any(&family)
    }

    /// Whether all of each family in use goes through the tunnel, in one range (`0.0.0.0/0`) or in several. A link with an IPv4 address that reaches
    /// only IPv6 is none; without IPv6 it may be one.
    pub fn is_full_tunnel(&self) -> bool {
        let (mut v4, mut v6) = (vec![], vec![]);
        for range in self.allowed_ips() {
            match range {
                IpNet::V4(net) => v4.push(*net),
                IpNet::V6(net) => v6.push(*net),
            }
        }
        let all_v4 = Ipv4Net::aggregate(&v4)
            .iter()
            .any(|net| net.prefix_len() == 0);
        let all_v6 = Ipv6Net::aggregate(&v6)
            .iter()
            .any(|net| net.prefix_len() == 0);
        let has_v4_address = self
            .interface
            .addresses
            .iter()
            .any(|net| matches!(net, IpNet::V4(_)));
        let v4_good = if self.uses_ipv4() {
            all_v4
        } else {
            !has_v4_address && self.uses_ipv6()
        };
        v4_good && (!self.uses_ipv6() || all_v6)
    }

    /// Whether IPv6 occurs in an address, a range or a DNS server: its links have an MTU of at least 1280 (RFC 8200).
    pub fn mentions_ipv6(&self) -> bool {
        self.interface
            .addresses
            .iter()
            .chain(self.allowed_ips())
            .any(|net| matches!(net, IpNet::V6(_)))
            || self.interface.dns.iter().any(IpAddr::is_ipv6)
    }
}
