//! Actions about the tunnel on the page: on and off, rename, remove, copy its key.

use adw::prelude::*;
use adw::subclass::prelude::ObjectSubclassIsExt;
use gettextrs::{gettext, ngettext};
use gtk::glib;
use lonewire_api::TunnelState;

use super::{Window, action, preferences};
use crate::{
    model::Tunnel,
    present::{app, fill, state, time},
    widget::message::{self, Kind},
};

/// They need a tunnel; the window disables them where there is none.
pub(super) const ACTIONS: &[&str] = &[
    "turn-on",
    "turn-off",
    "toggle-tunnel",
    "rename",
    "remove",
    "copy-public-key",
    "run-app",
];

impl Window {
    pub(super) fn add_tunnel_actions(&self) {
        self.add_action_entries([
            action::of_tunnel("turn-on", Self::turn_on),
            action::of_tunnel("turn-off", Self::turn_off),
            action::of_tunnel("toggle-tunnel", |window, tunnel| {
                if state::is_on(tunnel.state()) {
                    window.turn_off(tunnel);
                } else {
                    window.turn_on(tunnel);
                }
            }),
            action::of_tunnel("rename", Self::rename),
            action::of_tunnel("remove", Self::remove),
            action::of_tunnel("copy-public-key", |window, tunnel| {
                window.clipboard().set_text(&tunnel.info().public_key);
                window.toast(&gettext("Public key copied"));
            }),
        ]);
    }

    fn turn_on(&self, tunnel: &Tunnel) {
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        let (window, tunnel) = (self.clone(), tunnel.clone());
        self.attempt(async move {
            window.shelf().used(&tunnel.id(), time::now());
            helper.turn_on(&tunnel).await?;
            if preferences::checks_after_connect() {
                window.check_quietly(&tunnel).await?;
            }
            Ok(())
        });
    }

    fn turn_off(&self, tunnel: &Tunnel) {
        if tunnel.apps() > 0 {
            return self.ask_to_turn_off(tunnel);
        }
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        let (window, tunnel) = (self.clone(), tunnel.clone());
        self.attempt(async move {
            // An app that came meanwhile is asked about too.
            if !helper.turn_off(&tunnel, false).await? {
                window.ask_to_turn_off(&tunnel);
            }
            Ok(())
        });
    }

    fn ask_to_turn_off(&self, tunnel: &Tunnel) {
        let count = tunnel.apps().max(1);
        let heading = app::will_lose_network(count);
        let body = fill(
            &gettext(
                "Apps in “{name}” stay open and are offline until it is on again. They never use another network.",
            ),
            &[("name", &tunnel.title())],
        );
        let (window, asked) = (self.clone(), tunnel.clone());
        let dialog = message::question(
            self,
            &heading,
            &body,
            (&gettext("_Turn Off"), Kind::Destructive),
            move || {
                let Some(helper) = window.helper().cloned() else {
                    return;
                };
                window.attempt(async move { helper.turn_off(&asked, true).await.map(|_| ()) });
            },
        );
        dialog.connect_response(
            None,
            glib::clone!(
                #[weak(rename_to = window)]
                self,
                move |_, _| window.imp().page.undo_switch()
            ),
        );
        dialog.present();
    }

    fn rename(&self, tunnel: &Tunnel) {
        let name = adw::EntryRow::builder()
            .title(gettext("Name"))
            .text(tunnel.title())
            .activates_default(true)
            .build();
        let list = gtk::ListBox::new();
        list.set_selection_mode(gtk::SelectionMode::None);
        list.add_css_class("boxed-list");
        list.append(&name);
        let (window, renamed, entry) = (self.clone(), tunnel.clone(), name.clone());
        let dialog = message::question(
            self,
            &gettext("Rename Tunnel"),
            "",
            (&gettext("_Rename"), Kind::Suggested),
            move || {
                let Some(helper) = window.helper().cloned() else {
                    return;
                };
                let text = entry.text();
                window.attempt(async move { helper.rename(&renamed, text.trim()).await });
            },
        );
        let before = tunnel.title();
        let check = glib::clone!(
            #[weak]
            dialog,
            move |name: &adw::EntryRow| {
                let text = name.text();
                message::set_ready(&dialog, !text.trim().is_empty() && text.trim() != before);
            }
        );
        check(&name);
        name.connect_changed(check);
        dialog.set_extra_child(Some(&list));
        dialog.present();
        name.grab_focus();
    }

    fn remove(&self, tunnel: &Tunnel) {
        let heading = fill(&gettext("Remove “{name}”?"), &[("name", &tunnel.title())]);
        let gone = gettext(
            "Its keys and history are deleted for good. To have it back you need the provider’s file.",
        );
        let body = match (tunnel.state(), tunnel.apps()) {
            (TunnelState::Off, _) => gone,
            (_, 0) => format!("{} {gone}", gettext("It is turned off first.")),
            (_, count) => format!(
                "{} {gone}",
                fill(
                    &ngettext(
                        "It is turned off first: {count} app loses its network.",
                        "It is turned off first: {count} apps lose their network.",
                        count,
                    ),
                    &[("count", &count.to_string())],
                )
            ),
        };
        let (window, tunnel) = (self.clone(), tunnel.clone());
        message::question(
            self,
            &heading,
            &body,
            (&gettext("_Remove"), Kind::Destructive),
            move || {
                let Some(helper) = window.helper().cloned() else {
                    return;
                };
                let done = fill(&gettext("“{name}” removed"), &[("name", &tunnel.title())]);
                let told = window.clone();
                window.attempt(async move {
                    helper.remove(&tunnel).await?;
                    told.shelf().forget(&tunnel.id());
                    told.imp().split.show_sidebar();
                    told.toast(&done);
                    Ok(())
                });
            },
        )
        .present();
    }
}
