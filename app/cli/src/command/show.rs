//! `show`: everything about a tunnel but its keys.

use std::fmt::Write as _;

use lonewire_api::{Backend, Peer, Start, TunnelDetail, TunnelOptions};
use serde_json::{Value, json};

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    helper_error::{About, reason_words, snake},
    print,
    select::{self, Tunnel},
    time, words,
};

const NOTES: &str = "\
Private and preshared keys are never shown: they do not leave the helper.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire show\n  lonewire show home --json",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel; without it the default tunnel
    #[arg(add = complete::tunnels())]
    tunnel: Option<String>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel_or_default(context, args.tunnel.as_deref())?;
    let mut detail = context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.show(&tunnel.id).await
    })?;
    if context.json() {
        print::json(&object(&tunnel, &detail))?;
        return DONE;
    }
    if let Some(other) = &mut detail.info.switched_to {
        // People know it by its name.
        let tunnels = select::tunnels(context)?;
        if let Some(found) = tunnels.into_iter().find(|tunnel| tunnel.id == *other) {
            *other = found.info.name;
        }
    }
    let mut text = String::new();
    for (label, found) in rows(&tunnel, &detail) {
        let found = print::clean(&found);
        let _ = match context.format {
            Format::Terse => writeln!(text, "{}\t{found}", snake(&label.trim().to_lowercase())),
            _ => writeln!(text, "{label:13} {found}"),
        };
    }
    print::text(&text)?;
    DONE
}

fn object(tunnel: &Tunnel, detail: &TunnelDetail) -> Value {
    let info = &detail.info;
    let told = super::told(&info.warnings, &detail.ignored);
    let peers: Vec<Value> = detail.peers.iter().map(peer_object).collect();
    json!({
        "schema": 1, "id": tunnel.id, "name": info.name, "state": info.state.as_str(), "since": time::rfc3339(info.since),
        "reason": info.reason.as_deref().map(snake), "apps": info.apps, "shared": info.shared,
        "switched_to": info.switched_to, "public_key": info.public_key,
        "warnings": told["warnings"], "ignored": told["ignored"], "config": detail.config,
        "options": options_object(&detail.options), "addresses": detail.addresses, "dns": detail.dns, "mtu": detail.mtu,
        "backend": backend(detail.backend), "link": detail.link, "peers": peers,
        "handshake": time::rfc3339(detail.handshake), "rx": detail.rx, "tx": detail.tx,
    })
}

fn peer_object(peer: &Peer) -> Value {
    json!({
        "public_key": peer.public_key, "endpoint": peer.endpoint, "resolved": peer.resolved, "allowed_ips": peer.allowed_ips,
        "keepalive": peer.keepalive, "handshake": time::rfc3339(peer.handshake), "rx": peer.rx, "tx": peer.tx,
    })
}

fn options_object(options: &TunnelOptions) -> Value {
    json!({
        "mtu": options.mtu, "keepalive": options.keepalive, "backend": options.backend.map(Backend::as_str),
        "dns": options.dns, "down_with_last_app": options.down_with_last_app,
        "start": options.start.map(Start::as_str),
    })
}

fn backend(backend: Backend) -> Option<&'static str> {
    (backend != Backend::Automatic).then(|| backend.as_str())
}

/// Labels and texts; what there is nothing to say about is left out.
fn rows(tunnel: &Tunnel, detail: &TunnelDetail) -> Vec<(&'static str, String)> {
    let info = &detail.info;
    let now = time::now();
    let state = match info.reason.as_deref() {
        Some(reason) => format!("{}: {}", info.state.as_str(), reason_words(reason)),
        None => info.state.as_str().to_owned(),
    };
    let mut rows = vec![
        ("Name", info.name.clone()),
        ("Id", tunnel.id.clone()),
        ("State", state),
        ("Since", time::local(info.since)),
        ("Public key", info.public_key.clone()),
        ("Addresses", detail.addresses.join(", ")),
        ("DNS", detail.dns.join(", ")),
    ];
    if info.shared {
        rows.push(("Shared", "yes, by the administrator".to_owned()));
    }
    if let Some(other) = &info.switched_to {
        rows.push(("Switched to", other.clone()));
    }
    if detail.mtu > 0 {
        rows.push(("MTU", detail.mtu.to_string()));
    }
    let start = detail.options.start.filter(|start| *start != Start::Never);
    if let Some(start) = start {
        rows.push(("Starts", format!("at {}", start.as_str())));
    }
    rows.push(("Apps", info.apps.to_string()));
    let optional = [
        ("Backend", backend(detail.backend).map(str::to_owned)),
        ("Link", detail.link.clone()),
        (
            "Handshake",
            (detail.handshake > 0).then(|| format!("{} ago", time::ago(detail.handshake, now))),
        ),
        (
            "Traffic",
            super::is_up(info.state).then(|| traffic(detail.rx, detail.tx)),
        ),
    ];
    rows.extend(
        optional
            .into_iter()
            .filter_map(|(label, text)| Some((label, text?))),
    );
    for peer in &detail.peers {
        rows.push(("Peer", peer.public_key.clone()));
        let endpoint = match (&peer.endpoint, &peer.resolved) {
            (Some(endpoint), Some(resolved)) if endpoint != resolved => {
                format!("{endpoint} ({resolved})")
            }
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(resolved)) => resolved.clone(),
            (None, None) => "unknown until it calls".to_owned(),
        };
        rows.push(("  Endpoint", endpoint));
        rows.push(("  Allowed IPs", peer.allowed_ips.join(", ")));
        if peer.keepalive > 0 {
            rows.push(("  Keepalive", format!("{} s", peer.keepalive)));
        }
        if peer.handshake > 0 {
            rows.push((
                "  Handshake",
                format!("{} ago", time::ago(peer.handshake, now)),
            ));
            rows.push(("  Traffic", traffic(peer.rx, peer.tx)));
        }
    }
    let ignored = detail
        .ignored
        .iter()
        .map(|(line, key)| ("Left out", words::ignored(*line, key)));
    rows.extend(ignored);
    let warnings = info.warnings.iter();
    rows.extend(warnings.map(|code| ("Note", words::warning(code))));
    rows.retain(|(_, text)| !text.is_empty());
    rows
}

fn traffic(rx: u64, tx: u64) -> String {
    format!("{} received, {} sent", time::bytes(rx), time::bytes(tx))
}

#[cfg(test)]
mod tests {
    use lonewire_api::{TunnelInfo, TunnelState};

    use super::*;

    fn example() -> (Tunnel, TunnelDetail) {
        let info = TunnelInfo {
            name: "home".to_owned(),
            state: TunnelState::Blocked,
            since: 1_790_000_000_123,
            reason: Some("no-handshake".to_owned()),
            apps: 2,
            public_key: "own".to_owned(),
            warnings: vec!["no-ipv6".to_owned()],
            ..TunnelInfo::default()
        };
        let peer = Peer {
            public_key: "theirs".to_owned(),
            endpoint: Some("vpn.example:51820".to_owned()),
            resolved: Some("192.0.2.1:51820".to_owned()),
            allowed_ips: vec!["0.0.0.0/0".to_owned()],
            keepalive: 25,
            ..Peer::default()
        };
        let detail = TunnelDetail {
            info: info.clone(),
            config: "[Interface]\n".to_owned(),
            ignored: vec![(5, "PostUp".to_owned())],
            addresses: vec!["10.0.0.2/32".to_owned()],
            mtu: 1420,
            backend: Backend::Kernel,
            link: Some("lw-0123456789ab".to_owned()),
            options: TunnelOptions {
                start: Some(Start::Login),
                ..TunnelOptions::default()
            },
            peers: vec![peer],
            rx: 1536,
            tx: 7,
            ..TunnelDetail::default()
        };
        let tunnel = Tunnel {
            id: "0f".to_owned(),
            info,
        };
        (tunnel, detail)
    }

    #[test]
    fn people_get_rows() {
        let (tunnel, detail) = example();
        let mut rows = rows(&tunnel, &detail);
        // In the zone of whoever runs this.
        rows.retain(|(label, _)| *label != "Since");
        let text: Vec<String> = rows
            .iter()
            .map(|(label, text)| format!("{label}: {text}"))
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn programs_get_an_object() {
        let (tunnel, detail) = example();
        let text = serde_json::to_string_pretty(&object(&tunnel, &detail)).unwrap();
        insta::assert_snapshot!(text);
    }
}
