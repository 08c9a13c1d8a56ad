//! Ring window: configurations come in by every road a person has, are looked at before, and can be taken back.

use std::{fs, os::unix::fs::chown, time::Duration};

use anyhow::{Context as _, Result};
use lab::{
    ALICE, Spec, World,
    desktop::{Desktop, Look},
    world::{READY, until},
};

const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
/// Its public half.
const PUBLIC: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";
/// The public half of another.
const PEER: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

/// Configurations of a provider's archive.
const COUNT: usize = 1000;

fn config(address: &str, more: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {KEY}\nAddress = {address}\nDNS = 10.0.0.1\n{more}\n\
         [Peer]\nPublicKey = {PEER}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.7:51820\n"
    )
}

/// A file in the person's home.
fn file(world: &World, name: &str, bytes: &[u8]) -> Result<String> {
    let inside = format!("{}/{name}", ALICE.home);
    let path = world.path(&inside);
    fs::write(&path, bytes).with_context(|| inside.clone())?;
    chown(&path, Some(ALICE.uid), Some(ALICE.gid))?;
    Ok(inside)
}

/// The QR code of a text, as a picture in the person's home.
fn code(world: &World, name: &str, text: &str) -> Result<String> {
    let source = file(world, "code.txt", text.as_bytes())?;
    let picture = format!("{}/{name}", ALICE.home);
    world.sh(&format!(
        "qrencode -o {picture} -r {source} && chmod 644 {picture}"
    ))?;
    Ok(picture)
}

/// Types a path into the file chooser with this title, and lets it go on.
fn choose(desktop: &Desktop, title: &str, path: &str) -> Result<()> {
    desktop.focus(title)?;
    desktop.keys(&["ctrl+l"])?;
    desktop.type_text(path)?;
    desktop.keys(&["Return"])
}

#[test]
fn a_pasted_configuration_is_reviewed_added_and_taken_back() -> Result<()> {
    let world = World::new(Spec::product())?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("button", "*Paste Configuration")?;
    desktop.picture("import-empty")?;

    desktop.copy(&config("10.0.0.2/32", "PostUp = touch /tmp/pwned"))?;
    desktop.keys(&["ctrl+v"])?;
    window.reads("IPv6 is blocked")?;
    window.reads("PostUp (line 5)")?;
    window.reads("Keep the provider’s file")?;
    desktop.picture("import-review")?;
    window.click("button", "*Cancel")?;
    window.gone("button", "*Cancel")?;
    assert_eq!(world.names(&ALICE)?, Vec::<String>::new());

    desktop.keys(&["ctrl+v"])?;
    window.find("button", "*Add")?;
    window.write("text box", "Name", "mullvad se1")?;
    desktop.picture("import-named")?;
    desktop.keys(&["Return"])?;
    window.reads("“mullvad se1” added")?;
    desktop.picture("import-added")?;
    assert_eq!(world.names(&ALICE)?, ["mullvad se1"]);
    window.click("button", "*Undo")?;
    until(READY, "the end of the tunnel", || {
        Ok(world.names(&ALICE)?.is_empty())
    })?;

    // What has gone by another way cannot be taken back: while the pointer rests on it nothing else would end the offer.
    desktop.keys(&["ctrl+v"])?;
    window.click("button", "*Add")?;
    window.hover("button", "*Undo")?;
    let name = world.names(&ALICE)?.concat();
    world.cli(&ALICE, &["remove", &name])?.ok()?;
    window.gone("button", "*Undo")?;
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_file_that_is_wrong_is_shown_where_it_is_wrong() -> Result<()> {
    let world = World::new(Spec::product())?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let bad = config("10.0.0.2/32", "").replace("0.0.0.0/0", "10.0.0.0/33");
    let bad = file(&world, "work.conf", bad.as_bytes())?;
    let mut window = desktop.window()?;
    window.click("button", "*Import File…")?;
    choose(&desktop, "Import Configurations", &bad)?;
    window.reads("Could Not Import “work.conf”")?;
    window.reads("Line 8: “AllowedIPs” is not a valid address range: “10.0.0.0/33”.")?;
    window.reads("Nothing was changed.")?;
    desktop.picture("import-error")?;
    let words = window.tree()?;
    assert!(!words.words().iter().any(|word| word.contains(&KEY[..8])));

    // The text can be put right there and then; the file stays as it is.
    window.click("button", "*Edit and Retry")?;
    window.find("text box", "Configuration")?;
    desktop.picture("import-edit-and-retry")?;
    let before = window.read("text box", "Configuration")?;
    assert!(before.contains("PrivateKey = (hidden)"), "{before}");
    assert!(!before.contains(&KEY[..8]), "{before}");
    let right = before.replace("10.0.0.0/33", "10.0.0.0/8");
    window.write("text box", "Configuration", &right)?;
    window.gone("label", "Line 8: *")?;
    window.click("button", "*Try Again")?;
    window.reads("Only 10.0.0.0/8 is reachable.")?;
    window.click("button", "*Add")?;
    window.reads("“work” added")?;
    assert_eq!(world.names(&ALICE)?, ["work"]);
    // The key of the file is in it, though nobody saw it.
    assert_eq!(world.tunnel(&ALICE, "work", "public_key")?, PUBLIC);
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn an_archive_of_a_thousand_is_added_in_one_go() -> Result<()> {
    let world = World::new(Spec::product())?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let folder = world.path(&format!("{}/many", ALICE.home));
    fs::create_dir(&folder)?;
    for number in 0..COUNT {
        let address = format!("10.1.{}.{}/32", number / 200, number % 200 + 2);
        fs::write(
            folder.join(format!("se{number:04}.conf")),
            config(&address, ""),
        )?;
    }
    let broken = file(&world, "broken.conf", b"[Interface]\nMTU = x\n")?;
    let archive = format!("{}/provider.zip", ALICE.home);
    world.sh(&format!(
        "cd {}/many && python3 -m zipfile -c {archive} *.conf && chmod 644 {archive}",
        ALICE.home
    ))?;
    let mut window = desktop.open(&["lonewire-gtk", &archive, &broken])?;
    window.reads(&format!("{COUNT} configurations can be added. 1 can not."))?;
    desktop.picture("import-many")?;
    window.click("button", &format!("*Add {COUNT} Tunnels"))?;
    let told = format!("Added {COUNT} of {}", COUNT + 1);
    window.reads_within(Duration::from_secs(60), &told)?;
    desktop.picture("import-many-added")?;
    assert_eq!(world.names(&ALICE)?.len(), COUNT);
    window.click("button", "*Details")?;
    window.reads("broken.conf: Line 1")?;
    desktop.keys(&["Escape"])?;
    window.gone("label", "*broken.conf: Line 1*")?;

    // One of them is found among all.
    desktop.keys(&["ctrl+f"])?;
    window.write("search box", "Search Tunnels", "0777")?;
    window.find("list item", "se0777, Off")?;
    window.gone("list item", "se0000, Off")?;
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_picture_of_a_qr_code_is_opened_and_pasted_and_one_without_is_refused() -> Result<()> {
    let world = World::new(Spec::product())?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let good = code(&world, "phone.png", &config("10.0.0.2/32", ""))?;
    let empty = format!("{}/holiday.png", ALICE.home);
    world.sh(&format!(
        "convert -size 300x200 xc:gray {empty} && chmod 644 {empty}"
    ))?;
    let window = desktop.open(&["lonewire-gtk", &good])?;
    window.reads("192.0.2.7:51820")?;
    desktop.keys(&["Return"])?;
    window.reads("“phone” added")?;

    for (picture, words) in [
        (&empty, "There is no QR code in the picture"),
        (&good, "Keep the provider’s file"),
    ] {
        let line = format!("xclip -selection clipboard -t image/png -in {picture} >/dev/null 2>&1");
        desktop.run(&["sh", "-c", &line])?;
        desktop.keys(&["ctrl+v"])?;
        window.reads(words)?;
        desktop.keys(&["Escape"])?;
        window.gone("label", &format!("{words}*"))?;
    }
    assert_eq!(world.names(&ALICE)?, ["phone"]);
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_configuration_on_the_clipboard_is_offered_once() -> Result<()> {
    let world = World::new(Spec::product())?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    desktop.copy(&config("10.0.0.2/32", ""))?;
    let mut window = desktop.window()?;
    window.reads("WireGuard configuration on clipboard")?;
    desktop.picture("import-offer")?;
    window.click("button", "*Import")?;
    window.find("button", "*Add")?;
    window.gone("label", "WireGuard configuration on clipboard")?;
    desktop.keys(&["Escape"])?;
    window.gone("button", "*Add")?;
    // The window is looked at again, and has something else to do first.
    desktop.keys(&["ctrl+v"])?;
    window.find("button", "*Add")?;
    let tree = window.tree()?;
    assert!(
        !tree
            .words()
            .iter()
            .any(|word| word.contains("on clipboard"))
    );
    desktop.keys(&["Escape"])?;
    window.gone("button", "*Add")?;

    // What is no configuration is refused when it is pasted, and never offered.
    desktop.copy("my shopping list")?;
    desktop.keys(&["ctrl+v"])?;
    window.reads("Could Not Import the Configuration")?;
    desktop.picture("import-error-pasted")?;
    desktop.keys(&["Escape"])?;
    window.gone("label", "Could Not Import the Configuration")?;
    desktop.copy(" ")?;
    desktop.keys(&["ctrl+v"])?;
    window.reads("There is no configuration on the clipboard")?;
    let tree = window.tree()?;
    assert!(
        !tree
            .words()
            .iter()
            .any(|word| word.contains("configuration on clipboard"))
    );
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn what_is_dropped_on_the_window_is_looked_at() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let window = desktop.window()?;
    window.find("list item", "demo*")?;
    // A text of the window's own is dragged: no other program is needed for that.
    desktop.keys(&["ctrl+f"])?;
    desktop.type_text("[Interface]")?;
    window.reads("No Results Found")?;
    desktop.keys(&["ctrl+a"])?;
    desktop.picture("import-drag")?;
    let from = ["xdotool", "mousemove", "150", "125", "mousedown", "1"];
    desktop.run(&from)?;
    for step in 1..30 {
        let x = (150 + step * 15).to_string();
        desktop.run(&["xdotool", "mousemove", &x, "300"])?;
    }
    desktop.picture("import-dragged")?;
    desktop.run(&["xdotool", "mouseup", "1"])?;
    window.reads("Could Not Import the Configuration")?;
    window.reads("the [Interface] section has no “PrivateKey”")?;
    assert_eq!(window.complaints(), Vec::<String>::new());
    Ok(())
}
