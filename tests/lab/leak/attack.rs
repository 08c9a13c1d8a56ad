//! S25: somebody on the host's own network asks for what is inside the tunnel, and pretends to be a router. Nobody may answer.

use anyhow::{Result, ensure};

use super::{aim::Place, scene::Scene};
use crate::{
    Marker, addr, forge,
    init::ROLES,
    net,
    uplinks::{ATTACKER_V4, ATTACKER_V6, ATTACKING_ROUTER},
};

/// A port of the tunnel's, which a guess could meet.
const PORT: u16 = 40404;

/// Sends all frames from the router's end of the first uplink; how many.
pub(super) fn send(scene: &Scene, place: &Place, marker: &Marker) -> Result<usize> {
    let uplink = scene.world.spec.uplinks[0];
    let wire = net::wire(0);
    let from = scene.world.mac("router", &wire)?;
    let host = scene.world.mac("host", &place.interface)?;
    let mut frames = Vec::new();
    if uplink.family.v4() {
        let inside = addr::client_v4(0);
        let (us, them) = ((ATTACKER_V4.into(), 4242), (inside.into(), PORT));
        frames.push(forge::arp(from, ATTACKER_V4, inside));
        for packet in [
            forge::tcp(us, them, 0x02, marker.bytes()),
            forge::tcp(us, them, 0x12, marker.bytes()),
            forge::udp(us, them, marker.bytes()),
            forge::ip(us.0, them.0, 1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
        ] {
            frames.push(forge::frame(from, host, &packet));
        }
    }
    if uplink.family.v6() {
        let inside = addr::client_v6(0);
        let (us, them) = ((ATTACKER_V6.into(), 4242), (inside.into(), PORT));
        for packet in [
            forge::solicitation(from, ATTACKER_V6, inside),
            forge::router_advertisement(
                from,
                ATTACKING_ROUTER,
                std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0),
            ),
        ] {
            frames.push(forge::frame(from, forge::EVERYBODY, &packet));
        }
        for packet in [
            forge::redirect(ATTACKING_ROUTER, place.host_v6, inside, ATTACKING_ROUTER),
            forge::tcp(us, them, 0x02, marker.bytes()),
            forge::tcp(us, them, 0x12, marker.bytes()),
            forge::udp(us, them, marker.bytes()),
        ] {
            frames.push(forge::frame(from, host, &packet));
        }
    }
    let frames: Vec<String> = frames
        .iter()
        .map(|frame| frame.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let mut line = vec![ROLES, "role", "send", wire.as_str()];
    line.extend(frames.iter().map(String::as_str));
    let out = scene.world.run_in("router", &line)?;
    // Where the other end is down nothing can be sent.
    ensure!(
        out.code == 0 || out.stderr.contains("down"),
        "the attack was not sent: {}",
        out.stderr.trim()
    );
    Ok(frames.len())
}
