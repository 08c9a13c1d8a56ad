//! What a configuration is, before it is added: its name to change, what will surprise and what is left out. Closing it leaves nothing.

use std::cell::{OnceCell, RefCell};

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, gio, glib};

use crate::{
    config::Draft,
    present::{draft, name},
};

type Then = Box<dyn Fn(&Review)>;

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/review.ui")]
    pub struct Review {
        #[template_child]
        pub add: TemplateChild<gtk::Button>,
        #[template_child]
        pub name: TemplateChild<adw::EntryRow>,
        #[template_child]
        pub wrong: TemplateChild<gtk::Label>,
        #[template_child]
        pub surprises: TemplateChild<adw::PreferencesGroup>,
        #[template_child]
        pub endpoint: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub addresses: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub dns: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub ignored: TemplateChild<adw::ActionRow>,
        pub draft: OnceCell<Draft>,
        /// Names of other tunnels.
        pub taken: RefCell<Vec<String>>,
        pub then: OnceCell<Then>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Review {
        const NAME: &'static str = "LonewireReview";
        type Type = super::Review;
        type ParentType = adw::Window;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Review {
        fn constructed(&self) {
            self.parent_constructed();
            let review = self.obj();
            self.name.connect_changed(glib::clone!(
                #[weak]
                review,
                move |_| review.check()
            ));
            self.add.connect_clicked(glib::clone!(
                #[weak]
                review,
                move |_| review.accept()
            ));
        }
    }

    impl WidgetImpl for Review {}
    impl WindowImpl for Review {}
    impl AdwWindowImpl for Review {}
}

glib::wrapper! {
    pub struct Review(ObjectSubclass<imp::Review>)
        @extends adw::Window, gtk::Window, gtk::Widget,
        @implements gio::ActionGroup, gio::ActionMap, gtk::Buildable, gtk::ConstraintTarget,
            gtk::Native, gtk::Root, gtk::ShortcutManager;
}

impl Review {
    /// `then` is called when it is to be added: it closes the review or tells what is wrong.
    pub fn new(
        parent: &impl IsA<gtk::Window>,
        draft: Draft,
        taken: Vec<String>,
        then: impl Fn(&Self) + 'static,
    ) -> Self {
        let review: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        let imp = review.imp();
        review.show_draft(&draft::review(&draft.parsed));
        let wanted = name::free(&draft.name, &taken);
        imp.taken.replace(taken);
        let _ = imp.draft.set(draft);
        let _ = imp.then.set(Box::new(then));
        imp.name.set_text(&wanted);
        review.check();
        imp.name.grab_focus();
        review
    }

    fn show_draft(&self, told: &draft::Review) {
        let imp = self.imp();
        let none = gettext("None");
        for (row, text) in [
            (&imp.endpoint, &told.endpoint),
            (&imp.addresses, &told.addresses),
            (&imp.dns, &told.dns),
        ] {
            row.set_subtitle(&glib::markup_escape_text(if text.is_empty() {
                &none
            } else {
                text
            }));
        }
        imp.ignored.set_subtitle(&told.ignored.join(", "));
        imp.ignored.set_visible(!told.ignored.is_empty());
        for warning in &told.warnings {
            let icon = gtk::Image::builder()
                .icon_name("dialog-warning-symbolic")
                .accessible_role(gtk::AccessibleRole::Presentation)
                .css_classes(["warning"])
                .build();
            let row = adw::ActionRow::builder()
                .title(glib::markup_escape_text(warning))
                .title_lines(0)
                .build();
            row.add_prefix(&icon);
            imp.surprises.add(&row);
        }
        imp.surprises.set_visible(!told.warnings.is_empty());
    }

    pub fn draft(&self) -> Option<&Draft> {
        self.imp().draft.get()
    }

    /// The name that it shall have, if that can be.
    pub fn name(&self) -> Option<String> {
        let imp = self.imp();
        name::check(&imp.name.text(), &imp.taken.borrow()).ok()
    }

    fn check(&self) {
        let imp = self.imp();
        match name::check(&imp.name.text(), &imp.taken.borrow()) {
            Ok(_) => {
                imp.name.remove_css_class("error");
                imp.wrong.set_visible(false);
                imp.add.set_sensitive(true);
            }
            Err(sentence) => {
                imp.name.add_css_class("error");
                self.tell(&sentence);
                imp.add.set_sensitive(false);
            }
        }
    }

    fn accept(&self) {
        if let Some(then) = self.imp().then.get() {
            self.set_busy(true);
            then(self);
        }
    }

    /// While the helper is asked nothing can be changed.
    pub fn set_busy(&self, busy: bool) {
        self.imp().add.set_sensitive(!busy);
        self.imp().name.set_editable(!busy);
    }

    /// Says what is wrong, below the name.
    pub fn tell(&self, sentence: &str) {
        self.imp().wrong.set_label(sentence);
        self.imp().wrong.set_visible(true);
    }
}
