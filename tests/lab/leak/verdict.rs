//! What is wrong with what came of the shots: pure rules over what was seen.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;
use serde_json::Value;

use super::{
    Job, State, Stimulus, Tried,
    aim::{Aim, Want},
    scene::Scene,
    state::Flow,
};
use crate::{
    Marker, addr,
    oracle::Report,
    probe::shot::Outcome,
    product::texts,
    uplinks::{ATTACKER_V4, ATTACKER_V6, ATTACKING_ROUTER},
};

/// Whether the host's DNS server was asked by the host itself.
pub(super) fn host_heard(scene: &Scene, marker: &str) -> Result<bool> {
    let asked = scene.world.queries("host-dns")?;
    // What came by the VPN server came through the tunnel.
    let by_host = asked.iter().filter(|asked| {
        let from = asked.peer.ip().to_canonical();
        from == IpAddr::from(addr::ROUTER_EXIT_V4) || from == IpAddr::from(addr::ROUTER_EXIT_V6)
    });
    Ok(by_host.into_iter().any(|asked| asked.what.contains(marker)))
}

/// What is wrong with how a shot went.
pub(super) fn unmet(
    aim: &Aim,
    outcome: &Outcome,
    arrived: bool,
    job: &Job,
    flow: Flow,
) -> Option<String> {
    match aim.want {
        Want::Refused(errors) => match &outcome.error {
            Some(error) if errors.contains(&error.as_str()) => None,
            _ => Some(format!(
                "was to be refused with {}: {:?}, {}",
                errors.join(" or "),
                outcome.error,
                outcome.said
            )),
        },
        Want::Works if !outcome.worked() => Some(outcome.said.clone()),
        Want::Inside if must_arrive(job, flow) && !arrived => {
            Some(format!("did not come out at the server: {}", outcome.said))
        }
        _ => None,
    }
}

/// Where nothing is wrong with the tunnel itself what is sent has to arrive.
pub(super) fn must_arrive(job: &Job, flow: Flow) -> bool {
    flow == Flow::GoesOn && job.state != State::F05
}

pub(super) fn flows(
    job: &Job,
    tried: &mut BTreeMap<Stimulus, Tried>,
    report: &Report,
    markers: [&Marker; 2],
    arrived: bool,
) {
    let Some(entry) = tried.get_mut(&Stimulus::S23) else {
        return;
    };
    entry.shots += 4;
    // The control is the datagram of the capture itself, which is judged by all.
    entry.controlled = report.frames("control") > 0;
    for (when, marker) in ["before", "after"].iter().zip(markers) {
        if report.found.contains(&marker.hex()) {
            entry.why.push(format!(
                "traffic {when} the fault: on an uplink in the clear"
            ));
        }
    }
    if job.state.is_silent(job.variant, job.backend) && arrived {
        entry
            .why
            .push("traffic came out at the server: there was no fault".into());
    }
    if must_arrive(job, job.state.flow(job.variant, job.backend)) && !arrived {
        entry
            .why
            .push("traffic did not come out at the server".into());
    }
}

/// Of the host nothing is seen inside.
pub(super) fn visible(scene: &Scene, tried: &mut BTreeMap<Stimulus, Tried>, seen: &Value) {
    let Some(entry) = tried.get_mut(&Stimulus::S27) else {
        return;
    };
    entry.shots += 9;
    let list = |key: &str| texts(&seen[key]);
    for name in list("names") {
        if name != "lo" && name != scene.link {
            entry.why.push(format!("the interface {name} is visible"));
        }
    }
    for address in list("addresses") {
        let own = ["127.0.0.1", "::1", "10.66.0.2", "fd66::2"].contains(&address.as_str());
        // The tunnel's link has a local address where the kernel gave it one.
        if !own && !address.starts_with("fe80:") {
            entry.why.push(format!("the address {address} is visible"));
        }
    }
    if list("names").is_empty() {
        entry
            .why
            .push("nothing at all is visible: it was not looked".into());
    }
}

/// An answer to whoever attacks, or for an address that only the tunnel has.
pub(super) fn is_answer(violation: &str) -> bool {
    let attackers: [IpAddr; 3] = [
        ATTACKER_V4.into(),
        ATTACKER_V6.into(),
        ATTACKING_ROUTER.into(),
    ];
    violation.contains("another's address") || attackers.iter().any(|ip| is_sent_to(violation, ip))
}

pub(super) fn is_sent_to(violation: &str, ip: &IpAddr) -> bool {
    violation.contains(&format!("> {ip}")) || violation.contains(&format!("> [{ip}"))
}

pub(super) fn attack_verdict(
    tried: &mut BTreeMap<Stimulus, Tried>,
    report: &Report,
    sent: usize,
    job: &Job,
) {
    let Some(entry) = tried.get_mut(&Stimulus::S25) else {
        return;
    };
    entry.shots += sent;
    entry.controlled &= report.frames("attack") > 0;
    // At the router's end all of them; where the host's end is down they are not carried.
    if report.frames("attack") < sent as u64
        && !job.state.wants_another_uplink()
        && job.state != State::F19
    {
        entry.why.push(format!(
            "{} of {sent} frames of the attack were seen",
            report.frames("attack")
        ));
    }
    let answers = report.violations.iter().filter(|text| is_answer(text));
    entry
        .why
        .extend(answers.map(|text| format!("answered: {text}")));
}
