//! A walk through the window: every page, dialog and menu that it has, one after the other, in any look and language. Whoever walks is shown each
//! of them and may judge it or take its picture. Needs a world of its own, which it changes.

mod guide;

use std::fs;

use anyhow::{Result, ensure};

use guide::Guide;

use super::{Desktop, Look, Window, look};
use crate::{ALICE, Program, Spec, World, addr, programs::project, words::catalogue::Words};

/// The tunnels of the walk.
pub const TUNNELS: [&str; 3] = ["Sweden", "Home", "Office"];
/// The apps that the person of the walk has, with what they are and their icons.
pub const APPS: [(&str, &str, &str); 5] = [
    ("Browser", "Looks around the web", "web-browser"),
    ("Mail", "Reads and writes letters", "mail-unread"),
    ("Torrents", "Shares large files", "folder-download"),
    ("Editor", "Writes texts", "accessories-text-editor"),
    (BROKEN, "Passes the time", "applications-games"),
];
/// The one of them that can not be started.
pub const BROKEN: &str = "Puzzle";
/// What else is to be read that is no word of the program: files, settings, links.
pub const OTHERS: [&str; 8] = [
    "lonewire-gtk",
    "se-sto-",
    "provider.zip",
    "readme.conf",
    "AllowedIPs",
    "PublicKey",
    "Endpoint",
    "PostUp",
];
/// What is pasted, and where it is wrong.
pub const WRONG: &str = "10.0.0.0/33";

/// Loads now more, now less, for ever; one that is asked to end takes no notice.
const BUSY: &str = "#!/bin/sh\ntrap '' TERM\nn=0\nwhile :; do n=$((n + 1)); for a in $(seq $((n % 4 + 1))); do\n\
    curl -s -o /dev/null -m $((a % 2 + 1)) http://ADDRESS/stream & done; wait; done\n";

/// One in a world of its own.
#[derive(Debug)]
pub struct Tour {
    pub world: World,
    pub desktop: Desktop,
    pub words: Words,
    is_narrow: bool,
}

/// Is shown what there is: a name for it, and the window.
pub type See<'s> = dyn FnMut(&str, &Window<'_>) -> Result<()> + 's;

impl Tour {
    /// The world, the person's apps and their desktop.
    ///
    /// # Errors
    /// The world cannot be made.
    pub fn new(look: &Look) -> Result<Self> {
        let world = World::new(Spec::product())?;
        let home = ALICE.home;
        let folder = format!("{home}/.local/share/applications");
        world.sh(&format!("mkdir -p {folder} {home}/.local/state/lonewire"))?;
        let busy = BUSY.replace("ADDRESS", &addr::WEB_V4.to_string());
        for (name, comment, icon) in APPS {
            let script = if name == BROKEN {
                "#!/nonexistent/interpreter\n"
            } else {
                &busy
            };
            let program = world.path(&format!("{home}/{name}"));
            fs::write(&program, script)?;
            fs::write(
                world.path(&format!("{folder}/org.example.{name}.desktop")),
                format!(
                    "[Desktop Entry]\nType=Application\nName={name}\nComment={comment}\nIcon={icon}\nExec={home}/{name}\n"
                ),
            )?;
        }
        // A launcher of one of them, by which it counts as assigned.
        fs::write(
            world.path(&format!("{folder}/org.lonewire.Lonewire.x.y.desktop")),
            "[Desktop Entry]\nType=Application\nName=x\nExec=true\nX-Lonewire-Tunnel=x\nX-Lonewire-Source=org.example.Mail\n",
        )?;
        let (width, height) = look.window();
        fs::write(
            world.path(&format!("{home}/.local/state/lonewire/window")),
            format!("{width} {height}\n"),
        )?;
        world.sh(&format!(
            "chmod 755 {home}/[A-Z]*; chown -R {}:{} {home}",
            ALICE.uid, ALICE.gid
        ))?;
        let desktop = Desktop::start(&world, &ALICE, look)?;
        let words = match look.language.as_deref() {
            None => Words::default(),
            Some(look::PSEUDO) => Words::pseudo(),
            Some(language) => Words::of(&project(), language)?,
        };
        Ok(Self {
            world,
            desktop,
            words,
            is_narrow: width < 500,
        })
    }

    /// All of it.
    ///
    /// # Errors
    /// Something is not there.
    pub fn walk(self, see: &mut See<'_>) -> Result<()> {
        let Self {
            mut world,
            desktop,
            words,
            is_narrow,
        } = self;
        let window = desktop.window()?;
        let mut guide = Guide {
            desktop: &desktop,
            window,
            words,
            is_narrow,
            see,
        };
        guide.imports(&world)?;
        for name in TUNNELS {
            world.import(&ALICE, name, 0)?;
        }
        guide.page()?;
        guide.dialogs()?;
        guide.waiting(&world)?;
        guide.running(&world)?;
        guide.list()?;
        guide.program()?;
        world.stop(Program::DataPlane)?;
        guide.blocked()?;
        world.restart(Program::DataPlane)?;
        world.stop(Program::Helper)?;
        guide.missing()?;
        let left = guide.window.complaints();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    }
}
