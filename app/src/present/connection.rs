//! The facts of a tunnel's connection as the page lists them.

use gettextrs::{gettext, ngettext};
use lonewire_api::{Backend, TunnelDetail};

use super::{fill, time};

/// What stands beside the titles. An empty text: there is nothing to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub handshake: String,
    /// The handshake is so old that nothing is sent anymore.
    pub handshake_is_old: bool,
    /// Date and time, for a tooltip.
    pub handshake_exact: Option<String>,
    pub endpoint: String,
    pub addresses: String,
    pub dns: String,
    pub allowed_ips: String,
    pub mtu: String,
    pub keepalive: String,
    pub backend: String,
    pub namespace: String,
}

/// The facts, at a Unix time in milliseconds.
pub fn facts(detail: &TunnelDetail, now: u64) -> Facts {
    let is_up = detail.link.is_some();
    let peers = &detail.peers;
    let or = |text: String, other: String| if text.is_empty() { other } else { text };
    let keepalives: Vec<u32> = peers
        .iter()
        .map(|peer| peer.keepalive)
        .filter(|seconds| *seconds != 0)
        .collect();
    Facts {
        handshake: time::ago(detail.handshake, now),
        handshake_is_old: is_up
            && detail.handshake != 0
            && now.saturating_sub(detail.handshake) > time::HANDSHAKE_LIMIT,
        handshake_exact: time::exact(detail.handshake),
        endpoint: or(
            lines(peers.iter().map(|peer| {
                // The address in use says more than a name, which the configuration has.
                match (&peer.resolved, &peer.endpoint) {
                    (Some(address), _) if is_up => address.clone(),
                    (_, configured) => configured.clone().unwrap_or_default(),
                }
            })),
            gettext("None"),
        ),
        addresses: or(lines(detail.addresses.iter().cloned()), gettext("None")),
        dns: or(
            lines(detail.dns.iter().cloned()),
            gettext("None: apps do not resolve names"),
        ),
        allowed_ips: or(
            peers
                .iter()
                .flat_map(|peer| peer.allowed_ips.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(", "),
            gettext("None"),
        ),
        mtu: match (detail.mtu, detail.options.mtu) {
            (0, Some(mtu)) | (mtu, _) if mtu != 0 => mtu.to_string(),
            _ => gettext("Automatic"),
        },
        keepalive: match keepalives.first() {
            None => gettext("Off"),
            Some(seconds) => fill(
                &ngettext("Every {count} second", "Every {count} seconds", *seconds),
                &[("count", &seconds.to_string())],
            ),
        },
        backend: match detail.backend {
            Backend::Kernel => gettext("Kernel"),
            Backend::Userspace => gettext("Userspace"),
            Backend::Automatic => gettext("Chosen when the tunnel is on"),
        },
        namespace: detail
            .link
            .clone()
            .unwrap_or_else(|| gettext("Made when the tunnel is on")),
    }
}

fn lines(texts: impl Iterator<Item = String>) -> String {
    texts
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use lonewire_api::Peer;

    use super::*;

    #[test]
    fn what_is_not_there_is_said_and_what_is_there_is_listed() {
        let off = facts(&TunnelDetail::default(), 0);
        assert_eq!(
            (off.handshake.as_str(), off.dns.as_str(), off.mtu.as_str()),
            ("Never", "None: apps do not resolve names", "Automatic")
        );
        assert!(!off.handshake_is_old);
        let up = TunnelDetail {
            link: Some("lw-a1".into()),
            mtu: 1420,
            backend: Backend::Userspace,
            addresses: vec!["10.0.0.2/32".into(), "fd00::2/128".into()],
            handshake: 1_000_000,
            peers: vec![Peer {
                endpoint: Some("vpn.example:51820".into()),
                resolved: Some("192.0.2.1:51820".into()),
                allowed_ips: vec!["0.0.0.0/0".into(), "::/0".into()],
                keepalive: 25,
                ..Peer::default()
            }],
            ..TunnelDetail::default()
        };
        let told = facts(&up, 1_000_000 + time::HANDSHAKE_LIMIT);
        assert!(!told.handshake_is_old);
        assert_eq!(told.endpoint, "192.0.2.1:51820");
        assert_eq!(told.addresses, "10.0.0.2/32\nfd00::2/128");
        assert_eq!(told.allowed_ips, "0.0.0.0/0, ::/0");
        assert_eq!(
            (told.mtu.as_str(), told.keepalive.as_str()),
            ("1420", "Every 25 seconds")
        );
        assert_eq!(
            (told.backend.as_str(), told.namespace.as_str()),
            ("Userspace", "lw-a1")
        );
        assert!(facts(&up, 1_000_001 + time::HANDSHAKE_LIMIT).handshake_is_old);
    }
}
