//! T12: the id of another's thing answers byte for byte as an id that nobody has, in every method that takes one; and polkit is not asked.

use std::collections::HashMap;

use anyhow::Result;
use lab::{
    NOBODY,
    caller::{Door, call},
    polkit::Answer,
};
use lonewire_api::names::TUNNELS_INTERFACE as TUNNELS;
use zbus::{Variant, message::Flags};

use super::{
    scene::{self, ROOT, Scene, assert_no_trace},
    table::{Names, table},
};

type Options = HashMap<&'static str, Variant<'static>>;

/// Ids that nobody has: as the helper makes them, and as it never would.
fn nobodys(known: &str) -> Vec<String> {
    let other: String = known
        .chars()
        .map(|c| if c == '0' { '1' } else { '0' })
        .collect();
    let long = known.repeat(100);
    [
        other.as_str(),
        "",
        "x",
        "../../etc/passwd",
        "0",
        &known.to_uppercase(),
        &known[1..],
        &format!("{known}\n"),
        &long,
    ]
    .map(str::to_owned)
    .into()
}

#[test]
fn a_foreign_id_is_an_unknown_id_byte_for_byte() -> Result<()> {
    let scene = Scene::new()?;
    scene.polkit.always(Answer::Yes);
    let before = scene.traces()?;
    let mut compared = 0;
    for person in [lab::BOB, NOBODY, scene::NOBODY, ROOT] {
        let other = Door::of(&scene.world, &person)?.enter()?;
        for row in table() {
            let (known, wrong_kind) = match row.names {
                Names::Nothing => continue,
                Names::Tunnel => (&scene.tunnel, &scene.app),
                Names::App => (&scene.app, &scene.tunnel),
            };
            for flags in [Flags::empty(), Flags::ALLOW_INTERACTIVE_AUTH] {
                let foreign = other.ask(&(row.call)(known, flags)?)?;
                assert_eq!(foreign.error(), "NotFound", "{}", row.member);
                for unknown in nobodys(known).iter().chain([wrong_kind]) {
                    let reply = other.ask(&(row.call)(unknown, flags)?)?;
                    let what = format!("{} {unknown:?}", row.member);
                    assert_eq!(reply.says(), foreign.says(), "{what}");
                    compared += 1;
                }
            }
            // To the owner an id of the wrong kind is unknown too.
            let reply = scene.alice.ask(&(row.call)(wrong_kind, Flags::empty())?)?;
            assert_eq!(reply.error(), "NotFound", "{}", row.member);
        }
        // Nor are they in a list.
        assert!(scene::list(&other)?.is_empty(), "{}", person.name);
        let apps = other.call(lonewire_api::names::APPS_INTERFACE, "List", &())?;
        let apps: Vec<(
            String,
            std::collections::BTreeMap<String, zbus::OwnedVariant>,
        )> = apps.read()?;
        assert!(apps.is_empty(), "{}: {apps:?}", person.name);
    }
    assert!(compared > 1000, "{compared}");
    assert_eq!(scene.polkit.take(), []);
    assert_no_trace(&before, &scene.traces()?, "foreign ids");

    // What is switched to is looked at like what is switched, and both before anybody is asked.
    let bob = Door::of(&scene.world, &lab::BOB)?.enter()?;
    let own = bob.call(TUNNELS, "Create", &("own", Options::new()))?;
    scene.polkit.take();
    let (own, _): (String, String) = own.read()?;
    let switch = |other: &str| {
        let message = call(
            TUNNELS,
            "Switch",
            &(&own, other, Options::new()),
            Flags::empty(),
        );
        bob.ask(&message?)
    };
    let foreign = switch(&scene.tunnel)?;
    assert_eq!(foreign.error(), "NotFound");
    for unknown in nobodys(&scene.tunnel) {
        assert_eq!(switch(&unknown)?.says(), foreign.says(), "{unknown:?}");
    }
    assert_eq!(scene.polkit.take(), []);
    Ok(())
}
