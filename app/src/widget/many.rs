//! Several configurations before they are added: how many, and what each of them is. It can be closed until they are being added.

use std::cell::{Cell, OnceCell};

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::{gettext, ngettext};
use gtk::{CompositeTemplate, gio, glib};

use crate::{
    a11y,
    config::{Draft, Found},
    present::{draft, fill, name, problem},
};

/// A line of the list.
struct Row {
    title: String,
    verdict: String,
    is_good: bool,
}

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/many.ui")]
    pub struct Many {
        #[template_child]
        pub cancel: TemplateChild<gtk::Button>,
        #[template_child]
        pub add: TemplateChild<gtk::Button>,
        #[template_child]
        pub summary: TemplateChild<gtk::Label>,
        #[template_child]
        pub list: TemplateChild<gtk::ListView>,
        pub found: OnceCell<Found>,
        pub busy: Cell<bool>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Many {
        const NAME: &'static str = "LonewireMany";
        type Type = super::Many;
        type ParentType = adw::Window;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Many {}
    impl WidgetImpl for Many {}
    impl WindowImpl for Many {
        fn close_request(&self) -> glib::Propagation {
            if self.busy.get() {
                return glib::Propagation::Stop;
            }
            self.parent_close_request()
        }
    }

    impl AdwWindowImpl for Many {}
}

glib::wrapper! {
    pub struct Many(ObjectSubclass<imp::Many>)
        @extends adw::Window, gtk::Window, gtk::Widget,
        @implements gio::ActionGroup, gio::ActionMap, gtk::Buildable, gtk::ConstraintTarget,
            gtk::Native, gtk::Root, gtk::ShortcutManager;
}

impl Many {
    /// Gives each draft a name that is free; `then` is called when they are to be added.
    pub fn new(
        parent: &impl IsA<gtk::Window>,
        mut found: Found,
        mut taken: Vec<String>,
        then: impl Fn(&Self) + 'static,
    ) -> Self {
        let many: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        for draft in &mut found.drafts {
            draft.name = name::free(&draft.name, &taken);
            taken.push(draft.name.clone());
        }
        let imp = many.imp();
        let count = found.drafts.len().try_into().unwrap_or(u32::MAX);
        imp.add.set_label(&fill(
            &ngettext("_Add {count} Tunnel", "_Add {count} Tunnels", count),
            &[("count", &count.to_string())],
        ));
        imp.add.set_sensitive(count > 0);
        imp.summary.set_label(&summary(&found));
        imp.list.set_factory(Some(&factory()));
        let rows = gio::ListStore::new::<glib::BoxedAnyObject>();
        let all: Vec<_> = rows_of(&found)
            .into_iter()
            .map(glib::BoxedAnyObject::new)
            .collect();
        rows.extend_from_slice(&all);
        imp.list.set_model(Some(&gtk::NoSelection::new(Some(rows))));
        let _ = imp.found.set(found);
        imp.add.connect_clicked(glib::clone!(
            #[weak]
            many,
            move |_| {
                many.set_busy(true);
                then(&many);
            }
        ));
        imp.add.grab_focus();
        many
    }

    pub fn drafts(&self) -> &[Draft] {
        self.imp().found.get().map_or(&[], |found| &found.drafts)
    }

    /// What each that can not be added is, and why.
    pub fn refused(&self) -> Vec<(String, String)> {
        let refused = self.imp().found.get().map(|found| found.refused.as_slice());
        refused
            .unwrap_or_default()
            .iter()
            .map(|refused| (refused.origin.clone(), problem::refusal(&refused.error)))
            .collect()
    }

    pub fn set_busy(&self, busy: bool) {
        self.imp().add.set_sensitive(!busy);
        self.imp().cancel.set_sensitive(!busy);
        self.imp().busy.set(busy);
    }

    pub fn tell(&self, sentence: &str) {
        self.imp().summary.set_label(sentence);
    }
}

fn summary(found: &Found) -> String {
    let good = found.drafts.len().try_into().unwrap_or(u32::MAX);
    let bad = found.refused.len().try_into().unwrap_or(u32::MAX);
    let good_text = fill(
        &ngettext(
            "{count} configuration can be added.",
            "{count} configurations can be added.",
            good,
        ),
        &[("count", &good.to_string())],
    );
    if bad == 0 {
        return good_text;
    }
    let bad_text = fill(
        &ngettext("{count} can not.", "{count} can not.", bad),
        &[("count", &bad.to_string())],
    );
    format!("{good_text} {bad_text}")
}

/// What is wrong first: it is what a person has to see.
fn rows_of(found: &Found) -> Vec<Row> {
    let refused = found.refused.iter().map(|refused| Row {
        title: refused.origin.clone(),
        verdict: problem::refusal(&refused.error),
        is_good: false,
    });
    let good = found.drafts.iter().map(|draft| Row {
        title: draft.name.clone(),
        verdict: draft::verdict(&draft.parsed),
        is_good: true,
    });
    refused.chain(good).collect()
}

fn factory() -> gtk::SignalListItemFactory {
    let factory = gtk::SignalListItemFactory::new();
    factory.connect_setup(|_, item| {
        if let Some(item) = item.downcast_ref::<gtk::ListItem>() {
            item.set_activatable(false);
            item.set_child(Some(&line()));
        }
    });
    factory.connect_bind(|_, item| {
        let Some(item) = item.downcast_ref::<gtk::ListItem>() else {
            return;
        };
        if let (Some(child), Some(row)) = (
            item.child(),
            item.item().and_downcast::<glib::BoxedAnyObject>(),
        ) {
            show(item, &child, &row.borrow::<Row>());
        }
    });
    factory
}

/// An icon, and two lines of text.
fn line() -> gtk::Box {
    let line = gtk::Box::new(gtk::Orientation::Horizontal, 12);
    line.set_margin_top(6);
    line.set_margin_bottom(6);
    line.set_margin_start(12);
    line.set_margin_end(12);
    let icon = gtk::Image::builder()
        .accessible_role(gtk::AccessibleRole::Presentation)
        .build();
    let texts = gtk::Box::new(gtk::Orientation::Vertical, 3);
    let title = gtk::Label::builder()
        .xalign(0.0)
        .ellipsize(gtk::pango::EllipsizeMode::End)
        .build();
    let verdict = gtk::Label::builder()
        .xalign(0.0)
        .wrap(true)
        .css_classes(["dim-label", "caption"])
        .build();
    texts.append(&title);
    texts.append(&verdict);
    line.append(&icon);
    line.append(&texts);
    line
}

fn show(item: &gtk::ListItem, child: &gtk::Widget, row: &Row) {
    let icon = child.first_child().and_downcast::<gtk::Image>();
    let texts = child.last_child();
    let title = texts.as_ref().and_then(gtk::Widget::first_child);
    let verdict = texts.as_ref().and_then(gtk::Widget::last_child);
    if let (Some(icon), Some(title), Some(verdict)) = (
        icon,
        title.and_downcast::<gtk::Label>(),
        verdict.and_downcast::<gtk::Label>(),
    ) {
        let (name, class) = if row.is_good {
            ("emblem-ok-symbolic", "success")
        } else {
            ("dialog-error-symbolic", "error")
        };
        icon.set_icon_name(Some(name));
        icon.set_css_classes(&[class]);
        title.set_label(&row.title);
        verdict.set_label(&row.verdict);
    }
    let state = if row.is_good {
        row.verdict.clone()
    } else {
        fill(
            &gettext("Can not be added: {why}"),
            &[("why", &row.verdict)],
        )
    };
    a11y::set_row_label(item, &format!("{}: {state}", row.title));
}
