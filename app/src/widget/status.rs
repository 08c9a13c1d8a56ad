//! The page that stands instead of tunnels: none yet, or no service. It always offers the next step.

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, glib};

use crate::present::service::{self, Command, ServiceState};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/status.ui")]
    pub struct Status {
        #[template_child]
        pub page: TemplateChild<adw::StatusPage>,
        #[template_child]
        pub import: TemplateChild<gtk::Button>,
        #[template_child]
        pub paste: TemplateChild<gtk::Button>,
        #[template_child]
        pub again: TemplateChild<gtk::Button>,
        #[template_child]
        pub copy: TemplateChild<gtk::Button>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Status {
        const NAME: &'static str = "LonewireStatus";
        type Type = super::Status;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Status {}
    impl WidgetImpl for Status {}
    impl BinImpl for Status {}
}

glib::wrapper! {
    pub struct Status(ObjectSubclass<imp::Status>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Status {
    /// Says how it stands, of a list that is empty.
    pub fn tell(&self, state: ServiceState, command: Option<&Command>) {
        let imp = self.imp();
        let page = service::page(state);
        let is_empty = state == ServiceState::Ready;
        imp.import.set_visible(is_empty);
        imp.paste.set_visible(is_empty);
        imp.again.set_visible(page.is_some());
        imp.copy.set_visible(command.is_some());
        if let Some(command) = command {
            imp.copy.set_label(&command.label);
        }
        let page = page.unwrap_or_else(service::empty);
        imp.page.set_icon_name(Some(page.icon));
        imp.page.set_title(&page.title);
        imp.page.set_description(Some(&page.text));
    }
}
