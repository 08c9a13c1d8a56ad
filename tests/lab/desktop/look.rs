//! How a desktop looks and speaks: colours, letters, direction, language, the screen's size; as a program's environment and files.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    Person, World,
    programs::project,
    words::{DOMAIN, catalogue as words},
};

/// A language that no one speaks, whose letters run from right to left: GTK's own catalogue says so.
pub const MIRRORED: &str = "xr";

/// A language that no one speaks either, in which all that passed gettext stands in brackets.
pub const PSEUDO: &str = "xx";

/// What a person has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub dark: bool,
    pub high_contrast: bool,
    /// Letters half as large again.
    pub large_text: bool,
    /// From right to left, whatever the language.
    pub mirrored: bool,
    /// Animations, which tests do without.
    pub motion: bool,
    /// As `LANGUAGE` has it: `de`, `zh_CN`; none: as written.
    pub language: Option<String>,
    /// Width and height in pixels.
    pub screen: (u32, u32),
}

/// What is around a window where nothing composes the screen.
const FRAME: u32 = 4;

impl Default for Look {
    fn default() -> Self {
        Self {
            dark: false,
            high_contrast: false,
            large_text: false,
            mirrored: false,
            motion: false,
            language: None,
            screen: (1000, 800),
        }
    }
}

impl Look {
    /// In a language.
    pub fn speaking(language: &str) -> Self {
        Self {
            language: Some(language.to_owned()),
            ..Self::default()
        }
    }

    /// On a screen that the window just fits on.
    pub fn sized(width: u32, height: u32) -> Self {
        Self {
            screen: (width + 2 * FRAME, height + 2 * FRAME),
            ..Self::default()
        }
    }

    /// How large a window is that fills the screen.
    pub fn window(&self) -> (u32, u32) {
        (self.screen.0 - 2 * FRAME, self.screen.1 - 2 * FRAME)
    }

    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all: Vec<(&str, String)> = [
            ("GDK_BACKEND", "x11"),
            ("GSK_RENDERER", "cairo"),
            ("GTK_A11Y", "atspi"),
            ("GTK_USE_PORTAL", "0"),
            ("GSETTINGS_BACKEND", "memory"),
            ("GIO_USE_VFS", "local"),
            ("XDG_CURRENT_DESKTOP", "Lab"),
            // "C" alone would switch gettext off.
            ("LC_ALL", "C.UTF-8"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        let mut languages: Vec<&str> = self.language.as_deref().into_iter().collect();
        if self.mirrored {
            languages.push(MIRRORED);
        }
        if !languages.is_empty() {
            all.push(("LANGUAGE", languages.join(":")));
        }
        if self.dark {
            all.push(("ADW_DEBUG_COLOR_SCHEME", "prefer-dark".into()));
        }
        if self.high_contrast {
            all.push(("ADW_DEBUG_HIGH_CONTRAST", "1".into()));
        }
        all
    }

    /// Writes what is read from files.
    pub(super) fn prepare(&self, world: &World, person: &Person) -> Result<()> {
        let folder = format!("{}/.config/gtk-4.0", person.home);
        let text = format!(
            // A cursor that blinks would be movement that nobody caused.
            "[Settings]\ngtk-font-name=Cantarell 11\ngtk-cursor-blink=false\ngtk-enable-animations={}\n",
            self.motion
        );
        let owner = format!("-o {} -g {}", person.uid, person.gid);
        world.sh(&format!(
            "install -d {owner} {}/.config {folder}",
            person.home
        ))?;
        fs::write(world.path(&format!("{folder}/settings.ini")), text)?;
        if self.language.as_deref() == Some(PSEUDO) {
            let own = words::of_window(&project())?;
            let own = words::pseudo_catalogue(&own)?;
            catalogue(world, PSEUDO, DOMAIN, &own)?;
            for domain in ["gtk40", "libadwaita", "glib20"] {
                let text = words::pseudo_catalogue(&words::of_toolkit(domain)?)?;
                catalogue(world, PSEUDO, domain, &text)?;
            }
        }
        if self.mirrored {
            // GLib translates a toolkit only where the program is translated.
            catalogue(
                world,
                MIRRORED,
                DOMAIN,
                "msgid \"Lonewire\"\nmsgstr \"Lonewire\"\n",
            )?;
            catalogue(
                world,
                MIRRORED,
                "gtk40",
                "msgid \"default:LTR\"\nmsgstr \"default:RTL\"\n",
            )?;
        }
        Ok(())
    }
}

/// Installs a catalogue of messages, written as gettext(1) writes them, for a language of a world.
///
/// # Errors
/// msgfmt refuses it.
pub fn catalogue(world: &World, language: &str, domain: &str, messages: &str) -> Result<()> {
    let head = "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=2; plural=n != 1;\\n\"\n\n";
    let folder = format!("/usr/share/locale/{language}/LC_MESSAGES");
    let source = "/run/lab/catalogue.po";
    fs::write(world.path(source), format!("{head}{messages}"))?;
    let target = Path::new(&folder).join(format!("{domain}.mo"));
    let target = target.to_string_lossy();
    world.sh(&format!("mkdir -p {folder}"))?;
    world
        .run_in("host", &["msgfmt", "--check-format", "-o", &target, source])?
        .ok()
        .context("msgfmt")?;
    Ok(())
}
