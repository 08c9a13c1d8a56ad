//! Actions that look into the tunnel on the page: its check, its history, its options.

use adw::prelude::*;
use gettextrs::gettext;
use gtk::glib;
use lonewire_api::TunnelState;

use super::{Window, action};
use crate::{
    error::Error,
    model::Tunnel,
    notify,
    present::{check, fill, time},
    widget::{
        check_dialog::CheckDialog, history_dialog::HistoryDialog, options_dialog::OptionsDialog,
    },
};

/// They need a tunnel; the window disables them where there is none.
pub(super) const ACTIONS: &[&str] = &["check", "history", "options"];

impl Window {
    pub(super) fn add_look_actions(&self) {
        self.add_action_entries([
            action::of_tunnel("check", Self::check),
            action::of_tunnel("history", Self::history),
            action::of_tunnel("options", Self::options),
        ]);
    }

    fn check(&self, tunnel: &Tunnel) {
        let dialog = CheckDialog::new(self, &tunnel.title());
        dialog.connect_again(glib::clone!(
            #[weak(rename_to = window)]
            self,
            #[strong]
            tunnel,
            move |dialog| window.check_into(dialog, &tunnel)
        ));
        dialog.connect_turn_on(glib::clone!(
            #[weak(rename_to = window)]
            self,
            #[strong]
            tunnel,
            move |dialog| window.check_on(dialog, &tunnel)
        ));
        self.check_into(&dialog, tunnel);
        dialog.present();
    }

    fn check_into(&self, dialog: &CheckDialog, tunnel: &Tunnel) {
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        if tunnel.state() == TunnelState::Off {
            return dialog.is_off();
        }
        dialog.busy();
        let (dialog, tunnel) = (dialog.clone(), tunnel.clone());
        glib::spawn_future_local(async move {
            match helper.check(&tunnel).await {
                Ok(probes) => dialog.show_probes(&probes),
                Err(Error::UserCanceled) => dialog.close(),
                Err(Error::Message(message)) => dialog.failed(&message),
            }
        });
    }

    fn check_on(&self, dialog: &CheckDialog, tunnel: &Tunnel) {
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        dialog.busy();
        let (window, dialog, tunnel) = (self.clone(), dialog.clone(), tunnel.clone());
        glib::spawn_future_local(async move {
            match helper.turn_on(&tunnel).await {
                Ok(()) => window.check_into(&dialog, &tunnel),
                Err(Error::UserCanceled) => dialog.is_off(),
                Err(Error::Message(message)) => dialog.failed(&message),
            }
        });
    }

    /// Looks at a tunnel that was just turned on, and says so only if it is not as it must be.
    pub(super) async fn check_quietly(&self, tunnel: &Tunnel) -> crate::error::Result<()> {
        let Some(helper) = self.helper() else {
            return Ok(());
        };
        if tunnel.state() != TunnelState::Protected {
            return Ok(());
        }
        let verdict = check::verdict(&helper.check(tunnel).await?);
        if verdict.is_sealed {
            return Ok(());
        }
        let title = fill(
            &gettext("“{name}” is not sealed"),
            &[("name", &tunnel.title())],
        );
        if let Some(application) = self.application() {
            notify::leak_found(application.upcast_ref(), tunnel, &title, &verdict.text);
        }
        Err(Error::message(title, verdict.text, "not_sealed"))
    }

    fn history(&self, tunnel: &Tunnel) {
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        let (window, tunnel) = (self.clone(), tunnel.clone());
        self.attempt(async move {
            let entries = helper.history(&tunnel).await?;
            HistoryDialog::new(&window, &tunnel.title(), &entries, time::now()).present();
            Ok(())
        });
    }

    fn options(&self, tunnel: &Tunnel) {
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        let (window, tunnel) = (self.clone(), tunnel.clone());
        self.attempt(async move {
            let detail = helper.show(&tunnel).await?;
            let parent = window.clone();
            let save = move |change| {
                let (helper, tunnel, told) = (helper.clone(), tunnel.clone(), window.clone());
                window.attempt(async move {
                    helper.set_options(&tunnel, &change).await?;
                    told.toast(&if tunnel.state() == TunnelState::Off {
                        gettext("Options saved")
                    } else {
                        gettext("Options saved for the next time it is turned on")
                    });
                    Ok(())
                });
            };
            OptionsDialog::new(&parent, &detail, save).present();
            Ok(())
        });
    }
}
