//! Ring window: a configuration is made, changed, copied and exported, and its secret key is never seen.

use std::fs;

use anyhow::Result;
use lab::{
    ALICE, Spec, World,
    desktop::{Desktop, Look, State, Window},
    keys::Pair,
    world::{READY, until},
};

const EDITOR: &str = "Configuration";

/// Whether what was typed can be saved.
fn can_save(window: &Window<'_>, wanted: bool) -> Result<()> {
    window.wait(READY, &format!("Save to be {wanted}"), |tree| {
        let save = tree.find("button", "*Save")?;
        (save.is(State::Sensitive) == wanted).then_some(())
    })
}

#[test]
fn an_error_is_marked_while_it_is_typed_and_the_stored_key_stays() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let key = world.tunnel(&ALICE, "demo", "public_key")?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo*")?;
    desktop.keys(&["ctrl+e"])?;
    window.find("text box", EDITOR)?;
    window.reads(&key)?;
    let before = window.read("text box", EDITOR)?;
    assert!(before.contains("PrivateKey = (unchanged)"), "{before}");

    let wrong = before.replace("[Interface]\n", "[Interface]\nMTU = 12\n");
    window.write("text box", EDITOR, &wrong)?;
    window.reads("Line 2: “MTU” must be 576 to 65535: “12”.")?;
    can_save(&window, false)?;
    desktop.picture("edit-error")?;
    window.write("text box", EDITOR, &wrong.replace("= 12\n", "= 1400\n"))?;
    window.gone("label", "Line 2:*")?;
    can_save(&window, true)?;
    window.reads(&key)?;
    desktop.picture("edit-good")?;
    window.click("button", "*Save")?;
    window.reads("“demo” changed")?;
    let after = world.cli(&ALICE, &["export", "demo"])?.ok()?.stdout;
    assert!(after.contains("MTU = 1400"), "{after}");
    assert_eq!(world.tunnel(&ALICE, "demo", "public_key")?, key);

    // What was typed is not lost by accident.
    desktop.keys(&["ctrl+e"])?;
    window.find("text box", EDITOR)?;
    window.write("text box", EDITOR, "[Interface]\n")?;
    desktop.keys(&["Escape"])?;
    window.reads("Discard Changes?")?;
    window.click("button", "*Discard")?;
    window.gone("text box", EDITOR)?;
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_new_tunnel_shows_its_public_key_and_what_to_fill_in() -> Result<()> {
    let world = World::new(Spec::product())?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("button", "*Paste Configuration")?;
    window.click("button", "Add a Tunnel")?;
    window.find("menu item", "New Tunnel…")?;
    desktop.picture("new-menu")?;
    window.click("menu item", "New Tunnel…")?;
    window.reads("Lonewire makes a key pair.")?;
    window.write("text box", "Name", "home")?;
    desktop.picture("new-name")?;
    window.click("button", "*Create")?;
    window.find("text box", EDITOR)?;
    let key = world.tunnel(&ALICE, "home", "public_key")?;
    window.reads(&key)?;
    desktop.picture("new-editor")?;
    // Before the text: the page below has such a button too.
    desktop.keys(&["shift+Tab", "space"])?;
    until(READY, "the key on the clipboard", || {
        Ok(desktop.clipboard().is_ok_and(|text| text == key))
    })?;
    desktop.keys(&["Escape"])?;
    window.reads("“home” added")?;
    assert_eq!(world.names(&ALICE)?, ["home"]);
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_copy_has_a_name_of_its_own_and_an_export_has_no_key() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    let shared = Pair::new()?.private;
    let text = world.client(0)?;
    let text = text.replace("[Peer]\n", &format!("[Peer]\nPresharedKey = {shared}\n"));
    world.import_text(&ALICE, "demo", &text)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo*")?;
    window.click("button", "Tunnel Menu")?;
    window.click("menu item", "Export…")?;
    let path = format!("{}/shared.conf", ALICE.home);
    desktop.focus("Export Without Keys")?;
    desktop.picture("export")?;
    desktop.keys(&["ctrl+a"])?;
    desktop.type_text(&path)?;
    desktop.keys(&["Return"])?;
    window.reads("“demo” exported without its keys")?;
    let exported = fs::read_to_string(world.path(&path))?;
    assert!(exported.contains("[Peer]"), "{exported}");
    for key in ["PrivateKey =", "PresharedKey =", &shared] {
        assert!(!exported.contains(key), "{exported}");
    }

    window.click("button", "Tunnel Menu")?;
    window.click("menu item", "Duplicate")?;
    window.reads("“demo 2” added")?;
    assert_eq!(world.names(&ALICE)?, ["demo", "demo 2"]);
    window.click("button", "*Undo")?;
    until(READY, "the end of the copy", || {
        Ok(world.names(&ALICE)? == ["demo"])
    })?;
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}
