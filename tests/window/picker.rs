//! Ring window: an installed app from the picker into a tunnel, by keyboard and by search, and what is said of one that runs outside already.

use std::{fs, time::Duration};

use anyhow::Result;
use lab::{
    ALICE, Program, Spec, World,
    desktop::{Desktop, Look, Window},
    product::text,
    world::until,
};

const LIMIT: Duration = Duration::from_secs(20);

/// Says where it is and goes on.
const STAYS: &str = "#!/bin/sh\nreadlink /proc/self/ns/net > \"$HOME/where.new\"\nprintf '%s\\n' \"$XDG_ACTIVATION_TOKEN\" > \"$HOME/token\"\n\
    mv \"$HOME/where.new\" \"$HOME/where\"\nexec sleep 300\n";
/// Waits for the word to end, as one does that has handed over.
const LEAVES: &str =
    "#!/bin/sh\n: > \"$HOME/started\"\nwhile [ ! -e \"$HOME/go\" ]; do sleep 0.05; done\n";

struct Stage {
    world: World,
    desktop: Desktop,
}

/// A person with apps of their own and a tunnel.
fn stage() -> Result<Stage> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let folder = format!("{}/.local/share/applications", ALICE.home);
    let home = ALICE.home;
    for (name, script) in [("stays", STAYS), ("leaves", LEAVES)] {
        fs::write(world.path(&format!("{home}/{name}")), script)?;
    }
    world.sh(&format!(
        "chmod 755 {home}/stays {home}/leaves; mkdir -p {folder}"
    ))?;
    for (id, program, rest) in [
        (
            "org.example.Quill",
            "stays",
            "Name=Quill\nComment=Writes letters\nKeywords=zzink;\n",
        ),
        ("org.example.Solo", "stays", "Name=Solo\n"),
        ("org.example.Brief", "leaves", "Name=Brief\n"),
        ("org.example.Tty", "stays", "Name=Teletype\nTerminal=true\n"),
    ] {
        fs::write(
            world.path(&format!("{folder}/{id}.desktop")),
            format!("[Desktop Entry]\nType=Application\nExec={home}/{program}\n{rest}"),
        )?;
    }
    // The bus would start it: it names no program, and nothing here can run it. It is in every list that is read.
    fs::write(
        world.path(&format!("{folder}/org.example.Bus.desktop")),
        "[Desktop Entry]\nType=Application\nName=Bus\nIcon=bus\nDBusActivatable=true\n",
    )?;
    world.sh(&format!("chown -R {}:{} {home}", ALICE.uid, ALICE.gid))?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    Ok(Stage { world, desktop })
}

impl Stage {
    fn has(&self, file: &str) -> bool {
        self.world.path(&format!("{}/{file}", ALICE.home)).exists()
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.world.path(&format!("{}/{file}", ALICE.home));
        Ok(fs::read_to_string(path)?.trim().to_owned())
    }

    /// Opens the picker and searches.
    fn search(&self, window: &Window<'_>, words: &str) -> Result<()> {
        self.active("Lonewire")?;
        self.desktop.keys(&["ctrl+r"])?;
        self.active("Run App in demo")?;
        window.find("list item", "Other Command…*")?;
        self.desktop.type_text(words)?;
        // Nothing is left but what fits, and the row for other commands.
        window.wait(LIMIT, words, |tree| {
            let rows = tree.find("list", "Installed Apps").map(|list| {
                let below = tree.below(&list.place);
                below.filter(|node| node.role == "list item").count()
            });
            (rows.unwrap_or_default() <= 2).then_some(())
        })
    }

    /// Waits until the window with this title gets the keys.
    fn active(&self, title: &str) -> Result<()> {
        until(LIMIT, title, || {
            let name = ["xdotool", "getactivewindow", "getwindowname"];
            let name = self.desktop.run(&name);
            Ok(name.is_ok_and(|name| name.stdout.trim() == title))
        })
    }

    fn apps(&self) -> Result<Vec<String>> {
        let apps = self.world.apps(&ALICE)?;
        let running = apps.iter().filter(|app| text(app, "state") != "ended");
        Ok(running.map(|app| text(app, "name").to_owned()).collect())
    }
}

#[test]
fn an_app_is_found_run_in_the_tunnel_and_stopped() -> Result<()> {
    let stage = stage()?;
    let mut window = stage.desktop.window()?;
    window.find("list item", "demo, Off")?;

    // Nothing of that name, and back again.
    stage.search(&window, "no such app")?;
    window.find("button", "Other Command…")?;
    window.gone("list item", "Other Command…*")?;
    stage.desktop.picture("picker-none")?;
    stage.desktop.keys(&["Escape"])?;
    window.gone("button", "Other Command…")?;

    // By a keyword alone; the tunnel is off and is turned on first.
    stage.search(&window, "zzink")?;
    window.find("list item", "Quill, Writes letters")?;
    stage.desktop.picture("picker")?;
    stage.desktop.keys(&["Return"])?;
    window.find_within(LIMIT, "list item", "demo, Protected · 1 app")?;
    let stop = window.find("button", "Stop Quill")?;
    until(LIMIT, "the app", || Ok(stage.has("where")))?;
    let inside = stage
        .world
        .run_inside(&ALICE, "demo", &["readlink", "/proc/self/ns/net"])?
        .ok()?;
    assert_eq!(stage.read("where")?, inside.stdout.trim());
    assert!(!stage.read("token")?.is_empty());
    // What was run for comparison has ended, and is listed until its bus's proxy has too.
    until(LIMIT, "Quill alone", || Ok(stage.apps()? == ["Quill"]))?;
    window.gone("button", "Stop readlink")?;
    // As it came and went the other app's button stayed the same, with the focus and whoever was pressing it.
    assert_eq!(window.find("button", "Stop Quill")?.place, stop.place);
    stage.desktop.picture("picker-running")?;

    window.click("button", "Stop Quill")?;
    window.find("list item", "demo, Protected")?;
    assert!(stage.apps()?.is_empty());

    // What was run last comes first; the second row by the arrow key.
    window.click("button", "Run App…")?;
    let first = window.wait(LIMIT, "the first app", |tree| {
        let list = tree.find("list", "Installed Apps")?;
        let row = tree
            .below(&list.place)
            .find(|node| node.role == "list item")?;
        Some(row.name.clone())
    })?;
    assert_eq!(first, "Quill, Writes letters");
    stage.desktop.keys(&["Escape"])?;
    window.gone("list", "Installed Apps")?;

    // By its command; one that is not there can not be run.
    stage.search(&window, "no such app")?;
    window.click("button", "Other Command…")?;
    window.reads("There is no program “no” on this computer.")?;
    window.write("text box", "Command", "sleep '300'")?;
    window.gone("label", "There is no program “no” on this computer.")?;
    stage.desktop.picture("picker-command")?;
    window.click("button", "Run")?;
    window.find("button", "Stop sleep")?;
    assert_eq!(stage.apps()?, ["sleep"]);

    // One for a terminal says so.
    stage.search(&window, "teletype")?;
    window.point("list item", "Teletype")?;
    window.reads("“Teletype” needs a terminal")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn an_app_that_runs_outside_is_told_before_and_after() -> Result<()> {
    let stage = stage()?;
    let mut window = stage.desktop.window()?;
    window.find("list item", "demo, Off")?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "demo, Protected")?;
    let name = |name: &str, owned: bool| {
        zbus::block_on(async {
            if owned {
                stage.desktop.session.request_name(name).await
            } else {
                stage.desktop.session.release_name(name).await.map(|_| ())
            }
        })
    };

    name("org.example.Solo", true)?;
    stage.search(&window, "solo")?;
    window.find("list item", "Solo, Already running outside the tunnel")?;
    stage.desktop.picture("picker-outside")?;
    stage.desktop.keys(&["Return"])?;
    window.reads("Solo Is Already Running")?;
    stage.desktop.picture("picker-already-running")?;
    window.click("button", "Cancel")?;
    window.gone("label", "Solo Is Already Running")?;
    assert!(stage.apps()?.is_empty());

    stage.search(&window, "solo")?;
    window.find("list item", "Solo, Already running outside the tunnel")?;
    stage.desktop.keys(&["Return"])?;
    window.click("button", "Close It First")?;
    window.reads("Close Solo")?;
    window.click("button", "Try Again")?;
    window.reads("Solo Is Already Running")?;
    window.click("button", "Close It First")?;
    window.reads("Close Solo")?;
    name("org.example.Solo", false)?;
    window.click("button", "Try Again")?;
    window.find("button", "Stop Solo")?;

    // It hands over only once it is started.
    stage.search(&window, "brief")?;
    window.find("list item", "Brief")?;
    // Where the pointer happens to lie says nothing.
    window.hover("list item", "Other Command…*")?;
    stage.desktop.keys(&["Return"])?;
    until(LIMIT, "the app", || Ok(stage.has("started")))?;
    name("org.example.Brief", true)?;
    stage.world.sh(&format!(": > {}/go", ALICE.home))?;
    window.reads("“Brief” opened outside the tunnel")?;
    stage.desktop.picture("picker-handed-over")?;
    window.click("button", "Details")?;
    window.reads("Code: HandedOver")?;
    let told = stage.desktop.notices.all();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].title, "“Brief” opened outside the tunnel");
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_browser_that_runs_outside_gets_a_profile_of_its_own() -> Result<()> {
    let stage = stage()?;
    let home = ALICE.home;
    fs::write(
        stage.world.path(&format!("{home}/firefox")),
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$HOME/words\"\nexec sleep 300\n",
    )?;
    let folder = format!("{home}/.local/share/applications");
    fs::write(
        stage.world.path(&format!("{folder}/firefox.desktop")),
        format!("[Desktop Entry]\nType=Application\nName=Vixen\nExec={home}/firefox %u\n"),
    )?;
    // A launcher is no app of its own; the app that it is of is marked.
    fs::write(
        stage
            .world
            .path(&format!("{folder}/org.lonewire.Lonewire.x.y.desktop")),
        "[Desktop Entry]\nType=Application\nName=Vixen via demo\nExec=true\nX-Lonewire-Tunnel=x\nX-Lonewire-Source=firefox\n",
    )?;
    stage.world.sh(&format!(
        "chmod 755 {home}/firefox; mkdir -p {home}/.mozilla/firefox/a.default; chown -R {0}:{0} {home}",
        ALICE.uid
    ))?;
    // An instance outside, as Firefox notes it.
    let lock = "ln -s 127.0.0.1:+$$ $HOME/.mozilla/firefox/a.default/lock && exec sleep 300";
    let outside = stage.world.spawn_as(&ALICE, &["sh", "-c", lock])?;
    until(LIMIT, "the lock", || {
        let lock = format!("{home}/.mozilla/firefox/a.default/lock");
        Ok(stage.world.path(&lock).is_symlink())
    })?;
    let mut window = stage.desktop.window()?;
    window.find("list item", "demo, Off")?;
    stage.search(&window, "vixen")?;
    window.find(
        "list item",
        "Vixen, Assigned, Already running outside the tunnel",
    )?;
    let tree = window.tree()?;
    assert!(tree.find("list item", "Vixen via demo*").is_none());
    stage.desktop.picture("picker-assigned")?;
    stage.desktop.keys(&["Return"])?;
    window.reads("Vixen Is Already Running")?;
    window.reads("With a separate profile both can run at once")?;
    window.click("button", "*Use Separate Profile")?;
    window.find_within(LIMIT, "list item", "demo, Protected · 1 app")?;
    until(LIMIT, "the app", || Ok(stage.has("words")))?;
    let id = stage.world.tunnel(&ALICE, "demo", "id")?;
    let profile = format!("{home}/.local/share/lonewire/profiles/{id}/firefox");
    assert_eq!(
        stage.read("words")?,
        format!("--profile\n{profile}\n--no-remote")
    );
    assert!(stage.world.path(&profile).is_dir());
    assert_eq!(stage.apps()?, ["Vixen"]);
    outside.signal(nix::sys::signal::Signal::SIGKILL)?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_blocked_tunnel_is_told_to_somebody_who_looks_elsewhere() -> Result<()> {
    let mut stage = stage()?;
    let window = stage.desktop.window()?;
    window.find("list item", "demo, Off")?;
    stage.search(&window, "zzink")?;
    window.find("list item", "Quill, Writes letters")?;
    stage.desktop.keys(&["Return"])?;
    window.find_within(LIMIT, "list item", "demo, Protected · 1 app")?;
    assert_eq!(stage.desktop.notices.all(), []);

    stage.world.stop(Program::DataPlane)?;
    until(LIMIT, "the notification", || {
        let told = stage.desktop.notices.all();
        Ok(told
            .iter()
            .any(|notice| notice.title == "“demo” is blocked"))
    })?;
    let told = stage.desktop.notices.all();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0]
            .body
            .contains("1 app is offline and stays in the tunnel."),
        "{told:?}"
    );
    assert!(
        told[0].actions.iter().any(|label| label == "Try Again"),
        "{told:?}"
    );

    // It comes back, and what was told of it goes away.
    stage.world.restart(Program::DataPlane)?;
    window.find_within(LIMIT, "list item", "demo, Protected · 1 app")?;
    until(LIMIT, "the notification's end", || {
        Ok(stage.desktop.notices.all().is_empty())
    })?;

    // The first time the window is closed while apps run.
    stage.desktop.keys(&["ctrl+q"])?;
    until(LIMIT, "the word about apps", || {
        let told = stage.desktop.notices.all();
        Ok(told
            .iter()
            .any(|notice| notice.title == "Apps stay protected"))
    })?;
    assert_eq!(stage.apps()?, ["Quill"]);
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}
