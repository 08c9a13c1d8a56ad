//! A launch in a machine that is full against one in a machine with a single tunnel: two worlds side by side, measured in turns. Must
//! never count what has not really come up.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, BOB, Person, Program, Spec, World};

use super::{Limit, Row, TUNNEL, median, milliseconds, stopwatch::Stopwatch};

const TUNNELS: usize = 100;
const APPS: usize = 500;
/// Setting up is no part of what is measured, but may not hang.
const LIMIT: Duration = Duration::from_secs(300);

const fn more(name: &'static str, uid: u32, home: &'static str) -> Person {
    Person {
        name,
        uid,
        gid: uid,
        groups: &[],
        home,
        shell: "/bin/sh",
    }
}

/// Four users, two of whom the lab has already.
const PEOPLE: [Person; 4] = [
    ALICE,
    BOB,
    more("carol", 61021, "/home/carol"),
    more("dave", 61022, "/home/dave"),
];

/// For the administrator's file: nobody waits for a turn while the machine is filled.
const QUOTAS: &str = "[quotas]\nlaunches-per-second = 1000\nwarden-requests-per-second = 1000\n";

/// Launches in both, and what they take.
pub fn run(single: &mut World, folder: &Path, pairs: usize) -> Result<Vec<Row>> {
    let mut full = World::with_programs(Spec::bench(), folder)?;
    fill(&mut full)?;
    let line = ["lonewire", "run", "-t", TUNNEL, "--", "true"];
    let mut ours = Stopwatch::in_world(&full, Some(&ALICE), &line)?;
    let mut theirs = Stopwatch::in_world(single, Some(&ALICE), &line)?;
    let (mut many, mut one) = (vec![], vec![]);
    ours.once()?;
    theirs.once()?;
    for _ in 0..pairs {
        many.push(milliseconds(ours.once()?));
        one.push(milliseconds(theirs.once()?));
    }
    let (many, one) = (median(many)?, median(one)?);
    Ok(vec![Row {
        work: "launch with 100 tunnels and 500 apps, against one",
        ours: format!("{many:.2} ms"),
        theirs: format!("{one:.2} ms"),
        figure: many / one,
        limit: Limit::AtMost(1.3),
    }])
}

/// A quarter of the tunnels and apps for each of the four.
fn fill(world: &mut World) -> Result<()> {
    fs::write(world.path(lonewire_api::names::ADMIN_CONFIG), QUOTAS)?;
    world.kill(Program::Helper)?;
    world.restart(Program::Helper)?;
    for person in &PEOPLE[2..] {
        add(world, person)?;
    }
    for person in &PEOPLE {
        for number in 0..TUNNELS / PEOPLE.len() {
            let name = match number {
                0 => TUNNEL.to_owned(),
                number => format!("tunnel-{number}"),
            };
            world.import(person, &name, 0)?;
        }
    }
    for person in &PEOPLE {
        // A few at a time; each of the tunnels gets its share of the apps.
        let each = APPS / TUNNELS;
        let script = format!(
            "lonewire --terse list | cut -f2 | xargs -P 2 -I T sh -c \
             'lonewire up T >/dev/null && for i in $(seq {each}); do lonewire run --detach -t T -- sleep 100000 >/dev/null || exit 255; done'"
        );
        let mut child = world
            .command("host", Some(person), &["sh", "-c", &script])?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > LIMIT {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("the machine is not full after {LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        ensure!(status.success(), "{}: {status}", person.name);
    }
    let running = world.processes("sleep")?.len();
    ensure!(running == APPS, "{running} of {APPS} apps run");
    let mut up = 0;
    for person in &PEOPLE {
        let tunnels = world.tunnels(person)?;
        up += tunnels
            .iter()
            .filter(|tunnel| tunnel["state"] == "protected")
            .count();
    }
    ensure!(up == TUNNELS, "{up} of {TUNNELS} tunnels are protected");
    Ok(())
}

/// Adds a user to a world, with the rights of those it has.
fn add(world: &World, person: &Person) -> Result<()> {
    let Person {
        name, uid, home, ..
    } = person;
    for (file, line) in [
        (
            "passwd",
            format!("{name}:x:{uid}:{uid}:{name}:{home}:/bin/sh"),
        ),
        ("group", format!("{name}:x:{uid}:")),
    ] {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(world.path(&format!("/etc/{file}")))?;
        writeln!(file, "{line}")?;
    }
    let rule = format!(
        "polkit.addRule(function(action, subject) {{\n    if (subject.user == \"{name}\" && action.id.endsWith(\"-own\")) return polkit.Result.YES;\n}});\n"
    );
    fs::write(
        world.path(&format!("/etc/polkit-1/rules.d/20-{name}.rules")),
        rule,
    )?;
    let folders = format!(
        "install -d -o {uid} -g {uid} {home} && install -d -m 700 -o {uid} -g {uid} /run/user/{uid}"
    );
    world
        .run_in("host", &["sh", "-c", &folders])?
        .ok()
        .context("a user's folders")?;
    Ok(())
}
