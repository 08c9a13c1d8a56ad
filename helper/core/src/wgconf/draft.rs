// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has been read so far of a section, with the places that later checks tell; and peers put together from their sections.

use std::{collections::BTreeSet, net::IpAddr};

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

/// A list in which nothing is twice, in the order of the text. Looking up is quick: a hostile text may hold thousands.
pub(super) struct Unique<T> {
    items: Vec<T>,
    seen: BTreeSet<T>,
}

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self {
            items: vec![],
            seen: BTreeSet::new(),
        }
    }
}

impl<T: Ord + Clone> Unique<T> {
    /// Adds what is new. `false` if that is one more than `most`.
    pub fn add(&mut self, item: T, most: usize) -> bool {
        if self.seen.contains(&item) {
            return true;
        }
        if self.items.len() >= most {
            return false;
        }
        self.seen.insert(item.clone());
        self.items.push(item);
        true
    }

    pub fn into_vec(self) -> Vec<T> {
        self.items
    }
}

#[derive(Default)]
pub(super) struct InterfaceDraft {
    /// Of the first section.
    pub place: Option<Place>,
    pub private_key: Once<Key>,
    pub listen_port: Once<Option<u16>>,
    pub mtu: Once<u16>,
    pub addresses: Unique<IpNet>,
    pub dns: Unique<IpAddr>,
    pub search: Unique<String>,
}

#[derive(Default)]
pub(super) struct PeerDraft {
    pub place: Place,
    pub public_key: Once<PublicKey>,
    /// All zeros are no key.
    pub preshared_key: Once<Option<Key>>,
    pub endpoint: Once<Endpoint>,
    pub keepalive: Once<u16>,
    pub allowed_ips: Unique<IpNet>,
}

/// Of two sections with one public key the later adds to the earlier; what both say must be the same.
pub(super) fn merge(
    drafts: Vec<PeerDraft>,
    mut refuse: impl FnMut(Place, Option<&str>, Reason),
) -> Vec<Peer> {
    let mut peers: Vec<(Peer, Unique<IpNet>)> = vec![];
    for draft in drafts {
        let Some((_, public_key)) = draft.public_key else {
            refuse(draft.place, None, Reason::MissingPublicKey);
            continue;
        };
        let Some(public_key) = public_key else {
            continue;
        };
        let Some((peer, ranges)) = peers
            .iter_mut()
            .find(|(peer, _)| peer.public_key == public_key)
        else {
            let peer = Peer {
                public_key,
                preshared_key: good(draft.preshared_key).flatten(),
                endpoint: good(draft.endpoint),
                allowed_ips: vec![],
                keepalive: good(draft.keepalive),
            };
            peers.push((peer, draft.allowed_ips));
            continue;
        };
        let conflicts = [
            add(&mut peer.preshared_key, without_none(draft.preshared_key))
                .map(|place| (place, "PresharedKey")),
            add(&mut peer.endpoint, draft.endpoint).map(|place| (place, "Endpoint")),
            add(&mut peer.keepalive, draft.keepalive).map(|place| (place, "PersistentKeepalive")),
        ];
        for (place, key) in conflicts.into_iter().flatten() {
            refuse(place, Some(key), Reason::DuplicateKey);
        }
        let all_fit = draft
            .allowed_ips
            .into_vec()
            .into_iter()
            .all(|range| ranges.add(range, MAX_ALLOWED_IPS));
        if !all_fit {
            refuse(draft.place, None, Reason::TooManyAllowedIps);
        }
    }
    peers
        .into_iter()
        .map(|(peer, ranges)| Peer {
            allowed_ips: ranges.into_vec(),
            ..peer
        })
        .collect()
}

fn without_none<T>(once: Once<Option<T>>) -> Once<T> {
    once.map(|(place, value)| (place, value.flatten()))
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
