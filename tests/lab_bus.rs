//! Ring lab: the system bus of a program in a tunnel. T53: what looks names up or reaches the network for others is not there, whatever it is called by.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, Output, Spec, World, bus::StandIn, world::until};

/// They would do outside what a program may not.
const HIDDEN: [&str; 5] = [
    "org.freedesktop.resolve1",
    "org.freedesktop.Avahi",
    "org.freedesktop.network1",
    "org.freedesktop.systemd1",
    "org.freedesktop.machine1",
];
const OPEN: &str = "org.example.Open1";
const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";

/// One call, as a person: inside the tunnel `demo`, or beside it.
fn call(world: &World, inside: bool, to: &str, method: &str) -> Result<Output> {
    let to = format!("--dest={to}");
    let call = [
        "dbus-send",
        "--system",
        "--print-reply",
        "--reply-timeout=5000",
        &to,
        "/",
        method,
    ];
    if inside {
        world.run_inside(&ALICE, "demo", &call)
    } else {
        world.run_as(&ALICE, &call)
    }
}

fn ready() -> Result<World> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.cli(&ALICE, &["up", "demo"])?.ok()?;
    Ok(world)
}

#[test]
fn t53_what_answers_names_or_reaches_the_network_is_not_on_the_bus() -> Result<()> {
    let world = ready()?;
    let hidden = StandIn::take(&world, &HIDDEN)?;
    let open = StandIn::take(&world, &[OPEN])?;
    for (index, name) in HIDDEN
        .into_iter()
        .chain([hidden.unique()?.as_str()])
        .enumerate()
    {
        let method = format!("org.example.Manager.Marker{index}");
        // The same call beside the tunnel arrives: that is what the silence inside is worth.
        call(&world, false, name, &method)?.ok()?;
        assert_eq!(hidden.calls(), [format!("{name} {method}")]);
        let out = call(&world, true, name, &method)?;
        ensure!(out.code != 0, "{name} answered inside: {out:?}");
        ensure!(
            out.stderr.contains("org.freedesktop.DBus.Error."),
            "{out:?}"
        );
        // Nor is it started, nor is there a name.
        for method in [
            "StartServiceByName",
            "GetNameOwner",
            "GetConnectionUnixProcessID",
        ] {
            let name = format!("string:{name}");
            let method = format!("org.freedesktop.DBus.{method}");
            let mut line = vec!["dbus-send", "--system", "--print-reply"];
            line.extend(["--dest=org.freedesktop.DBus", "/", &method, &name]);
            if method.ends_with("StartServiceByName") {
                line.push("uint32:0");
            }
            let out = world.run_inside(&ALICE, "demo", &line)?;
            ensure!(out.code != 0, "{name} {method}: {out:?}");
        }
        assert_eq!(hidden.calls(), Vec::<String>::new());
    }
    // Every other service is as it is outside.
    call(&world, true, OPEN, "org.example.Open1.Do")?.ok()?;
    assert_eq!(open.calls(), [format!("{OPEN} org.example.Open1.Do")]);
    // A program cannot listen to what they say, as it can to others.
    let line = "lonewire run -t demo -- timeout 3 dbus-monitor --system";
    let mut monitor = world.spawn_as(&ALICE, &line.split(' ').collect::<Vec<_>>())?;
    until(Duration::from_secs(20), "the monitor's end", || {
        hidden.shout("org.freedesktop.resolve1.Manager", "Marker")?;
        open.shout("org.example.Open1", "Marker")?;
        Ok(monitor.waiter.try_wait()?.is_some())
    })?;
    let out = std::io::read_to_string(monitor.waiter.stdout.take().context("it was piped")?)?;
    ensure!(out.contains("org.example.Open1"), "{out}");
    ensure!(!out.contains("org.freedesktop.resolve1"), "{out}");
    Ok(())
}

#[test]
fn t53_network_manager_is_read_and_not_told() -> Result<()> {
    let world = ready()?;
    let manager = StandIn::take(&world, &[NETWORK_MANAGER])?;
    for method in [
        "org.freedesktop.DBus.Properties.GetAll",
        "org.freedesktop.DBus.Introspectable.Introspect",
        "org.freedesktop.DBus.ObjectManager.GetManagedObjects",
    ] {
        call(&world, true, NETWORK_MANAGER, method)?.ok()?;
        assert_eq!(told(&manager), [format!("{NETWORK_MANAGER} {method}")]);
    }
    // By the connection's own name it is another name of the same, not a way around.
    for to in [NETWORK_MANAGER.to_owned(), manager.unique()?] {
        for method in [
            "org.freedesktop.DBus.Properties.Set",
            "org.freedesktop.NetworkManager.ActivateConnection",
            "org.freedesktop.NetworkManager.CheckConnectivity",
            "org.freedesktop.NetworkManager.Settings.Connection.GetSecrets",
        ] {
            call(&world, false, &to, method)?.ok()?;
            assert_eq!(told(&manager), [format!("{to} {method}")]);
            let out = call(&world, true, &to, method)?;
            ensure!(
                out.code != 0 && out.stderr.contains("DBus.Error."),
                "{method}: {out:?}"
            );
            assert_eq!(told(&manager), Vec::<String>::new());
        }
    }
    Ok(())
}

/// Calls, but for that by which the helper asks of its own accord whether there is a captive portal.
fn told(manager: &StandIn) -> Vec<String> {
    let mut calls = manager.calls();
    calls.retain(|call| !call.ends_with(".Properties.Get"));
    calls
}

#[test]
fn lonewire_works_in_a_shell_in_a_tunnel() -> Result<()> {
    let world = ready()?;
    let list = world
        .run_inside(&ALICE, "demo", &["lonewire", "list", "--json"])?
        .ok()?;
    ensure!(list.stdout.contains("\"demo\""), "{list:?}");
    // With descriptors, and an app that is started from within.
    let out = world.run_inside(
        &ALICE,
        "demo",
        &[
            "sh",
            "-c",
            "echo hi | lonewire run -t demo -- sh -c 'cat; id -un'",
        ],
    )?;
    assert_eq!(out.ok()?.stdout, "hi\nalice\n");
    Ok(())
}

#[test]
fn a_bus_whose_proxy_was_killed_stays_away_and_ends_with_its_app() -> Result<()> {
    let mut world = ready()?;
    let hidden = StandIn::take(&world, &HIDDEN)?;
    let mut inside = lab::probe::Probe::inside(&world, &ALICE, "demo")?;
    let proxies = world.processes("xdg-dbus-proxy")?;
    ensure!(proxies.len() == 1, "{proxies:?}");
    // It is no process of the app's, for whoever counts or signals them.
    let apps = world.apps(&ALICE)?;
    let running: Vec<_> = apps
        .iter()
        .filter(|app| app["state"] == "running")
        .collect();
    assert_eq!(running.len(), 1, "{apps:?}");
    let pid = world.app_pid(&ALICE, "roles")?;
    let socket = "/run/dbus/system_bus_socket";
    let reach = |world: &World, to: &str, method: &str| -> Result<Output> {
        let (pid, to) = (pid.to_string(), format!("--dest={to}"));
        let line = [
            "nsenter",
            "--target",
            &pid,
            "--mount",
            "--net",
            "setpriv",
            "--reuid=61001",
            "--clear-groups",
            "--regid=61001",
            "dbus-send",
            "--system",
            "--print-reply",
            &to,
            "/",
            method,
        ];
        world.run_in("host", &line)
    };
    let (bus, id) = ("org.freedesktop.DBus", "org.freedesktop.DBus.GetId");
    reach(&world, bus, id)?.ok()?;
    world.end(&proxies)?;
    for (to, method) in [(bus, id), (HIDDEN[0], "org.example.Manager.Marker")] {
        let out = reach(&world, to, method)?;
        ensure!(out.code != 0, "{out:?}");
    }
    let why = inside.refused(&format!("unix {socket} x"))?;
    ensure!(why.contains("Connection refused"), "{why}");
    assert_eq!(hidden.calls(), Vec::<String>::new());
    // The app does not mind, and another one has a bus of its own.
    world
        .run_inside(&ALICE, "demo", &["lonewire", "list"])?
        .ok()?;
    inside.close()?;
    until(Duration::from_secs(5), "no proxy is left", || {
        Ok(world.processes("xdg-dbus-proxy")?.is_empty())
    })?;
    // One whose keeper is killed goes too.
    let inside = lab::probe::Probe::inside(&world, &ALICE, "demo")?;
    ensure!(world.processes("xdg-dbus-proxy")?.len() == 1);
    world.kill(lab::Program::Warden)?;
    until(
        Duration::from_secs(5),
        "the proxy to go with its keeper",
        || Ok(world.processes("xdg-dbus-proxy")?.is_empty()),
    )?;
    drop(inside);
    Ok(())
}

#[test]
fn without_the_proxy_there_is_no_bus_and_doctor_says_so() -> Result<()> {
    let world = ready()?;
    world.sh("rm /usr/bin/xdg-dbus-proxy")?;
    let out = world
        .run_inside(&ALICE, "demo", &["sh", "-c", "ls -A /run/dbus; echo ran"])?
        .ok()?;
    assert_eq!(out.stdout, "ran\n");
    let out = call(
        &world,
        true,
        "org.freedesktop.DBus",
        "org.freedesktop.DBus.GetId",
    )?;
    ensure!(out.code != 0, "{out:?}");
    let doctor = world.cli(&ALICE, &["doctor", "--json"])?;
    let told: serde_json::Value = serde_json::from_str(&doctor.stdout)?;
    let checks = told["checks"].as_array().context("no checks")?;
    let check = checks
        .iter()
        .find(|check| check["check"] == "bus_proxy")
        .context("not looked at")?;
    assert_eq!(check["status"], "warn", "{check}");
    Ok(())
}
