// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is read, and what warns.

use super::*;

#[test]
fn every_setting_is_read_in_any_case_with_comments_repetitions_crlf_and_bom() {
    let parsed = parse_new(full().as_bytes()).unwrap();
    let Config { interface, peers } = parsed.config;
    assert_eq!(
        interface.private_key,
        Key::Given(Secret::from_base64(PRIVATE).unwrap())
    );
    assert_eq!(interface.listen_port, Some(51820));
    assert_eq!(
        interface.addresses,
        nets(&[
            "10.64.0.2/32",
            "fc00:bbbb::2/128",
            "192.168.7.9/24",
            "10.9.9.9/32"
        ])
    );
    assert_eq!(interface.dns, addresses(&["10.64.0.1", "fd00::1"]));
    assert_eq!(interface.search, ["corp.example"]);
    assert_eq!(interface.mtu, Some(1380));
    assert_eq!(peers.len(), 2);
    assert_eq!(peers[0].public_key, PublicKey::from_base64(PUBLIC).unwrap());
    assert_eq!(
        peers[0].preshared_key,
        Some(Key::Given(Secret::from_base64(PRESHARED).unwrap()))
    );
    assert_eq!(
        peers[0].endpoint,
        Some(Endpoint {
            host: Host::Name("se1.vpn.example".into()),
            port: 51820
        })
    );
    assert_eq!(
        peers[0].allowed_ips,
        nets(&["0.0.0.0/0", "::/0", "10.0.0.0/8"])
    );
    assert_eq!(peers[0].keepalive, Some(25));
    assert_eq!(
        peers[1].endpoint.as_ref().unwrap().to_string(),
        "[2001:db8::1]:1"
    );
    assert_eq!(
        (peers[1].allowed_ips.len(), peers[1].keepalive),
        (0, Some(0))
    );
}

#[test]
fn hooks_and_privileges_are_reported_with_their_line_and_not_kept() {
    let parsed = parse_new(full().as_bytes()).unwrap();
    let ignored: Vec<_> = parsed
        .ignored
        .iter()
        .map(|ignored| (ignored.line, ignored.key))
        .collect();
    assert_eq!(
        ignored,
        [
            (10, "PostUp"),
            (11, "PreDown"),
            (12, "Table"),
            (13, "FwMark"),
            (14, "SaveConfig"),
            (29, "PostDown")
        ]
    );
    let text = to_text(&parsed.config, Keys::Included).to_lowercase();
    for word in [
        "postup",
        "iptables",
        "predown",
        "table",
        "fwmark",
        "saveconfig",
        "6d6f6c65",
    ] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn a_preshared_key_of_zeros_is_none_as_in_wg() {
    let zeros = format!("PresharedKey = {}=", "A".repeat(43));
    assert_eq!(config(&peer(&zeros)).peers[0].preshared_key, None);
    // Given is given, all the same.
    let text = peer(&format!("{zeros}\nPresharedKey = {PRESHARED}"));
    assert_eq!(
        parse_new(text.as_bytes()).unwrap_err()[0].code(),
        "duplicate-key"
    );
}

#[test]
fn the_least_configuration_is_a_private_key() {
    let config = config(&interface(""));
    assert_eq!(
        (
            config.interface.listen_port,
            config.interface.mtu,
            config.peers.len()
        ),
        (None, None, 0)
    );
}

#[test]
fn two_sections_of_one_peer_are_one_peer() {
    let text = peer(&format!(
        "AllowedIPs = 10.0.0.0/8\nPersistentKeepalive = 5\n[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = 10.0.0.0/8, 1.1.1.1\nEndpoint = 1.2.3.4:5\nPersistentKeepalive = 5"
    ));
    let peers = config(&text).peers;
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].allowed_ips, nets(&["10.0.0.0/8", "1.1.1.1/32"]));
    assert_eq!(
        (peers[0].endpoint.is_some(), peers[0].keepalive),
        (true, Some(5))
    );
    let text = peer(&format!(
        "PersistentKeepalive = 5\n[Peer]\nPublicKey = {PUBLIC}\nPersistentKeepalive = 6"
    ));
    assert_eq!(error(&text), (8, 23, "duplicate-key"));
}

#[test]
fn endpoints_are_read_as_wg_writes_them() {
    for (text, read) in [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::ffff:127.0.0.1]:65535", "127.0.0.1:65535"),
        ("[2001:DB8::1]:51820", "[2001:db8::1]:51820"),
        ("_x.VPN-1.Example.:7", "_x.vpn-1.example.:7"),
        ("gateway:7", "gateway:7"),
        ("1.example:7", "1.example:7"),
    ] {
        let config = config(&peer(&format!("Endpoint = {text}")));
        assert_eq!(config.peers[0].endpoint.as_ref().unwrap().to_string(), read);
    }
}

#[test]
fn warnings_say_what_will_surprise() {
    let with = |lines: &str, ranges: &str| {
        let text = interface(&format!(
            "{lines}\n[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = {ranges}"
        ));
        warnings(&config(&text))
            .iter()
            .map(|warning| warning.code())
            .collect::<Vec<_>>()
    };
    let both = "Address = 10.0.0.2, fd00::2\nDNS = 10.0.0.1";
    let none: &[&str] = &[];
    for (lines, ranges, codes) in [
        (both, "0.0.0.0/0, ::/0", none),
        (both, "0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1", none),
        (both, "0.0.0.0/0", &["no-ipv6"]),
        (both, "0.0.0.0/0, fd00::/8", &["not-full-tunnel"]),
        (both, "10.0.0.0/8, ::/0", &["not-full-tunnel"]),
        (
            both,
            "::/0",
            &["dns-outside-allowed-ips", "not-full-tunnel"],
        ),
        (
            both,
            "",
            &["dns-outside-allowed-ips", "not-full-tunnel", "no-ipv6"],
        ),
        (
            "Address = 10.0.0.2\nDNS = 10.0.0.1",
            "0.0.0.0/0, ::/0",
            &["no-ipv6"],
        ),
        ("Address = fd00::2\nDNS = fd00::1", "::/0", none),
        ("DNS = 10.0.0.1", "0.0.0.0/0, ::/0", none),
        (
            "Address = 10.0.0.2, fd00::2",
            "0.0.0.0/0, ::/0",
            &["no-dns"],
        ),
        (
            "Address = 10.0.0.2, fd00::2\nDNS = corp.example",
            "0.0.0.0/0, ::/0",
            &["no-dns"],
        ),
        (
            "Address = 10.0.0.2, fd00::2\nDNS = 127.0.0.1",
            "0.0.0.0/0, ::/0",
            &["dns-outside-allowed-ips"],
        ),
        (
            "Address = 10.0.0.2, fd00::2\nDNS = 10.0.0.1, 1.1.1.1, 8.8.8.8, 9.9.9.9",
            "10.0.0.0/8, ::/0",
            &["dns-outside-allowed-ips", "many-dns", "not-full-tunnel"],
        ),
    ] {
        assert_eq!(with(lines, ranges), codes, "{lines} {ranges}");
    }
    assert_eq!(warnings(&config(&interface(""))), [Warning::NoPeer]);
}
