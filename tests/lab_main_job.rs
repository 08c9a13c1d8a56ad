//! Ring lab: the main job, end to end on real parts: the shipped helper within its walls, on a bus with polkitd, through warden and data plane.

use std::time::Duration;

use anyhow::Result;
use lab::{ALICE, Marker, Program, Spec, World, addr, probe::Probe, product::text, world::until};

/// Silence is told within 15 s of a program's sending.
const SILENCE: Duration = Duration::from_secs(25);

fn ready() -> Result<World> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    Ok(world)
}

#[test]
fn a_program_runs_in_the_tunnel_and_nowhere_else() -> Result<()> {
    let mut world = ready()?;
    let out = world
        .run_inside(
            &ALICE,
            "demo",
            &["curl", "-sS", "-m", "10", "http://whoami.demo/"],
        )?
        .ok()?;
    assert_eq!(out.stdout.trim(), lab::net::VPN_EXIT_V4);

    // The tunnel's DNS was asked, from inside the tunnel; the host's was not.
    let asked = world.queries("vpn0-dns")?;
    assert!(
        asked.iter().any(|one| one.what == "whoami.demo"
            && one.peer.ip() == std::net::IpAddr::from(addr::client_v4(0))),
        "{asked:?}"
    );
    assert_eq!(world.queries("host-dns")?, []);
    let requests = world.requests("web")?;
    assert_eq!(requests.len(), 1, "{requests:?}");

    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    let links = probe.ask("links")?;
    let links: Vec<_> = links
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|link| link.as_str())
        .collect();
    assert!(
        matches!(links[..], ["lo", link] if link.starts_with("lw-")),
        "{links:?}"
    );

    // A program that runs is no accident's victim; when asked for, it is offline.
    assert_ne!(world.cli(&ALICE, &["down", "demo"])?.code, 0);
    assert_eq!(world.tunnel(&ALICE, "demo", "state")?, "protected");
    world.cli(&ALICE, &["down", "demo", "--force"])?.ok()?;
    assert_eq!(world.tunnel(&ALICE, "demo", "state")?, "off");
    probe.refused(&format!("http {} /", addr::WEB_V4))?;
    assert_eq!(world.requests("web")?, requests);
    drop(probe);

    // Without programs nothing is left of it.
    world.cli(&ALICE, &["up", "demo"])?.ok()?;
    world.cli(&ALICE, &["down", "demo"])?.ok()?;
    assert_eq!(
        std::fs::read_dir(world.path("/run/netns"))?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| name.starts_with("lw-"))
            .count(),
        0
    );
    let report = world.uplinks_report(&[])?;
    report.assert_clean()?;
    assert!(report.frames("WireGuard") > 10, "{report}");
    Ok(())
}

#[test]
fn without_the_server_programs_are_offline_and_come_back_with_it() -> Result<()> {
    let mut world = ready()?;
    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    let web = format!("http {} /", addr::WEB_V4);
    let web_v6 = format!("http {} /", addr::WEB_V6);
    assert_eq!(text(&probe.ask(&web)?, "body"), lab::net::VPN_EXIT_V4);
    assert_eq!(
        text(&probe.ask(&web_v6)?, "body"),
        addr::vpn_v6(0).to_string()
    );

    world.set_silent(0, true)?;
    probe.refused(&web)?;
    // It goes on trying, as programs do.
    until(SILENCE, "blocked", || {
        probe.refused(&web)?;
        Ok(world.tunnel(&ALICE, "demo", "state")? == "blocked")
    })?;
    probe.refused("lookup whoami.demo")?;
    probe.refused(&web_v6)?;
    world.uplinks_report(&[])?.assert_clean()?;
    assert_eq!(world.requests("web")?.len(), 2);

    world.set_silent(0, false)?;
    world.wait_state(&ALICE, "demo", "protected", SILENCE)?;
    assert_eq!(text(&probe.ask(&web)?, "body"), lab::net::VPN_EXIT_V4);
    world.uplinks_report(&[])?.assert_clean()
}

#[test]
fn a_family_without_an_address_is_refused_at_once_and_the_other_works() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    let (v4, v6) = (addr::WEB_V4.to_string(), addr::WEB_V6.to_string());
    for (works, refused) in [(&v4, &v6), (&v6, &v4)] {
        let whole = world.client(0)?;
        let mut lines: Vec<_> = whole.lines().map(str::to_owned).collect();
        for line in &mut lines {
            if let Some(addresses) = line.strip_prefix("Address = ") {
                let is_one = |word: &&str| word.contains(':') == works.contains(':');
                let kept: Vec<_> = addresses.split(", ").filter(is_one).collect();
                *line = format!("Address = {}", kept.join(", "));
            }
        }
        let name = if works == &v4 { "four" } else { "six" };
        world.import_text(&ALICE, name, &lines.join("\n"))?;
        let mut probe = Probe::inside(&world, &ALICE, name)?;
        probe.ask(&format!("http {works} /"))?;
        let error = probe.ask(&format!("http {refused} /")).err();
        let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("No route to host"), "{name}: {error}");
        world.cli(&ALICE, &["check", name])?.ok()?;
    }
    world.uplinks_report(&[])?.assert_clean()
}

#[test]
fn a_killed_helper_finds_its_tunnels_and_apps_again() -> Result<()> {
    let mut world = ready()?;
    for (file, code) in [("early", "7"), ("late", "9")] {
        // A detached program keeps the streams that it was given: not those that this test waits for.
        let line = format!(
            "lonewire run -t demo --detach -- \
             sh -c 'while [ ! -e ~/{file} ]; do sleep 0.05; done; exit {code}' > ~/{file}.log 2>&1"
        );
        world.run_as(&ALICE, &["sh", "-c", &line])?.ok()?;
    }
    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    let web = format!("http {} /", addr::WEB_V4);
    assert_eq!(text(&probe.ask(&web)?, "body"), lab::net::VPN_EXIT_V4);
    let tunnel = world.tunnel(&ALICE, "demo", "id")?;
    let ids = |world: &World| -> Result<Vec<String>> {
        let mut ids: Vec<_> = world
            .apps(&ALICE)?
            .iter()
            .map(|app| text(app, "id").to_owned())
            .collect();
        ids.sort();
        Ok(ids)
    };
    let before = ids(&world)?;
    assert_eq!(before.len(), 3);

    world.kill(Program::Helper)?;
    // What runs goes on without it.
    assert_eq!(text(&probe.ask(&web)?, "body"), lab::net::VPN_EXIT_V4);
    assert_eq!(world.processes("sh")?.len(), 2);
    std::fs::write(world.path(&format!("{}/early", ALICE.home)), "")?;
    until(lab::world::READY, "the end of an app", || {
        Ok(world.processes("sh")?.len() == 1)
    })?;

    let plane = world.processes(Program::DataPlane.name())?;
    world.restart(Program::Helper)?;
    assert_eq!(world.tunnel(&ALICE, "demo", "id")?, tunnel);
    world.wait_state(&ALICE, "demo", "protected", lab::world::READY)?;
    assert_eq!(ids(&world)?, before);
    // The data plane is the same one, and known to be it: its death is heard, and another carries the same tunnel on.
    assert_eq!(world.processes(Program::DataPlane.name())?, plane);
    world.kill(Program::DataPlane)?;
    until(lab::world::READY, "another data plane", || {
        let now = world.processes(Program::DataPlane.name())?;
        Ok(!now.is_empty() && now != plane)
    })?;
    world.wait_state(&ALICE, "demo", "protected", lab::world::READY)?;
    assert_eq!(text(&probe.ask(&web)?, "body"), lab::net::VPN_EXIT_V4);
    let codes = |world: &World| -> Result<Vec<i64>> {
        let apps = world.apps(&ALICE)?;
        let mut codes: Vec<_> = apps
            .iter()
            .filter_map(|app| app.get("exit_code")?.as_i64())
            .collect();
        codes.sort_unstable();
        Ok(codes)
    };
    assert_eq!(codes(&world)?, [7]);
    std::fs::write(world.path(&format!("{}/late", ALICE.home)), "")?;
    until(lab::world::READY, "the end of the other app", || {
        Ok(codes(&world)? == [7, 9])
    })?;
    assert_eq!(text(&probe.ask(&web)?, "body"), lab::net::VPN_EXIT_V4);
    world.uplinks_report(&[])?.assert_clean()
}

#[test]
fn a_helper_stopped_replaced_and_started_anew_adopts_all_and_nothing_is_disturbed() -> Result<()> {
    let mut world = ready()?;
    let marker = Marker::new()?;
    let mut probe = Probe::with_traffic(&world, &ALICE, "demo", &marker)?;
    let flows = |what: &str, probe: &mut Probe| -> Result<()> {
        let before = probe.ask("counts")?;
        let kinds = ["udp", "tcp", "dns", "stream"];
        until(lab::world::READY, what, || {
            let now = probe.ask("counts")?;
            Ok(kinds
                .iter()
                .all(|kind| now[kind].as_u64() > before[kind].as_u64()))
        })?;
        assert_eq!(
            probe.ask("counts")?["streams"],
            1,
            "{what}: the stream broke"
        );
        Ok(())
    };
    flows("traffic", &mut probe)?;
    let plane = world.processes(Program::DataPlane.name())?;
    let old = world.processes(Program::Helper.name())?;
    for pid in &old {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(*pid),
            nix::sys::signal::Signal::SIGTERM,
        )?;
    }
    until(lab::world::READY, "the helper to stop", || {
        Ok(world.processes(Program::Helper.name())?.is_empty())
    })?;
    flows("no helper", &mut probe)?;
    // As a package does it: other files under the same names.
    for name in ["lonewire-helper", "lonewire-warden", "lonewire-wireguard"] {
        let path = format!("/usr/libexec/lonewire/{name}");
        world.sh(&format!(
            "cp {path} {path}.new; umount -l {path}; mv -f {path}.new {path}"
        ))?;
    }
    world.restart(Program::Helper)?;
    world.wait_state(&ALICE, "demo", "protected", lab::world::READY)?;
    flows("the new helper", &mut probe)?;
    assert_eq!(world.processes(Program::DataPlane.name())?, plane);
    assert_eq!(world.apps(&ALICE)?.len(), 1);
    // With the new warden, and a new data plane.
    let out = world.run_inside(&ALICE, "demo", &["true"])?;
    assert_eq!(out.code, 0, "{out:?}");
    world.kill(Program::DataPlane)?;
    flows("the new data plane", &mut probe)?;
    let report = world.uplinks_report(&[marker])?;
    report.assert_clean()
}
