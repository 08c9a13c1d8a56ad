//! Ring lab: `lonewire check` looks from inside, and each of its probes notices what it is there for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, Spec, World, bus::StandIn, probe::Probe, product::text};
use serde_json::Value;

/// All that is looked at, in order.
const PROBES: [&str; 14] = [
    "links",
    "addresses",
    "routes",
    "sysctls",
    "data_plane",
    "handshake",
    "dns",
    "links_visible",
    "host_addresses",
    "lan",
    "host_unreachable",
    "resolvers",
    "names",
    "drop",
];

/// The exit code and the probes of a check.
fn check(world: &World, options: &[&str]) -> Result<(i32, Vec<Value>)> {
    let out = world.cli(&ALICE, &[&["check", "demo", "--json"], options].concat())?;
    let told: Value = serde_json::from_str(&out.stdout).with_context(|| format!("{out:?}"))?;
    let probes = told["probes"].as_array().context("no probes")?;
    Ok((out.code, probes.clone()))
}

fn failed(probes: &[Value]) -> Vec<&str> {
    probes
        .iter()
        .filter(|probe| probe["passed"] != true)
        .map(|probe| text(probe, "probe"))
        .collect()
}

fn ready() -> Result<World> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.cli(&ALICE, &["up", "demo"])?.ok()?;
    // As behind a router at home.
    world.sh("ip addr add 10.98.0.1/24 dev lo")?;
    Ok(world)
}

fn namespaces(world: &World) -> Result<usize> {
    Ok(std::fs::read_dir(world.path("/run/netns"))?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("lw-"))
        .count())
}

#[test]
fn a_sound_tunnel_passes_and_each_line_says_what_was_tried_and_what_came_back() -> Result<()> {
    let mut world = ready()?;
    let (code, probes) = check(&world, &[])?;
    let names: Vec<_> = probes.iter().map(|probe| text(probe, "probe")).collect();
    assert_eq!(names, PROBES);
    ensure!(code == 0, "{probes:#?}");
    for probe in &probes {
        ensure!(
            !text(probe, "tried").is_empty() && !text(probe, "found").is_empty(),
            "{probe}"
        );
    }
    let found = |name: &str| {
        probes
            .iter()
            .find(|probe| probe["probe"] == name)
            .map(|probe| text(probe, "found"))
    };
    // They were made: the host has addresses and neighbours, and somebody to knock at.
    ensure!(
        !found("lan")
            .unwrap_or_default()
            .contains("the host is in none"),
        "{probes:#?}"
    );
    ensure!(
        !found("host_unreachable")
            .unwrap_or_default()
            .contains("has no private one"),
        "{probes:#?}"
    );
    ensure!(
        found("drop").is_some_and(|found| found.contains("before: by ")),
        "{probes:#?}"
    );
    // The namespace of the drop test has gone, and nothing went past the tunnel.
    assert_eq!(namespaces(&world)?, 1);
    ensure!(world.apps(&ALICE)?.is_empty(), "an app is left");
    world.uplinks_report(&[])?.assert_clean()
}

#[test]
fn the_drop_test_on_the_tunnel_itself_leaves_it_as_it_was() -> Result<()> {
    let mut world = ready()?;
    let (code, probes) = check(&world, &["--drop"])?;
    ensure!(code == 0, "{probes:#?}");
    ensure!(
        probes
            .iter()
            .any(|probe| text(probe, "tried").contains("the tunnel's own link")),
        "{probes:#?}"
    );
    let out = world.run_inside(
        &ALICE,
        "demo",
        &["curl", "-sS", "--max-time", "10", "http://whoami.demo/"],
    )?;
    assert_eq!(out.ok()?.stdout.trim(), lab::net::VPN_EXIT_V4);
    let (code, probes) = check(&world, &[])?;
    ensure!(code == 0, "{probes:#?}");
    world.uplinks_report(&[])?.assert_clean()
}

/// What root does to a tunnel's namespace (`$N`), and the probes that must notice.
const SABOTAGE: [(&str, &[&str]); 6] = [
    // A way to the host beside the tunnel, in the guise of a link that the kernel makes itself.
    (
        "ip link add leak0 type veth peer name tunl0 netns $N; ip addr add 10.99.0.1/24 dev leak0; ip link set leak0 up
         ip -n $N addr add 10.99.0.2/24 dev tunl0; ip -n $N link set tunl0 up; ip -n $N route replace default via 10.99.0.1",
        &["links", "routes", "lan", "host_unreachable", "names"],
    ),
    // In its own name no program starts beside it.
    ("ip link add leak0 type veth peer name leak1 netns $N", &["links", "inside"]),
    ("ip -n $N route del unreachable default metric 4294967295", &["routes"]),
    ("ip netns exec $N sysctl -qw net.ipv4.ip_forward=1", &["sysctls"]),
    ("ip -n $N addr add $HOST/32 dev $N", &["addresses", "host_addresses"]),
    (
        "cd /run/lonewire/dns/$N; echo nameserver 192.0.2.66 > new; mv new resolv.conf",
        &["dns", "names"],
    ),
];

#[test]
fn a_bus_without_its_filter_is_noticed() -> Result<()> {
    let world = ready()?;
    let service = StandIn::take(&world, &["org.freedesktop.resolve1"])?;
    world.sh(
        "cd /usr/bin; mv xdg-dbus-proxy real-proxy
         printf '%s\n' '#!/bin/sh' 'for word; do shift; [ \"$word\" = --filter ] || set -- \"$@\" \"$word\"; done; exec /usr/bin/real-proxy \"$@\"' > xdg-dbus-proxy
         chmod 755 xdg-dbus-proxy",
    )?;
    let (code, probes) = check(&world, &[])?;
    assert_eq!(failed(&probes), ["resolvers"], "{probes:#?}");
    assert_eq!(code, 6);
    assert_eq!(service.calls().len(), 1);
    Ok(())
}

#[test]
fn each_sabotage_is_noticed_by_its_probes() -> Result<()> {
    for (script, noticed) in SABOTAGE {
        let world = ready()?;
        let (code, probes) = check(&world, &[])?;
        ensure!(code == 0, "{probes:#?}");
        let script = format!(
            "N=$(ls /run/netns | grep ^lw-); HOST=$(ip -4 -o addr show scope global | sed 's/.*inet //; s,/.*,,; q'); set -e\n{script}"
        );
        world
            .run_in("host", &["sh", "-c", &script])?
            .ok()
            .context(script.clone())?;
        let (code, probes) = check(&world, &[])?;
        let failed = failed(&probes);
        for name in noticed {
            ensure!(
                failed.contains(name),
                "{name} did not notice: {script}\n{probes:#?}"
            );
        }
        assert_eq!(code, 6);
    }
    Ok(())
}

#[test]
fn a_program_that_cannot_look_from_inside_is_no_pass() -> Result<()> {
    let world = ready()?;
    world.sh("rm -rf /run/lonewire/dns/*/hosts")?;
    let (code, probes) = check(&world, &[])?;
    assert_eq!(code, 6);
    ensure!(failed(&probes).contains(&"inside"), "{probes:#?}");
    Ok(())
}

/// What is sent to find out about ways is answered by nobody; that is no sign of a server that is silent.
#[test]
fn a_tunnel_is_as_protected_after_a_check_as_before() -> Result<()> {
    let mut world = ready()?;
    let mut app = Probe::inside(&world, &ALICE, "demo")?;
    let (code, probes) = check(&world, &[])?;
    ensure!(code == 0, "{:?}", failed(&probes));
    let since = world.tunnel(&ALICE, "demo", "since")?;
    // Longer than an answer may take.
    let end = Instant::now() + Duration::from_secs(14);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(world.tunnel(&ALICE, "demo", "state")?, "protected");
    }
    assert_eq!(world.tunnel(&ALICE, "demo", "since")?, since);
    app.ask("http whoami.demo /after")?;
    world.uplinks_report(&[])?.assert_clean()
}
