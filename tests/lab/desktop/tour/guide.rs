//! Through the window, stop by stop.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{BROKEN, See, WRONG};
use crate::{
    ALICE, World,
    desktop::{Desktop, Window},
    words::catalogue::Words,
    world::READY,
};

/// A look-up, a check and the end of an app that does not want to.
const SLOW: Duration = Duration::from_secs(40);

/// On the way, with what is looked at.
pub(super) struct Guide<'g, 's> {
    pub(super) desktop: &'g Desktop,
    pub(super) window: Window<'g>,
    pub(super) words: Words,
    pub(super) is_narrow: bool,
    pub(super) see: &'g mut See<'s>,
}

impl Guide<'_, '_> {
    fn say(&self, text: &str) -> String {
        self.words.say(text)
    }

    /// Shows what there is; the pointer lies on nothing.
    fn see(&mut self, name: &str) -> Result<()> {
        self.desktop
            .run(&["xdotool", "mousemove", "4000", "4000"])?;
        (self.see)(name, &self.window).with_context(|| format!("at {name}"))
    }

    fn click(&mut self, role: &str, text: &str) -> Result<()> {
        let name = self.say(text);
        self.window.click(role, &name)
    }

    fn reads(&mut self, text: &str) -> Result<()> {
        let words = self.say(text);
        self.window.reads_within(SLOW, &words)?;
        Ok(())
    }

    fn gone(&mut self, role: &str, text: &str) -> Result<()> {
        let words = self.say(text);
        self.window.gone(role, &words)
    }

    /// Closes what is in front, and waits for its end.
    fn close(&mut self, role: &str, text: &str) -> Result<()> {
        self.window.keys(&["Escape"])?;
        self.gone(role, text)
    }

    /// Opens a menu, shows it, and chooses from it or closes it.
    fn menu(&mut self, button: &str, first: &str, name: &str) -> Result<()> {
        self.click("button", button)?;
        let first = self.say(first);
        self.window.find("menu item", &first)?;
        self.see(name)?;
        self.window.keys(&["Escape"])?;
        self.window.gone("menu item", &first)
    }

    fn choose(&mut self, button: &str, item: &str) -> Result<()> {
        self.click("button", button)?;
        self.click("menu item", item)
    }

    /// Looks at a tunnel's page by its row.
    fn open(&mut self, name: &str) -> Result<()> {
        if self.is_narrow {
            self.window.keys(&["alt+Left"])?;
        }
        self.window.point("list item", &format!("*{name}, *"))
    }

    fn row(&mut self, name: &str, state: &str) -> Result<()> {
        let state = self.say(state);
        self.window
            .find_within(SLOW, "list item", &format!("{name}, {state}"))?;
        Ok(())
    }

    /// Runs an app from the picker: by its name, since its row may be out of sight.
    fn pick(&mut self, app: &str) -> Result<()> {
        let row = format!("{app}, *");
        self.window.find("list item", &row)?;
        self.desktop.type_text(app)?;
        let list = self.say("Installed Apps");
        self.window.wait(READY, &row, |tree| {
            let list = tree.find("list", &list)?;
            let mut rows = tree
                .below(&list.place)
                .filter(|node| node.role == "list item");
            let first = rows.next()?;
            // What fits less well may be behind it, and the row for other commands is.
            (first.matches("list item", &row) && rows.count() <= 2).then_some(())
        })?;
        self.window.keys(&["Return"])
    }

    /// From nothing to tunnels.
    pub(super) fn imports(&mut self, world: &World) -> Result<()> {
        self.reads("Add a Tunnel")?;
        let import = self.say("Import File…");
        self.window.find("button", &import)?;
        self.see("empty")?;
        self.menu("Add a Tunnel", "Import QR Code Image…", "menu-add")?;
        self.menu("Main Menu", "Keyboard Shortcuts", "menu-main")?;

        self.desktop
            .copy(&config("PostUp = touch /tmp/x\nTable = off\n"))?;
        self.window.keys(&["ctrl+v"])?;
        self.reads("Keep the provider’s file: keys never leave Lonewire.")?;
        self.see("review")?;
        self.close("text box", "Name")?;

        self.desktop.copy(&config("").replace("0.0.0.0/0", WRONG))?;
        self.window.keys(&["ctrl+v"])?;
        self.reads("Could Not Import the Configuration")?;
        self.see("import-error")?;
        self.click("button", "Edit and Retry")?;
        self.reads("The file itself is not changed.")?;
        self.see("import-retry")?;
        self.close("text box", "Configuration")?;

        let home = ALICE.home;
        let folder = world.path(&format!("{home}/many"));
        fs::create_dir(&folder)?;
        for number in 1..=12 {
            let text = config("").replace("10.0.0.2", &format!("10.0.1.{number}"));
            fs::write(folder.join(format!("se-sto-{number:03}.conf")), text)?;
        }
        fs::write(folder.join("readme.conf"), "[Interface]\nMTU = x\n")?;
        let archive = format!("{home}/provider.zip");
        world.sh(&format!(
            "cd {home}/many && python3 -m zipfile -c {archive} *.conf && chmod 644 {archive}"
        ))?;
        self.desktop.run(&["lonewire-gtk", &archive])?;
        let list = self.say("Configurations");
        self.window.find("list", &list)?;
        self.see("import-many")?;
        self.close("list", "Configurations")?;

        self.choose("Add a Tunnel", "New Tunnel…")?;
        self.reads("New Tunnel")?;
        self.see("new")?;
        self.click("button", "Create")?;
        let editor = self.say("Configuration");
        self.window.find("text box", &editor)?;
        self.see("new-editor")?;
        self.close("text box", "Configuration")?;
        self.see("added")?;
        for name in world.names(&ALICE)? {
            world.cli(&ALICE, &["remove", &name])?.ok()?;
        }
        Ok(())
    }

    /// The page of a tunnel, off and with apps.
    pub(super) fn page(&mut self) -> Result<()> {
        self.row("Office", "Off")?;
        if self.is_narrow {
            self.see("list")?;
        }
        self.open("Sweden")?;
        self.see("off")?;
        self.click("button", "Run App…")?;
        let other = format!("{}*", self.words.say_plain("Other Command…"));
        self.window.find("list item", &other)?;
        self.see("picker")?;
        self.desktop.type_text("no such app")?;
        let other = self.say("Other Command…");
        self.window.find("button", &other)?;
        self.see("picker-none")?;
        self.click("button", "Other Command…")?;
        self.reads("Run Command")?;
        self.see("command")?;
        self.close("text box", "Command")?;
        self.click("check box", "Tunnel")?;
        self.row("Sweden", "Protected")?;
        self.see("protected")?;
        for app in ["Mail", "Browser"] {
            self.click("button", "Run App…")?;
            self.pick(app)?;
            let stop = self.words.fill("Stop {app}", &[("app", app)]);
            self.window.find_within(SLOW, "button", &stop)?;
        }
        self.see("running")
    }

    /// What is asked and shown about a tunnel.
    pub(super) fn dialogs(&mut self) -> Result<()> {
        let title = "Tunnel Menu";
        self.menu(title, "Check…", "menu-tunnel")?;
        if self.is_narrow {
            // Longer than the screen: it scrolls to what is chosen, here the last.
            self.click("button", title)?;
            let first = self.say("Check…");
            self.window.find("menu item", &first)?;
            self.window.keys(&["Up"])?;
            self.see("menu-tunnel-end")?;
            self.window.keys(&["Escape"])?;
            self.window.gone("menu item", &first)?;
        }
        self.choose(title, "Check…")?;
        self.reads("All Is as It Must Be")?;
        self.see("check")?;
        self.close("label", "What Was Looked At")?;
        self.choose(title, "History…")?;
        let protected = self.say("Protected");
        self.window.find("list item", &protected)?;
        self.see("history")?;
        self.close("list item", "Protected")?;
        self.choose(title, "Options…")?;
        let backend = self.say("Reset All");
        self.window.find("button", &backend)?;
        self.see("options")?;
        // In a small window it is out of the pointer's sight.
        if !self.is_narrow {
            for (list, choice, picture) in [
                ("Turns On", "When I Log In", "options-start"),
                ("Backend", "Kernel", "options-backend"),
            ] {
                let list = self.say(list);
                self.window.point("combo box", &list)?;
                let choice = self.say(choice);
                self.window.find("label", &choice)?;
                self.see(picture)?;
                self.window.keys(&["Escape"])?;
                self.window.gone("label", &choice)?;
            }
        }
        self.close("button", "Reset All")?;
        self.choose(title, "Edit Configuration…")?;
        let editor = self.say("Configuration");
        self.window.find("text box", &editor)?;
        self.see("edit")?;
        self.close("text box", "Configuration")?;
        self.choose(title, "Rename…")?;
        let name = self.say("Name");
        self.window.find("text box", &name)?;
        self.see("rename")?;
        self.close("text box", "Name")?;
        self.choose(title, "Remove…")?;
        let heading = self.words.fill("Remove “{name}”?", &[("name", "Sweden")]);
        self.window.reads(&heading)?;
        self.see("remove")?;
        self.window.keys(&["Escape"])?;
        self.window.gone("label", &heading)?;
        let advanced = self.say("Advanced");
        self.window.click("list item", &format!("{advanced}*"))?;
        self.see("advanced")
    }

    /// An app that waits for its tunnel.
    pub(super) fn waiting(&mut self, world: &World) -> Result<()> {
        world.set_silent(0, true)?;
        self.open("Home")?;
        self.click("button", "Run App…")?;
        self.pick("Editor")?;
        self.reads("Starts when the tunnel is protected")?;
        self.row("Home", "Connecting…")?;
        self.see("waiting")?;
        self.click("button", "Cancel")?;
        world.set_silent(0, false)?;
        self.click("check box", "Tunnel")?;
        self.row("Home", "Off")?;
        self.open("Sweden")
    }

    /// Apps in a tunnel, and what can go wrong with them.
    pub(super) fn running(&mut self, world: &World) -> Result<()> {
        self.click("check box", "Tunnel")?;
        let off = self.say("Turn Off");
        self.window.find("button", &off)?;
        self.see("turn-off")?;
        self.close("button", "Turn Off")?;

        let name = "org.example.Editor";
        zbus::block_on(self.desktop.session.request_name(name))?;
        self.click("button", "Run App…")?;
        let outside = self.say("Already running outside the tunnel");
        let row = format!("Editor, {outside}*");
        self.window.find("list item", &row)?;
        self.see("picker-outside")?;
        self.pick("Editor")?;
        let heading = self
            .words
            .fill("{app} Is Already Running", &[("app", "Editor")]);
        self.window.reads(&heading)?;
        self.see("already-running")?;
        self.click("button", "Close It First")?;
        self.window.gone("label", &heading)?;
        let heading = self.words.fill("Close {app}", &[("app", "Editor")]);
        self.window.reads(&heading)?;
        self.click("button", "Cancel")?;
        self.window.gone("label", &heading)?;
        zbus::block_on(self.desktop.session.release_name(name))?;

        self.click("button", "Run App…")?;
        self.pick(BROKEN)?;
        let action = self.words.fill("run “{app}”", &[("app", BROKEN)]);
        let title = self
            .words
            .fill("Could not {action}", &[("action", &action)]);
        self.window.reads_within(SLOW, &title)?;
        self.see("failed-app")?;
        self.click("button", "Details")?;
        self.reads("The program could not be started.")?;
        self.see("failed-app-details")?;
        let body = format!("{}*", self.say("The program could not be started."));
        self.window.keys(&["Escape"])?;
        self.window.gone("label", &body)?;

        self.see("apps")?;
        let stop = self.words.fill("Stop {app}", &[("app", "Mail")]);
        self.window.click("button", &stop)?;
        self.reads("Stopping…")?;
        self.see("stopping")?;
        self.reads("Does not stop")?;
        self.see("force-stop")?;
        let force = self.words.fill("Force {app} to Stop", &[("app", "Mail")]);
        self.window.click("button", &force)?;
        self.window.gone("button", &force)?;
        ensure!(world.apps(&ALICE)?.len() == 2);
        Ok(())
    }

    /// The list of tunnels.
    pub(super) fn list(&mut self) -> Result<()> {
        self.click("button", "Tunnel Menu")?;
        self.click("check menu item", "Favourite")?;
        if self.is_narrow {
            self.window.keys(&["alt+Left"])?;
        }
        self.window.keys(&["ctrl+f"])?;
        self.desktop.type_text("nowhere")?;
        self.reads("No Results Found")?;
        self.see("search-none")?;
        self.window.keys(&["ctrl+a"])?;
        self.desktop.type_text("o")?;
        self.window.find("list item", "Office, *")?;
        self.see("search")?;
        self.window.keys(&["Escape"])?;
        self.window.find("list item", "Home, *")?;
        // It is higher than the smallest screen.
        if !self.is_narrow {
            self.window.menu_of("list item", "Home, *")?;
            let rename = self.say("Rename…");
            self.window.find("menu item", &rename)?;
            self.see("menu-row")?;
            self.window.keys(&["Escape"])?;
            self.window.gone("menu item", &rename)?;
        }
        self.click("button", "Main Menu")?;
        self.click("menu item", "Sort Tunnels")?;
        self.see("menu-sort")?;
        let name = self.say("By Name");
        let item = self.window.wait(READY, &name, |tree| {
            let at = (0..tree.nodes.len()).find(|at| {
                let node = &tree.nodes[*at];
                node.matches(&node.role, &name) && tree.is_visible(*at)
            })?;
            Some(tree.nodes[at].clone())
        })?;
        self.window.click(&item.role, &name)?;
        self.window.gone(&item.role, &name)
    }

    /// What is about the program.
    pub(super) fn program(&mut self) -> Result<()> {
        self.choose("Main Menu", "Preferences")?;
        let notify = self.say("Notify When Blocked");
        self.window.find("check box", &notify)?;
        self.see("preferences")?;
        self.close("check box", "Notify When Blocked")?;
        self.choose("Main Menu", "Keyboard Shortcuts")?;
        self.reads("Quit, Apps Go On")?;
        self.see("shortcuts")?;
        self.close("label", "Quit, Apps Go On")?;
        self.choose("Main Menu", "About Lonewire")?;
        let what = "Runs the apps that you choose through a WireGuard tunnel and nothing else.";
        self.reads(what)?;
        self.see("about")?;
        self.window.keys(&["Escape"])?;
        let what = self.say(what);
        self.window.gone("label", &what)
    }

    /// A tunnel whose server is gone.
    pub(super) fn blocked(&mut self) -> Result<()> {
        self.open("Sweden")?;
        self.reads("The WireGuard program of this tunnel ended.")?;
        self.see("blocked")
    }

    /// No service.
    pub(super) fn missing(&mut self) -> Result<()> {
        self.reads("Service Not Available")?;
        let again = self.say("Try Again");
        self.window.find("button", &again)?;
        self.see("missing")
    }
}

/// A configuration that can be added, with lines of its own in its first section.
fn config(more: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nAddress = 10.0.0.2/32\nDNS = 10.0.0.1\n{more}\n\
         [Peer]\nPublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.7:51820\n"
    )
}
