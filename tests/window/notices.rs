//! Ring window: desktop notifications are clicked: each leads to what it is about, and tries again what failed.

use std::{fs, time::Duration};

use anyhow::Result;
use lab::{
    ALICE, Program, Spec, World,
    desktop::{Desktop, Look, State, Window, notices::Notice},
    product::text,
    world::{READY, until},
};

const LIMIT: Duration = Duration::from_secs(30);
const APP: &str = "org.example.Quill";
/// It can not be started as it is.
const BROKEN: &str = "#!/nonexistent/interpreter\n";
const GOOD: &str = "#!/bin/sh\nexec sleep 300\n";

/// A person with an app of their own.
fn install(world: &World, script: &str) -> Result<()> {
    let home = ALICE.home;
    let folder = format!("{home}/.local/share/applications");
    world.sh(&format!("mkdir -p {folder}"))?;
    fs::write(
        world.path(&format!("{folder}/{APP}.desktop")),
        format!("[Desktop Entry]\nType=Application\nName=Quill\nExec={home}/quill\n"),
    )?;
    write(world, script)
}

fn write(world: &World, script: &str) -> Result<()> {
    let home = ALICE.home;
    fs::write(world.path(&format!("{home}/quill")), script)?;
    world.sh(&format!(
        "chmod 755 {home}/quill; chown -R {0}:{0} {home}",
        ALICE.uid
    ))
}

/// Waits for a notification by its title.
fn told(desktop: &Desktop, title: &str) -> Result<Notice> {
    let mut found = None;
    until(LIMIT, title, || {
        let all = desktop.notices.all();
        found = all.into_iter().find(|notice| notice.title == title);
        Ok(found.is_some())
    })?;
    found.ok_or_else(|| anyhow::anyhow!("no {title}"))
}

/// Waits until a tunnel's page is the one that is shown.
fn is_shown(window: &Window<'_>, row: &str) -> Result<()> {
    window.wait(READY, row, |tree| {
        tree.find("list item", row)?
            .is(State::Selected)
            .then_some(())
    })
}

fn running(world: &World) -> Result<Vec<String>> {
    let apps = world.apps(&ALICE)?;
    let running = apps.iter().filter(|app| text(app, "state") == "running");
    Ok(running.map(|app| text(app, "name").to_owned()).collect())
}

#[test]
fn a_blocked_tunnels_notification_leads_to_it_and_tries_again() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    install(&world, GOOD)?;
    world.import(&ALICE, "alpha", 0)?;
    world.import(&ALICE, "beta", 0)?;
    world
        .cli(
            &ALICE,
            &["run", "-t", "beta", "--detach", "--", "sleep", "300"],
        )?
        .ok()?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "beta, Protected · 1 app")?;
    window.click("list item", "alpha, Off")?;
    is_shown(&window, "alpha, Off")?;

    world.stop(Program::DataPlane)?;
    let notice = told(&desktop, "“beta” is blocked")?;
    desktop.notices.click(&desktop.session, &notice, None)?;
    is_shown(&window, "beta, *")?;

    // Told once more, and answered while it is: with the tunnel what was told of it goes.
    world.restart(Program::DataPlane)?;
    window.find_within(LIMIT, "list item", "beta, Protected · 1 app")?;
    window.click("list item", "alpha, Off")?;
    is_shown(&window, "alpha, Off")?;
    world.stop(Program::DataPlane)?;
    let notice = told(&desktop, "“beta” is blocked")?;
    desktop
        .notices
        .click(&desktop.session, &notice, Some("Try Again"))?;
    is_shown(&window, "beta, *")?;
    world.restart(Program::DataPlane)?;
    window.find_within(LIMIT, "list item", "beta, Protected · 1 app")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn an_app_that_did_not_start_behind_ones_back_is_run_again() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    install(&world, BROKEN)?;
    world.import(&ALICE, "demo", 0)?;
    world.set_silent(0, true)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo, Off")?;
    window.click("button", "*Run App…")?;
    window.point("list item", "Quill")?;
    window.reads("Starts when the tunnel is protected")?;
    // Somebody who looks elsewhere: the window is out of the way.
    desktop.run(&["xdotool", "getactivewindow", "windowminimize"])?;
    world.set_silent(0, false)?;
    let notice = told(&desktop, "Could not run “Quill”")?;
    assert_eq!(notice.body, "The program could not be started.");
    write(&world, GOOD)?;
    desktop
        .notices
        .click(&desktop.session, &notice, Some("Try Again"))?;
    window.find_within(LIMIT, "list item", "demo, Protected · 1 app")?;
    assert_eq!(running(&world)?, ["Quill"]);
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_launcher_that_fails_is_told_by_the_desktop_and_tried_again() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    install(&world, BROKEN)?;
    world.import(&ALICE, "demo", 0)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    // As a menu starts a launcher: with nobody who reads what it says.
    let launcher = format!("lonewire run -t demo --desktop-id {APP} >/dev/null 2>&1");
    let launch = || desktop.run(&["sh", "-c", &format!("{launcher} || echo $?")]);
    let window = desktop.window()?;
    window.find("list item", "demo, Off")?;
    assert_eq!(launch()?.stdout.trim(), "126");
    let notice = told(&desktop, "Could not run “Quill”")?;
    assert!(notice.body.contains("interpreter"), "{notice:?}");
    write(&world, GOOD)?;
    desktop
        .notices
        .click(&desktop.session, &notice, Some("Try Again"))?;
    window.find_within(LIMIT, "list item", "demo, Protected · 1 app")?;
    assert_eq!(running(&world)?, ["Quill"]);

    // What a program reads is in no notification.
    let nowhere = format!("{launcher} || true").replace("run -t demo", "run -t nowhere");
    desktop.run(&["sh", "-c", &nowhere.replace("run ", "run --json ")])?;
    assert_eq!(desktop.notices.all(), []);
    desktop.run(&["sh", "-c", &nowhere])?;
    told(&desktop, "Could not run “Quill”")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}
