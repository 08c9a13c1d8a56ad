//! Ring window: from an empty window to a real browser in the tunnel, and back to an empty window, as a person without a terminal does it.

use std::{collections::BTreeSet, fs, os::unix::fs::chown, time::Duration};

use anyhow::{Context as _, Result};
use lab::{
    ALICE, Spec, World,
    desktop::{Desktop, Look, Window},
    product::text,
    world::until,
};

/// Firefox makes a profile, on a machine that does other things too.
const SLOW: Duration = Duration::from_secs(90);
/// What a person may have to do at most, from the empty window to the browser.
const FEW: usize = 6;

/// Picks a file in the chooser with this title, as a double click on it does.
fn pick(window: &mut Window<'_>, desktop: &Desktop, title: &str, path: &str) -> Result<()> {
    desktop.focus(title)?;
    desktop.keys(&["ctrl+l"])?;
    desktop.type_text(path)?;
    desktop.keys(&["Return"])?;
    // The chooser's list tells nothing of its files to anybody: its keys are counted here.
    window.count();
    Ok(())
}

/// Titles of the windows on the screen.
fn on_screen(desktop: &Desktop) -> BTreeSet<String> {
    let search = [
        "xdotool",
        "search",
        "--onlyvisible",
        "--name",
        ".",
        "getwindowname",
        "%@",
    ];
    let titles = desktop.run(&search).map(|out| out.stdout);
    let titles = titles.unwrap_or_default();
    titles.lines().map(str::to_owned).collect()
}

/// Stops Firefox, until the list has the tunnel so. A browser that is busy with its start may not hear that it is to end: then there is another button.
fn stop(window: &mut Window<'_>, row: &str) -> Result<()> {
    const FORCE: (&str, &str) = ("button", "Force Stop*");
    window.click("button", "Stop Firefox ESR")?;
    let goes_on = window.wait(SLOW, "an end of Firefox", |tree| {
        let goes_on = tree.find(FORCE.0, FORCE.1).is_some();
        (goes_on || tree.find("list item", row).is_some()).then_some(goes_on)
    })?;
    if goes_on {
        window.click(FORCE.0, FORCE.1)?;
        window.find_within(SLOW, "list item", row)?;
    }
    Ok(())
}

#[test]
fn from_the_empty_window_to_a_browser_in_the_tunnel_and_back() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    let path = format!("{}/provider.conf", ALICE.home);
    fs::write(world.path(&path), world.client(0)?)?;
    chown(world.path(&path), Some(ALICE.uid), Some(ALICE.gid))?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.reads("Add a Tunnel")?;

    window.click("button", "*Import File…")?;
    pick(&mut window, &desktop, "Import Configurations", &path)?;
    window.reads("Keep the provider’s file")?;
    window.click("button", "*Add")?;
    window.find("list item", "provider, Off")?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "provider, Protected")?;
    window.click("button", "*Run App…")?;
    window.point("list item", "Firefox ESR*")?;
    window.find_within(SLOW, "list item", "provider, Protected · 1 app")?;
    window.find("button", "Stop Firefox ESR")?;
    let done = window.activations();
    assert!(done <= FEW, "{done} activations");
    until(SLOW, "Firefox on the screen", || {
        Ok(on_screen(&desktop)
            .iter()
            .any(|title| title.contains("Mozilla Firefox")))
    })?;
    desktop.picture("first-run")?;

    // It is in the tunnel: its process, and the names that it looks up of itself.
    let apps = world.apps(&ALICE)?;
    assert_eq!(text(&apps[0], "name"), "Firefox ESR", "{apps:?}");
    let inside = world.run_inside(&ALICE, "provider", &["readlink", "/proc/self/ns/net"])?;
    let inside = inside.ok()?.stdout;
    let browsers = world.processes("firefox-esr")?;
    assert!(!browsers.is_empty());
    for pid in browsers {
        // Processes of its sandbox have networks of their own, without any link.
        let link = fs::read_link(format!("/proc/{pid}/ns/net")).context("Firefox's network")?;
        let status = fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
        let links = status.lines().skip(2).count();
        assert!(
            link.to_string_lossy() == inside.trim() || links == 1,
            "{status}"
        );
    }
    until(SLOW, "Firefox to look something up", || {
        let asked = world.queries("vpn0-dns")?;
        Ok(asked
            .iter()
            .any(|asked| asked.what.contains("mozilla") || asked.what.contains("firefox")))
    })?;

    // Stopped, and run again; the tunnel is turned off under it, and asks.
    stop(&mut window, "provider, Protected")?;
    until(SLOW, "the end of Firefox", || {
        Ok(world.processes("firefox-esr")?.is_empty())
    })?;
    window.click("button", "*Run App…")?;
    window.point("list item", "Firefox ESR*")?;
    window.find_within(SLOW, "list item", "provider, Protected · 1 app")?;
    window.click("check box", "Tunnel")?;
    window.reads("1 App Will Lose Network")?;
    window.click("button", "*Turn Off")?;
    window.find("list item", "provider, Off, 1 app offline")?;
    stop(&mut window, "provider, Off")?;
    window.click("button", "Tunnel Menu")?;
    window.click("menu item", "Remove…")?;
    window.click("button", "*Remove")?;
    window.gone("list item", "provider, Off")?;
    window.reads("Add a Tunnel")?;
    assert_eq!(world.names(&ALICE)?, Vec::<String>::new());
    // The provider's file is the person's: nothing removes it.
    assert!(world.path(&path).is_file());
    world.uplinks_report(&[])?.assert_clean()?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}
