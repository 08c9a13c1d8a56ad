//! Ring lab: a program in a tunnel is its user's, as one started after a login is.

use anyhow::Result;
use lab::{ALICE, BOB, Spec, World, identity, probe::Probe, product::text};

/// What may differ, beside the parent. Whoever adds to this list changes what Lonewire promises.
const ALLOWED: &[&str] = &[
    "NoNewPrivs",
    "cgroup",
    "keyring",
    "namespace mnt",
    "namespace net",
    "env LONEWIRE_*",
];

#[test]
fn a_program_is_who_it_would_be_after_a_login() -> Result<()> {
    assert_eq!(identity::ALLOWED, ALLOWED);
    let mut world = World::new(Spec::product())?;
    for person in [&ALICE, &BOB] {
        world.import(person, "demo", 0)?;
        let [mut inside, mut outside] = Probe::of_login(&world, person, "demo")?;
        let (inside, outside) = (inside.ask("identity")?, outside.ask("identity")?);
        assert_eq!(
            identity::differences(&inside, &outside, ALLOWED),
            Vec::<String>::new()
        );
        // What was compared is that person, and no capability.
        let uid = [
            person.uid.to_string(),
            person.uid.to_string(),
            person.uid.to_string(),
            person.uid.to_string(),
        ];
        assert_eq!(text(&inside, "Uid"), uid.join(" "));
        for (_, group) in person.groups {
            assert!(text(&inside, "Groups").contains(&group.to_string()));
        }
        assert_eq!(text(&inside, "CapEff"), "0000000000000000");
        assert_eq!(text(&inside, "descriptors"), "0 1 2");
        assert_eq!(
            text(&inside, "env LONEWIRE_TUNNEL"),
            world.tunnel(person, "demo", "id")?
        );
        // What was not read would be the same by both.
        for key in [
            "ioprio",
            "keyring",
            "scheduling",
            "timerslack_ns",
            "oom_score_adj",
            "personality",
            "cgroup",
            "nice",
        ] {
            assert_ne!(text(&inside, key), "", "{key}");
        }
        // No signal is ignored, not even one of those that libc keeps to itself.
        let out = world.run_inside(person, "demo", &["grep", "SigIgn", "/proc/self/status"])?;
        assert_eq!(out.ok()?.stdout, "SigIgn:\t0000000000000000\n");
        // And what may differ does: else the comparison is blind.
        for key in ["NoNewPrivs", "namespace net", "namespace mnt"] {
            assert_ne!(text(&inside, key), text(&outside, key), "{key}");
        }
    }
    Ok(())
}
