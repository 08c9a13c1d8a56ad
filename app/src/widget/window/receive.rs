//! What comes to the window by itself: pasted, dropped on it, or offered because it is on the clipboard. Of a clipboard that nobody asked to read no
//! more is looked at than what kind of thing it is and, of a text, how it begins.

use adw::{prelude::*, subclass::prelude::ObjectSubclassIsExt};
use gettextrs::gettext;
use gtk::{gdk, glib};

use super::Window;
use crate::{
    config::{self, Found},
    error::{Error, Result},
    present::{draft, service::ServiceState},
};

/// Shows where something may be dropped.
const CLASS: &str = "drop-target";
/// Bytes of a text that say whether it is a configuration.
const START: usize = 1024;
/// Plain text, as clipboards offer it.
const TEXTS: [&str; 2] = ["text/plain;charset=utf-8", "text/plain"];

impl Window {
    pub(super) fn receive(&self) {
        self.take_drops();
        let window = self.downgrade();
        self.clipboard().connect_changed(move |_| {
            if let Some(window) = window.upgrade() {
                window.imp().is_offered.set(false);
            }
        });
        self.connect_is_active_notify(Self::offer_clipboard);
        if let Some(model) = self.model() {
            let window = self.downgrade();
            model.connect_service_notify(move |_| {
                if let Some(window) = window.upgrade() {
                    window.offer_clipboard();
                }
            });
        }
    }

    fn take_drops(&self) {
        let target = gtk::DropTarget::new(glib::Type::INVALID, gdk::DragAction::COPY);
        target.set_types(&[
            gdk::FileList::static_type(),
            gdk::Texture::static_type(),
            glib::Type::STRING,
        ]);
        let window = self.downgrade();
        target.connect_enter(move |_, _, _| {
            let Some(window) = window.upgrade().filter(Self::is_ready) else {
                return gdk::DragAction::empty();
            };
            window.add_css_class(CLASS);
            gdk::DragAction::COPY
        });
        let window = self.downgrade();
        target.connect_leave(move |_| {
            if let Some(window) = window.upgrade() {
                window.remove_css_class(CLASS);
            }
        });
        let window = self.downgrade();
        target.connect_drop(move |_, value, _, _| {
            let Some(window) = window.upgrade() else {
                return false;
            };
            window.remove_css_class(CLASS);
            window.is_ready() && window.take(value)
        });
        self.add_controller(target);
    }

    fn is_ready(&self) -> bool {
        self.model()
            .is_some_and(|model| model.service() == ServiceState::Ready)
    }

    /// Something that a person gave. `false`: it is nothing of ours.
    fn take(&self, value: &glib::Value) -> bool {
        if let Ok(files) = value.get::<gdk::FileList>() {
            self.open_files(&files.files());
            return true;
        }
        let window = self.clone();
        if let Ok(texture) = value.get::<gdk::Texture>() {
            glib::spawn_future_local(async move {
                let found = config::texture(String::new(), texture).await;
                window.import_found(found);
            });
            return true;
        }
        if let Ok(text) = value.get::<String>() {
            glib::spawn_future_local(async move {
                let found = config::pasted(String::new(), text).await;
                window.import_found(found);
            });
            return true;
        }
        false
    }

    /// Where somebody types, pasting is the entry's own.
    pub(super) fn paste(&self) {
        let focus = gtk::prelude::GtkWindowExt::focus(self);
        if let Some(focus) = focus
            && (focus.is::<gtk::Text>() || focus.is::<gtk::TextView>())
        {
            let _ = focus.activate_action("clipboard.paste", None);
            return;
        }
        let window = self.clone();
        self.attempt(async move {
            window.imp().is_offered.set(true);
            let found = window.on_clipboard().await?;
            window.import_found(found);
            Ok(())
        });
    }

    async fn on_clipboard(&self) -> Result<Found> {
        let clipboard = self.clipboard();
        let formats = clipboard.formats().union_deserialize_types();
        let is_there = |kind: glib::Type| formats.contains_type(kind);
        let nothing = || {
            Error::message(
                gettext("There is no configuration on the clipboard"),
                gettext(
                    "Copy the text of a WireGuard configuration, its file or a picture of its QR code, then paste again.",
                ),
                "empty",
            )
        };
        if is_there(gdk::FileList::static_type()) {
            let value = clipboard
                .read_value_future(gdk::FileList::static_type(), glib::Priority::DEFAULT)
                .await
                .map_err(|_| nothing())?;
            let files = value.get::<gdk::FileList>().map_err(|_| nothing())?;
            return Ok(config::files(files.files()).await);
        }
        if is_there(glib::Type::STRING) {
            let text = clipboard.read_text_future().await.map_err(|_| nothing())?;
            let text = text
                .filter(|text| !text.trim().is_empty())
                .ok_or_else(nothing)?;
            return Ok(config::pasted(String::new(), text.into()).await);
        }
        if is_there(gdk::Texture::static_type()) {
            let texture = clipboard
                .read_texture_future()
                .await
                .map_err(|_| nothing())?;
            let texture = texture.ok_or_else(nothing)?;
            return Ok(config::texture(String::new(), texture).await);
        }
        Err(nothing())
    }

    /// Offers a configuration that was copied elsewhere, once.
    fn offer_clipboard(&self) {
        let clipboard = self.clipboard();
        let is_text = TEXTS
            .iter()
            .any(|text| clipboard.formats().contain_mime_type(text));
        let is_seen = self.is_active() && self.is_ready();
        if !is_text || !is_seen || clipboard.is_local() || self.imp().is_offered.get() {
            return;
        }
        self.imp().is_offered.set(true);
        let window = self.downgrade();
        glib::spawn_future_local(async move {
            let begins = begins(&clipboard).await.unwrap_or_default();
            let Some(window) = window.upgrade() else {
                return;
            };
            if draft::begins_like_one(&begins) {
                let weak = window.downgrade();
                window.toast_with(
                    &gettext("WireGuard configuration on clipboard"),
                    &gettext("_Import"),
                    move || {
                        if let Some(window) = weak.upgrade() {
                            window.paste();
                        }
                    },
                );
            }
        });
    }
}

/// How the text on a clipboard begins; the rest is not asked for.
async fn begins(clipboard: &gdk::Clipboard) -> std::result::Result<Vec<u8>, glib::Error> {
    let (stream, _) = clipboard
        .read_future(&TEXTS, glib::Priority::DEFAULT)
        .await?;
    let bytes = stream
        .read_bytes_future(START, glib::Priority::DEFAULT)
        .await?;
    let _ = stream.close_future(glib::Priority::DEFAULT).await;
    Ok(bytes.to_vec())
}
