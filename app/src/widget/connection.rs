//! The facts of the connection, as rows.

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, glib};
use lonewire_api::TunnelDetail;

use crate::present::connection;

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/connection.ui")]
    pub struct Connection {
        #[template_child]
        pub handshake_row: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub handshake: TemplateChild<gtk::Label>,
        #[template_child]
        pub endpoint: TemplateChild<gtk::Label>,
        #[template_child]
        pub addresses: TemplateChild<gtk::Label>,
        #[template_child]
        pub dns: TemplateChild<gtk::Label>,
        #[template_child]
        pub public_key: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub allowed: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub mtu: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub keepalive: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub backend: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub namespace: TemplateChild<adw::ActionRow>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Connection {
        const NAME: &'static str = "LonewireConnection";
        type Type = super::Connection;
        type ParentType = adw::PreferencesGroup;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Connection {
        fn constructed(&self) {
            self.parent_constructed();
            // The toolkit turns a label around, but not the lines in it.
            if gtk::Widget::default_direction() == gtk::TextDirection::Rtl {
                for label in [&self.handshake, &self.endpoint, &self.addresses, &self.dns] {
                    label.set_justify(gtk::Justification::Left);
                }
            }
        }
    }
    impl WidgetImpl for Connection {}
    impl PreferencesGroupImpl for Connection {}
}

glib::wrapper! {
    pub struct Connection(ObjectSubclass<imp::Connection>)
        @extends adw::PreferencesGroup, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Connection {
    /// Lists what was told, at a Unix time in milliseconds.
    pub fn show_detail(&self, detail: &TunnelDetail, now: u64) {
        let imp = self.imp();
        let facts = connection::facts(detail, now);
        for (label, text) in [
            (&imp.handshake, &facts.handshake),
            (&imp.endpoint, &facts.endpoint),
            (&imp.addresses, &facts.addresses),
            (&imp.dns, &facts.dns),
        ] {
            if label.label() != *text {
                label.set_label(text);
            }
        }
        for (row, text) in [
            (&imp.public_key, &detail.info.public_key),
            (&imp.allowed, &facts.allowed_ips),
            (&imp.mtu, &facts.mtu),
            (&imp.keepalive, &facts.keepalive),
            (&imp.backend, &facts.backend),
            (&imp.namespace, &facts.namespace),
        ] {
            if row.subtitle().as_deref() != Some(text.as_str()) {
                row.set_subtitle(text);
            }
        }
        // Setting the same again would have the toolkit look where the pointer is.
        if imp.handshake_row.tooltip_text().as_deref() != facts.handshake_exact.as_deref() {
            imp.handshake_row
                .set_tooltip_text(facts.handshake_exact.as_deref());
        }
        let (old, new) = if facts.handshake_is_old {
            ("dim-label", "warning")
        } else {
            ("warning", "dim-label")
        };
        if imp.handshake.has_css_class(old) {
            imp.handshake.remove_css_class(old);
        }
        if !imp.handshake.has_css_class(new) {
            imp.handshake.add_css_class(new);
        }
    }
}
