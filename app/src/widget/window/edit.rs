//! Actions about a tunnel's configuration: a new one, changes, a copy, and a file without secrets.

use adw::prelude::*;
use gettextrs::gettext;
use gtk::glib;

use super::{Window, action};
use crate::{
    config::{self, Refused, WriteError},
    error::{Error, Result},
    model::Tunnel,
    present::{edit, fill, name, problem, state},
    widget::{
        editor::{Editor, Setup},
        message::{self, Kind},
    },
};

/// They need a tunnel; the window disables them where there is none.
pub(super) const ACTIONS: &[&str] = &["edit", "duplicate", "export"];

impl Window {
    pub(super) fn add_edit_actions(&self) {
        self.add_action_entries([
            action::of_tunnel("edit", |window, tunnel| {
                let (told, tunnel) = (window.clone(), tunnel.clone());
                window.attempt(async move { told.edit(&tunnel, false).await });
            }),
            action::of_tunnel("duplicate", Self::duplicate),
            action::of_tunnel("export", |window, tunnel| {
                let (told, tunnel) = (window.clone(), tunnel.clone());
                window.attempt(async move { told.export(&tunnel).await });
            }),
            action::plain("new-tunnel", Self::ask_for_new),
        ]);
    }

    /// Asks for a name; the helper makes the keys.
    fn ask_for_new(&self) {
        let taken = self.names();
        let entry = adw::EntryRow::builder()
            .title(gettext("Name"))
            .text(name::free("", &taken))
            .activates_default(true)
            .build();
        let list = gtk::ListBox::builder()
            .selection_mode(gtk::SelectionMode::None)
            .css_classes(["boxed-list"])
            .build();
        list.append(&entry);
        let (window, typed) = (self.clone(), entry.clone());
        let dialog = message::question(
            self,
            &gettext("New Tunnel"),
            &gettext(
                "Lonewire makes a key pair. The private key never leaves it; the public key is for the other side.",
            ),
            (&gettext("_Create"), Kind::Suggested),
            move || {
                let (told, name) = (window.clone(), typed.text().trim().to_owned());
                window.attempt(async move { told.create(&name).await });
            },
        );
        let check = glib::clone!(
            #[weak]
            dialog,
            move |entry: &adw::EntryRow| {
                let verdict = name::check(&entry.text(), &taken);
                message::set_ready(&dialog, verdict.is_ok());
                match verdict {
                    Ok(_) => entry.remove_css_class("error"),
                    Err(_) => entry.add_css_class("error"),
                }
            }
        );
        check(&entry);
        entry.connect_changed(check);
        dialog.set_extra_child(Some(&list));
        dialog.present();
        entry.grab_focus();
    }

    async fn create(&self, name: &str) -> Result<()> {
        let Some(helper) = self.helper() else {
            return Ok(());
        };
        let (id, public_key) = helper.create(name).await?;
        self.show_tunnel(&id);
        self.offer_undo(
            &fill(&gettext("“{name}” added"), &[("name", name)]),
            vec![id.clone()],
        );
        // The signal that it is there may be on its way still.
        let known = self.model().and_then(|model| model.tunnel(&id));
        let tunnel = known.unwrap_or_else(|| {
            let info = lonewire_api::TunnelInfo {
                name: name.to_owned(),
                public_key,
                ..lonewire_api::TunnelInfo::default()
            };
            Tunnel::new(&id, info)
        });
        self.edit(&tunnel, true).await
    }

    async fn edit(&self, tunnel: &Tunnel, is_new: bool) -> Result<()> {
        let Some(helper) = self.helper() else {
            return Ok(());
        };
        let detail = helper.show(tunnel).await?;
        let hint = if is_new {
            gettext(
                "Give the public key to the other side, then describe it here: take the # away and fill in what it told you.",
            )
        } else if state::is_on(tunnel.state()) {
            gettext(
                "The tunnel is on. What is changed here is used when it is turned on the next time. A key that reads (unchanged) stays as it is.",
            )
        } else {
            gettext("A key that reads (unchanged) stays as it is.")
        };
        let setup = Setup {
            heading: tunnel.title(),
            hint,
            text: if is_new {
                edit::with_template(&detail.config, TEMPLATE)
            } else {
                detail.config.clone()
            },
            stored_key: Some(detail.info.public_key.clone()),
            ..Setup::default()
        };
        let (window, tunnel) = (self.clone(), tunnel.clone());
        Editor::new(self, setup, move |editor| {
            let (window, tunnel, editor) = (window.clone(), tunnel.clone(), editor.clone());
            glib::spawn_future_local(async move {
                if let Err(Error::Message(message)) = window.save(&tunnel, &editor).await {
                    editor.refuse(&format!("{}. {}", message.title, message.body));
                } else {
                    editor.refuse("");
                }
            });
        })
        .present();
        Ok(())
    }

    async fn save(&self, tunnel: &Tunnel, editor: &Editor) -> Result<()> {
        let Some(helper) = self.helper() else {
            return Ok(());
        };
        match helper.replace(tunnel, &editor.text()).await? {
            Ok(_) => {
                editor.finish();
                let text = if state::is_on(tunnel.state()) {
                    gettext("“{name}” changed: used when it is turned on the next time")
                } else {
                    gettext("“{name}” changed")
                };
                self.toast(&fill(&text, &[("name", &tunnel.title())]));
                Ok(())
            }
            Err(error) => Err(Error::message(
                gettext("Nothing was changed"),
                problem::of_service(&error),
                error.code.as_str(),
            )),
        }
    }

    /// Lets a person put right what was refused, and tries again.
    pub(super) fn edit_refused(&self, refused: &Refused) {
        let text = refused
            .text
            .as_deref()
            .and_then(|text| std::str::from_utf8(text).ok());
        let Some(text) = text else { return };
        let (text, hidden) = config::Hidden::of(text);
        let not_changed = gettext("The file itself is not changed.");
        let setup = Setup {
            heading: refused.origin.clone(),
            hint: if hidden.is_empty() {
                not_changed
            } else {
                let kept = gettext("A key that reads (hidden) stays as it is in the file.");
                format!("{not_changed} {kept}")
            },
            text,
            hidden,
            button: Some(gettext("_Try Again")),
            place: problem::place(&refused.error),
            ..Setup::default()
        };
        let window = self.clone();
        let (origin, name) = (refused.origin.clone(), refused.name.clone());
        Editor::new(self, setup, move |editor| {
            match config::judge(&origin, &name, editor.text()) {
                Ok(draft) => {
                    editor.finish();
                    window.review(draft);
                }
                Err(refused) => editor.refuse(&problem::refusal(&refused.error)),
            }
        })
        .present();
    }

    fn duplicate(&self, tunnel: &Tunnel) {
        let Some(helper) = self.helper().cloned() else {
            return;
        };
        let window = self.clone();
        let tunnel = tunnel.clone();
        self.attempt(async move {
            let name = name::free(&tunnel.title(), &window.names());
            let id = helper.duplicate(&tunnel, &name).await?;
            window.show_tunnel(&id);
            let text = gettext("“{name}” added: it has the same key, so one of the two can be on");
            window.offer_undo(&fill(&text, &[("name", &name)]), vec![id]);
            Ok(())
        });
    }

    async fn export(&self, tunnel: &Tunnel) -> Result<()> {
        let Some(helper) = self.helper() else {
            return Ok(());
        };
        let title = tunnel.title();
        let detail = helper.show(tunnel).await?;
        let text = config::exported(&title, &detail.config)
            .map_err(|error| not_written(&title, &error))?;
        let chooser = gtk::FileChooserNative::builder()
            .title(gettext("Export Without Keys"))
            .transient_for(self)
            .modal(true)
            .action(gtk::FileChooserAction::Save)
            .accept_label(gettext("_Export"))
            .cancel_label(gettext("_Cancel"))
            .build();
        chooser.set_current_name(&format!("{}.conf", title.replace('/', "-")));
        if chooser.run_future().await != gtk::ResponseType::Accept {
            return Err(Error::UserCanceled);
        }
        let path = chooser.file().and_then(|file| file.path());
        let Some(path) = path else {
            let elsewhere = std::io::ErrorKind::Unsupported.into();
            return Err(not_written(&title, &WriteError::System(elsewhere)));
        };
        config::write(path, text)
            .await
            .map_err(|error| not_written(&title, &error))?;
        let told = gettext("“{name}” exported without its keys: those never leave Lonewire");
        self.toast(&fill(&told, &[("name", &title)]));
        Ok(())
    }
}

fn not_written(name: &str, error: &WriteError) -> Error {
    let (why, code) = match error {
        WriteError::NotUnderstood => (
            gettext(
                "The service tells it in a way that this window does not know. Update Lonewire.",
            ),
            "not_understood",
        ),
        WriteError::System(error) => (problem::of_system(error), "unwritable"),
    };
    let title = fill(&gettext("Could not export “{name}”"), &[("name", name)]);
    Error::message(title, why, code)
}

/// What a tunnel lacks that has only keys.
const TEMPLATE: &str = "\
# Address = 10.0.0.2/32
# DNS = 10.0.0.1

# [Peer]
# PublicKey = …
# AllowedIPs = 0.0.0.0/0, ::/0
# Endpoint = vpn.example:51820";
