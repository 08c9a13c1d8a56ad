// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plan: what bringing a tunnel up does, step by step, each step with its inverse.

/// What the warden sets in a fresh namespace, and what the seal expects there: name below `/proc/sys/net` and value.
pub const SYSCTLS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/accept_source_route", "0"),
    ("ipv4/conf/default/accept_source_route", "0"),
    ("ipv4/ping_group_range", "0\t2147483647"),
    ("ipv6/conf/all/forwarding", "0"),
    ("ipv6/conf/default/forwarding", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/all/autoconf", "0"),
    ("ipv6/conf/default/autoconf", "0"),
    ("ipv6/conf/all/accept_redirects", "0"),
    ("ipv6/conf/default/accept_redirects", "0"),
];

/// A step of bringing a tunnel up. Done in the order of [`up`]; undone in reverse by each one's [`Step::inverse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Notes what is about to exist: whatever is found after a crash stands in a record.
    Record,
    /// Makes and pins the namespace.
    Namespace,
    /// Writes `resolv.conf` and `hosts`.
    Dns,
    /// Makes the link inside: by the kernel.
    KernelLink,
    /// Makes the TUN inside and starts an instance of userspace WireGuard on it.
    UserspaceLink,
    /// Sets keys and peers, before the link is up: no packet ever meets a link without them.
    Keys,
    /// MTU, addresses, link up, routes.
    Addressing,
    /// Looks at it from inside: nothing else may be there.
    Seal,
}

/// What takes a step back. What is already gone is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    RemoveRecord,
    RemoveNamespace,
    RemoveDns,
    /// Deletes the link; an instance of userspace WireGuard ends when its TUN goes.
    DeleteLink,
}

impl Step {
    /// What takes this step back, also where it was done by half. `None`: undone with the link or not at all an effect.
    pub fn inverse(self) -> Option<Undo> {
        match self {
            Self::Record => Some(Undo::RemoveRecord),
            Self::Namespace => Some(Undo::RemoveNamespace),
            Self::Dns => Some(Undo::RemoveDns),
            Self::KernelLink | Self::UserspaceLink => Some(Undo::DeleteLink),
            Self::Keys | Self::Addressing | Self::Seal => None,
        }
    }

    /// For logs and for tests that stop at a step.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Namespace => "namespace",
            Self::Dns => "dns",
            Self::KernelLink => "kernel-link",
            Self::UserspaceLink => "userspace-link",
            Self::Keys => "keys",
            Self::Addressing => "addressing",
            Self::Seal => "seal",
        }
    }
}

/// Bringing a tunnel up.
pub fn up(userspace: bool) -> [Step; 7] {
    let link = if userspace {
        Step::UserspaceLink
    } else {
        Step::KernelLink
    };
    [
        Step::Record,
        Step::Namespace,
        Step::Dns,
        link,
        Step::Keys,
        Step::Addressing,
        Step::Seal,
    ]
}

/// Taking a tunnel down: the inverses of all that [`up`] does, in reverse. The link goes first: from then on nothing leaves.
pub fn down() -> Vec<Undo> {
    up(false)
        .iter()
        .rev()
        .filter_map(|step| step.inverse())
        .collect()
}

/// A step of a switch: a tunnel that is up takes over another configuration, under the apps that run in it. Each makes a thing what that configuration
/// says, whatever it was before: what takes a step back is the same step with the configuration that was ([`switch_back`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Notes what is to be: a helper that is killed from here on is followed by one that finishes the switch.
    Record,
    /// The other's key and no peer: from here on nothing leaves, neither by the tunnel that was nor, with addresses that were, by the one to be.
    Silence,
    /// MTU, addresses, routes; those that were go.
    Addressing,
    /// Connections that were end with an error: by the other tunnel no answer to them could come.
    Connections,
    /// Replaces `resolv.conf` and `hosts`: apps that run read the new ones.
    Dns,
    /// The other's peers: from here on its packets leave.
    Peers,
    /// Looks at it from inside, and notes that it stands.
    Seal,
}

impl Change {
    /// For logs and for tests that stop at a step.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "switch-record",
            Self::Silence => "switch-silence",
            Self::Addressing => "switch-addressing",
            Self::Connections => "switch-connections",
            Self::Dns => "switch-dns",
            Self::Peers => "switch-peers",
            Self::Seal => "switch-seal",
        }
    }
}

/// A switch.
pub fn switch() -> [Change; 7] {
    [
        Change::Record,
        Change::Silence,
        Change::Addressing,
        Change::Connections,
        Change::Dns,
        Change::Peers,
        Change::Seal,
    ]
}

/// What takes back a switch that failed at a step, with the configuration that was: silent first, whatever was begun, its peers once all else is
/// as before, and the seal, which notes that it stands.
pub fn switch_back(failed: Change) -> Vec<Change> {
    let begun = switch();
    let end = begun.iter().position(|step| *step == failed).unwrap_or(0);
    let mut back: Vec<_> = begun
        .into_iter()
        .take(end + 1)
        .filter(|step| !matches!(step, Change::Record | Change::Peers | Change::Seal))
        .collect();
    if !back.is_empty() {
        back.push(Change::Peers);
    }
    back.push(Change::Seal);
    back
}

impl Undo {
    /// For logs and for tests that stop at a step.
    pub fn name(self) -> &'static str {
        match self {
            Self::RemoveRecord => "remove-record",
            Self::RemoveNamespace => "remove-namespace",
            Self::RemoveDns => "remove-dns",
            Self::DeleteLink => "delete-link",
        }
    }
}

/// Steps of launching an app in a tunnel that is up: its record, the program, and what is known of that in the record. An app whose program never ran is forgotten.
pub fn launch() -> [&'static str; 3] {
    ["app-record", "app-start", "app-known"]
}

/// The one step of an import: a file written whole or not at all.
pub const SAVE: &str = "save";

/// Overhead of WireGuard on the path, in bytes: IP and UDP header, WireGuard's header and tag.
/// Source: the kernel's `wg_max_header`, as wg-quick(8) counts it: 60 by IPv4, 80 by IPv6.
pub fn overhead(to: std::net::IpAddr) -> u32 {
    if to.is_ipv4() { 60 } else { 80 }
}

/// MTU of the link for a path of `path` bytes to the endpoint: at least what IPv6 (RFC 8200) or IPv4 wants, at most 65535.
pub fn link_mtu(path: u32, to: std::net::IpAddr, has_v6: bool) -> u32 {
    let least = if has_v6 { 1280 } else { 576 };
    path.saturating_sub(overhead(to)).clamp(least, 65_535)
}

/// MTU where the path to the endpoint is not known: what fits through 1500 bytes by either family.
pub const DEFAULT_MTU: u32 = 1420;

/// Seconds between keepalives where the file says nothing.
pub const DEFAULT_KEEPALIVE: u16 = 25;

/// Metric of `unreachable default`: the last to be chosen.
pub const LAST_METRIC: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_deletes_the_link_before_the_namespace_and_the_record_last() {
        assert_eq!(
            down(),
            [
                Undo::DeleteLink,
                Undo::RemoveDns,
                Undo::RemoveNamespace,
                Undo::RemoveRecord
            ]
        );
    }

    #[test]
    fn a_switch_is_silent_before_anything_changes_and_until_all_is_as_it_is_to_be() {
        let steps = switch();
        assert_eq!(steps[..2], [Change::Record, Change::Silence]);
        assert_eq!(steps[5..], [Change::Peers, Change::Seal]);
    }

    #[test]
    fn a_switch_is_taken_back_by_what_was_begun_silent_first_and_peers_last() {
        assert_eq!(switch_back(Change::Record), [Change::Seal]);
        assert_eq!(
            switch_back(Change::Silence),
            [Change::Silence, Change::Peers, Change::Seal]
        );
        for failed in [Change::Dns, Change::Peers, Change::Seal] {
            assert_eq!(
                switch_back(failed),
                [
                    Change::Silence,
                    Change::Addressing,
                    Change::Connections,
                    Change::Dns,
                    Change::Peers,
                    Change::Seal
                ]
            );
        }
    }

    #[test]
    fn the_record_is_written_before_anything_exists() {
        for userspace in [false, true] {
            assert_eq!(up(userspace)[0], Step::Record);
            assert_eq!(up(userspace)[6], Step::Seal);
        }
    }

    #[test]
    fn the_mtu_leaves_room_for_wireguard() {
        let v4 = "192.0.2.1".parse().unwrap();
        let v6 = "2001:db8::1".parse().unwrap();
        assert_eq!(link_mtu(1500, v4, true), 1440);
        assert_eq!(link_mtu(1500, v6, true), 1420);
        assert_eq!(link_mtu(1300, v4, true), 1280);
        assert_eq!(link_mtu(1300, v4, false), 1240);
        assert_eq!(link_mtu(100, v4, false), 576);
        assert_eq!(link_mtu(70_000, v4, false), 65_535);
    }
}
