//! Ring window: what the window says and does while its tunnels, its helper and its servers change under it. All by the accessibility bus.

use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{
    ALICE, Program, Spec, World, addr,
    desktop::{Desktop, Look, Window},
    probe::Probe,
    world::{READY, until},
};

/// Silence is told within 15 s of a program's sending.
const SILENCE: Duration = Duration::from_secs(25);

#[test]
fn a_tunnel_from_its_import_to_its_end() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    // The empty window says what to do.
    window.reads("Add a Tunnel")?;
    window.find("button", "Import File…")?;
    window.find("button", "Paste Configuration")?;

    world.import(&ALICE, "demo", 0)?;
    window.find("list item", "demo, Off")?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "demo, Protected")?;

    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    window.find("list item", "demo, Protected · 1 app")?;
    window.click("button", "Stop *")?;
    window.find("list item", "demo, Protected")?;
    assert!(probe.ask("links").is_err());

    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    window.find("list item", "demo, Protected · 1 app")?;
    world.set_silent(0, true)?;
    let web = format!("http {} /", addr::WEB_V4);
    // It goes on trying, as programs do.
    window.wait(SILENCE, "Blocked", |tree| {
        let _ = probe.ask(&web);
        tree.find("list item", "demo, Blocked — no handshake")
            .cloned()
    })?;
    window.reads("The server does not answer.")?;
    world.set_silent(0, false)?;
    window.find_within(SILENCE, "list item", "demo, Protected · 1 app")?;

    // With an app in it, it is asked first; No leaves it on.
    window.click("check box", "Tunnel")?;
    window.reads("1 App Will Lose Network")?;
    window.click("button", "Cancel")?;
    window.gone("label", "1 App Will Lose Network")?;
    window.find("list item", "demo, Protected · 1 app")?;
    window.click("check box", "Tunnel")?;
    window.click("button", "Turn Off")?;
    window.find("list item", "demo, Off, 1 app offline")?;
    assert!(probe.ask(&web).is_err());
    probe.close()?;
    window.find("list item", "demo, Off")?;

    window.click("button", "Tunnel Menu")?;
    window.click("menu item", "Remove…")?;
    window.reads("Remove “demo”?")?;
    window.click("button", "Remove")?;
    // The empty page's words are in the tree before it is shown.
    window.gone("list item", "demo, Off")?;
    window.reads("Add a Tunnel")?;
    assert_eq!(world.tunnels(&ALICE)?.len(), 0);
    world.uplinks_report(&[])?.assert_clean()?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_helper_that_ends_hangs_or_is_missing_is_told_and_the_window_goes_on() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo, Off")?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "demo, Protected")?;
    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    window.find("list item", "demo, Protected · 1 app")?;

    // It hangs: menus answer at once, and what is asked of it is told not to be answered.
    let hung = world.hang(Program::Helper)?;
    let stopped = (|| {
        answers(&mut window)?;
        window.reads_within(Duration::from_secs(30), "Service Not Answering")?;
        answers(&mut window)
    })();
    drop(hung);
    stopped?;
    window.find_within(SILENCE, "list item", "demo, Protected · 1 app")?;

    // It ends, and comes back: all is as it was.
    world.kill(Program::Helper)?;
    window.reads("Service Not Available")?;
    answers(&mut window)?;
    assert!(probe.ask(&format!("http {} /", addr::WEB_V4)).is_ok());
    world.restart(Program::Helper)?;
    window.find_within(SILENCE, "list item", "demo, Protected · 1 app")?;

    // The window ends: nothing else does. A new one reads all.
    drop(window);
    assert!(probe.ask(&format!("http {} /", addr::WEB_V4)).is_ok());
    let window = desktop.window()?;
    window.find("list item", "demo, Protected · 1 app")?;
    drop(window);

    // Closed as a person closes it: it says goodbye, and apps go on, also while the helper is restarted with no window there.
    let mut window = desktop.window()?;
    window.find("list item", "demo, Protected · 1 app")?;
    window.keys(&["ctrl+w"])?;
    assert_eq!(window.running.wait(SILENCE)?, 0);
    drop(window);
    assert!(probe.ask(&format!("http {} /", addr::WEB_V4)).is_ok());
    world.kill(Program::Helper)?;
    assert!(probe.ask(&format!("http {} /", addr::WEB_V4)).is_ok());
    world.restart(Program::Helper)?;
    let mut window = desktop.window()?;
    window.find_within(SILENCE, "list item", "demo, Protected · 1 app")?;

    // Restarted under a window that is there: it reads all again, and what it asks for is done.
    world.restart(Program::Helper)?;
    window.find_within(SILENCE, "list item", "demo, Protected · 1 app")?;
    assert!(probe.ask(&format!("http {} /", addr::WEB_V4)).is_ok());
    window.click("button", "Stop *")?;
    window.find_within(SILENCE, "list item", "demo, Protected")?;
    assert!(probe.ask("links").is_err());
    drop(window);
    let mut probe = Probe::inside(&world, &ALICE, "demo")?;
    probe.ask("links")?;
    // The program may be quicker than the answer to who started it, who would end with the helper until then.
    until(READY, "the launch to be answered", || {
        Ok(world.app_pid(&ALICE, "roles").is_ok())
    })?;

    // A window that comes up without it says what to do.
    world.stop(Program::Helper)?;
    let window = desktop.window()?;
    window.reads("Service Not Available")?;
    window.find("button", "Copy *")?;
    world.restart(Program::Helper)?;
    window.find_within(SILENCE, "list item", "demo, Protected · 1 app")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

/// The main menu opens and closes within a second each.
fn answers(window: &mut Window<'_>) -> Result<()> {
    let began = Instant::now();
    window.click("button", "Main Menu")?;
    window.find_within(Duration::from_secs(1), "menu item", "Keyboard Shortcuts")?;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    window.keys(&["Escape"])?;
    window.gone("menu item", "Keyboard Shortcuts")
}
