// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::plan::{LAST_METRIC, SYSCTLS};

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn expected() -> Expected {
    Expected {
        link: "lw-0123456789ab".into(),
        mtu: 1420,
        addresses: vec![net("10.0.0.2/24"), net("fd00::2/128")],
        routes: vec![net("0.0.0.0/0"), net("::/0")],
    }
}

fn link(index: u32, name: &str, kind: &str, up: bool) -> Link {
    Link {
        index,
        name: name.into(),
        kind: kind.into(),
        up,
        loopback: name == "lo",
        mtu: 1420,
    }
}

fn route(destination: &str, kind: RouteKind, link: Option<u32>) -> Route {
    let metric = if kind == RouteKind::Unreachable {
        LAST_METRIC
    } else {
        0
    };
    let destination = net(destination);
    Route {
        table: 254,
        destination,
        kind,
        link,
        gateway: None,
        metric,
        by_kernel: false,
    }
}

fn sealed() -> Observed {
    let by_kernel = |destination, link| Route {
        by_kernel: true,
        ..route(destination, RouteKind::Unicast, Some(link))
    };
    Observed {
        links: vec![
            link(1, "lo", "", true),
            link(2, "lw-0123456789ab", "tun", true),
        ],
        addresses: [
            (1, "127.0.0.1/8"),
            (1, "::1/128"),
            (2, "10.0.0.2/24"),
            (2, "fd00::2/128"),
        ]
        .map(|(link, text)| Address {
            link,
            net: net(text),
        })
        .into(),
        routes: vec![
            by_kernel("10.0.0.0/24", 2),
            by_kernel("fd00::2/128", 2),
            by_kernel("::1/128", 1),
            route("0.0.0.0/0", RouteKind::Unicast, Some(2)),
            route("::/0", RouteKind::Unicast, Some(2)),
            route("0.0.0.0/0", RouteKind::Unreachable, None),
            // The kernel shows `lo` as the link of an unreachable IPv6 route.
            route("::/0", RouteKind::Unreachable, Some(1)),
        ],
        rules: Vec::new(),
        sysctls: SYSCTLS
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

fn violations(change: impl FnOnce(&mut Observed)) -> Vec<String> {
    let mut observed = sealed();
    change(&mut observed);
    check(&observed, &expected()).map_or_else(
        |found| found.into_iter().map(|violation| violation.found).collect(),
        |()| Vec::new(),
    )
}

#[test]
fn what_the_plan_puts_there_is_sealed() {
    assert_eq!(violations(|_| ()), Vec::<String>::new());
}

#[test]
fn fallback_tunnels_are_let_be_while_down_and_bare() {
    assert!(violations(|seen| seen.links.push(link(3, "sit0", "sit", false))).is_empty());
    assert_eq!(
        violations(|seen| seen.links.push(link(3, "sit0", "sit", true))),
        ["sit0 is up"]
    );
    let bound = violations(|seen| {
        seen.links.push(link(3, "tunl0", "ipip", false));
        seen.addresses.push(Address {
            link: 3,
            net: net("192.0.2.7/32"),
        });
    });
    assert_eq!(bound, ["another address: 192.0.2.7/32"]);
    let named_alike = violations(|seen| seen.links.push(link(3, "sit0", "veth", false)));
    assert_eq!(named_alike, ["another link: sit0"]);
}

#[test]
fn any_other_link_breaks_the_seal() {
    for kind in ["veth", "bridge", "macvlan", "dummy", "tun", "wireguard", ""] {
        let found = violations(|seen| seen.links.push(link(3, "eth0", kind, false)));
        assert_eq!(found, ["another link: eth0"], "{kind}");
    }
    assert!(!violations(|seen| seen.links[1].kind = "veth".into()).is_empty());
    assert_eq!(
        violations(|seen| seen.links[1].up = false),
        ["lw-0123456789ab is down"]
    );
    assert!(!violations(|seen| seen.links[1].mtu = 1500).is_empty());
    assert!(!violations(|seen| seen.links.clear()).is_empty());
}

#[test]
fn another_address_or_a_missing_one_breaks_the_seal() {
    let foreign = Address {
        link: 2,
        net: net("10.9.9.9/32"),
    };
    assert_eq!(
        violations(|seen| seen.addresses.push(foreign)),
        ["another address: 10.9.9.9/32"]
    );
    let on_lo = Address {
        link: 1,
        net: net("192.0.2.1/32"),
    };
    assert_eq!(
        violations(|seen| seen.addresses.push(on_lo)),
        ["another address: 192.0.2.1/32"]
    );
    assert_eq!(
        violations(|seen| {
            seen.addresses.remove(2);
        }),
        ["10.0.0.2/24 is missing"]
    );
}

#[test]
fn another_route_or_a_missing_one_breaks_the_seal() {
    use RouteKind::{Other, Unicast, Unreachable};
    let extra = [
        route("192.0.2.0/24", Unicast, Some(2)),
        route("0.0.0.0/1", Unicast, Some(1)),
        route("0.0.0.0/0", Unicast, Some(7)),
        route("0.0.0.0/0", Unicast, None),
        Route {
            gateway: Some([10, 0, 0, 1].into()),
            ..route("0.0.0.0/0", Unicast, Some(2))
        },
        Route {
            table: 100,
            ..route("0.0.0.0/0", Unicast, Some(2))
        },
        Route {
            metric: 5,
            ..route("0.0.0.0/0", Unreachable, None)
        },
        route("192.0.2.0/24", Unreachable, None),
        route("192.0.2.0/24", Other, None),
        route("ff00::/8", RouteKind::Kernel, Some(9)),
    ];
    for route in extra {
        let text = format!("{route:?}");
        assert_eq!(
            violations(|seen| seen.routes.push(route)).len(),
            1,
            "{text}"
        );
    }
    for index in 3..7 {
        assert_eq!(
            violations(|seen| {
                seen.routes.remove(index);
            })
            .len(),
            1,
            "{index}"
        );
    }
    assert_eq!(
        violations(|seen| seen.rules.push("from all lookup 7".into())).len(),
        1
    );
}

#[test]
fn every_sysctl_counts() {
    for index in 0..SYSCTLS.len() {
        assert_eq!(
            violations(|seen| seen.sysctls[index].1 = "7".into()).len(),
            1
        );
        assert_eq!(violations(|seen| drop(seen.sysctls.remove(index))).len(), 1);
    }
}

#[test]
fn a_kernel_without_ipv6_needs_none_of_it() {
    let mut observed = sealed();
    observed
        .sysctls
        .retain(|(name, _)| !name.starts_with("ipv6/"));
    observed
        .addresses
        .retain(|address| address.net.addr().is_ipv4());
    observed
        .routes
        .retain(|route| route.destination.addr().is_ipv4());
    let mut expected = expected();
    expected.addresses.remove(1);
    expected.routes.remove(1);
    assert_eq!(check(&observed, &expected), Ok(()));
}

#[test]
fn ipv6_that_came_after_the_sysctls_were_set_is_not_as_prepared() {
    let found = violations(|seen| seen.sysctls.retain(|(name, _)| !name.starts_with("ipv6/")));
    let ours = SYSCTLS.iter().filter(|(name, _)| name.starts_with("ipv6/"));
    assert_eq!(found.len(), ours.count());
    assert!(found.iter().all(|found| found.ends_with(" is missing")));
}

#[test]
fn a_names_odd_characters_are_escaped() {
    let found = violations(|seen| seen.links.push(link(3, "a\u{1b}[31m", "veth", false)));
    assert_eq!(found, ["another link: a\\u{1b}[31m"]);
}
