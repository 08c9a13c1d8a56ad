//! When a tunnel was protected, blocked and why, by day.

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, glib};
use lonewire_api::LogEntry;

use crate::present::history::{self, Line};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/history_dialog.ui")]
    pub struct HistoryDialog {
        #[template_child]
        pub title: TemplateChild<adw::WindowTitle>,
        #[template_child]
        pub stack: TemplateChild<gtk::Stack>,
        #[template_child]
        pub page: TemplateChild<adw::PreferencesPage>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for HistoryDialog {
        const NAME: &'static str = "LonewireHistoryDialog";
        type Type = super::HistoryDialog;
        type ParentType = adw::Window;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for HistoryDialog {}
    impl WidgetImpl for HistoryDialog {}
    impl WindowImpl for HistoryDialog {}
    impl AdwWindowImpl for HistoryDialog {}
}

glib::wrapper! {
    pub struct HistoryDialog(ObjectSubclass<imp::HistoryDialog>)
        @extends adw::Window, gtk::Window, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget, gtk::Native, gtk::Root,
            gtk::ShortcutManager;
}

impl HistoryDialog {
    /// Of the tunnel with this name, at a Unix time in milliseconds.
    pub fn new(parent: &impl IsA<gtk::Window>, name: &str, entries: &[LogEntry], now: u64) -> Self {
        let dialog: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        let imp = dialog.imp();
        imp.title.set_subtitle(name);
        let days = history::days(entries, now);
        imp.stack
            .set_visible_child_name(if days.is_empty() { "empty" } else { "days" });
        for day in days {
            let group = adw::PreferencesGroup::builder().title(&day.title).build();
            for line in &day.lines {
                group.add(&row(line));
            }
            imp.page.add(&group);
        }
        dialog
    }
}

fn row(line: &Line) -> adw::ActionRow {
    let row = adw::ActionRow::builder()
        .use_markup(false)
        .title(&line.title)
        .title_lines(0)
        .subtitle(&line.length)
        .build();
    let image = gtk::Image::builder()
        .icon_name(line.icon)
        .accessible_role(gtk::AccessibleRole::Presentation)
        .css_classes([line.class])
        .build();
    let clock = gtk::Label::builder()
        .label(&line.clock)
        .css_classes(["dim-label", "numeric"])
        .build();
    clock.set_tooltip_text(line.exact.as_deref());
    row.add_prefix(&image);
    row.add_suffix(&clock);
    row
}
