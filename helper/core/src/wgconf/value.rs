// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of settings: text to types. Knows no lines; a refusal is a reason, nothing more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Endpoint, Host, Key, Reason};
use crate::secret::{PublicKey, Secret};

/// Stands for the stored key.
pub(super) const UNCHANGED: &str = "(unchanged)";

/// A private key or `(unchanged)`. All zeros are refused: to the kernel they mean "no key".
pub(super) fn private_key(text: &str) -> Result<Key, Reason> {
    secret_key(text)?.ok_or(Reason::KeyZero)
}

/// A preshared key or `(unchanged)`; all zeros are none, as in wg(8).
pub(super) fn preshared_key(text: &str) -> Result<Option<Key>, Reason> {
    secret_key(text)
}

fn secret_key(text: &str) -> Result<Option<Key>, Reason> {
    if text.eq_ignore_ascii_case(UNCHANGED) {
        return Ok(Some(Key::Unchanged));
    }
    check_key_length(text)?;
    let key = Secret::from_base64(text).ok_or(Reason::KeyEncoding)?;
    Ok((key.expose() != &[0; 32]).then_some(Key::Given(key)))
}

pub(super) fn public_key(text: &str) -> Result<PublicKey, Reason> {
    check_key_length(text)?;
    let key = PublicKey::from_base64(text).ok_or(Reason::KeyEncoding)?;
    if key.0 == [0; 32] {
        Err(Reason::KeyZero)
    } else {
        Ok(key)
    }
}

fn check_key_length(text: &str) -> Result<(), Reason> {
    if text.chars().count() == 44 {
        Ok(())
    } else {
        Err(Reason::KeyLength)
    }
}

/// 0 and nothing said are one: the kernel chooses.
pub(super) fn listen_port(text: &str) -> Result<Option<u16>, Reason> {
    match number(text)? {
        Some(0) => Ok(None),
        Some(port @ 1024..) => Ok(Some(port)),
        _ => Err(Reason::PortOutOfRange),
    }
}

pub(super) fn mtu(text: &str) -> Result<u16, Reason> {
    match number(text)? {
        Some(mtu @ 576..) => Ok(mtu),
        _ => Err(Reason::MtuOutOfRange),
    }
}

pub(super) fn keepalive(text: &str) -> Result<u16, Reason> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(0);
    }
    number(text)?.ok_or(Reason::KeepaliveOutOfRange)
}

/// Decimal digits; `None` where they are more than 65535.
fn number(text: &str) -> Result<Option<u16>, Reason> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::NotANumber);
    }
    Ok(text.parse().ok())
}

/// An address of the link with its prefix length; without one it is a single address.
pub(super) fn address(text: &str) -> Result<IpNet, Reason> {
    let net = net(text).ok_or(Reason::NotAnAddress)?;
    let unusable = match net.addr() {
        IpAddr::V4(v4) => is_unusable_v4(v4) || v4.is_loopback(),
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_loopback()
                || v6.to_ipv4_mapped().is_some()
        }
    };
    if unusable {
        Err(Reason::UnusableAddress)
    } else {
        Ok(net)
    }
}

/// A range; bits after the prefix are cleared, as wg(8) does.
pub(super) fn address_range(text: &str) -> Result<IpNet, Reason> {
    net(text)
        .map(|net| net.trunc())
        .ok_or(Reason::NotAnAddressRange)
}

fn net(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let prefix = number(prefix).ok()??;
    IpNet::new(address.parse().ok()?, u8::try_from(prefix).ok()?).ok()
}

/// What a part of `DNS` is. As wg-quick(8) has it, what looks like an address is one, else it is a search domain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dns {
    Server(IpAddr),
    Search(String),
}

pub(super) fn dns(text: &str) -> Result<Dns, Reason> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let unusable = match address.to_canonical() {
            IpAddr::V4(v4) => is_unusable_v4(v4),
            IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
        };
        return if unusable {
            Err(Reason::UnusableDnsServer)
        } else {
            Ok(Dns::Server(address.to_canonical()))
        };
    }
    host_name(text)
        .map(Dns::Search)
        .ok_or(Reason::NotADnsServer)
}

pub(super) fn endpoint(text: &str) -> Result<Endpoint, Reason> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(Reason::NotAnEndpoint)?;
        if address.contains('%') {
            return Err(Reason::LinkLocalEndpoint);
        }
        let address: Ipv6Addr = address.parse().map_err(|_| Reason::NotAnEndpoint)?;
        if !rest.is_empty() && !rest.starts_with(':') {
            return Err(Reason::NotAnEndpoint);
        }
        let port = endpoint_port(rest.strip_prefix(':').ok_or(Reason::MissingPort)?)?;
        return Ok(Endpoint {
            host: Host::Address(peer_address(address.into())?),
            port,
        });
    }
    let (host, port) = text.rsplit_once(':').ok_or(Reason::MissingPort)?;
    if host.contains(':') {
        return Err(Reason::Ipv6NeedsBrackets);
    }
    let host = match host.parse::<Ipv4Addr>() {
        Ok(address) => Host::Address(peer_address(address.into())?),
        Err(_) => Host::Name(host_name(host).ok_or(Reason::NotAnEndpoint)?),
    };
    Ok(Endpoint {
        host,
        port: endpoint_port(port)?,
    })
}

fn endpoint_port(text: &str) -> Result<u16, Reason> {
    match number(text) {
        Ok(Some(port @ 1..)) => Ok(port),
        Err(_) if text.is_empty() => Err(Reason::MissingPort),
        _ => Err(Reason::BadPort),
    }
}

/// Loopback is allowed: an obfuscating proxy on the host may listen there. An IPv4 address in IPv6 clothes is taken out of them.
fn peer_address(address: IpAddr) -> Result<IpAddr, Reason> {
    match address.to_canonical() {
        IpAddr::V4(v4) if is_unusable_v4(v4) => Err(Reason::UnusableEndpoint),
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_multicast() => Err(Reason::UnusableEndpoint),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(Reason::LinkLocalEndpoint),
        usable => Ok(usable),
    }
}

fn is_unusable_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast()
}

/// A name of DNS in lower case: labels of letters, digits, hyphens and underscores, a dot at its end allowed. What inet_aton(3) would read as an
/// address ("1.2.3", "0x7f.1") is none: a resolver may take it for one.
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = name.rsplit('.').next()?.to_ascii_lowercase();
    let hex = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let numeric = hex || last.bytes().all(|byte| byte.is_ascii_digit());
    (name.len() <= 253 && name.split('.').all(is_label) && !numeric)
        .then(|| text.to_ascii_lowercase())
}
