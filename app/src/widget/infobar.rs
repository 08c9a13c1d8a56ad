//! A lasting problem under the header bar. Wraps GtkInfoBar, which AdwBanner replaces in newer libadwaita.

use std::cell::OnceCell;

use adw::{prelude::*, subclass::prelude::*};
use gtk::{glib, pango};

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Notice {
        pub bar: OnceCell<gtk::InfoBar>,
        pub what: gtk::Label,
        pub to_do: gtk::Label,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Notice {
        const NAME: &'static str = "LonewireNotice";
        type Type = super::Notice;
        type ParentType = adw::Bin;
    }

    impl ObjectImpl for Notice {
        fn constructed(&self) {
            self.parent_constructed();
            for label in [&self.what, &self.to_do] {
                label.set_wrap(true);
                label.set_wrap_mode(pango::WrapMode::WordChar);
                label.set_xalign(0.0);
            }
            self.what.add_css_class("heading");
            let lines = gtk::Box::new(gtk::Orientation::Vertical, 3);
            lines.set_hexpand(true);
            lines.set_margin_top(6);
            lines.set_margin_bottom(6);
            lines.set_margin_start(6);
            lines.append(&self.what);
            lines.append(&self.to_do);
            let bar = gtk::InfoBar::builder().revealed(false).build();
            bar.add_child(&lines);
            self.obj().set_child(Some(&bar));
            let _ = self.bar.set(bar);
        }
    }

    impl WidgetImpl for Notice {}
    impl BinImpl for Notice {}
}

glib::wrapper! {
    pub struct Notice(ObjectSubclass<imp::Notice>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Notice {
    /// Says what is wrong and what to do.
    pub fn tell(&self, what: &str, to_do: &str, is_error: bool) {
        self.imp().what.set_label(what);
        self.imp().to_do.set_label(to_do);
        if let Some(bar) = self.imp().bar.get() {
            bar.set_message_type(if is_error {
                gtk::MessageType::Error
            } else {
                gtk::MessageType::Warning
            });
            bar.set_revealed(true);
        }
    }

    /// Nothing is wrong.
    pub fn hide(&self) {
        if let Some(bar) = self.imp().bar.get() {
            bar.set_revealed(false);
        }
    }
}
