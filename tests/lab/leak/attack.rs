//! S25: somebody on the host's own network asks for what is inside the tunnel, and pretends to be a router. Nobody may answer.

use std::net::IpAddr;

use anyhow::{Result, ensure};

use super::{aim::Place, scene::Scene, verdict::is_sent_to};
use crate::{
    Marker, addr, forge,
    init::ROLES,
    net,
    oracle::Report,
    uplinks::{ATTACKER_V4, ATTACKER_V6, ATTACKING_ROUTER, Watch},
    world::{READY, until},
};

/// A port of the tunnel's, which a guess could meet.
const PORT: u16 = 40404;

/// Sends all frames from the router's end of the first uplink; how many.
pub(super) fn send(scene: &Scene, place: &Place, marker: &Marker) -> Result<usize> {
    let uplink = scene.world.spec.uplinks[0];
    let from = scene.world.mac("router", &net::wire(0))?;
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
    throw(scene, &frames)?;
    Ok(frames.len())
}

/// That an answer would be seen: the host gives one to a stranger who asks for a port of its own.
pub(super) fn control(scene: &Scene, place: &Place, watch: &mut Watch) -> Result<()> {
    let uplink = scene.world.spec.uplinks[0];
    let from = scene.world.mac("router", &net::wire(0))?;
    let host = scene.world.mac("host", &place.interface)?;
    let (mut frames, mut strangers) = (Vec::new(), Vec::new());
    for (is_there, stranger, own) in [
        (
            uplink.family.v4(),
            IpAddr::from(ATTACKER_V4),
            IpAddr::from(place.host_v4),
        ),
        (uplink.family.v6(), ATTACKER_V6.into(), place.host_v6.into()),
    ] {
        if is_there {
            let packet = forge::udp((stranger, 4242), (own, PORT), b"control");
            frames.push(forge::frame(from, host, &packet));
            strangers.push(stranger);
        }
    }
    throw(scene, &frames)?;
    let mut report = Report::default();
    until(READY, "the host's answers to a stranger", || {
        let oracle = scene.world.oracle(&[])?;
        for (name, frames) in scene.world.frames_since(watch)? {
            oracle.judge(&name, &frames, &mut report);
        }
        let answered = |stranger: &IpAddr| {
            report
                .violations
                .iter()
                .any(|text| is_sent_to(text, stranger))
        };
        Ok(strangers.iter().all(answered))
    })
}

/// From the router's end of the first uplink.
fn throw(scene: &Scene, frames: &[Vec<u8>]) -> Result<()> {
    let digits = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let frames: Vec<String> = frames.iter().map(digits).collect();
    let wire = net::wire(0);
    let mut line = vec![ROLES, "role", "send", wire.as_str()];
    line.extend(frames.iter().map(String::as_str));
    let out = scene.world.run_in("router", &line)?;
    // Where the other end is down nothing can be sent.
    ensure!(
        out.code == 0 || out.stderr.contains("down"),
        "not sent: {}",
        out.stderr.trim()
    );
    Ok(())
}
