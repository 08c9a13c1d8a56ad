//! Preferences, *Keyboard Shortcuts* and *About*.

use adw::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use lonewire_client::settings::{self, Settings};

use super::{Window, action};
use crate::{
    APP_ID,
    error::{Error, Result},
    model::Tunnel,
    present::diagnostics,
    widget::{
        preferences::{Choices, Preferences},
        shortcuts,
    },
};

impl Window {
    pub(super) fn add_preferences_actions(&self) {
        self.add_action_entries([
            action::plain("preferences", |window| {
                let shown = window.clone();
                window.attempt(async move { shown.preferences() });
            }),
            action::plain("shortcuts", |window| {
                if let Some(application) = window.application() {
                    shortcuts::window(window, &application).present();
                }
            }),
            action::plain("about", Self::about),
        ]);
    }

    fn tunnels_by_name(&self) -> Vec<Tunnel> {
        let mut tunnels: Vec<Tunnel> = self
            .model()
            .map(|model| {
                let tunnels = model.tunnels().iter::<Tunnel>();
                tunnels.filter_map(std::result::Result::ok).collect()
            })
            .unwrap_or_default();
        tunnels.sort_by_cached_key(|tunnel| tunnel.title().to_lowercase());
        tunnels
    }

    fn preferences(&self) -> Result<()> {
        let settings = Settings::load().map_err(|error| unreadable(&error))?;
        let choices = Choices {
            notify_blocked: settings.notify_blocked(),
            check_after_connect: settings.check_after_connect(),
            default_tunnel: settings.default_tunnel().map(str::to_owned),
        };
        let tunnels: Vec<_> = self
            .tunnels_by_name()
            .iter()
            .map(|tunnel| (tunnel.id(), tunnel.title()))
            .collect();
        let window = self.clone();
        Preferences::new(self, &choices, &tunnels, move |_, choices| {
            window.attempt(async move { keep(&choices) });
        })
        .present();
        Ok(())
    }

    fn about(&self) {
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        let window = self.clone();
        glib::spawn_future_local(async move {
            let service = helper.service().await;
            let tunnels: Vec<_> = window
                .tunnels_by_name()
                .iter()
                .map(|tunnel| (tunnel.info(), tunnel.detail()))
                .collect();
            let report = diagnostics::report(&diagnostics::About {
                window: env!("CARGO_PKG_VERSION"),
                service: service.version.as_deref(),
                features: &service.features,
                toolkit: (
                    [
                        gtk::major_version(),
                        gtk::minor_version(),
                        gtk::micro_version(),
                    ],
                    [
                        adw::major_version(),
                        adw::minor_version(),
                        adw::micro_version(),
                    ],
                ),
                os_release: &std::fs::read_to_string("/etc/os-release").unwrap_or_default(),
                kernel: &std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default(),
                tunnels: &tunnels,
            });
            adw::AboutWindow::builder()
                .transient_for(&window)
                .modal(true)
                .application_name(gettext("Lonewire"))
                .application_icon(APP_ID)
                .version(env!("CARGO_PKG_VERSION"))
                .developer_name(gettext("The Lonewire Authors"))
                .comments(gettext(
                    "Runs the apps that you choose through a WireGuard tunnel and nothing else.",
                ))
                .website(env!("CARGO_PKG_REPOSITORY"))
                .issue_url(concat!(env!("CARGO_PKG_REPOSITORY"), "/issues"))
                .license_type(gtk::License::Gpl30)
                .debug_info(report)
                .debug_info_filename("lonewire-diagnostics.txt")
                .build()
                .present();
        });
    }
}

/// Whether a tunnel is to be checked when it was turned on. Settings that can not be read are told where they are opened.
pub(super) fn checks_after_connect() -> bool {
    Settings::load().is_ok_and(|settings| settings.check_after_connect())
}

/// Id of the tunnel that is meant where none is named.
pub(super) fn default_tunnel() -> Option<String> {
    Settings::load().ok()?.default_tunnel().map(str::to_owned)
}

/// What others wrote meanwhile stays.
fn keep(choices: &Choices) -> Result<()> {
    let mut settings = Settings::load().map_err(|error| unreadable(&error))?;
    settings.set_notify_blocked(choices.notify_blocked);
    settings.set_check_after_connect(choices.check_after_connect);
    settings.set_default_tunnel(choices.default_tunnel.as_deref());
    settings.save().map_err(|error| unreadable(&error))
}

fn unreadable(error: &settings::Error) -> Error {
    let (title, code) = match error {
        settings::Error::Unreadable { .. } => (
            gettext("Could not read the settings"),
            "settings_unreadable",
        ),
        settings::Error::NotToml { .. } => (
            gettext("The settings file is not valid"),
            "settings_not_toml",
        ),
        _ => (
            gettext("Could not save the settings"),
            "settings_unwritable",
        ),
    };
    // Names the file, as the system has it.
    Error::message(title, format!("{error}."), code)
}
