// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is refused, where, and how it is said.

use super::*;

#[test]
fn values_of_the_interface_are_refused_where_they_are() {
    for (line, column, code) in [
        ("Address = 10.0.0.2/33", 11, "not-an-address"),
        ("Address = 10.0.0.2/24, 10.0.0.300", 24, "not-an-address"),
        ("Address = 010.0.0.2/24", 11, "not-an-address"),
        ("Address = 10.0.0.2/", 11, "not-an-address"),
        ("Address = 10.0.0.2/+8", 11, "not-an-address"),
        ("Address = 10.0.0.2/255.0.0.0", 11, "not-an-address"),
        ("Address = fe80::1%eth0/64", 11, "not-an-address"),
        ("Address = 0.0.0.0/0", 11, "unusable-address"),
        ("Address = 224.0.0.1", 11, "unusable-address"),
        ("Address = 255.255.255.255", 11, "unusable-address"),
        ("Address = 127.0.0.1/8", 11, "unusable-address"),
        ("Address = ::1", 11, "unusable-address"),
        ("Address = ff02::1/128", 11, "unusable-address"),
        ("Address = ::ffff:10.0.0.1/128", 11, "unusable-address"),
        ("DNS = 10.0.0", 7, "not-a-dns-server"),
        ("DNS = 1.1.1.1:53", 7, "not-a-dns-server"),
        ("DNS = ~example", 7, "not-a-dns-server"),
        ("DNS = 1.1.1.1, -x", 16, "not-a-dns-server"),
        ("DNS = 0.0.0.0", 7, "unusable-dns-server"),
        ("DNS = ::ffff:255.255.255.255", 7, "unusable-dns-server"),
        ("DNS = ff02::fb", 7, "unusable-dns-server"),
        ("MTU = 575", 7, "mtu-out-of-range"),
        ("MTU = 65536", 7, "mtu-out-of-range"),
        ("MTU = 1e3", 7, "not-a-number"),
        ("MTU = +1400", 7, "not-a-number"),
        ("MTU =", 1, "empty-value"),
        ("ListenPort = 53", 14, "listen-port-out-of-range"),
        ("ListenPort = 1023", 14, "listen-port-out-of-range"),
        ("ListenPort = 70000", 14, "listen-port-out-of-range"),
        ("ListenPort = -1", 14, "not-a-number"),
        ("  Foo = 1", 3, "unknown-key"),
        ("PublicKey = x", 1, "wrong-section"),
        ("Jc = 4", 1, "amneziawg"),
        ("h4=1", 1, "amneziawg"),
        ("hello", 1, "not-a-setting"),
        ("[Peer", 1, "not-a-setting"),
        ("MTU = 1400\0", 11, "control-character"),
        ("# a\u{1b}b", 4, "control-character"),
        ("PostUp = a\rPostDown = b", 11, "control-character"),
        ("[WireGuard]\nMTU = x", 1, "unknown-section"),
    ] {
        assert_eq!(error(&interface(line)), (3, column, code), "{line}");
    }
}

#[test]
fn values_of_a_peer_are_refused_where_they_are() {
    for (line, column, code) in [
        ("AllowedIPs = 10.0.0.0/33", 14, "not-an-address-range"),
        (
            "AllowedIPs = 0.0.0.0/0, x, ::/129",
            25,
            "not-an-address-range",
        ),
        (
            "AllowedIPs = 10.0.0.0/8 11.0.0.0/8",
            14,
            "not-an-address-range",
        ),
        ("Endpoint = vpn.example", 12, "missing-port"),
        ("Endpoint = vpn.example:", 12, "missing-port"),
        ("Endpoint = [2001:db8::1]", 12, "missing-port"),
        ("Endpoint = vpn.example:0", 12, "endpoint-port-out-of-range"),
        (
            "Endpoint = vpn.example:65536",
            12,
            "endpoint-port-out-of-range",
        ),
        (
            "Endpoint = vpn.example:https",
            12,
            "endpoint-port-out-of-range",
        ),
        ("Endpoint = 2001:db8::1:51820", 12, "ipv6-needs-brackets"),
        ("Endpoint = [2001:db8::g]:1", 12, "not-an-endpoint"),
        ("Endpoint = [1.2.3.4]:1", 12, "not-an-endpoint"),
        ("Endpoint = [2001:db8::1:1", 12, "not-an-endpoint"),
        ("Endpoint = [2001:db8::1]x:1", 12, "not-an-endpoint"),
        ("Endpoint = 1.2.3.400:1", 12, "not-an-endpoint"),
        ("Endpoint = 1.2.3:1", 12, "not-an-endpoint"),
        ("Endpoint = 0x7f000001:1", 12, "not-an-endpoint"),
        ("Endpoint = bücher.example:1", 12, "not-an-endpoint"),
        ("Endpoint = a b:1", 12, "not-an-endpoint"),
        ("Endpoint = :1", 12, "not-an-endpoint"),
        ("Endpoint = a..b:1", 12, "not-an-endpoint"),
        ("Endpoint = 0.0.0.0:1", 12, "unusable-endpoint"),
        ("Endpoint = 224.0.0.1:1", 12, "unusable-endpoint"),
        ("Endpoint = 255.255.255.255:1", 12, "unusable-endpoint"),
        ("Endpoint = [::]:1", 12, "unusable-endpoint"),
        ("Endpoint = [::ffff:224.0.0.1]:1", 12, "unusable-endpoint"),
        ("Endpoint = [ff02::1]:1", 12, "unusable-endpoint"),
        ("Endpoint = [fe80::1]:1", 12, "link-local-endpoint"),
        ("Endpoint = [fe80::1%eth0]:1", 12, "link-local-endpoint"),
        ("PersistentKeepalive = 65536", 23, "keepalive-out-of-range"),
        ("PersistentKeepalive = yes", 23, "not-a-number"),
        ("PresharedKey = abc", 16, "key-must-be-44-characters"),
        ("PresharedKey = (unchanged)", 16, "nothing-stored"),
        ("PresharedKey =", 1, "empty-value"),
        ("PublicKey = x", 1, "duplicate-key"),
        ("ListenPort = 1", 1, "wrong-section"),
        ("PostUp = x", 1, "wrong-section"),
        ("AdvancedSecurity = on", 1, "amneziawg"),
    ] {
        let text = peer(line);
        let first = errors(&text).remove(0);
        assert_eq!(
            (first.line, first.column, first.code()),
            (5, column, code),
            "{line}"
        );
    }
    let long = format!("Endpoint = {}.example:1", "a".repeat(64));
    assert_eq!(error(&peer(&long)), (5, 12, "not-an-endpoint"));
    let long = format!("Endpoint = {}example:1", "abcdefg.".repeat(31));
    assert_eq!(error(&peer(&long)), (5, 12, "not-an-endpoint"));
}

#[test]
fn keys_must_be_32_bytes_in_base64() {
    let padded = |bytes: usize| {
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vec![7; bytes])
    };
    for (key, code) in [
        (padded(31), "not-base64"),
        (padded(33), "not-base64"),
        (padded(32).replace('=', "A"), "not-base64"),
        (
            padded(32).trim_end_matches('=').to_owned(),
            "key-must-be-44-characters",
        ),
        (padded(16), "key-must-be-44-characters"),
        ("0".repeat(64), "key-must-be-44-characters"),
        ("é".repeat(44), "not-base64"),
        (format!("{}=", "A".repeat(43)), "key-is-zero"),
    ] {
        assert_eq!(
            error(&format!("[Interface]\nPrivateKey = {key}")),
            (2, 14, code),
            "{key}"
        );
        assert_eq!(
            error(&interface(&format!("[Peer]\nPublicKey = {key}"))),
            (4, 13, code),
            "{key}"
        );
    }
}

#[test]
fn what_is_missing_is_told_at_its_section() {
    assert_eq!(error(""), (1, 1, "no-interface"));
    assert_eq!(error("# only a comment"), (1, 1, "no-interface"));
    assert_eq!(
        error("\n [Interface]\nMTU = 1400\n[Interface]"),
        (2, 2, "missing-private-key")
    );
    assert_eq!(
        error(&interface("[Peer]\nAllowedIPs = 10.0.0.0/8")),
        (3, 1, "missing-public-key")
    );
    let codes: Vec<_> = errors("PrivateKey = x\nMTU = 5")
        .iter()
        .map(|e| (e.line, e.code()))
        .collect();
    assert_eq!(codes, [(1, "outside-section"), (1, "no-interface")]);
}

#[test]
fn single_settings_are_given_once_lists_again_and_again() {
    for line in ["PrivateKey = x", "MTU = 1400", "ListenPort = 2000"] {
        let text = interface(&format!("MTU = 1401\nListenPort = 0\n[Interface]\n{line}"));
        assert_eq!(error(&text), (6, 1, "duplicate-key"), "{line}");
    }
    for line in [
        &format!("PresharedKey = {PRESHARED}"),
        "Endpoint = a:1",
        "PersistentKeepalive = 1",
    ] {
        assert_eq!(
            error(&peer(&format!("{line}\n{line}"))),
            (6, 1, "duplicate-key"),
            "{line}"
        );
    }
}

#[test]
fn ipv6_needs_an_mtu_of_1280() {
    assert_eq!(
        config(&interface("MTU = 576\nAddress = 10.0.0.1"))
            .interface
            .mtu,
        Some(576)
    );
    assert_eq!(
        config(&interface("MTU = 1280\nAddress = fd00::1"))
            .interface
            .mtu,
        Some(1280)
    );
    for line in [
        "Address = fd00::1",
        "DNS = fd00::1",
        &format!("[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = ::/0"),
    ] {
        assert_eq!(
            error(&interface(&format!("MTU = 1279\n{line}"))),
            (3, 7, "mtu-too-small-for-ipv6"),
            "{line}"
        );
    }
}

#[test]
fn limits_hold() {
    let lines = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    let range = |n: usize| format!("AllowedIPs = 10.0.{}.{}\n", n / 256, n % 256);
    assert_eq!(
        config(&peer(&lines(256, range))).peers[0].allowed_ips.len(),
        256
    );
    assert_eq!(
        error(&peer(&lines(257, range))),
        (261, 14, "too-many-allowed-ips")
    );
    let dns = |n: usize| format!("DNS = 10.0.0.{n}, d{n}\n");
    assert_eq!(config(&interface(&lines(8, dns))).interface.search.len(), 8);
    assert_eq!(error(&interface(&lines(9, dns))), (11, 7, "too-many-dns"));
    let address = |n: usize| format!("Address = 10.0.0.{}\n", n + 1);
    assert_eq!(
        config(&interface(&lines(64, address)))
            .interface
            .addresses
            .len(),
        64
    );
    assert_eq!(
        error(&interface(&lines(65, address))),
        (67, 11, "too-many-addresses")
    );
    let peers = |n: usize| format!("[Peer]\nPublicKey = {}\n", PublicKey([n as u8 + 1; 32]));
    assert_eq!(config(&interface(&lines(64, peers))).peers.len(), 64);
    assert_eq!(
        error(&interface(&lines(66, peers))),
        (131, 1, "too-many-peers")
    );
    let comment = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    assert!(parse_new(interface(&comment(16 * 1024)).as_bytes()).is_ok());
    assert_eq!(
        error(&interface(&comment(16 * 1024 + 1))),
        (3, 1, "line-too-long")
    );
    let filler = "#\n".repeat(40_000);
    let text = interface(&filler);
    assert!(parse_new(&text.as_bytes()[..MAX_BYTES]).is_ok());
    assert_eq!(error(&text[..=MAX_BYTES]), (1, 1, "too-large"));
}

#[test]
fn a_text_whose_canonical_form_is_too_large_is_refused() {
    // Four bytes become twenty-one in the store.
    let peers: String = (1..=32_u8)
        .map(|n| {
            let ranges: Vec<_> = (0..250).map(|i| format!("{i:x}::")).collect();
            format!(
                "[Peer]\nPublicKey={}\nAllowedIPs={}\n",
                PublicKey([n; 32]),
                ranges.join(",")
            )
        })
        .collect();
    let text = interface(&peers);
    assert!(text.len() < MAX_BYTES);
    assert_eq!(error(&text), (1, 1, "too-large"));
}

#[test]
fn text_that_is_not_utf_8_says_where() {
    let mut text = b"[Interface]\n# \xc3\xa9 ".to_vec();
    text.push(0xff);
    let found = parse_new(&text).unwrap_err();
    assert_eq!(
        (found[0].line, found[0].column, found[0].code()),
        (2, 5, "not-utf-8")
    );
    // What PowerShell's ">" writes.
    let utf16: Vec<u8> = "\u{feff}[Interface]"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(parse_new(&utf16).unwrap_err()[0].code(), "not-utf-8");
}

#[test]
fn all_errors_are_told_in_the_order_of_the_text_up_to_a_limit() {
    let text = format!(
        "[Interface]\nMTU = 1\nAddress = x, 10.0.0.1, y\n[Peer]\nEndpoint = z\n[Peer]\nPublicKey = {PUBLIC}\nFoo = 1\n"
    );
    let found: Vec<_> = errors(&text)
        .iter()
        .map(|e| (e.line, e.column, e.code()))
        .collect();
    assert_eq!(
        found,
        [
            (1, 1, "missing-private-key"),
            (2, 7, "mtu-out-of-range"),
            (3, 11, "not-an-address"),
            (3, 24, "not-an-address"),
            (4, 1, "missing-public-key"),
            (5, 12, "missing-port"),
            (8, 1, "unknown-key"),
        ]
    );
    let many = format!("[Interface]\n{}PrivateKey = {PRIVATE}\n", "x\n".repeat(100));
    let found = errors(&many);
    assert_eq!(found.len(), MAX_ERRORS);
    assert!(
        found.iter().all(|e| e.code() == "not-a-setting"),
        "nothing after the stop is called missing"
    );
}

#[test]
fn errors_are_sentences() {
    let said = |text: &str| {
        errors(text)
            .iter()
            .map(|e| format!("{e}\n"))
            .collect::<String>()
    };
    insta::assert_snapshot!(said(&peer("AllowedIPs = 10.0.0.0/33")), @"Line 5: “AllowedIPs” is not a valid address range: “10.0.0.0/33”.");
    insta::assert_snapshot!(said("x = 1\n[Interface]\nPrivateKey = secret\nJc = 3\nFoo = secret\nlonely\n[Wire]\n[Interface]\nMTU = 9\nMTU=\n[Peer]\nEndpoint = 2001:db8::1:5\n"), @"
    Line 1: there is a setting before the first section.
    Line 3: “PrivateKey” must be 44 characters of base64.
    Line 4: “Jc” is a setting of AmneziaWG, which is not supported.
    Line 5: “Foo” is not a known setting.
    Line 6: this is neither a section nor “Key = value”.
    Line 7: the only sections are [Interface] and [Peer]: “Wire”.
    Line 9: “MTU” must be 576 to 65535: “9”.
    Line 10: “MTU” is given twice.
    Line 11: this [Peer] section has no “PublicKey”.
    Line 12: “Endpoint” needs brackets around its IPv6 address: “2001:db8::1:5”.
    ");
}

#[test]
fn no_error_holds_a_key_wherever_it_was_put() {
    let tail = &PRIVATE[20..];
    for text in [
        format!("[Interface]\nPrivateKey = {PRIVATE}x"),
        format!("[Interface]\nPrivatKey = {PRIVATE}"),
        format!("[Interface]\n{PRIVATE}"),
        format!("[Interface]\nPrivateKey: {PRIVATE}"),
        format!("[Interface]\nPrivateKey =\n{tail}"),
        format!("[Interface]\nPrivateKey = {}\n{tail}", &PRIVATE[..20]),
        format!("[{PRIVATE}]"),
        format!("[Interface]\n[Interface] PrivateKey = {PRIVATE}"),
        format!("PrivateKey = {PRIVATE}"),
        interface(&format!("PrivateKey = {PRIVATE}")),
        interface(&format!("Address = {PRIVATE}")),
        interface(&format!("DNS = {PRIVATE}!")),
        interface(&format!("MTU = {PRIVATE}")),
        peer(&format!("PublicKey = {PRIVATE}")),
        peer(&format!("PresharedKey = {PRIVATE} {PRIVATE}")),
        peer(&format!("Endpoint = {PRIVATE}:51820")),
        peer(&format!("AllowedIPs = 10.0.0.0/8, {PRIVATE}")),
        peer(&format!("Reserved = {tail}")),
    ] {
        for error in errors(&text) {
            let told = format!("{error} {error:?}");
            for part in PRIVATE.as_bytes().windows(8) {
                assert!(!told.contains(std::str::from_utf8(part).unwrap()), "{told}");
            }
        }
    }
}
