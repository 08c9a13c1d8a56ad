// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names: what the user calls a tunnel, what the kernel calls its link and namespace, and the opaque ids of the API.
//! Past these types no raw string names anything.

use std::fmt;

use serde::{Deserialize, Serialize};

mod label;

pub use label::{MAX_CHARS, TunnelName};

/// Name of a link and of its namespace: `lw-` and twelve lower-case hexadecimal digits, so 15 characters, IFNAMSIZ less its zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName(String);

impl LinkName {
    /// A name from random bytes of the caller's.
    pub fn from_random(bytes: [u8; 6]) -> Self {
        Self(format!("lw-{}", hex(&bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LinkName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        match text.strip_prefix("lw-") {
            Some(tail) if tail.len() == 12 && is_hex(tail) => Ok(Self(text)),
            _ => Err(BadName::Link),
        }
    }
}

impl From<LinkName> for String {
    fn from(name: LinkName) -> Self {
        name.0
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Id of a tunnel or an app in the API: 32 lower-case hexadecimal digits that say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl Id {
    /// An id from random bytes of the caller's.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex(&bytes))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        if text.len() == 32 && is_hex(&text) {
            Ok(Self(text))
        } else {
            Err(BadName::Id)
        }
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("not the name of a link of Lonewire")]
    Link,
    #[error("not an id")]
    Id,
    #[error("a name has at least one character")]
    Empty,
    #[error("a name has at most 64 characters")]
    TooLong,
    /// The character is told by its number, as it may do anything to a terminal.
    #[error("the character U+{:04X} cannot be in a name", u32::from(*.0))]
    Character(char),
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
