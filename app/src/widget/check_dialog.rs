//! What a check of a tunnel found: a row a probe, and what they say together.

use std::cell::RefCell;

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, glib};
use lonewire_api::Probe;

use crate::{
    error::Message,
    present::check::{self, Line},
};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/check_dialog.ui")]
    pub struct CheckDialog {
        #[template_child]
        pub title: TemplateChild<adw::WindowTitle>,
        #[template_child]
        pub again: TemplateChild<gtk::Button>,
        #[template_child]
        pub stack: TemplateChild<gtk::Stack>,
        #[template_child]
        pub spinner: TemplateChild<gtk::Spinner>,
        #[template_child]
        pub failed: TemplateChild<adw::StatusPage>,
        #[template_child]
        pub turn_on: TemplateChild<gtk::Button>,
        #[template_child]
        pub verdict: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub icon: TemplateChild<gtk::Image>,
        #[template_child]
        pub probes: TemplateChild<adw::PreferencesGroup>,
        pub rows: RefCell<Vec<adw::ActionRow>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for CheckDialog {
        const NAME: &'static str = "LonewireCheckDialog";
        type Type = super::CheckDialog;
        type ParentType = adw::Window;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for CheckDialog {}
    impl WidgetImpl for CheckDialog {}
    impl WindowImpl for CheckDialog {}
    impl AdwWindowImpl for CheckDialog {}
}

glib::wrapper! {
    pub struct CheckDialog(ObjectSubclass<imp::CheckDialog>)
        @extends adw::Window, gtk::Window, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget, gtk::Native, gtk::Root,
            gtk::ShortcutManager;
}

impl CheckDialog {
    /// For the tunnel with this name. It is busy until it is told something.
    pub fn new(parent: &impl IsA<gtk::Window>, name: &str) -> Self {
        let dialog: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        dialog.imp().title.set_subtitle(name);
        dialog.busy();
        dialog
    }

    /// An answer is on its way.
    pub fn busy(&self) {
        self.show_page("busy");
    }

    fn show_page(&self, name: &str) {
        let imp = self.imp();
        let is_busy = name == "busy";
        imp.spinner.set_spinning(is_busy);
        imp.again.set_sensitive(!is_busy);
        imp.stack.set_visible_child_name(name);
    }

    /// There is nothing to look at.
    pub fn is_off(&self) {
        let imp = self.imp();
        imp.failed.set_icon_name(Some("lonewire-off-symbolic"));
        imp.failed.set_title(&gettext("The Tunnel Is Off"));
        imp.failed
            .set_description(Some(&gettext("Turn it on to look at it from inside.")));
        imp.turn_on.set_visible(true);
        self.show_page("failed");
        imp.again.set_sensitive(false);
    }

    /// The check could not be made.
    pub fn failed(&self, message: &Message) {
        let imp = self.imp();
        imp.failed.set_icon_name(Some("lonewire-failed-symbolic"));
        imp.failed
            .set_title(&glib::markup_escape_text(&message.title));
        imp.failed
            .set_description(Some(&glib::markup_escape_text(&message.body)));
        imp.turn_on.set_visible(false);
        self.show_page("failed");
    }

    /// The check was made.
    pub fn show_probes(&self, probes: &[Probe]) {
        let imp = self.imp();
        let verdict = check::verdict(probes);
        imp.verdict.set_title(&verdict.title);
        imp.verdict.set_subtitle(&verdict.text);
        imp.icon.set_icon_name(Some(verdict.icon));
        imp.icon.set_css_classes(&[verdict.class]);
        for row in imp.rows.take() {
            imp.probes.remove(&row);
        }
        let rows: Vec<_> = probes
            .iter()
            .map(|probe| row(&check::line(probe)))
            .collect();
        for row in &rows {
            imp.probes.add(row);
        }
        imp.rows.replace(rows);
        self.show_page("result");
    }

    /// The person wants it done once more.
    pub fn connect_again(&self, f: impl Fn(&Self) + 'static) {
        let dialog = self.downgrade();
        self.imp().again.connect_clicked(move |_| {
            if let Some(dialog) = dialog.upgrade() {
                f(&dialog);
            }
        });
    }

    /// The person wants the tunnel turned on, to have it checked.
    pub fn connect_turn_on(&self, f: impl Fn(&Self) + 'static) {
        let dialog = self.downgrade();
        self.imp().turn_on.connect_clicked(move |_| {
            if let Some(dialog) = dialog.upgrade() {
                f(&dialog);
            }
        });
    }
}

fn row(line: &Line) -> adw::ActionRow {
    let (icon, class, word) = if line.passed {
        ("lonewire-pass-symbolic", "success", gettext("Passed"))
    } else {
        ("lonewire-fail-symbolic", "error", gettext("Failed"))
    };
    let text = if line.found.is_empty() {
        line.meaning.clone()
    } else {
        format!("{}\n{}", line.meaning, line.found)
    };
    let row = adw::ActionRow::builder()
        .use_markup(false)
        .title(&line.title)
        .subtitle(text)
        .subtitle_lines(0)
        .build();
    let image = gtk::Image::builder()
        .icon_name(icon)
        .accessible_role(gtk::AccessibleRole::Presentation)
        .css_classes([class])
        .build();
    let label = gtk::Label::builder()
        .label(word)
        .css_classes([class])
        .build();
    row.add_prefix(&image);
    row.add_suffix(&label);
    row
}
