//! What a person can send to others when something does not work. It is made of what is listed here and of nothing else, so that no key,
//! name, address or endpoint can come with it: no text that a person or a server wrote is taken over.

use lonewire_api::{LogEntry, TunnelDetail};
use serde_json::{Value, json};

use super::{Check, Helper};
use crate::helper_error::snake;

/// States that are told of each tunnel, the last ones.
const STATES: usize = 50;

/// A tunnel with its history.
pub type Told = (TunnelDetail, Vec<LogEntry>);

/// The whole file.
pub fn object(checks: &[Check], helper: Option<&Helper>, tunnels: &[Told], now: u64) -> Value {
    let checks: Vec<Value> = checks
        .iter()
        .map(|check| json!({ "check": check.code, "status": check.status.as_str() }))
        .collect();
    let tunnels: Vec<Value> = tunnels
        .iter()
        .enumerate()
        .map(|(index, told)| tunnel(index + 1, told, now))
        .collect();
    json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "helper": helper.map(|helper| json!({ "version": helper.version, "features": helper.features })),
        "system": {
            "kernel": rustix::system::uname().release().to_string_lossy(),
            "distribution": distribution(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
            "architecture": std::env::consts::ARCH,
        },
        "checks": checks,
        "tunnels": tunnels,
    })
}

fn tunnel(number: usize, (detail, log): &Told, now: u64) -> Value {
    let info = &detail.info;
    let age = |time: u64| (time > 0).then(|| now.saturating_sub(time) / 1000);
    let codes = |list: &[String]| list.iter().map(|code| snake(code)).collect::<Vec<_>>();
    let left_out: Vec<_> = detail.ignored.iter().map(|(_, key)| known(key)).collect();
    let peers: Vec<Value> = detail
        .peers
        .iter()
        .map(|peer| {
            json!({
                "endpoint": endpoint(peer.endpoint.as_deref()), "resolved": peer.resolved.is_some(),
                "allowed_ips": peer.allowed_ips.len(), "keepalive": peer.keepalive,
                "handshake_seconds_ago": age(peer.handshake), "rx": peer.rx, "tx": peer.tx,
            })
        })
        .collect();
    let states: Vec<Value> = log
        .iter()
        .skip(log.len().saturating_sub(STATES))
        .map(|entry| {
            json!({ "seconds_ago": age(entry.time), "state": entry.state.as_str(), "reason": snake(&entry.reason) })
        })
        .collect();
    let families = |v6: bool| {
        let is = |text: &&String| text.contains(':') == v6;
        detail.addresses.iter().filter(is).count()
    };
    json!({
        "tunnel": number, "state": info.state.as_str(), "reason": info.reason.as_deref().map(snake), "seconds": age(info.since),
        "apps": info.apps, "shared": info.shared, "warnings": codes(&info.warnings), "left_out": left_out,
        "backend": detail.backend.as_str(), "mtu": detail.mtu, "dns_servers": detail.dns.len(),
        "ipv4_addresses": families(false), "ipv6_addresses": families(true),
        "handshake_seconds_ago": age(detail.handshake), "rx": detail.rx, "tx": detail.tx, "peers": peers, "states": states,
    })
}

/// A key that was left out, where it is one of wg-quick's: anything else is a person's own text.
fn known(key: &str) -> &str {
    const KEYS: [&str; 7] = [
        "PreUp",
        "PostUp",
        "PreDown",
        "PostDown",
        "Table",
        "FwMark",
        "SaveConfig",
    ];
    KEYS.iter()
        .find(|known| known.eq_ignore_ascii_case(key))
        .map_or("other", |known| *known)
}

/// The kind of an endpoint, not the endpoint.
fn endpoint(text: Option<&str>) -> &'static str {
    match text {
        None => "none",
        Some(text) if text.starts_with('[') => "ipv6",
        Some(text) if text.parse::<std::net::SocketAddrV4>().is_ok() => "ipv4",
        Some(_) => "name",
    }
}

/// os-release(5): what the distribution calls itself.
fn distribution(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use lonewire_api::{Peer, TunnelInfo, TunnelState};

    use super::*;
    use crate::doctor::Status;

    const NOW: u64 = 1_790_000_060_000;

    #[test]
    fn it_tells_how_things_are_and_nothing_of_whose_they_are() {
        let peer = Peer {
            public_key: "SECRET-peer-key".to_owned(),
            endpoint: Some("SECRET.example:51820".to_owned()),
            resolved: Some("192.0.2.77:51820".to_owned()),
            allowed_ips: vec!["10.77.0.0/16".to_owned()],
            handshake: NOW - 5_000,
            ..Peer::default()
        };
        let detail = TunnelDetail {
            info: TunnelInfo {
                name: "SECRET-name".to_owned(),
                state: TunnelState::Blocked,
                since: NOW - 30_000,
                reason: Some("no-handshake".to_owned()),
                public_key: "SECRET-own-key".to_owned(),
                warnings: vec!["no-ipv6".to_owned()],
                ..TunnelInfo::default()
            },
            config: "SECRET-config".to_owned(),
            ignored: vec![(3, "postup".to_owned()), (4, "SECRET-word".to_owned())],
            addresses: vec!["10.77.0.2/32".to_owned()],
            dns: vec!["10.77.0.1".to_owned()],
            link: Some("lw-SECRET".to_owned()),
            peers: vec![peer],
            ..TunnelDetail::default()
        };
        let log = vec![LogEntry {
            time: NOW - 40_000,
            state: TunnelState::Connecting,
            reason: String::new(),
        }];
        let checks = [Check::bad(
            "tunnel_state",
            Status::Warn,
            "“SECRET-name” is blocked.",
            "SECRET",
        )];
        let helper = Helper {
            version: "0.1.0".to_owned(),
            ..Helper::default()
        };
        let object = object(&checks, Some(&helper), &[(detail, log)], NOW);
        let text = object.to_string();
        for secret in ["SECRET", "10.77", "192.0.2", "51820"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        let tunnel = &object["tunnels"][0];
        assert_eq!(
            (
                &tunnel["state"],
                &tunnel["reason"],
                &tunnel["peers"][0]["endpoint"]
            ),
            (&json!("blocked"), &json!("no_handshake"), &json!("name"))
        );
        assert_eq!(tunnel["left_out"], json!(["PostUp", "other"]));
        assert_eq!(tunnel["peers"][0]["handshake_seconds_ago"], 5);
        assert_eq!(tunnel["states"][0]["seconds_ago"], 40);
        assert_eq!(
            object["checks"][0],
            json!({ "check": "tunnel_state", "status": "warn" })
        );
    }

    #[test]
    fn the_distribution_is_told_by_its_own_name() {
        let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n";
        assert_eq!(distribution(text).as_deref(), Some("Debian GNU/Linux 12"));
        assert_eq!(distribution("ID=x"), None);
    }
}
