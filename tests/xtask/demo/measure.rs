//! The demonstration's lines: each is a fact that was measured, or what is wrong with it. What could not be tried does not count as refused.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    ALICE, Marker, Program, World, addr, fakes, identity as properties,
    net::VPN_EXIT_V4,
    probe::Probe,
    product::{text, texts},
    world::until,
};

use super::TUNNEL;

/// How long a tunnel may take to be back once its data plane can be.
const BACK: Duration = Duration::from_secs(20);

/// A program inside and one of the same person's login, compared.
pub fn identity(world: &World) -> Result<String> {
    let [mut inside, mut outside] = Probe::of_login(world, &ALICE, TUNNEL)?;
    let (inside, outside) = (inside.ask("identity")?, outside.ask("identity")?);
    let different = properties::differences(&inside, &outside, properties::ALLOWED);
    ensure!(different.is_empty(), "{}", different.join("; "));
    let none = text(&inside, "CapEff").chars().all(|digit| digit == '0');
    ensure!(none, "capabilities {}", text(&inside, "CapEff"));
    let all = inside.as_object().context("no identity")?;
    let same = all
        .iter()
        .filter(|(key, value)| outside.get(key) == Some(value));
    Ok(format!(
        "uid {}, groups {}, no capability; {} of {} properties as by `su -l {}`, the others may differ",
        text(&inside, "Uid").split(' ').next().unwrap_or_default(),
        text(&inside, "Groups"),
        same.count(),
        all.len(),
        ALICE.name,
    ))
}

/// Who asked, as the internet saw it.
pub fn exit(world: &World, probe: &mut Probe, marker: &Marker) -> Result<String> {
    let answer = probe.ask(&format!("http whoami.demo /{}", marker.hex()))?;
    let seen: BTreeSet<IpAddr> = world
        .requests("web")?
        .iter()
        .map(|asked| asked.peer.ip().to_canonical())
        .collect();
    let own = [IpAddr::from(addr::vpn_v4(0)), addr::vpn_v6(0).into()];
    ensure!(
        !seen.is_empty() && seen.iter().all(|ip| own.contains(ip)),
        "the server saw {seen:?}, not the tunnel's {VPN_EXIT_V4}"
    );
    Ok(format!(
        "the server saw {}, the VPN's address; the host's is {}",
        text(&answer, "body"),
        addr::ROUTER_EXIT_V4
    ))
}

/// A look-up; the host replaces its `resolv.conf`; a look-up again. Beside the tunnel the host's name service answers.
pub fn dns(world: &World, probe: &mut Probe, marker: &Marker) -> Result<String> {
    let name = format!("{}.probe.demo", Marker::new()?.hex());
    let outside = texts(&Probe::outside(world, &ALICE)?.ask(&format!("lookup {name}"))?);
    ensure!(
        outside == [fakes::NSCD_SAYS.to_string()] && !world.escaped(&name)?.is_empty(),
        "outside answered {}, not by the host's nscd: its silence would prove nothing",
        outside.join(", ")
    );
    let ours = [addr::WEB_V4.to_string(), addr::WEB_V6.to_string()];
    for first in ["a", "b"] {
        let name = format!("{first}{}.probe.demo", marker.hex());
        let answer = probe
            .ask(&format!("lookup {name}"))
            .map(|answer| texts(&answer));
        let escaped = world.escaped(&name)?;
        let told = match &answer {
            Ok(told) => format!("answered {}", told.join(", ")),
            Err(error) => format!("{error:#}"),
        };
        ensure!(
            escaped.is_empty(),
            "the name escaped: {} was asked for it; {told}",
            escaped.join(", ")
        );
        let told = answer?;
        ensure!(
            !told.is_empty() && told.iter().all(|one| ours.contains(one)),
            "answered {}, not by the tunnel's DNS",
            told.join(", ")
        );
        let asked = world.queries("vpn0-dns")?;
        ensure!(
            asked.iter().any(|asked| asked.what == name),
            "the tunnel's DNS was not asked"
        );
        world.replace_resolv_conf()?;
    }
    Ok(format!(
        "inside {} answered, before and after the host replaced its resolv.conf; the host was asked 0 times. Outside nscd answers",
        addr::INSIDE_SERVER_V4
    ))
}

/// What is in the namespace.
pub fn links(probe: &mut Probe) -> Result<String> {
    let names = texts(&probe.ask("links")?);
    match names.as_slice() {
        [lo, link] if lo == "lo" && link.starts_with("lw-") => {
            Ok(format!("{lo} and {link}, nothing else"))
        }
        _ => bail!("{}", names.join(", ")),
    }
}

/// Everything that leads out, by number and by name.
fn ways_out() -> [String; 3] {
    [
        format!("http {} /", addr::WEB_V4),
        format!("http {} /", addr::WEB_V6),
        "lookup whoami.demo".into(),
    ]
}

/// All ways out while the data plane is dead: each was open just before.
pub fn dead(world: &mut World, probe: &mut Probe) -> Result<String> {
    for way in ways_out() {
        probe.ask(&way).context("before anything was killed")?;
    }
    let before = world.requests("web")?.len();
    ensure!(
        !world.processes(Program::DataPlane.name())?.is_empty(),
        "no data plane runs"
    );
    world.stop(Program::DataPlane)?;
    let began = Instant::now();
    world.wait_state(&ALICE, TUNNEL, "blocked", BACK)?;
    let told = began.elapsed();
    for way in ways_out() {
        probe.refused(&way)?;
    }
    let reached = world.requests("web")?.len() - before;
    ensure!(reached == 0, "the server was reached {reached} times");
    Ok(format!(
        "tunnel's process killed: blocked after {} ms; IPv4, IPv6 and DNS failed, 0 requests reached the server",
        told.as_millis()
    ))
}

/// The same program again, once the data plane is back.
pub fn back(world: &mut World, probe: &mut Probe) -> Result<String> {
    let began = Instant::now();
    world.wait_state(&ALICE, TUNNEL, "protected", BACK)?;
    let mut body = String::new();
    until(BACK, "an answer", || {
        if let Ok(answer) = probe.ask(&format!("http {} /", addr::WEB_V4)) {
            text(&answer, "body").clone_into(&mut body);
        }
        Ok(!body.is_empty())
    })?;
    ensure!(body == VPN_EXIT_V4, "the server saw {body}");
    Ok(format!(
        "tunnel's process back: the same program goes on after {:.1} s; the server saw {body}",
        began.elapsed().as_secs_f64()
    ))
}

/// Every frame since the world began.
pub fn uplink(world: &mut World, marker: &Marker) -> Result<String> {
    let report = world.uplinks_report(std::slice::from_ref(marker))?;
    if let Some(first) = report.violations.first() {
        bail!("{report}; the first that must not be, {first}");
    }
    ensure!(report.frames("WireGuard") > 0, "no WireGuard was seen");
    Ok(format!("{report}; no other frame, at either end"))
}
