// SPDX-License-Identifier: MIT OR Apache-2.0
//! An edited configuration takes the keys it calls `(unchanged)` from the stored one.

use super::{Config, Key};
use crate::secret::PublicKey;

/// `(unchanged)` where the stored configuration has no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NothingToKeep {
    #[error("“PrivateKey” is (unchanged), but none is stored")]
    PrivateKey,
    /// The stored configuration has no such peer, or that peer has no preshared key.
    #[error("“PresharedKey” of the peer {0} is (unchanged), but none is stored")]
    PresharedKey(PublicKey),
}

impl NothingToKeep {
    /// A stable word for programs, as [`super::Reason::code`].
    pub fn code(self) -> &'static str {
        super::Reason::NothingStored.code()
    }

    /// The setting it is about.
    pub fn key(self) -> &'static str {
        match self {
            Self::PrivateKey => "PrivateKey",
            Self::PresharedKey(_) => "PresharedKey",
        }
    }
}

/// The new configuration with every [`Key::Unchanged`] replaced: the interface's by the stored one, a peer's preshared key by that of the
/// stored peer with the same public key. A preshared key that is not mentioned is dropped.
///
/// # Errors
/// The first key that has nothing to keep.
pub fn keep_keys(mut new: Config, stored: &Config) -> Result<Config, NothingToKeep> {
    if new.interface.private_key == Key::Unchanged {
        new.interface.private_key =
            given(Some(&stored.interface.private_key)).ok_or(NothingToKeep::PrivateKey)?;
    }
    for peer in &mut new.peers {
        if peer.preshared_key == Some(Key::Unchanged) {
            let same = stored
                .peers
                .iter()
                .find(|old| old.public_key == peer.public_key);
            let kept = given(same.and_then(|old| old.preshared_key.as_ref()));
            peer.preshared_key = Some(kept.ok_or(NothingToKeep::PresharedKey(peer.public_key))?);
        }
    }
    Ok(new)
}

fn given(key: Option<&Key>) -> Option<Key> {
    key.filter(|key| **key != Key::Unchanged).cloned()
}
