//! Ring window: what a person sets for all tunnels, what they can send to others, and what the row of a tunnel offers.

use std::fs;

use anyhow::Result;
use lab::{
    ALICE, Spec, World, addr,
    desktop::{Desktop, Look, State},
    world::{READY, until},
};

fn settings(world: &World) -> String {
    let path = format!("{}/.config/lonewire/config.toml", ALICE.home);
    fs::read_to_string(world.path(&path)).unwrap_or_default()
}

#[test]
fn preferences_are_kept_at_once_and_used_by_the_command_line() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "alpha", 0)?;
    world.import(&ALICE, "beta", 0)?;
    world.cli(&ALICE, &["default", "alpha"])?.ok()?;
    let beta = world.tunnel(&ALICE, "beta", "id")?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "alpha, Off")?;
    window.keys(&["ctrl+comma"])?;
    let notify = window.find("check box", "Notify When Blocked")?;
    assert!(notify.is(State::Checked));
    let check = window.find("check box", "Check After Turning On")?;
    assert!(!check.is(State::Checked));
    window.reads("alpha")?;
    desktop.picture("preferences")?;
    window.click("check box", "Notify When Blocked")?;
    window.click("check box", "Check After Turning On")?;
    until(READY, "the settings", || {
        let text = settings(&world);
        Ok(text.contains("= false") && text.contains("= true"))
    })?;
    window.keys(&["Escape"])?;
    window.gone("check box", "Notify When Blocked")?;

    // What another program wrote is there when it is opened again, and nothing of the others is lost.
    world.cli(&ALICE, &["default", "beta"])?.ok()?;
    window.keys(&["ctrl+comma"])?;
    let notify = window.find("check box", "Notify When Blocked")?;
    assert!(!notify.is(State::Checked));
    window.click("check box", "Notify When Blocked")?;
    until(READY, "the settings", || {
        Ok(!settings(&world).contains("= false"))
    })?;
    assert!(settings(&world).contains(&beta), "{}", settings(&world));
    window.keys(&["Escape"])?;
    window.gone("check box", "Notify When Blocked")?;

    // A file that is no settings is told, and not overwritten.
    let path = format!("{}/.config/lonewire/config.toml", ALICE.home);
    fs::write(world.path(&path), "this = is [ nothing")?;
    window.keys(&["ctrl+comma"])?;
    window.reads("The settings file is not valid")?;
    assert_eq!(settings(&world), "this = is [ nothing");
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn what_can_be_sent_to_others_holds_no_key_name_or_address() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    let config = world.client(0)?;
    let path = format!("{}/nightingale.conf", ALICE.home);
    fs::write(world.path(&path), &config)?;
    world.cli(&ALICE, &["import", &path])?.ok()?;
    world.cli(&ALICE, &["up", "nightingale"])?.ok()?;
    let key = world.tunnel(&ALICE, "nightingale", "public_key")?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "nightingale, Protected")?;
    window.click("button", "Main Menu")?;
    window.click("menu item", "*About Lonewire")?;
    window.reads("Runs the apps that you choose through a WireGuard tunnel and nothing else.")?;
    desktop.picture("about")?;
    window.point("list item", "*Troubleshooting")?;
    window.point("list item", "*Debugging Information")?;
    desktop.picture("about-report")?;
    window.point("button", "*Copy Text*")?;
    let mut report = String::new();
    until(READY, "the report", || {
        report = desktop.clipboard().unwrap_or_default();
        Ok(report.contains("Tunnels: 1"))
    })?;
    for there in ["protected", "userspace", "Kernel: ", "1 peers"] {
        assert!(report.contains(there), "{there}: {report}");
    }
    // All values of the configuration, and what is known of them.
    let mut known: Vec<String> = ["nightingale", &key, ALICE.name].map(str::to_owned).into();
    known.extend([addr::vpn_v4(0).to_string(), addr::host_v4(0).to_string()]);
    known.extend([addr::vpn_v6(0).to_string(), addr::host_v6(0).to_string()]);
    let values = config
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .flat_map(|(_, value)| value.split(", "))
        .flat_map(|value| [value, value.split('/').next().unwrap_or_default()])
        .filter(|value| value.len() > 4 && !value.starts_with("0.0.0.0"));
    known.extend(values.map(str::to_owned));
    assert!(known.len() > 12, "{known:?}");
    for value in known {
        assert!(!report.contains(&value), "{value}: {report}");
    }
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_rows_menu_is_about_its_tunnel_and_a_change_while_on_waits() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "alpha", 0)?;
    world.import(&ALICE, "beta", 0)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.click("list item", "alpha, Off")?;
    // By the mouse, on the one that is not on the page.
    window.menu_of("list item", "beta, Off")?;
    desktop.picture("row-menu")?;
    window.click("menu item", "*Rename…")?;
    window.write("text box", "Name", "gamma")?;
    window.click("button", "*Rename")?;
    let row = window.find("list item", "gamma, Off")?;
    assert!(row.is(State::Selected), "{}", window.tree()?);
    assert_eq!(world.names(&ALICE)?, ["alpha", "gamma"]);
    // By the keyboard.
    window.gone("button", "*Rename")?;
    desktop.focus("Lonewire")?;
    window.point("list item", "alpha, Off")?;
    window.keys(&["shift+F10"])?;
    window.click("menu item", "*Remove…")?;
    window.reads("Remove “alpha”?")?;
    window.click("button", "*Remove")?;
    window.gone("list item", "alpha, Off")?;
    assert_eq!(world.names(&ALICE)?, ["gamma"]);

    // A tunnel that is on goes on as it was until it is turned on the next time.
    window.click("check box", "Tunnel")?;
    window.find("list item", "gamma, Protected")?;
    window.keys(&["ctrl+e"])?;
    window.reads("What is changed here is used when it is turned on the next time.")?;
    let text = window.read("text box", "Configuration")?;
    let text = text.replace("[Interface]\n", "[Interface]\nMTU = 1333\n");
    window.write("text box", "Configuration", &text)?;
    window.click("button", "*Save")?;
    window.reads("“gamma” changed: used when it is turned on the next time")?;
    window.find("list item", "gamma, Protected")?;
    let mtu = |world: &World| -> Result<String> {
        let line = "cat /sys/class/net/lw-*/mtu";
        let out = world.run_inside(&ALICE, "gamma", &["sh", "-c", line])?;
        Ok(out.ok()?.stdout.trim().to_owned())
    };
    assert_ne!(mtu(&world)?, "1333");
    window.click("check box", "Tunnel")?;
    window.find("list item", "gamma, Off")?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "gamma, Protected")?;
    assert_eq!(mtu(&world)?, "1333");
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}
