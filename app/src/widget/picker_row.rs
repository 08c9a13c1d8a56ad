//! An app in the picker: its icon, its name, what it is, and whether it runs outside of the tunnel already.

use std::cell::RefCell;

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, glib};

use crate::{
    a11y,
    apps::{self, InstalledApp},
};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/picker_row.ui")]
    pub struct PickerRow {
        #[template_child]
        pub icon: TemplateChild<gtk::Image>,
        #[template_child]
        pub title: TemplateChild<gtk::Label>,
        #[template_child]
        pub description: TemplateChild<gtk::Label>,
        #[template_child]
        pub assigned: TemplateChild<gtk::Label>,
        #[template_child]
        pub outside: TemplateChild<gtk::Image>,
        pub bound: RefCell<Option<(InstalledApp, glib::SignalHandlerId)>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for PickerRow {
        const NAME: &'static str = "LonewirePickerRow";
        type Type = super::PickerRow;
        type ParentType = gtk::Box;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for PickerRow {}
    impl WidgetImpl for PickerRow {}
    impl BoxImpl for PickerRow {}
}

glib::wrapper! {
    pub struct PickerRow(ObjectSubclass<imp::PickerRow>)
        @extends gtk::Box, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget, gtk::Orientable;
}

impl PickerRow {
    pub fn new() -> Self {
        glib::Object::new()
    }

    /// Shows the app of a list item, for as long as it is bound.
    pub fn bind(&self, item: &gtk::ListItem, app: &InstalledApp) {
        self.unbind();
        let handler = app.connect_outside_notify(glib::clone!(
            #[weak(rename_to = row)]
            self,
            #[weak]
            item,
            move |app| row.show_app(&item, app)
        ));
        self.imp().bound.replace(Some((app.clone(), handler)));
        self.show_app(item, app);
    }

    pub fn unbind(&self) {
        if let Some((app, handler)) = self.imp().bound.take() {
            app.disconnect(handler);
        }
    }

    fn show_app(&self, item: &gtk::ListItem, app: &InstalledApp) {
        let imp = self.imp();
        let (title, description) = (app.title(), app.description());
        imp.icon.set_from_gicon(&apps::shown(app.icon()));
        imp.title.set_label(&title);
        imp.description.set_label(&description);
        imp.description.set_visible(!description.is_empty());
        imp.outside.set_visible(app.outside());
        imp.assigned.set_visible(app.assigned());
        let mut label = title;
        if app.assigned() {
            label = format!("{label}, {}", imp.assigned.label());
        }
        if app.outside() {
            label = format!("{label}, {}", gettext("Already running outside the tunnel"));
        }
        if !description.is_empty() {
            label = format!("{label}, {description}");
        }
        a11y::set_row_label(item, &label);
    }
}
