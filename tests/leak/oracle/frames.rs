//! Frames that are sent by hand from the host's end of an uplink: almost like what may be there, and exactly like it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use lab::{Spec, Uplink, World, addr, forge, frame::Mac, init::ROLES, net, uplinks::Watch};

/// A message's first byte, what stands in its three reserved ones, and its length.
type Shape = (u8, u8, usize);

/// WireGuard's own: a handshake's two messages, a cookie, a keepalive, a packet.
const TRUE: [Shape; 5] = [(1, 0, 148), (2, 0, 92), (3, 0, 64), (4, 0, 32), (4, 0, 128)];

/// Each differs in one thing.
const ALMOST: [Shape; 14] = [
    (0, 0, 148),
    (5, 0, 64),
    (1, 1, 148),
    (4, 9, 128),
    (1, 0, 147),
    (1, 0, 149),
    (2, 0, 91),
    (2, 0, 148),
    (3, 0, 65),
    (4, 0, 16),
    (4, 0, 31),
    (4, 0, 33),
    (4, 0, 127),
    (4, 0, 40),
];

struct Ends {
    host: IpAddr,
    endpoint: IpAddr,
    host_mac: Mac,
    router_mac: Mac,
}

fn message(shape: Shape) -> Vec<u8> {
    let (kind, reserved, length) = shape;
    let mut bytes = vec![0x5a; length];
    bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
    bytes[3] = reserved;
    bytes
}

/// Sends one frame and judges it alone: whether it is a violation.
fn is_seen(world: &mut World, watch: &mut Watch, frame: &[u8]) -> Result<bool> {
    let digits: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = [ROLES, "role", "send", &net::wire(0), &digits];
    world.run_in("host", &line)?.ok()?;
    world.control()?;
    let report = world.report_since(watch, &[])?;
    ensure!(
        report.violation_count == 0 || report.unmarked == report.violation_count,
        "{report}"
    );
    Ok(report.violation_count > 0)
}

/// Everything by hand on one uplink.
pub fn judged(uplink: Uplink) -> Result<()> {
    let mut world = World::new(Spec {
        uplinks: vec![uplink],
        ..Spec::networks()
    })?;
    let mut watch = Watch::default();
    world.control()?;
    world.report_since(&mut watch, &[])?.assert_clean()?;
    let interface = net::host_interface(uplink.kind, 0);
    let endpoint = world.spec.endpoint(0);
    let ends = Ends {
        host: if endpoint.is_ipv4() {
            addr::host_v4(0).into()
        } else {
            addr::host_v6(0).into()
        },
        endpoint: endpoint.ip(),
        host_mac: world.mac("host", &interface)?,
        router_mac: world.mac("router", &net::wire(0))?,
    };
    let framed = |packet: &[u8]| forge::frame(ends.host_mac, ends.router_mac, packet);
    let port = addr::VPN_PORT;
    let datagram = |from: (IpAddr, u16), to: (IpAddr, u16), shape| {
        framed(&forge::udp(from, to, &message(shape)))
    };
    let (from, to) = ((ends.host, 40000), (ends.endpoint, port));
    let mut judge = |what: &str, frame: &[u8], wanted: bool| -> Result<()> {
        let seen = is_seen(&mut world, &mut watch, frame).with_context(|| what.to_owned())?;
        ensure!(seen == wanted, "{what}: seen: {seen}");
        Ok(())
    };
    for shape in TRUE {
        judge(&format!("{shape:?}"), &datagram(from, to, shape), false)?;
    }
    for shape in ALMOST {
        judge(&format!("{shape:?}"), &datagram(from, to, shape), true)?;
    }
    let good = (4, 0, 128);
    let stranger: IpAddr = match ends.host {
        IpAddr::V4(_) => Ipv4Addr::new(10, 66, 0, 2).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd66, 0, 0, 0, 0, 0, 0, 2).into(),
    };
    let elsewhere: IpAddr = if ends.endpoint.is_ipv4() {
        addr::vpn_v4(7).into()
    } else {
        addr::vpn_v6(7).into()
    };
    for (what, frame) in [
        (
            "another port",
            datagram(from, (ends.endpoint, port + 1), good),
        ),
        ("another address", datagram(from, (elsewhere, port), good)),
        (
            "from inside the tunnel",
            datagram((stranger, 40000), to, good),
        ),
        (
            "from an unknown interface",
            forge::frame(
                [2, 0, 0, 0, 0, 7],
                ends.router_mac,
                &forge::udp(from, to, &message(good)),
            ),
        ),
        (
            "TCP to the endpoint",
            framed(&forge::tcp(from, to, 2, &message(good))),
        ),
        (
            "another protocol to the endpoint",
            framed(&forge::ip(ends.host, ends.endpoint, 47, &message(good))),
        ),
        ("an unknown kind of frame", {
            let mut frame = framed(&forge::udp(from, to, &message(good)));
            frame[12..14].copy_from_slice(&[0x88, 0xcc]);
            frame
        }),
        (
            "ARP for an address inside",
            forge::arp(ends.host_mac, addr::client_v4(0), addr::router_v4(0)),
        ),
    ] {
        judge(what, &frame, true)?;
    }
    if uplink.family.v6() {
        let inside = addr::client_v6(0);
        let advertised = forge::advertisement(ends.host_mac, inside, addr::router_v6(0), inside);
        judge("neighbour inside", &framed(&advertised), true)?;
        let own = addr::host_v6(0);
        let advertised = forge::advertisement(ends.host_mac, own, addr::router_v6(0), own);
        judge("neighbour", &framed(&advertised), false)?;
    }
    Ok(())
}
