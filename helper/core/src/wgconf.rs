// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration of a tunnel, and its text: wg-quick(8), of which wg(8) setconf is a part.
//! Hooks and what would confer a privilege are reported and dropped, never kept.

use std::net::IpAddr;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::secret::{PublicKey, Secret};

/// Bytes a configuration may have.
pub const MAX_BYTES: usize = 64 * 1024;

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
