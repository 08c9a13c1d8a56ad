// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has been read so far of a section, with the places that later checks tell; and peers put together from their sections.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Endpoint, Key, MAX_ALLOWED_IPS, Peer, Reason};
use crate::secret::PublicKey;

/// Where something was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub line: u32,
    pub column: u32,
}

/// A setting that may be given once: where it was, and its value unless that was bad.
pub(super) type Once<T> = Option<(Place, Option<T>)>;

/// The value, if there is a good one.
pub(super) fn good<T>(once: Once<T>) -> Option<T> {
    once.and_then(|(_, value)| value)
}

#[derive(Default)]
pub(super) struct InterfaceDraft {
    /// Of the first section.
    pub place: Option<Place>,
    pub private_key: Once<Key>,
    pub listen_port: Once<Option<u16>>,
    pub mtu: Once<u16>,
    pub addresses: Vec<IpNet>,
    pub dns: Vec<IpAddr>,
    pub search: Vec<String>,
}

#[derive(Default)]
pub(super) struct PeerDraft {
    pub place: Place,
    pub public_key: Once<PublicKey>,
    pub preshared_key: Once<Key>,
    pub endpoint: Once<Endpoint>,
    pub keepalive: Once<u16>,
    pub allowed_ips: Vec<IpNet>,
}

/// Of two sections with one public key the later adds to the earlier; what both say must be the same.
pub(super) fn merge(
    drafts: Vec<PeerDraft>,
    mut refuse: impl FnMut(Place, Option<&str>, Reason),
) -> Vec<Peer> {
    let mut peers: Vec<Peer> = vec![];
    for draft in drafts {
        let Some((_, public_key)) = draft.public_key else {
            refuse(draft.place, None, Reason::MissingPublicKey);
            continue;
        };
        let Some(public_key) = public_key else {
            continue;
        };
        let Some(peer) = peers.iter_mut().find(|peer| peer.public_key == public_key) else {
            peers.push(Peer {
                public_key,
                preshared_key: good(draft.preshared_key),
                endpoint: good(draft.endpoint),
                allowed_ips: draft.allowed_ips,
                keepalive: good(draft.keepalive),
            });
            continue;
        };
        let conflicts = [
            add(&mut peer.preshared_key, draft.preshared_key).map(|place| (place, "PresharedKey")),
            add(&mut peer.endpoint, draft.endpoint).map(|place| (place, "Endpoint")),
            add(&mut peer.keepalive, draft.keepalive).map(|place| (place, "PersistentKeepalive")),
        ];
        for range in draft.allowed_ips {
            if !peer.allowed_ips.contains(&range) {
                peer.allowed_ips.push(range);
            }
        }
        let too_many = peer.allowed_ips.len() > MAX_ALLOWED_IPS;
        for (place, key) in conflicts.into_iter().flatten() {
            refuse(place, Some(key), Reason::DuplicateKey);
        }
        if too_many {
            refuse(draft.place, None, Reason::TooManyAllowedIps);
        }
    }
    peers
}

/// Sets what is not set yet. Answers with the place of a value that contradicts.
fn add<T: PartialEq>(slot: &mut Option<T>, more: Once<T>) -> Option<Place> {
    let (place, value) = more?;
    let value = value?;
    match slot {
        Some(old) if *old != value => return Some(place),
        Some(_) => {}
        None => *slot = Some(value),
    }
    None
}
