//! Ring lab: a program in a tunnel looks up names by the tunnel's DNS alone, whatever answers names on the host.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, Marker, Spec, World, addr, fakes, probe::Probe, world::until};
use serde_json::json;

#[test]
fn look_ups_inside_reach_only_the_tunnels_dns() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.fakes()?;
    world.import(&ALICE, "demo", 0)?;
    let mut outside = Probe::outside(&world, &ALICE)?;
    let mut inside = Probe::inside(&world, &ALICE, "demo")?;
    let asked = |world: &World, place: &str, marker: &Marker| -> Result<usize> {
        let all = world.queries(place)?;
        Ok(all
            .iter()
            .filter(|one| one.what.contains(&marker.hex()))
            .count())
    };
    // The same look-up beside the tunnel is answered by nscd, and each of the others answers who asks it.
    let control = |world: &World, outside: &mut Probe| -> Result<()> {
        let marker = Marker::new()?;
        let name = format!("{}.probe.demo", marker.hex());
        assert_eq!(
            outside.ask(&format!("lookup {name}"))?,
            json!([fakes::NSCD_SAYS.to_string()])
        );
        for path in [fakes::RESOLVE, fakes::AVAHI] {
            outside.ask(&format!("unix {path} {name}"))?;
        }
        until(Duration::from_secs(5), "the fakes' log", || {
            Ok(asked(world, fakes::LOG, &marker)? >= 3)
        })
    };
    control(&world, &mut outside)?;
    for round in 0..3 {
        let marker = Marker::new()?;
        let name = format!("{}.probe.demo", marker.hex());
        let before = world.queries(fakes::LOG)?.len();
        assert_eq!(
            inside.ask(&format!("lookup {name}"))?,
            json!([addr::WEB_V4.to_string(), addr::WEB_V6.to_string()])
        );
        for path in [fakes::NSCD, fakes::RESOLVE, fakes::AVAHI] {
            assert!(
                inside.ask(&format!("unix {path} {name}")).is_err(),
                "{path}"
            );
        }
        assert!(asked(&world, "vpn0-dns", &marker)? > 0);
        assert_eq!(asked(&world, "host-dns", &marker)?, 0);
        // Not a byte: no connection was made at all.
        assert_eq!(world.queries(fakes::LOG)?.len(), before, "round {round}");
        world.replace_resolv_conf()?;
    }
    control(&world, &mut outside)?;
    // A program that could reach it would be answered by it: that is what the silence was worth.
    world.graft("/run/nscd", world.app_pid(&ALICE, "roles")?)?;
    let name = format!("{}.probe.demo", Marker::new()?.hex());
    assert_eq!(
        inside.ask(&format!("lookup {name}"))?,
        json!([fakes::NSCD_SAYS.to_string()])
    );
    world.uplinks_report(&[])?.assert_clean()
}

#[test]
fn a_resolver_file_that_was_changed_fails_the_check() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let _app = Probe::inside(&world, &ALICE, "demo")?;
    let app = world.app_pid(&ALICE, "roles")?;
    let check = |world: &World| world.cli(&ALICE, &["check", "demo"]);
    let found = check(&world)?.ok()?.stdout;
    ensure!(
        found.contains(&addr::INSIDE_SERVER_V4.to_string()),
        "{found}"
    );
    let another = "resolv.conf names another server: 192.0.2.53";
    for (change, inside, said) in [
        // In its place, and by another in its place.
        (
            "echo nameserver 192.0.2.53 >> resolv.conf",
            "grep -q 192.0.2.53 /etc/resolv.conf",
            another,
        ),
        (
            "echo nameserver 192.0.2.53 > new; mv new resolv.conf",
            "grep -q 192.0.2.53 /etc/resolv.conf",
            another,
        ),
        (
            "sed -i s/^search.*/search.evil.example/ resolv.conf",
            "grep -q evil.example /etc/resolv.conf",
            "resolv.conf is not as it was written",
        ),
        (
            "echo 192.0.2.53 bank.example >> hosts",
            "grep -q bank.example /etc/hosts",
            "hosts is not as it was written",
        ),
        (
            "rm resolv.conf",
            "test ! -e /etc/resolv.conf",
            "the resolver files: No such file or directory",
        ),
    ] {
        let script = format!("cd /run/lonewire/dns/lw-*; cp -a . /tmp/kept; {change}");
        world.run_in("host", &["sh", "-ec", &script])?.ok()?;
        // It is what a program gets that runs already.
        world.inside(app, inside).context(change)?;
        let out = check(&world)?;
        ensure!(out.code == 6, "{change}: {} {}", out.code, out.stdout);
        let rows = out.stdout.lines().filter(|line| line.contains("FAIL"));
        let rows: Vec<_> = rows.collect();
        ensure!(
            matches!(rows[..], [row, ..] if row.contains("DNS servers") && row.contains(said)),
            "{change}: {}",
            out.stdout
        );
        let undo = "cd /run/lonewire/dns/lw-*; cp -a /tmp/kept/. .; rm -r /tmp/kept";
        world.run_in("host", &["sh", "-ec", undo])?.ok()?;
        check(&world)?.ok().context(change)?;
    }
    Ok(())
}
