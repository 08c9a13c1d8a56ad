//! Actions about the list: search, order, favourites. And which keys are the text's while a person types.

use std::rc::Rc;

use adw::{prelude::*, subclass::prelude::*};
use gtk::{gio, glib};

use super::Window;
use crate::{
    application::Application,
    shelf::{Shelf, Sort},
};

/// They need a tunnel; the window disables them where there is none.
pub(super) const ACTIONS: &[&str] = &["search", "favourite"];

impl Window {
    /// What is remembered of tunnels.
    pub(super) fn shelf(&self) -> &Rc<Shelf> {
        self.imp().shelf.get_or_init(|| Rc::new(Shelf::load()))
    }

    pub(super) fn add_list_actions(&self) {
        let search = gio::ActionEntry::builder("search")
            .activate(|window: &Self, _, _| {
                window.imp().split.show_sidebar();
                window.imp().sidebar.toggle_search();
            })
            .build();
        let favourite = gio::ActionEntry::builder("favourite")
            .state(false.to_variant())
            .activate(|window: &Self, _, _| window.toggle_favourite())
            .build();
        let sort = gio::ActionEntry::builder("sort")
            .parameter_type(Some(glib::VariantTy::STRING))
            .state(self.shelf().sort().as_str().to_variant())
            .activate(|window: &Self, action, wanted| {
                let sort = wanted.and_then(glib::Variant::str).and_then(Sort::parse);
                if let Some(sort) = sort {
                    action.set_state(&sort.as_str().to_variant());
                    window.shelf().set_sort(sort);
                    window.imp().sidebar.sort_again();
                    window.imp().sidebar.show_again();
                }
            })
            .build();
        self.add_action_entries([search, favourite, sort]);
        self.connect_focus_widget_notify(|window| {
            let is_typing = GtkWindowExt::focus(window)
                .is_some_and(|focus| focus.is::<gtk::Text>() || focus.is::<gtk::TextView>());
            if let Some(application) = window.application().and_downcast::<Application>() {
                application.set_typing(is_typing);
            }
        });
    }

    fn toggle_favourite(&self) {
        let Some(tunnel) = self.tunnel() else { return };
        let id = tunnel.id();
        let on = !self.shelf().is_favourite(&id);
        self.shelf().set_favourite(&id, on);
        tunnel.touch();
        self.imp().sidebar.sort_again();
        self.show_favourite();
    }

    /// The menu says whether the tunnel on the page is a favourite.
    pub(super) fn show_favourite(&self) {
        let is_favourite = self
            .tunnel()
            .is_some_and(|tunnel| self.shelf().is_favourite(&tunnel.id()));
        let action = self.lookup_action("favourite");
        if let Some(action) = action.and_downcast::<gio::SimpleAction>() {
            action.set_state(&is_favourite.to_variant());
        }
    }
}
