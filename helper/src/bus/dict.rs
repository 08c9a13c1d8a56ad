//! Dictionaries that go out, word for word as `data/dbus/*.xml` says. Nothing but putting values into them.

use std::collections::BTreeMap;

use lonewire_core::launch::Exit;
use zbus::Variant;

use crate::{
    engine::view::{
        AppInfo, Imported, PeerInfo, Probe, Quotas, TunnelDetail, TunnelInfo, TunnelOptions,
    },
    ports::{Backend, Start},
};

/// An `a{sv}` of ours.
pub type Dict = BTreeMap<&'static str, Variant<'static>>;

fn strings(words: &[&'static str]) -> Variant<'static> {
    Variant::from(words.to_vec())
}

pub fn tunnel(info: &TunnelInfo) -> Dict {
    let mut dict = Dict::from([
        ("name", Variant::from(info.name.clone())),
        ("state", Variant::from(info.state as u32)),
        ("since", Variant::from(info.since)),
        ("apps", Variant::from(info.apps)),
        ("shared", Variant::from(info.shared)),
        ("public-key", Variant::from(info.public_key.clone())),
        ("warnings", strings(&info.warnings)),
    ]);
    if let Some(reason) = info.reason {
        dict.insert("reason", Variant::from(reason));
    }
    if let Some(other) = &info.switched_to {
        dict.insert("switched-to", Variant::from(other.to_string()));
    }
    dict
}

pub fn detail(detail: TunnelDetail) -> Dict {
    let mut dict = tunnel(&detail.info);
    dict.extend([
        ("config", Variant::from(detail.config)),
        ("ignored", Variant::from(detail.ignored)),
        ("options", Variant::from(options(detail.options))),
        ("addresses", Variant::from(detail.addresses)),
        ("dns", Variant::from(detail.dns)),
        ("mtu", Variant::from(detail.mtu)),
        ("backend", Variant::from(backend(detail.backend))),
        (
            "peers",
            Variant::from(detail.peers.into_iter().map(peer).collect::<Vec<Dict>>()),
        ),
        ("handshake", Variant::from(detail.handshake)),
        ("rx", Variant::from(detail.rx)),
        ("tx", Variant::from(detail.tx)),
    ]);
    if let Some(link) = detail.link {
        dict.insert("link", Variant::from(link));
    }
    dict
}

fn peer(peer: PeerInfo) -> Dict {
    let mut dict = Dict::from([
        ("public-key", Variant::from(peer.public_key)),
        ("allowed-ips", Variant::from(peer.allowed_ips)),
        ("keepalive", Variant::from(peer.keepalive)),
        ("handshake", Variant::from(peer.handshake)),
        ("rx", Variant::from(peer.rx)),
        ("tx", Variant::from(peer.tx)),
    ]);
    if let Some(endpoint) = peer.endpoint {
        dict.insert("endpoint", Variant::from(endpoint));
    }
    if let Some(resolved) = peer.resolved {
        dict.insert("resolved", Variant::from(resolved));
    }
    dict
}

fn backend(backend: Option<Backend>) -> u32 {
    match backend {
        None => 0,
        Some(Backend::Kernel) => 1,
        Some(Backend::Userspace) => 2,
    }
}

fn number(start: Start) -> u32 {
    match start {
        Start::Login => 1,
        Start::Boot => 2,
    }
}

fn options(options: TunnelOptions) -> Dict {
    let TunnelOptions {
        mtu,
        keepalive,
        backend: wanted,
        dns,
        down_with_last_app,
        start,
    } = options;
    let dns = dns.map(|servers| servers.iter().map(ToString::to_string).collect::<Vec<_>>());
    [
        ("mtu", mtu.map(Variant::from)),
        ("keepalive", keepalive.map(Variant::from)),
        (
            "backend",
            wanted.map(|wanted| Variant::from(backend(Some(wanted)))),
        ),
        ("dns", dns.map(Variant::from)),
        ("down-with-last-app", down_with_last_app.map(Variant::from)),
        ("start", start.map(|start| Variant::from(number(start)))),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

/// Of `Import`.
pub fn imported(imported: Imported) -> Dict {
    Dict::from([
        ("id", Variant::from(String::from(imported.id))),
        ("name", Variant::from(imported.name)),
        ("warnings", strings(&imported.warnings)),
        ("ignored", Variant::from(imported.ignored)),
    ])
}

/// Of `Replace`.
pub fn replaced(imported: Imported) -> Dict {
    Dict::from([
        ("public-key", Variant::from(imported.public_key)),
        ("warnings", strings(&imported.warnings)),
        ("ignored", Variant::from(imported.ignored)),
    ])
}

pub fn probe(probe: Probe) -> Dict {
    Dict::from([
        ("probe", Variant::from(probe.probe)),
        ("passed", Variant::from(probe.passed)),
        ("tried", Variant::from(probe.tried)),
        ("found", Variant::from(probe.found)),
    ])
}

pub fn app(info: &AppInfo) -> Dict {
    let mut program = info.program.clone();
    program.push(0);
    let mut dict = Dict::from([
        ("tunnel", Variant::from(info.tunnel.as_str().to_owned())),
        ("program", Variant::from(program)),
        ("name", Variant::from(info.name.clone())),
        ("pid", Variant::from(info.pid)),
        ("state", Variant::from(info.state as u32)),
        ("since", Variant::from(info.since)),
    ]);
    if let Some(processes) = info.processes {
        dict.insert("processes", Variant::from(processes));
    }
    match info.exit {
        Some(Exit::Code(code)) => {
            dict.insert("exit-code", Variant::from(i32::from(code)));
        }
        Some(Exit::Signal(signal)) => {
            dict.insert("exit-signal", Variant::from(signal));
        }
        None => {}
    }
    dict
}

pub fn limits(quotas: Quotas) -> Dict {
    Dict::from([
        ("tunnels", Variant::from(quotas.tunnels)),
        ("connected", Variant::from(quotas.connected)),
        ("apps", Variant::from(quotas.apps)),
        ("prompts", Variant::from(quotas.prompts)),
        (
            "launches-per-second",
            Variant::from(quotas.launches_per_second),
        ),
    ])
}

/// What of `new` differs from `old`; what went away reads as an empty string.
pub fn changes(old: &Dict, new: Dict) -> Dict {
    let gone: Vec<&'static str> = old
        .keys()
        .copied()
        .filter(|key| !new.contains_key(key))
        .collect();
    let mut changes: Dict = new
        .into_iter()
        .filter(|(key, value)| old.get(key) != Some(value))
        .collect();
    changes.extend(gone.into_iter().map(|key| (key, Variant::from(""))));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_hold_only_what_differs_and_an_empty_string_for_what_went() {
        let old = Dict::from([
            ("a", Variant::from(1_u32)),
            ("b", Variant::from("x")),
            ("c", Variant::from(true)),
        ]);
        let new = Dict::from([("a", Variant::from(1_u32)), ("b", Variant::from("y"))]);
        let expected = Dict::from([("b", Variant::from("y")), ("c", Variant::from(""))]);
        assert_eq!(changes(&old, new), expected);
    }
}
