// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration of a tunnel, and its text: wg-quick(8), of which wg(8) setconf is a part.
//! Hooks and what would confer a privilege are reported and dropped, never kept.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::secret::{PublicKey, Secret};

mod draft;
mod error;
mod item;
mod keep;
mod line;
mod parse;
mod reach;
mod setting;
mod value;
mod warn;
mod write;

pub use error::{ParseError, Reason};
pub use keep::{NothingToKeep, keep_keys};
pub use parse::{parse, parse_new};
pub use warn::{Warning, warnings};
pub use write::to_text;

/// Bytes a configuration may have.
pub const MAX_BYTES: usize = 64 * 1024;

/// Bytes a line may have, without its end.
pub const MAX_LINE: usize = 16 * 1024;

/// `[Peer]` sections a configuration may have.
pub const MAX_PEERS: usize = 64;

/// Different ranges a peer may have.
pub const MAX_ALLOWED_IPS: usize = 256;

/// Addresses a link may have.
pub const MAX_ADDRESSES: usize = 64;

/// DNS servers a configuration may name, and as many search domains.
pub const MAX_DNS: usize = 8;

/// Errors told at most: the first ones.
pub const MAX_ERRORS: usize = 32;

/// A configuration as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub interface: Interface,
    pub peers: Vec<Peer>,
}

/// The `[Interface]` sections, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub private_key: Key,
    /// 1024 to 65535; `None` lets the kernel choose (also where the file says 0).
    pub listen_port: Option<u16>,
    /// The link's own addresses with their prefix lengths.
    pub addresses: Vec<IpNet>,
    pub dns: Vec<IpAddr>,
    /// Domains that `DNS` names beside servers: search domains.
    pub search: Vec<String>,
    pub mtu: Option<u16>,
}

/// A `[Peer]` section; of two with one key the later adds to the earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub public_key: PublicKey,
    pub preshared_key: Option<Key>,
    pub endpoint: Option<Endpoint>,
    pub allowed_ips: Vec<IpNet>,
    /// Seconds; `Some(0)` is off, `None` was not said.
    pub keepalive: Option<u16>,
}

/// A private or preshared key, or the word that keeps the stored one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Given(Secret<32>),
    /// `(unchanged)`: only in a text that replaces a stored configuration.
    Unchanged,
}

/// Where a peer is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Address(IpAddr),
    /// Lower case, at most 253 characters.
    Name(String),
}

/// What a text held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub config: Config,
    pub ignored: Vec<Ignored>,
}

/// A key that was left out on purpose, in its usual spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// From 1.
    pub line: u32,
    pub key: &'static str,
}

/// How the keys of a configuration are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// For the store alone.
    Included,
    /// `(unchanged)`, for the editor.
    Unchanged,
    /// Left out behind a comment, for export.
    Omitted,
}

impl fmt::Display for Endpoint {
    /// As wg(8) writes it: `203.0.113.1:51820`, `[2001:db8::1]:51820`, `vpn.example:51820`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests;
