// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

fn task() -> Task {
    Task {
        link: "lw-1".into(),
        addresses: vec![
            "10.64.0.2/32".parse().unwrap(),
            "fd00::2/128".parse().unwrap(),
        ],
        routes: vec!["0.0.0.0/0".parse().unwrap(), "fd00::/8".parse().unwrap()],
        dns: vec!["10.64.0.1".parse().unwrap()],
        host: vec![
            "192.168.1.1/24".parse().unwrap(),
            "2001:db8:5::7/64".parse().unwrap(),
        ],
        doors: Vec::new(),
        drop: false,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn from(to: &str, from: &str) -> (IpAddr, Sent) {
    (ip(to), Sent::From(ip(from)))
}

fn refused(to: &str) -> (IpAddr, Sent) {
    (ip(to), Sent::Refused("no way".into()))
}

#[test]
fn a_link_of_the_hosts_by_any_way_fails() {
    let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
    let ours = || names(&["lo", "lw-1", "sit0"]);
    assert!(task().links(&[("a", ours()), ("b", ours())]).passed);
    for wrong in [
        names(&["lo", "lw-1", "eth0"]),
        names(&["lo"]),
        Err("cannot".into()),
    ] {
        let line = task().links(&[("a", ours()), ("b", wrong)]);
        assert!(!line.passed && line.found.starts_with("b: "), "{line:?}");
    }
    assert!(!task().links(&[]).passed);
}

#[test]
fn an_address_of_the_hosts_is_found_in_text_and_on_links() {
    let task = task();
    assert!(
        task.host_addresses("10.64.0.2 192.168.1.11 192.168.1.0/24", &[ip("10.64.0.2")])
            .passed
    );
    assert!(!task.host_addresses("|-- 192.168.1.1\n", &[]).passed);
    assert!(
        !task
            .host_addresses("20010db8000500000000000000000007 02 40 00 80 eth0", &[])
            .passed
    );
    assert!(!task.host_addresses("", &[ip("192.168.1.1")]).passed);
}

#[test]
fn the_lan_is_reached_by_the_tunnel_or_not_at_all() {
    let task = task();
    assert_eq!(
        task.neighbours(),
        [ip("192.168.1.2"), ip("2001:db8:5::1"), ip("2001:db8:5::7")]
    );
    assert!(
        task.lan(&[from("192.168.1.2", "10.64.0.2"), refused("2001:db8:5::1")])
            .passed
    );
    assert!(!task.lan(&[from("192.168.1.2", "192.168.1.77")]).passed);
    let met = [("192.168.1.1:9".parse().unwrap(), "no answer".to_owned())];
    assert!(task.doors(&met, &[]).passed);
    // The exit's address, as the host sees it.
    assert!(
        task.doors(&met, &["198.51.100.9:5".parse().unwrap()])
            .passed
    );
    for leak in ["192.168.1.1:5", "10.64.0.2:5", "10.9.9.9:5", "[fe80::1]:5"] {
        assert!(!task.doors(&met, &[leak.parse().unwrap()]).passed, "{leak}");
    }
}

#[test]
fn names_are_asked_of_the_tunnels_servers_by_the_tunnel() {
    let task = task();
    let (text, switch) = ("nameserver 10.64.0.1\n", resolv::nsswitch(""));
    let by_tunnel = [from("10.64.0.1", "10.64.0.2")];
    assert!(task.names(text, &switch, &by_tunnel).passed);
    assert!(task.names(text, &switch, &[refused("10.64.0.1")]).passed);
    assert!(
        !task
            .names(text, &switch, &[from("10.64.0.1", "192.168.1.1")])
            .passed
    );
    assert!(
        !task
            .names("nameserver 127.0.0.53\n", &switch, &by_tunnel)
            .passed
    );
    assert!(
        !task
            .names(text, "hosts: files resolve\n", &by_tunnel)
            .passed
    );
    let bus = [("a".to_owned(), Err("no".to_owned()))];
    assert!(task.resolvers(&[], &bus).passed);
    assert!(!task.resolvers(&["/run/nscd/socket".into()], &bus).passed);
    assert!(!task.resolvers(&[], &[("a".to_owned(), Ok(()))]).passed);
}

#[test]
fn the_drop_test_needs_a_way_before_and_none_after() {
    let task = task();
    assert_eq!(task.targets(), [ip("192.0.2.1"), ip("fd00::1")]);
    let before = [from("192.0.2.1", "10.64.0.2"), from("fd00::1", "fd00::2")];
    let after = [refused("192.0.2.1"), refused("fd00::1")];
    assert!(task.dropped(&before, &after).passed);
    assert!(!task.dropped(&before, &before).passed);
    assert!(
        !task
            .dropped(&before, &[refused("192.0.2.1"), from("fd00::1", "fd00::9")])
            .passed
    );
    assert!(!task.dropped(&after, &after).passed);
    assert!(!task.dropped(&[], &[]).passed);
    assert!(!task.dropped(&before, &[]).passed);
}

#[test]
fn a_family_without_an_address_of_the_tunnels_goes_by_one_of_the_namespaces_own() {
    let mut task = task();
    let all = [
        from("192.0.2.1", "10.64.0.2"),
        from("2001:db8::1", "::1"),
        from("2001:db8::2", "fe80::1"),
    ];
    assert!(!task.lan(&all).passed);
    task.addresses.retain(|net| net.addr().is_ipv4());
    assert!(task.lan(&all).passed);
    assert!(
        task.dropped(&all, &[refused("192.0.2.1"), refused("::"), refused("::")])
            .passed
    );
    for wrong in ["2001:db8:5::7", "fd00::2"] {
        assert!(!task.lan(&[from("2001:db8::1", wrong)]).passed);
    }
}
