// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seal: whether a namespace, looked at from inside, holds only what the plan put there.

use std::net::IpAddr;

use ipnet::IpNet;

/// What was found inside, from the kernel's dumps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    /// Every route of every table but `local`, both families.
    pub routes: Vec<Route>,
    /// Policy rules that are not the kernel's own three (v4) and two (v6).
    pub rules: Vec<String>,
    /// From the warden: name and value.
    pub sysctls: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// IFLA_INFO_KIND: "wireguard", "tun", "sit"…; empty for `lo`.
    pub kind: String,
    pub up: bool,
    pub loopback: bool,
    pub mtu: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub link: u32,
    /// Address and prefix length.
    pub net: IpNet,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// RT_TABLE_*; 254 is `main`.
    pub table: u32,
    pub destination: IpNet,
    pub kind: RouteKind,
    /// Of the outgoing link; `None` for an unreachable one.
    pub link: Option<u32>,
    pub gateway: Option<IpAddr>,
    pub metric: u32,
    /// RTPROT_KERNEL: came with an address.
    pub by_kernel: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    Unicast,
    Unreachable,
    /// Multicast, anycast, local, broadcast entries that the kernel keeps itself.
    Kernel,
    Other,
}
