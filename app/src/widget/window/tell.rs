//! What the window tells with a way to act on it, and what it shows of itself.

use std::{cell::Cell, rc::Rc};

use adw::{prelude::*, subclass::prelude::ObjectSubclassIsExt};
use gtk::glib;

use super::Window;

impl Window {
    /// The same with a button that does something about it.
    pub(super) fn toast_with(
        &self,
        text: &str,
        button: &str,
        then: impl Fn() + 'static,
    ) -> adw::Toast {
        let toast = adw::Toast::new(&glib::markup_escape_text(text));
        toast.set_button_label(Some(button));
        toast.connect_button_clicked(move |_| then());
        self.imp().toasts.add_toast(toast.clone());
        toast
    }

    /// What is remembered of tunnels changed: the list follows.
    pub(super) fn sort_again(&self) {
        self.imp().sidebar.sort_again();
    }

    /// Shows a tunnel, as soon as it is in the list.
    pub(super) fn show_tunnel(&self, id: &str) {
        if self.imp().sidebar.select(id) {
            return self.imp().split.show_page();
        }
        let Some(model) = self.model() else { return };
        let waiting = Rc::new(Cell::new(None));
        let (window, id, handler) = (self.downgrade(), id.to_owned(), waiting.clone());
        let added = model
            .tunnels()
            .connect_items_changed(move |tunnels, _, _, _| {
                let Some(window) = window.upgrade() else {
                    return;
                };
                if window.imp().sidebar.select(&id) {
                    window.imp().split.show_page();
                    if let Some(handler) = handler.take() {
                        tunnels.disconnect(handler);
                    }
                }
            });
        waiting.set(Some(added));
    }
}
