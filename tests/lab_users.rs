//! Ring lab: what is one person's is nothing to another.

use anyhow::Result;
use lab::{ALICE, BOB, Spec, World, addr, probe::Probe, product::text};

#[test]
fn two_people_with_the_same_addresses_neither_see_nor_reach_each_other() -> Result<()> {
    let mut world = World::new(Spec {
        servers: 2,
        ..Spec::product()
    })?;
    world.import(&ALICE, "demo", 0)?;
    world.import(&BOB, "demo", 1)?;
    let mut alice = Probe::inside(&world, &ALICE, "demo")?;
    let mut bob = Probe::inside(&world, &BOB, "demo")?;
    let web = format!("http {} /", addr::WEB_V4);
    assert_eq!(text(&alice.ask(&web)?, "body"), addr::vpn_v4(0).to_string());
    assert_eq!(text(&bob.ask(&web)?, "body"), addr::vpn_v4(1).to_string());

    // Each is told of their own alone.
    for person in [&ALICE, &BOB] {
        assert_eq!(world.tunnels(person)?.len(), 1);
        assert_eq!(world.apps(person)?.len(), 1);
    }
    let (links, others) = (alice.ask("links")?, bob.ask("links")?);
    assert_ne!(links, others);
    // An address of one's own is oneself, though the other has the same.
    let listen = format!("listen {}:4242", addr::client_v4(0));
    bob.ask(&listen)?;
    let knock = format!("tcp {}:4242 00", addr::client_v4(0));
    alice.refused(&knock)?;
    bob.ask(&knock)?;
    world.uplinks_report(&[])?.assert_clean()
}

#[test]
fn a_foreign_id_is_an_unknown_id() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let _probe = Probe::inside(&world, &ALICE, "demo")?;
    let tunnel = world.tunnel(&ALICE, "demo", "id")?;
    let apps = world.apps(&ALICE)?;
    let app = text(&apps[0], "id").to_owned();
    let get = |id: &str, interface: &str, member: &str, more: &[&str]| {
        let interface = format!("org.lonewire.Helper1.{interface}");
        let line = [
            &[
                "busctl",
                "--system",
                "call",
                "org.lonewire.Helper1",
                "/org/lonewire/Helper1",
            ][..],
            &[&interface, member],
            more,
            &[id],
        ];
        world.run_as(&BOB, &line.concat())
    };
    for (known, interface, member, signature) in [
        (&tunnel, "Tunnels", "Show", "s"),
        (&tunnel, "Tunnels", "Remove", "s"),
        (&app, "Apps", "Get", "s"),
    ] {
        // The same length and alphabet; nobody's.
        let unknown: String = known
            .chars()
            .map(|c| if c == '0' { '1' } else { '0' })
            .collect();
        let foreign = get(known, interface, member, &[signature])?;
        let nobodys = get(&unknown, interface, member, &[signature])?;
        assert_ne!(foreign.code, 0, "{member}: {foreign:?}");
        assert_eq!(
            (foreign.code, foreign.stdout, &foreign.stderr),
            (nobodys.code, nobodys.stdout, &nobodys.stderr),
            "{member}"
        );
        assert!(
            foreign.stderr.contains("There is no such tunnel or app"),
            "{member}: {}",
            foreign.stderr
        );
    }
    assert_eq!(world.tunnel(&ALICE, "demo", "id")?, tunnel);
    Ok(())
}
