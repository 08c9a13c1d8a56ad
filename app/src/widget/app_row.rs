//! An app that runs in the tunnel, and the button that stops it.

use std::cell::OnceCell;

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, glib};

use crate::{
    a11y, apps,
    model::App,
    present::{app, app::Stopping, time},
};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/app_row.ui")]
    pub struct AppRow {
        #[template_child]
        pub icon: TemplateChild<gtk::Image>,
        #[template_child]
        pub stop: TemplateChild<gtk::Button>,
        #[template_child]
        pub force: TemplateChild<gtk::Button>,
        pub app: OnceCell<App>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for AppRow {
        const NAME: &'static str = "LonewireAppRow";
        type Type = super::AppRow;
        type ParentType = adw::ActionRow;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for AppRow {}
    impl WidgetImpl for AppRow {}
    impl ListBoxRowImpl for AppRow {}
    impl PreferencesRowImpl for AppRow {}
    impl ActionRowImpl for AppRow {}
}

glib::wrapper! {
    pub struct AppRow(ObjectSubclass<imp::AppRow>)
        @extends adw::ActionRow, adw::PreferencesRow, gtk::ListBoxRow, gtk::Widget,
        @implements gtk::Actionable, gtk::Buildable, gtk::ConstraintTarget;
}

impl AppRow {
    pub fn new(app: &App) -> Self {
        let row: Self = glib::Object::new();
        let imp = row.imp();
        imp.icon.set_from_gicon(&apps::icon(&app.info().program));
        let id = app.id().to_variant();
        imp.stop.set_action_target_value(Some(&id));
        imp.stop.set_action_name(Some("win.stop-app"));
        imp.force.set_action_target_value(Some(&id));
        imp.force.set_action_name(Some("win.force-stop-app"));
        for property in ["version", "stopping"] {
            app.connect_notify_local(
                Some(property),
                glib::clone!(
                    #[weak]
                    row,
                    move |_, _| row.refresh()
                ),
            );
        }
        let _ = imp.app.set(app.clone());
        row.refresh();
        row
    }

    pub fn app(&self) -> Option<&App> {
        self.imp().app.get()
    }

    /// Writes what it says anew: for how long it runs changes of itself.
    pub fn refresh(&self) {
        let imp = self.imp();
        let Some(app) = self.app() else { return };
        let (info, stopping) = (app.info(), app.stopping());
        self.set_title(&info.name);
        self.set_subtitle(&app::status(&info, stopping, time::now()));
        let label = app::stop(&info.name, stopping);
        imp.stop.set_tooltip_text(Some(&label));
        a11y::set_label(&*imp.stop, &label);
        a11y::set_label(&*imp.force, &label);
        imp.stop.set_sensitive(stopping == Stopping::No);
        imp.stop.set_visible(stopping != Stopping::Overdue);
        imp.force.set_visible(stopping == Stopping::Overdue);
    }
}
