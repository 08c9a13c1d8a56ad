// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which settings there are: those of wg(8) setconf and wg-quick(8), those left out on purpose, and AmneziaWG's.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Interface,
    Peer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    PrivateKey,
    ListenPort,
    Address,
    Dns,
    Mtu,
    PublicKey,
    PresharedKey,
    Endpoint,
    AllowedIps,
    Keepalive,
    /// Commands, or what would confer a privilege (SECURITY T16, T17): reported, never kept.
    Ignored,
    /// Of a WireGuard that does not speak to WireGuard: dropping it would make a tunnel that never connects.
    Amnezia,
}

use Section::{Interface, Peer};

/// In its usual spelling.
const SETTINGS: &[(&str, Setting, Section)] = &[
    ("PrivateKey", Setting::PrivateKey, Interface),
    ("ListenPort", Setting::ListenPort, Interface),
    ("Address", Setting::Address, Interface),
    ("DNS", Setting::Dns, Interface),
    ("MTU", Setting::Mtu, Interface),
    ("FwMark", Setting::Ignored, Interface),
    ("Table", Setting::Ignored, Interface),
    ("PreUp", Setting::Ignored, Interface),
    ("PostUp", Setting::Ignored, Interface),
    ("PreDown", Setting::Ignored, Interface),
    ("PostDown", Setting::Ignored, Interface),
    ("SaveConfig", Setting::Ignored, Interface),
    ("PublicKey", Setting::PublicKey, Peer),
    ("PresharedKey", Setting::PresharedKey, Peer),
    ("Endpoint", Setting::Endpoint, Peer),
    ("AllowedIPs", Setting::AllowedIps, Peer),
    ("PersistentKeepalive", Setting::Keepalive, Peer),
];

const AMNEZIA: &[&str] = &[
    "Jc",
    "Jmin",
    "Jmax",
    "S1",
    "S2",
    "S3",
    "S4",
    "H1",
    "H2",
    "H3",
    "H4",
    "I1",
    "I2",
    "I3",
    "I4",
    "I5",
    "J1",
    "J2",
    "J3",
    "Itime",
    "AdvancedSecurity",
];

/// A setting by its name in any case: its usual spelling, what it is, and the section it belongs in (AmneziaWG's: any).
pub(super) fn find(name: &str) -> Option<(&'static str, Setting, Option<Section>)> {
    let plain = SETTINGS
        .iter()
        .find(|(usual, ..)| usual.eq_ignore_ascii_case(name))
        .map(|&(usual, setting, section)| (usual, setting, Some(section)));
    plain.or_else(|| {
        let usual = AMNEZIA
            .iter()
            .find(|usual| usual.eq_ignore_ascii_case(name))?;
        Some((*usual, Setting::Amnezia, None))
    })
}
