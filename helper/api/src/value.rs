// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dictionaries (`a{sv}`) as they come from the bus, and reading their entries: an entry that is absent or of another type
//! reads as `None`, so that a client goes on with a newer service.

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

/// An `a{sv}` that was received.
pub type Dictionary = HashMap<String, OwnedVariant>;

/// An `a{sv}` to be sent.
pub type Options<'a> = HashMap<&'a str, Variant<'a>>;

/// An entry as `T`.
pub fn get<T>(dictionary: &Dictionary, key: &str) -> Option<T>
where
    T: TryFrom<OwnedVariant>,
{
    let value = dictionary.get(key)?.try_clone().ok()?;
    T::try_from(peel(value)?).ok()
}

/// A variant within a variant counts as what it holds.
fn peel(value: OwnedVariant) -> Option<OwnedVariant> {
    match Variant::from(value) {
        Variant::Variant(inner) => peel(inner.try_into_owned().ok()?),
        other => other.try_into_owned().ok(),
    }
}

/// A path as the API carries it: bytes that end in a zero, which is taken away.
pub fn path(dictionary: &Dictionary, key: &str) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = get(dictionary, key)?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Some(bytes)
}

/// Bytes as the API carries paths, arguments and environment: with a zero at their end.
#[must_use]
pub fn with_zero(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes.len() + 1);
    all.extend_from_slice(bytes);
    all.push(0);
    all
}
