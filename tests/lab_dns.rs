//! Ring lab: a program in a tunnel looks up names by the tunnel's DNS alone, whatever answers names on the host.

use std::time::Duration;

use anyhow::Result;
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
