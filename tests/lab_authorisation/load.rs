//! T22, T23: one person's flood does not hinder another, and quotas hold to the unit, however many ask at once.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{
    Program, World,
    caller::{Caller, Sent, call},
    polkit::Answer,
    world::until,
};
use lonewire_api::names::{ADMIN_CONFIG, APPS_INTERFACE as APPS, TUNNELS_INTERFACE as TUNNELS};
use zbus::{OwnedVariant, Variant, message::Flags};

use super::{
    scene::{self, Scene, assert_no_trace, helper, import},
    table::{self, asking, launch, table},
};

/// Long before anything that waits for a deadline goes on: the bus is asked again after half a second, polkit has twenty. On a machine
/// with nothing else to do it is a quarter of a second.
const SOON: Duration = Duration::from_secs(3);
/// Of the bus, for one connection.
const CALLS: usize = 120;

/// The bus itself lets only so many descriptors wait for one receiver.
const BUSY: &str = "org.freedesktop.DBus.Error.LimitsExceeded";

/// Sends a call again and again on some connections, as many as the bus lets wait.
fn flood(scene: &Scene, connections: usize, member: &str) -> Result<Vec<(Caller, Vec<Sent>)>> {
    let rows = table();
    let row = rows
        .iter()
        .find(|row| row.member == member)
        .context("no such row")?;
    let mut open = Vec::new();
    for _ in 0..connections {
        let caller = scene.door.enter()?;
        let mut sent = Vec::new();
        for _ in 0..CALLS {
            sent.push(caller.send(&(row.call)(scene.id(row), Flags::ALLOW_INTERACTIVE_AUTH)?)?);
        }
        open.push((caller, sent));
    }
    Ok(open)
}

/// How long the slowest of bob's calls takes, of every kind that does no more than ask and look.
fn slowest(scene: &Scene) -> Result<Duration> {
    let tunnel = import(&scene.bob, "", table::configuration()?)?;
    let mut slowest = Duration::ZERO;
    for row in table() {
        if row.names == table::Names::App
            || ["Connect", "Switch", "Launch", "Check"].contains(&row.member)
        {
            continue;
        }
        let reply = scene.bob.ask(&(row.call)(&tunnel, Flags::empty())?)?;
        assert_eq!(reply.error(), "", "{}: {:?}", row.member, reply.message);
        slowest = slowest.max(reply.after);
    }
    Ok(slowest)
}

#[test]
fn a_flood_of_open_questions_holds_up_nobody_else() -> Result<()> {
    let scene = Scene::new()?;
    let pid = helper(&scene.world)?;
    let usual = slowest(&scene)?;
    scene.polkit.take();
    // Polkit thinks for ever about alice, and answers bob at once.
    let bob = scene.bob.name.clone();
    scene.polkit.script(move |question| {
        if question.about() == bob {
            Answer::Yes
        } else {
            Answer::Hang
        }
    });
    let open = flood(&scene, 8, "Create")?;
    scene.polkit.wait_for(1)?;
    let during = slowest(&scene)?;
    assert!(
        during < usual + SOON,
        "{during:?}, without the flood {usual:?}"
    );
    // Of one person's only so many are kept waiting; the others are told at once.
    let mut refused = 0;
    for (caller, sent) in &open {
        for sent in sent {
            if let Some(reply) = caller.wait(*sent, Duration::ZERO) {
                assert_eq!(reply.error(), "LimitsExceeded");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 8 * CALLS - 256);
    drop(open);
    // All that they held is free again.
    until(Duration::from_secs(12), "alice to be served again", || {
        scene.polkit.always(Answer::No);
        let row = &asking()[1];
        let reply = scene.alice.ask(&(row.call)("", Flags::empty())?)?;
        Ok(reply.error() == "AccessDenied" && reply.after < SOON)
    })?;
    assert_eq!(helper(&scene.world)?, pid);
    Ok(())
}

#[test]
fn a_flood_of_calls_holds_up_nobody_else() -> Result<()> {
    let scene = Scene::new()?;
    scene.polkit.always(Answer::Yes);
    let pid = helper(&scene.world)?;
    let before = scene.traces()?;
    let files = || -> Result<usize> { Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count()) };
    let descriptors = files()?;
    // 1,920 calls that look, and as many that bring a descriptor each and are refused.
    for member in ["List", "Show", "Replace"] {
        scene.polkit.always(Answer::No);
        let open = flood(&scene, 16, member)?;
        let mut served = 0;
        for _ in 0..60 {
            let bob = scene.bob.call(TUNNELS, "List", &());
            let bob = bob.with_context(|| format!("{member}\n{}", scene.world.log("helper")))?;
            // It may be the bus that refuses, for the moment.
            assert!(
                ["", BUSY].contains(&bob.error().as_str()),
                "{member}: {}",
                bob.error()
            );
            let after = bob.after;
            assert!(after < SOON, "{member}: {after:?}");
            served += usize::from(bob.error().is_empty());
        }
        assert!(served > 0, "{member}: the bus refused all of bob's");
        for (caller, sent) in &open {
            for sent in sent {
                let reply = caller.wait(*sent, Duration::from_secs(20));
                let error = reply
                    .with_context(|| format!("{member}: no answer"))?
                    .error();
                let known = ["", "AccessDenied", "LimitsExceeded", BUSY];
                assert!(known.contains(&error.as_str()), "{error}");
            }
        }
    }
    until(Duration::from_secs(5), "descriptors to be closed", || {
        Ok(files()? <= descriptors + 2)
    })?;
    assert_no_trace(&before, &scene.traces()?, "a flood");
    assert_eq!(helper(&scene.world)?, pid);
    Ok(())
}

/// A line of the helper's `/proc/PID/status` in MiB.
fn memory(pid: i32, key: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kilobytes.context("no such line")?.parse::<u64>()? / 1024)
}

#[test]
fn the_largest_messages_of_the_bus_do_not_fill_the_memory() -> Result<()> {
    let scene = Scene::new()?;
    let pid = helper(&scene.world)?;
    let before = scene.traces()?;
    // A little less than the bus takes.
    let bytes = vec![b'x'; 31 << 20];
    let message = call(TUNNELS, "Create", &bytes, Flags::empty())?;
    let callers = (0..8)
        .map(|_| scene.door.enter())
        .collect::<Result<Vec<_>>>()?;
    let sent = callers
        .iter()
        .map(|caller| caller.send(&message))
        .collect::<Result<Vec<_>>>()?;
    let bob = scene.bob.call(TUNNELS, "List", &())?;
    assert_eq!(bob.error(), "");
    assert!(bob.after < SOON, "{:?}", bob.after);
    for (caller, sent) in callers.iter().zip(sent) {
        let reply = caller.wait(sent, Duration::from_secs(20));
        assert_ne!(reply.context("no answer")?.error(), "");
    }
    // Its unit ends it at 256.
    let (peak, now) = (memory(pid, "VmHWM")?, memory(pid, "VmRSS")?);
    assert!(peak < 160 && now < 64, "{peak} MiB, now {now}");
    assert_no_trace(&before, &scene.traces()?, "large messages");
    assert_eq!(helper(&scene.world)?, pid);
    Ok(())
}

/// Writes the admin file and starts the helper anew.
fn with_quotas(world: &mut World, text: &str) -> Result<()> {
    let file = world.path(ADMIN_CONFIG);
    fs::create_dir_all(file.parent().context("absolute")?)?;
    fs::write(file, text)?;
    world.restart(Program::Helper)
}

/// Sends calls without waiting in between, and gives the errors' names, empty for a success.
fn at_once(caller: &Caller, messages: &[zbus::Message]) -> Result<Vec<String>> {
    let sent = messages
        .iter()
        .map(|message| caller.send(message))
        .collect::<Result<Vec<_>>>()?;
    sent.into_iter()
        .map(|sent| {
            let reply = caller.wait(sent, Duration::from_secs(30));
            Ok(reply.context("no answer")?.error())
        })
        .collect()
}

fn count(errors: &[String], name: &str) -> usize {
    errors.iter().filter(|error| *error == name).count()
}

#[test]
fn quotas_hold_to_the_unit_when_all_ask_at_once() -> Result<()> {
    let mut scene = Scene::new()?;
    let quotas =
        "[quotas]\ntunnels = 12\nconnected = 3\napps = 4\nprompts = 2\nlaunches-per-second = 50\n";
    with_quotas(&mut scene.world, quotas)?;
    let limits = scene.alice.call(
        "org.freedesktop.DBus.Properties",
        "GetAll",
        &"org.lonewire.Helper1.Service",
    )?;
    let limits: BTreeMap<String, OwnedVariant> = limits.read()?;
    assert!(format!("{limits:?}").contains("U32(12)"), "{limits:?}");

    // Tunnels: two are there.
    let rows = table();
    let create: Vec<_> = (0..40)
        .map(|_| (rows[2].call)("", Flags::empty()))
        .collect::<Result<_>>()?;
    let errors = at_once(&scene.alice, &create)?;
    assert_eq!(
        (count(&errors, ""), count(&errors, "LimitsExceeded")),
        (10, 30),
        "{errors:?}"
    );
    assert_eq!(scene::list(&scene.alice)?.len(), 12);
    let full = import(&scene.alice, "", table::configuration()?);
    assert!(full.is_err_and(|error| error.to_string().contains("LimitsExceeded")));

    // Connected: one is.
    let wait = HashMap::from([("wait", Variant::from(0_u32))]);
    let mut connect = Vec::new();
    // Those that have a peer: the ones that were imported, and their copies.
    let remove: Vec<_> = scene::list(&scene.alice)?
        .keys()
        .filter(|id| **id != scene.up && **id != scene.tunnel)
        .map(|id| call(TUNNELS, "Remove", id, Flags::empty()))
        .collect::<Result<_>>()?;
    assert_eq!(count(&at_once(&scene.alice, &remove)?, ""), 10);
    let mut ids = vec![scene.tunnel.clone()];
    for _ in 0..5 {
        ids.push(import(&scene.alice, "", table::configuration()?)?);
    }
    for id in &ids {
        connect.push(call(TUNNELS, "Connect", &(id, &wait), Flags::empty())?);
    }
    let errors = at_once(&scene.alice, &connect)?;
    assert_eq!(
        (count(&errors, ""), count(&errors, "LimitsExceeded")),
        (2, 4),
        "{errors:?}"
    );

    // Apps: one runs.
    let launches: Vec<_> = (0..10)
        .map(|_| launch(&scene.up, &["sleep", "600"], Flags::empty()))
        .collect::<Result<_>>()?;
    let errors = at_once(&scene.alice, &launches)?;
    assert_eq!(
        (count(&errors, ""), count(&errors, "LimitsExceeded")),
        (3, 7),
        "{errors:?}\n{}",
        scene.world.log("helper")
    );
    let apps: Vec<(String, BTreeMap<String, OwnedVariant>)> =
        scene.alice.call(APPS, "List", &())?.read()?;
    assert_eq!(apps.len(), 4);

    // Prompts: each on the screen until somebody answers, and no more than two.
    scene.polkit.script(|question| {
        if question.may_prompt() {
            Answer::Hang
        } else {
            Answer::Challenge
        }
    });
    scene.polkit.take();
    let caller = scene.door.enter()?;
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(caller.send(&(rows[2].call)("", Flags::ALLOW_INTERACTIVE_AUTH)?)?);
    }
    scene.polkit.wait_for(6 + 2)?;
    let refused = |open: &[Sent]| {
        open.iter()
            .filter_map(|sent| caller.wait(*sent, Duration::from_millis(200)))
            .map(|reply| reply.error())
            .collect::<Vec<_>>()
    };
    assert_eq!(refused(&open), ["LimitsExceeded"; 4]);
    let prompts = scene.polkit.take();
    assert_eq!(
        prompts
            .iter()
            .filter(|question| question.may_prompt())
            .count(),
        2
    );
    drop(caller);

    // None of it is bob's.
    scene.polkit.always(Answer::Yes);
    let caller = scene.bobs_door.enter()?;
    let tunnel = import(&caller, "bobs", table::configuration()?)?;
    assert_eq!(
        caller.call(TUNNELS, "Connect", &(&tunnel, &wait))?.error(),
        ""
    );
    let app = caller.ask(&launch(&tunnel, &["sleep", "600"], Flags::empty())?)?;
    assert_eq!(app.error(), "");
    Ok(())
}
