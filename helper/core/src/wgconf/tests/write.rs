// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written, and what an edited text keeps.

use super::*;

#[test]
fn unchanged_keys_are_for_replacing_only() {
    let text = format!(
        "[Interface]\nPrivateKey = (Unchanged)\n[Peer]\nPublicKey = {PUBLIC}\nPresharedKey = (unchanged)"
    );
    assert_eq!(
        errors(&text)
            .iter()
            .map(|e| (e.line, e.code()))
            .collect::<Vec<_>>(),
        [(2, "nothing-stored"), (5, "nothing-stored")]
    );
    let new = parse(text.as_bytes()).unwrap().config;
    assert_eq!(new.interface.private_key, Key::Unchanged);
    let stored = config(&full());
    let kept = keep_keys(new.clone(), &stored).unwrap();
    assert_eq!(kept.interface.private_key, stored.interface.private_key);
    assert_eq!(kept.peers[0].preshared_key, stored.peers[0].preshared_key);
    let without = config(&peer(""));
    let error = keep_keys(new, &without).unwrap_err();
    assert_eq!(
        error,
        NothingToKeep::PresharedKey(PublicKey::from_base64(PUBLIC).unwrap())
    );
    assert_eq!(
        (error.key(), error.code()),
        ("PresharedKey", "nothing-stored")
    );
    // A key that is given replaces; one that is left out goes.
    assert_eq!(keep_keys(without.clone(), &stored).unwrap(), without);
}

#[test]
fn the_editors_and_the_exported_text_hold_no_secret() {
    let config = config(&full());
    for keys in [Keys::Unchanged, Keys::Omitted] {
        let text = to_text(&config, keys);
        assert!(!text.contains(PRIVATE) && !text.contains(PRESHARED) && text.contains(PUBLIC));
    }
    insta::assert_snapshot!(&**to_text(&config, Keys::Unchanged), @"
    [Interface]
    PrivateKey = (unchanged)
    ListenPort = 51820
    Address = 10.64.0.2/32, fc00:bbbb::2/128, 192.168.7.9/24, 10.9.9.9/32
    DNS = 10.64.0.1, fd00::1
    DNS = corp.example
    MTU = 1380

    [Peer]
    PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    PresharedKey = (unchanged)
    Endpoint = se1.vpn.example:51820
    AllowedIPs = 0.0.0.0/0, ::/0, 10.0.0.0/8
    PersistentKeepalive = 25

    [Peer]
    PublicKey = TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=
    Endpoint = [2001:db8::1]:1
    PersistentKeepalive = off
    ");
    let edited = parse(to_text(&config, Keys::Unchanged).as_bytes())
        .unwrap()
        .config;
    assert_eq!(keep_keys(edited, &config).unwrap(), config);
    assert_eq!(
        errors(&to_text(&config, Keys::Omitted))[0].code(),
        "missing-private-key"
    );
}
