//! Ring lab: a tunnel taken down while apps run in it, and while others hold its namespace. T60, T63.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::{ALICE, BOB, Program, Spec, World, probe::Probe, world::until};

const SECOND: Duration = Duration::from_secs(1);

/// Names of the pinned namespaces.
fn pinned(world: &World) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(world.path("/run/netns"))?.flatten();
    Ok(entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("lw-"))
        .collect())
}

/// Links of a namespace, as root sees them.
fn links(world: &World, namespace: &str) -> Result<String> {
    Ok(world
        .run_in("host", &["ip", "-n", namespace, "-o", "link"])?
        .ok()?
        .stdout)
}

fn ready() -> Result<World> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.cli(&ALICE, &["up", "demo"])?.ok()?;
    Ok(world)
}

#[test]
fn apps_keep_a_tunnel_up_unless_it_is_forced_and_then_are_offline_until_they_end() -> Result<()> {
    let mut world = ready()?;
    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    probe.ask("http whoami.demo /before")?;
    let [namespace] = &pinned(&world)?[..] else {
        anyhow::bail!("not one namespace")
    };

    // Refused, with the list; nothing has changed.
    let out = world.cli(&ALICE, &["down", "demo"])?;
    ensure!(out.code != 0 && out.stderr.contains("roles"), "{out:?}");
    probe.ask("http whoami.demo /refused")?;

    // Forced: off, the app lives on and reaches nobody; its namespace has no link left.
    world.cli(&ALICE, &["down", "demo", "--force"])?.ok()?;
    assert_eq!(world.tunnel(&ALICE, "demo", "state")?, "off");
    ensure!(
        !links(&world, namespace)?.contains(&format!("{namespace}:")),
        "the link is there"
    );
    probe.refused("http whoami.demo /forced")?;
    assert_eq!(pinned(&world)?, std::slice::from_ref(namespace));
    // A helper that was restarted meanwhile still knows.
    world.restart(Program::Helper)?;
    probe.refused("http whoami.demo /restarted")?;
    assert_eq!(pinned(&world)?, std::slice::from_ref(namespace));
    // The tunnel comes up again beside it, in another namespace, and the app stays out of that.
    world.cli(&ALICE, &["up", "demo"])?.ok()?;
    probe.refused("http whoami.demo /again")?;
    world.cli(&ALICE, &["down", "demo"])?.ok()?;
    assert_eq!(pinned(&world)?, std::slice::from_ref(namespace));

    probe.close()?;
    until(SECOND, "the namespace to go with its last app", || {
        Ok(pinned(&world)?.is_empty())
    })?;
    world.uplinks_report(&[])?.assert_clean()
}

#[test]
fn a_namespace_stays_for_the_last_process_and_not_the_first() -> Result<()> {
    let world = ready()?;
    // The first process ends at once; one that left its session and its parents goes on until it is told.
    let script = "setsid sh -c 'while [ ! -e /tmp/end ]; do sleep 0.05; done' < /dev/null > /dev/null 2>&1 &";
    world
        .run_inside(&ALICE, "demo", &["sh", "-c", script])?
        .ok()?;
    let out = world.cli(&ALICE, &["down", "demo"])?;
    ensure!(out.code != 0, "{out:?}");
    world.cli(&ALICE, &["down", "demo", "--force"])?.ok()?;
    ensure!(pinned(&world)?.len() == 1, "it did not wait");
    world.sh("touch /tmp/end")?;
    until(SECOND, "the namespace to go with the last process", || {
        Ok(pinned(&world)?.is_empty())
    })
}

#[test]
fn t63_a_descriptor_that_somebody_holds_keeps_nothing_up() -> Result<()> {
    let world = ready()?;
    let [namespace] = &pinned(&world)?[..] else {
        anyhow::bail!("not one namespace")
    };
    // Whoever may read the pin holds the namespace, and may not go in.
    let hold = format!("exec 7< /run/netns/{namespace}; touch /tmp/held; exec sleep 600");
    let holder = world.spawn_as(&BOB, &["sh", "-c", &hold])?;
    until(5 * SECOND, "the holder", || {
        Ok(world.path("/tmp/held").exists())
    })?;
    let enter = format!("nsenter --net=/run/netns/{namespace} true");
    let out = world.run_as(&BOB, &["sh", "-c", &enter])?;
    ensure!(out.code != 0, "{out:?}");
    // Root can by the descriptor, also when there is no pin any more: so what is left is seen.
    let look = || {
        let line = format!("nsenter --net=/proc/{}/fd/7 ip -o link", holder.pid);
        Ok::<_, anyhow::Error>(
            std::process::Command::new("sh")
                .args(["-c", &line])
                .output()?,
        )
    };
    ensure!(
        String::from_utf8_lossy(&look()?.stdout).contains(namespace.as_str()),
        "not held"
    );

    let begun = Instant::now();
    world.cli(&ALICE, &["down", "demo"])?.ok()?;
    until(SECOND, "the link to go", || {
        let left = String::from_utf8_lossy(&look()?.stdout).into_owned();
        Ok(left.contains("lo:") && !left.contains(namespace.as_str()))
    })?;
    assert_eq!(world.tunnel(&ALICE, "demo", "state")?, "off");
    ensure!(pinned(&world)?.is_empty(), "it is pinned still");
    ensure!(begun.elapsed() < 20 * SECOND, "it waited for the holder");
    // Nothing is tried again and again for it, and the tunnel comes up as ever.
    for _ in 0..3 {
        world.cli(&ALICE, &["up", "demo"])?.ok()?;
        world.cli(&ALICE, &["down", "demo"])?.ok()?;
    }
    ensure!(
        !world.log("helper").contains("not undone"),
        "{}",
        world.log("helper")
    );
    Ok(())
}
