//! The window of Lonewire. It talks to nothing but the helper's D-Bus API (in `helper` alone) and the user's own session.
//!
//! State comes in by properties of the objects in `model`, which only `helper` fills; intents go out as actions of the window;
//! words, icons and colours come from the pure `present`; what went wrong takes the one road in `error`.

mod a11y;
mod application;
mod apps;
mod config;
mod error;
mod helper;
mod model;
mod notify;
mod places;
mod present;
mod shelf;
mod widget;

use adw::prelude::*;
use gettextrs::LocaleCategory;
use gtk::{gio, glib};

/// Of the application on the session bus, of its desktop file and of its icon.
pub const APP_ID: &str = "org.lonewire.Lonewire";
/// Of its translations.
pub const DOMAIN: &str = "lonewire-gtk";
/// Where translations are looked for, if `LONEWIRE_LOCALEDIR` does not say so.
const LOCALE_DIR: &str = "/usr/share/locale";

/// Runs the window until it is left.
pub fn run() -> glib::ExitCode {
    // What the terminal is told if it fails: the window goes on in English.
    if let Err(error) = translations() {
        glib::g_warning!("lonewire", "translations: {error}");
    }
    if let Err(error) = gio::resources_register_include!("lonewire.gresource") {
        glib::g_critical!("lonewire", "resources: {error}");
        return glib::ExitCode::FAILURE;
    }
    application::Application::default().run()
}

/// Takes the language of the environment.
fn translations() -> std::io::Result<()> {
    gettextrs::setlocale(LocaleCategory::LcAll, "");
    let folder = std::env::var_os("LONEWIRE_LOCALEDIR").unwrap_or_else(|| LOCALE_DIR.into());
    gettextrs::bindtextdomain(DOMAIN, folder)?;
    gettextrs::bind_textdomain_codeset(DOMAIN, "UTF-8")?;
    gettextrs::textdomain(DOMAIN)?;
    Ok(())
}
