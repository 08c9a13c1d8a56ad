// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for every text and every configuration.

use proptest::prelude::*;

use super::*;

fn any_secret() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => any::<[u8; 31]>().prop_map(|tail| { let mut key = [1; 32]; key[1..].copy_from_slice(&tail); Key::Given(Secret::new(key)) }),
        1 => Just(Key::Unchanged),
    ]
}

fn any_net() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0_u8..=32)
        .prop_map(|(bits, prefix)| IpNet::new(IpAddr::V4(bits.into()), prefix).unwrap());
    let v6 = (any::<u128>(), 0_u8..=128)
        .prop_map(|(bits, prefix)| IpNet::new(IpAddr::V6(bits.into()), prefix).unwrap());
    prop_oneof![v4, v6]
}

fn unique<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut out = vec![];
    for item in items {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

prop_compose! {
    fn any_peer()(
        preshared_key in proptest::option::of(any_secret()),
        name in "[a-z0-9_]{1,20}(\\.[a-z]{1,9}){0,3}\\.[a-z]{2,5}",
        address in proptest::option::of(any_net()),
        port in 1_u16..,
        endpoint in any::<bool>(),
        ranges in prop_oneof![3 => proptest::collection::vec(any_net(), 0..6), 1 => proptest::collection::vec(any_net(), 256)],
        keepalive in proptest::option::of(any::<u16>()),
        public_key in any::<[u8; 32]>(),
    ) -> Peer {
        let usable = address.and_then(|net| value::endpoint(&Endpoint { host: Host::Address(net.addr()), port }.to_string()).ok());
        Peer {
            public_key: PublicKey(public_key),
            preshared_key,
            endpoint: endpoint.then(|| usable.unwrap_or(Endpoint { host: Host::Name(name), port })),
            allowed_ips: unique(ranges.iter().map(IpNet::trunc).collect()),
            keepalive,
        }
    }
}

prop_compose! {
    fn any_config()(
        private_key in any_secret(),
        listen_port in proptest::option::of(1024_u16..),
        addresses in proptest::collection::vec(any_net(), 0..5),
        dns in proptest::collection::vec(any_net(), 0..=8),
        search in proptest::collection::vec("[a-z][a-z0-9-]{0,20}[a-z](\\.[a-z]{2,5}){0,2}", 0..=8),
        mtu in proptest::option::of(1280_u16..),
        peers in proptest::collection::vec(any_peer(), 0..4),
    ) -> Config {
        let addresses = addresses.into_iter().filter(|net| value::address(&net.to_string()).is_ok()).collect();
        let dns = dns.iter().filter_map(|net| match value::dns(&net.addr().to_string()) {
            Ok(value::Dns::Server(server)) => Some(server),
            _ => None,
        });
        let interface = Interface { private_key, listen_port, addresses: unique(addresses), dns: unique(dns.collect()), search: unique(search), mtu };
        Config { interface, peers }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(config in any_config()) {
        let text = to_text(&config, Keys::Included);
        prop_assert_eq!(text.len(), text.capacity());
        let parsed = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&parsed.config, &config);
        prop_assert_eq!(parsed.ignored, vec![]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse(&bytes);
    }

    /// Made of pieces that get far into the parser.
    #[test]
    fn any_pieces_of_a_configuration_are_read_or_refused(pieces in proptest::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        match parse(text.as_bytes()) {
            Ok(parsed) => {
                let again = parse(to_text(&parsed.config, Keys::Included).as_bytes());
                prop_assert_eq!(again.map(|parsed| parsed.config), Ok(parsed.config));
            }
            Err(errors) => {
                prop_assert!((1..=MAX_ERRORS).contains(&errors.len()));
                prop_assert!(errors.is_sorted_by_key(|e| (e.line, e.column)));
                let lines: Vec<_> = text.split('\n').collect();
                for error in errors {
                    let line = lines[error.line as usize - 1];
                    prop_assert!(error.column as usize <= line.chars().count() + 1);
                    prop_assert!(!error.to_string().contains(char::is_control));
                }
            }
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[Interface]\n",
        "[Peer]\n",
        "\n",
        "\r\n",
        " ",
        ",",
        "#",
        "=",
        "[",
        "]",
        "PrivateKey=",
        "PublicKey = ",
        "PresharedKey=",
        "AllowedIPs=",
        "Address=",
        "DNS=",
        "MTU=",
        "ListenPort=",
        "Endpoint=",
        "PersistentKeepalive=",
        "PostUp=",
        "Jc=",
        "10.0.0.1",
        "/24",
        "fd00::1",
        "[fd00::1]:5",
        "a.b:5",
        "1280",
        "off",
        "(unchanged)",
        PRIVATE,
        PUBLIC,
        PUBLIC_2,
        "\0",
        "\u{feff}",
        "é",
    ];
    prop_oneof![
        9 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => ".{0,5}",
        3 => Just(format!("[Interface]\nPrivateKey={PRIVATE}\n")),
        3 => Just(format!("[Peer]\nPublicKey={PUBLIC}\n")),
    ]
}
