//! Ring window: what a person looks up of a tunnel and sets for it, and how they find it among others. All by the accessibility bus.

use anyhow::Result;
use lab::{
    ALICE, Spec, World,
    desktop::{Desktop, Look, Window},
};

/// Chooses from the menu of the tunnel on the page.
fn choose(window: &mut Window<'_>, item: &str) -> Result<()> {
    window.click("button", "Tunnel Menu")?;
    window.click("menu item", item)
}

#[test]
fn a_check_its_history_and_options_that_take_effect() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo, Off")?;

    // Nothing has happened yet: it says so.
    choose(&mut window, "History…")?;
    window.reads("No History Yet")?;
    window.keys(&["Escape"])?;
    window.gone("label", "No History Yet")?;

    // What the service would refuse can not be saved; what it takes is in use at the next connect.
    choose(&mut window, "Options…")?;
    window.write("text box", "MTU", "100")?;
    window.reads("MTU: a number from")?;
    window.write("text box", "MTU: a number from *", "1300")?;
    window.find("text box", "MTU")?;
    window.click("button", "Save")?;
    window.reads("Options saved")?;
    let shown = world.run_as(&ALICE, &["lonewire", "show", "demo", "--json"])?;
    let shown = shown.ok()?.stdout;
    assert!(shown.contains("1300"), "{shown}");

    // A check of a tunnel that is off offers to turn it on.
    choose(&mut window, "Check…")?;
    window.reads("The Tunnel Is Off")?;
    window.click("button", "Turn On")?;
    window.reads("All Is as It Must Be")?;
    window.find("list item", "Network Links")?;
    window.find("list item", "DNS")?;
    assert!(window.tree()?.find("label", "Failed").is_none());
    desktop.picture("check")?;
    window.keys(&["Escape"])?;
    window.gone("label", "All Is as It Must Be")?;

    choose(&mut window, "History…")?;
    window.find("list item", "Protected")?;
    desktop.picture("history")?;
    window.keys(&["Escape"])?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_tunnel_is_found_by_its_name_and_a_favourite_is_first() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    for name in ["alpha", "beta", "gamma"] {
        world.import(&ALICE, name, 0)?;
    }
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "alpha, Off")?;

    // A search hides what it does not find, and changes nothing else.
    window.keys(&["ctrl+f"])?;
    window.write("search box", "Search Tunnels", "GAM")?;
    window.find("list item", "gamma, Off")?;
    window.gone("list item", "alpha, Off")?;
    window.reads("alpha")?;
    window.write("search box", "Search Tunnels", "nowhere")?;
    window.reads("No Results Found")?;
    window.write("search box", "Search Tunnels", "gam")?;
    window.keys(&["Return"])?;
    window.find("list item", "gamma, Off")?;

    window.click("button", "Tunnel Menu")?;
    window.click("check menu item", "Favourite")?;
    window.find("list item", "gamma, Off, favourite")?;
    window.keys(&["ctrl+f", "Escape"])?;
    window.find("list item", "alpha, Off")?;
    let first = |window: &Window<'_>| -> Result<String> {
        let tree = window.tree()?;
        let row = tree.all("list item", "*, Off*").next();
        Ok(row.map(|row| row.name.clone()).unwrap_or_default())
    };
    assert_eq!(first(&window)?, "gamma, Off, favourite");

    // Another window has it so too.
    drop(window);
    let window = desktop.window()?;
    window.find("list item", "gamma, Off, favourite")?;
    assert_eq!(first(&window)?, "gamma, Off, favourite");
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}
