//! What a person can send to others when something does not work: made of what is listed here and of nothing else, so that no key, name,
//! address or endpoint can come with it. Not translated: it is for those who help.

use std::{fmt::Write as _, rc::Rc};

use lonewire_api::{Backend, TunnelDetail, TunnelInfo};

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Version of the window.
    pub window: &'a str,
    pub service: Option<&'a str>,
    pub features: &'a [String],
    /// Versions of GTK and libadwaita.
    pub toolkit: ([u32; 3], [u32; 3]),
    /// Text of `/etc/os-release`.
    pub os_release: &'a str,
    pub kernel: &'a str,
    pub tunnels: &'a [(TunnelInfo, Option<Rc<TunnelDetail>>)],
}

/// More tunnels are counted and not listed.
const MOST: usize = 20;

/// The report, lines of plain text.
pub fn report(about: &About<'_>) -> String {
    let mut text = String::new();
    let version = |version: [u32; 3]| version.map(|part| part.to_string()).join(".");
    let (gtk, adw) = about.toolkit;
    let features: Vec<_> = about.features.iter().map(|code| known(code)).collect();
    for (key, value) in [
        ("Window", known(about.window)),
        ("Service", about.service.map_or("not available", known)),
        ("Features", &features.join(", ")),
        ("GTK", &version(gtk)),
        ("libadwaita", &version(adw)),
        ("Kernel", about.kernel.trim()),
        ("System", &system(about.os_release)),
        ("Architecture", std::env::consts::ARCH),
        ("Tunnels", &about.tunnels.len().to_string()),
    ] {
        let _ = writeln!(text, "{key}: {value}");
    }
    for (number, (info, detail)) in (1..).zip(about.tunnels.iter().take(MOST)) {
        let _ = write!(
            text,
            "Tunnel {number}: {}, {} apps",
            info.state.as_str(),
            info.apps
        );
        if let Some(reason) = &info.reason {
            let _ = write!(text, ", {}", known(reason));
        }
        for warning in &info.warnings {
            let _ = write!(text, ", {}", known(warning));
        }
        if let Some(detail) = detail {
            let backend = match detail.backend {
                Backend::Automatic => "no backend",
                Backend::Kernel => "kernel",
                Backend::Userspace => "userspace",
            };
            let _ = write!(
                text,
                ", {backend}, MTU {}, {} peers, {} DNS servers",
                detail.mtu,
                detail.peers.len(),
                detail.dns.len()
            );
        }
        text.push('\n');
    }
    text
}

/// A code or a version of the service; anything else could be a person's.
fn known(code: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '+');
    if !code.is_empty() && code.len() <= 40 && code.chars().all(fits) {
        code
    } else {
        "other"
    }
}

/// "debian 12".
fn system(os_release: &str) -> String {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map_or("", |value| value.trim_matches(['"', '\'']))
    };
    format!("{} {}", value("ID"), value("VERSION_ID"))
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use lonewire_api::{Peer, TunnelState};

    use super::*;

    #[test]
    fn a_report_tells_states_and_codes_and_nothing_that_is_a_persons() {
        let info = TunnelInfo {
            name: "My secret name".into(),
            state: TunnelState::Blocked,
            reason: Some("no-handshake".into()),
            public_key: "PUBLICKEY=".into(),
            warnings: vec!["no-dns".into(), "vpn.example is odd".into()],
            ..TunnelInfo::default()
        };
        let detail = TunnelDetail {
            info: info.clone(),
            config: "[Interface]\nPrivateKey = (unchanged)".into(),
            addresses: vec!["10.77.0.2/32".into()],
            dns: vec!["10.77.0.1".into()],
            link: Some("lw-0a".into()),
            peers: vec![Peer {
                public_key: "PEERKEY=".into(),
                endpoint: Some("vpn.example:51820".into()),
                resolved: Some("192.0.2.9:51820".into()),
                ..Peer::default()
            }],
            ..TunnelDetail::default()
        };
        let text = report(&About {
            window: "0.1.0",
            service: Some("0.1.0"),
            features: &["kernel-wireguard".into()],
            toolkit: ([4, 8, 3], [1, 2, 2]),
            os_release: "NAME=x\nID=debian\nVERSION_ID=\"12\"\n",
            kernel: "6.1.0\n",
            tunnels: &[(info, Some(Rc::new(detail)))],
        });
        for there in [
            "blocked",
            "no-handshake",
            "no-dns",
            "debian 12",
            "4.8.3",
            "kernel-wireguard",
            "other",
        ] {
            assert!(text.contains(there), "{there} in {text}");
        }
        for not_there in ["secret", "KEY", "vpn.example", "10.77", "192.0.2", "lw-0a"] {
            assert!(!text.contains(not_there), "{not_there} in {text}");
        }
    }
}
