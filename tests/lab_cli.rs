//! Ring lab: what the command line says to a person and to programs, on real parts: many of a thing and none, exit codes, what is waited for, and a
//! report that gives nothing away.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, BOB, NOBODY, Person, Spec, World, keys::Pair, tty::Desk, world::Output};
use serde_json::Value;

fn lonewire(world: &World, person: &Person, line: &str) -> Result<Output> {
    world.cli(person, &line.split(' ').collect::<Vec<_>>())
}

/// The code of the error that a program reads.
fn code(output: &Output) -> Result<String> {
    let last = output.stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).with_context(|| output.stderr.clone())?;
    let code = error.pointer("/error/code").and_then(Value::as_str);
    Ok(code.context("no code")?.to_owned())
}

/// A configuration of Alice's, readable by her.
fn write(world: &World, name: &str, text: &str) -> Result<()> {
    let path = world.path(&format!("{}/{name}", ALICE.home));
    std::fs::write(&path, text)?;
    std::os::unix::fs::chown(&path, Some(ALICE.uid), Some(ALICE.gid))?;
    Ok(())
}

#[test]
fn none_of_a_thing_is_said_and_each_failure_has_its_exit_code() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    // Nothing is there: said to a person, and nothing at all on standard output.
    for (line, said) in [
        (
            "list",
            "There are no tunnels yet. Add one: lonewire import FILE.conf",
        ),
        ("ps", "No app runs in a tunnel."),
        ("status", "No tunnel is up."),
        ("down --all", "No tunnel is up."),
        ("stop --all", "No app runs in a tunnel."),
    ] {
        let output = lonewire(&world, &ALICE, line)?.ok()?;
        assert_eq!(
            (output.stdout.as_str(), output.stderr.trim()),
            ("", said),
            "{line}"
        );
        let terse = lonewire(&world, &ALICE, &format!("{line} -q"))?.ok()?;
        assert_eq!(
            (terse.stdout.as_str(), terse.stderr.as_str()),
            ("", ""),
            "{line}"
        );
        let json = lonewire(&world, &ALICE, &format!("{line} --json"))?.ok()?;
        let object: Value = serde_json::from_str(&json.stdout).with_context(|| json.stdout)?;
        assert_eq!(object.get("schema"), Some(&Value::from(1)), "{line}");
    }
    for line in ["show", "up", "check", "run -- true"] {
        let expected = if line.starts_with("run") { 125 } else { 10 };
        let output = lonewire(&world, &ALICE, line)?;
        assert_eq!(output.code, expected, "{line}: {}", output.stderr);
        ensure!(
            output.stderr.contains("lonewire import"),
            "{}",
            output.stderr
        );
    }

    world.import(&ALICE, "demo", 0)?;
    let silent = lonewire(&world, &ALICE, "log demo")?.ok()?;
    ensure!(
        silent.stderr.contains("lonewire up demo"),
        "{}",
        silent.stderr
    );
    // A slip of the finger gets a suggestion; another person's name is one that nobody has.
    let output = lonewire(&world, &ALICE, "show dmeo")?;
    assert_eq!(output.code, 10);
    ensure!(
        output.stderr.contains("Did you mean demo?"),
        "{}",
        output.stderr
    );
    let output = lonewire(&world, &BOB, "show demo")?;
    assert_eq!(output.code, 10);
    ensure!(!output.stderr.contains("demo?"), "{}", output.stderr);

    // 4: whom no rule allows it.
    let config = world.client(0)?;
    write(&world, "open.conf", &config)?;
    let path = world.path(&format!("{}/open.conf", ALICE.home));
    std::fs::copy(&path, world.path("/tmp/open.conf"))?;
    std::fs::set_permissions(
        world.path("/tmp/open.conf"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )?;
    let output = lonewire(&world, &NOBODY, "import /tmp/open.conf --json --no-input")?;
    assert_eq!(output.code, 4, "{}", output.stderr);

    // A tunnel without DNS is as it was written: nothing is wrong with it.
    let without: Vec<&str> = config
        .lines()
        .filter(|line| !line.starts_with("DNS"))
        .collect();
    write(&world, "plain.conf", &without.join("\n"))?;
    let output = lonewire(&world, &ALICE, "import plain.conf")?.ok()?;
    ensure!(
        output.stderr.contains("names no DNS server"),
        "{}",
        output.stderr
    );
    lonewire(&world, &ALICE, "up plain")?.ok()?;
    let output = lonewire(&world, &ALICE, "check plain")?.ok()?;
    ensure!(output.stdout.contains("no server"), "{}", output.stdout);

    // 6: something is in its namespace that does not belong there. Nothing is started in it any more.
    let intrude = "ip netns list | grep -o '^lw-[^ ]*' | xargs -I N ip -n N link add intruder type veth peer name other";
    world.run_in("host", &["sh", "-ec", intrude])?.ok()?;
    let output = lonewire(&world, &ALICE, "check plain --json")?;
    assert_eq!((output.code, code(&output)?.as_str()), (6, "not_sealed"));
    ensure!(output.stdout.contains("intruder"), "{}", output.stdout);
    let output = lonewire(&world, &ALICE, "run -t plain --json -- true")?;
    assert_eq!((output.code, code(&output)?.as_str()), (125, "unsealed"));
    lonewire(&world, &ALICE, "down plain")?.ok()?;

    // 3, and 125 for run: no handshake. A person sees what is waited for, a log file does not.
    world.set_silent(0, true)?;
    let output = lonewire(&world, &ALICE, "up demo --wait 1 --json")?;
    assert_eq!((output.code, code(&output)?.as_str()), (3, "not_protected"));
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let output = lonewire(&world, &ALICE, "run -t demo --wait=1 --json -- true")?;
    assert_eq!(
        (output.code, code(&output)?.as_str()),
        (125, "not_protected")
    );
    let output = lonewire(&world, &ALICE, "check demo --json")?;
    assert_eq!((output.code, code(&output)?.as_str()), (3, "no_handshake"));
    lonewire(&world, &ALICE, "down demo")?.ok()?;
    let mut desk = Desk::start(&world, &ALICE, &["lonewire", "up", "demo", "--wait", "2"])?;
    desk.expect("Waiting for a handshake of the tunnel “demo”")?;
    desk.expect("the server has not answered yet")?;
    assert_eq!(desk.end()?, 3);
    // 130: a person does not want to wait.
    let mut desk = Desk::start(
        &world,
        &ALICE,
        &["lonewire", "run", "-t", "demo", "--wait=20", "--", "true"],
    )?;
    desk.expect("Waiting for a handshake of the tunnel “demo”")?;
    desk.press("\x03")?;
    assert_eq!(desk.end()?, 130);
    let mut desk = Desk::start(
        &world,
        &ALICE,
        &[
            "env",
            "TERM=dumb",
            "lonewire",
            "run",
            "-t",
            "demo",
            "--wait=1",
            "--",
            "true",
        ],
    )?;
    let shown = desk.expect("[not_protected]")?;
    ensure!(
        !shown.contains("Waiting") && !shown.contains('\x1b'),
        "{shown}"
    );
    assert_eq!(desk.end()?, 125);
    Ok(())
}

#[test]
fn a_report_gives_nothing_away() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "our-secret-name", 0)?;
    lonewire(&world, &ALICE, "up our-secret-name")?.ok()?;
    lonewire(&world, &ALICE, "doctor --bundle report.json")?;
    let report = std::fs::read_to_string(world.path(&format!("{}/report.json", ALICE.home)))?;
    let object: Value = serde_json::from_str(&report)?;
    let tunnel = object.pointer("/tunnels/0").context("no tunnel")?;
    assert_eq!(
        tunnel.get("state"),
        Some(&Value::from("protected")),
        "{report}"
    );
    // Every word of the configuration that is its owner's own.
    let config =
        std::fs::read_to_string(world.path(&format!("{}/our-secret-name.conf", ALICE.home)))?;
    let mut words: Vec<&str> = config
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(key, _)| !["AllowedIPs", "PersistentKeepalive"].contains(key))
        .flat_map(|(_, value)| value.split([',', '/', ' ']))
        .filter(|word| word.len() > 3)
        .collect();
    words.extend(["our-secret-name", "lw-", "alice", lab::net::VPN_EXIT_V4]);
    ensure!(words.len() >= 9, "{words:?}");
    let id = world.tunnel(&ALICE, "our-secret-name", "id")?;
    for word in words.into_iter().chain([id.as_str()]) {
        ensure!(!report.contains(word), "{word} is in the report: {report}");
    }
    Ok(())
}

#[test]
fn a_thousand_tunnels_are_listed_and_found() -> Result<()> {
    const MANY: usize = 1000;
    let world = World::new(Spec::product())?;
    let peer = Pair::new()?;
    // One archive would do, but this also sends as many calls as it takes.
    let mut script = String::from("mkdir many; cd many\n");
    for number in 0..MANY {
        let keys = Pair::new()?;
        writeln!(
            script,
            "printf '[Interface]\\nPrivateKey = {}\\nAddress = 10.1.0.2/32\\nDNS = 10.1.0.1\\n[Peer]\\nPublicKey = {}\\nAllowedIPs = 0.0.0.0/0, ::/0\\nEndpoint = 192.0.2.1:51820\\n' > tunnel-{number:04}.conf",
            keys.private, peer.public
        )?;
    }
    write(&world, "make.sh", &script)?;
    world.run_as(&ALICE, &["sh", "make.sh"])?.ok()?;
    let output = world
        .run_as(
            &ALICE,
            &["sh", "-c", "cd many && exec lonewire import -q *.conf"],
        )?
        .ok()?;
    assert_eq!(output.stdout.lines().count(), MANY);

    let output = lonewire(&world, &ALICE, "list")?.ok()?;
    let names: Vec<&str> = output
        .stdout
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    ensure!(
        names.len() == MANY && names.is_sorted(),
        "{} names",
        names.len()
    );
    let output = lonewire(&world, &ALICE, "show tunnel-0777 -q")?.ok()?;
    ensure!(
        output.stdout.starts_with("name\ttunnel-0777\n"),
        "{}",
        output.stdout
    );
    // Which one is meant is not clear; which are near is.
    let output = lonewire(&world, &ALICE, "show tunnel-077")?;
    ensure!(
        output.code == 10 && output.stderr.contains("tunnel-0771"),
        "{}",
        output.stderr
    );
    Ok(())
}

#[test]
fn a_browser_that_runs_outside_is_not_handed_over_to() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let home = ALICE.home;
    let folder = format!("{home}/.local/share/applications");
    write(
        &world,
        "firefox",
        "#!/bin/sh\n: > \"$HOME/started\"\nprintf '%s\\n' \"$@\"\n",
    )?;
    world.sh(&format!(
        "mkdir -p {folder} {home}/.mozilla/firefox/a.default /snap/bin; cp /bin/true /snap/bin/lab; chmod 755 {home}/firefox
         printf '[Desktop Entry]\\nType=Application\\nName=Vixen\\nExec={home}/firefox %%u\\n' > {folder}/firefox.desktop
         chown -R {0}:{0} {home}",
        ALICE.uid
    ))?;
    let started = || world.path(&format!("{home}/started")).exists();
    let run = |words: &str| lonewire(&world, &ALICE, &format!("run -t demo {words}"));

    // Nothing else runs: all is as with any program.
    let output = run("--desktop-id firefox -- https://example.org/")?.ok()?;
    assert_eq!(output.stdout.trim(), "https://example.org/");
    world.sh(&format!("rm {home}/started"))?;

    let lock =
        "ln -s 127.0.0.1:+$$ $HOME/.mozilla/firefox/a.default/lock && echo there && exec sleep 300";
    let mut outside = world.spawn_as(&ALICE, &["sh", "-c", lock])?;
    let mut said = String::new();
    let stdout = outside.waiter.stdout.take().context("no standard output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut said)?;
    let output = run("--json --desktop-id firefox")?;
    assert_eq!((output.code, &*code(&output)?), (76, "handed_over"));
    ensure!(!started(), "it was started");
    // A command may know what it does: it is warned before, and told after.
    let output = run(&format!("-- {home}/firefox"))?;
    assert_eq!(output.code, 76, "{}", output.stderr);
    ensure!(started(), "it was not started");
    ensure!(output.stderr.contains("[handed_over]"), "{}", output.stderr);
    ensure!(
        output.stderr.contains("--separate-profile"),
        "{}",
        output.stderr
    );

    let id = world.tunnel(&ALICE, "demo", "id")?;
    for words in [
        "--desktop-id firefox".to_owned(),
        format!("-- {home}/firefox"),
    ] {
        let output = run(&format!("--separate-profile {words}"))?.ok()?;
        let profile = format!("{home}/.local/share/lonewire/profiles/{id}/firefox");
        assert_eq!(
            output.stdout,
            format!("--profile\n{profile}\n--no-remote\n")
        );
    }
    outside.signal(nix::sys::signal::Signal::SIGKILL)?;

    // What is not run, or not like this.
    let output = run("--json --separate-profile -- true")?;
    assert_eq!((output.code, &*code(&output)?), (77, "no_profiles"));
    let output = run("--json -- /snap/bin/lab")?;
    assert_eq!((output.code, &*code(&output)?), (77, "snap"));
    Ok(())
}
