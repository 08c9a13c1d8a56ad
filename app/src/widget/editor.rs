//! A configuration as text, judged while it is typed. Keys that are stored read `(unchanged)` and are never here; one that is typed is.

use std::cell::{Cell, OnceCell, RefCell};

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, gdk, gio, glib};

use super::{
    gutter::Gutter,
    message::{self, Kind},
};
use crate::{
    config::{Hidden, Text},
    present::edit::{self, Verdict},
};

type Then = Box<dyn Fn(&Editor)>;

/// Lies behind a line that is wrong; red in light and in dark.
const WRONG: gdk::RGBA = gdk::RGBA::new(0.88, 0.11, 0.14, 0.2);

/// What is edited.
#[derive(Default)]
pub struct Setup {
    pub heading: String,
    /// What a person has to know first; may be empty.
    pub hint: String,
    pub text: String,
    /// That of the stored configuration; `None` if there is none, so that no key can be `(unchanged)`.
    pub stored_key: Option<String>,
    /// Of the button that goes on, where it does not save.
    pub button: Option<String>,
    /// Keys that the text has words for; they are in what comes out again.
    pub hidden: Hidden,
    /// Line and column where the cursor is put.
    pub place: Option<(u32, u32)>,
}

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/editor.ui")]
    pub struct Editor {
        #[template_child]
        pub heading: TemplateChild<adw::WindowTitle>,
        #[template_child]
        pub save: TemplateChild<gtk::Button>,
        #[template_child]
        pub public_key: TemplateChild<gtk::Label>,
        #[template_child]
        pub copy: TemplateChild<gtk::Button>,
        #[template_child]
        pub hint: TemplateChild<gtk::Label>,
        #[template_child]
        pub text: TemplateChild<gtk::TextView>,
        #[template_child]
        pub wrong: TemplateChild<gtk::Label>,
        pub gutter: OnceCell<Gutter>,
        pub tag: OnceCell<gtk::TextTag>,
        pub stored_key: RefCell<Option<String>>,
        pub hidden: RefCell<Hidden>,
        /// As it was at first.
        pub before: RefCell<String>,
        /// Closing loses nothing that anybody wants.
        pub is_done: Cell<bool>,
        pub then: OnceCell<Then>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Editor {
        const NAME: &'static str = "LonewireEditor";
        type Type = super::Editor;
        type ParentType = adw::Window;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Editor {
        fn constructed(&self) {
            self.parent_constructed();
            let editor = self.obj();
            let tag = gtk::TextTag::builder()
                .paragraph_background_rgba(&WRONG)
                .build();
            self.text.buffer().tag_table().add(&tag);
            let _ = self.tag.set(tag);
            let _ = self.gutter.set(Gutter::of(&self.text));
            self.text.buffer().connect_changed(glib::clone!(
                #[weak]
                editor,
                move |_| editor.check()
            ));
            self.save.connect_clicked(glib::clone!(
                #[weak]
                editor,
                move |_| if let Some(then) = editor.imp().then.get() {
                    editor.set_busy(true);
                    then(&editor);
                }
            ));
            self.copy.connect_clicked(glib::clone!(
                #[weak]
                editor,
                move |_| editor
                    .clipboard()
                    .set_text(&editor.imp().public_key.label())
            ));
        }
    }

    impl WidgetImpl for Editor {}

    impl WindowImpl for Editor {
        fn close_request(&self) -> glib::Propagation {
            let editor = self.obj();
            if self.is_done.get() || *self.before.borrow() == editor.written() {
                return self.parent_close_request();
            }
            let closing = editor.clone();
            message::question(
                &*editor,
                &gettext("Discard Changes?"),
                &gettext("What was typed is lost. Nothing else is changed."),
                (&gettext("_Discard"), Kind::Destructive),
                // The question lets go of its parent first.
                move || {
                    glib::idle_add_local_once(move || closing.finish());
                },
            )
            .present();
            glib::Propagation::Stop
        }
    }

    impl AdwWindowImpl for Editor {}
}

glib::wrapper! {
    pub struct Editor(ObjectSubclass<imp::Editor>)
        @extends adw::Window, gtk::Window, gtk::Widget,
        @implements gio::ActionGroup, gio::ActionMap, gtk::Buildable, gtk::ConstraintTarget,
            gtk::Native, gtk::Root, gtk::ShortcutManager;
}

impl Editor {
    /// `then` is called when a text that is good is to be saved: it finishes the editor or tells what is wrong.
    pub fn new(
        parent: &impl IsA<gtk::Window>,
        setup: Setup,
        then: impl Fn(&Self) + 'static,
    ) -> Self {
        let editor: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        let imp = editor.imp();
        imp.heading.set_title(&gettext("Edit Configuration"));
        imp.heading.set_subtitle(&setup.heading);
        imp.hint.set_label(&setup.hint);
        imp.hint.set_visible(!setup.hint.is_empty());
        if let Some(button) = &setup.button {
            imp.save.set_label(button);
        }
        imp.stored_key.replace(setup.stored_key);
        imp.hidden.replace(setup.hidden);
        let _ = imp.then.set(Box::new(then));
        let buffer = imp.text.buffer();
        buffer.begin_irreversible_action();
        buffer.set_text(&setup.text);
        buffer.end_irreversible_action();
        imp.before.replace(setup.text);
        let start = match setup.place {
            Some((line, column)) => at(&buffer, line, column),
            None => buffer.start_iter(),
        };
        buffer.place_cursor(&start);
        editor.check();
        imp.text.grab_focus();
        editor
    }

    fn written(&self) -> String {
        let buffer = self.imp().text.buffer();
        let (start, end) = buffer.bounds();
        buffer.text(&start, &end, true).into()
    }

    /// What was typed, with the keys that were hidden in it.
    pub fn text(&self) -> Text {
        self.imp().hidden.borrow().restore(&self.written())
    }

    fn check(&self) {
        let verdict = edit::judge(&self.text(), self.imp().stored_key.borrow().as_deref());
        self.show_verdict(&verdict);
    }

    fn show_verdict(&self, verdict: &Verdict) {
        let imp = self.imp();
        let buffer = imp.text.buffer();
        let (start, end) = buffer.bounds();
        if let Some(tag) = imp.tag.get() {
            buffer.remove_tag(tag, &start, &end);
            for line in &verdict.lines {
                let start = at(&buffer, *line, 1);
                let mut end = start;
                end.forward_line();
                buffer.apply_tag(tag, &start, &end);
            }
        }
        if let Some(gutter) = imp.gutter.get() {
            let lines = verdict.lines.iter();
            gutter.mark(lines.filter_map(|line| i32::try_from(*line).ok()));
        }
        imp.public_key
            .set_label(verdict.public_key.as_deref().unwrap_or("—"));
        imp.copy.set_sensitive(verdict.public_key.is_some());
        imp.save.set_sensitive(verdict.wrong.is_empty());
        self.tell(&verdict.wrong);
    }

    /// Says what is wrong, below the text; nothing if that is empty.
    fn tell(&self, sentence: &str) {
        self.imp().wrong.set_label(sentence);
        self.imp().wrong.set_visible(!sentence.is_empty());
    }

    /// It was not taken: it can be changed and tried again.
    pub fn refuse(&self, sentence: &str) {
        self.set_busy(false);
        self.tell(sentence);
    }

    fn set_busy(&self, busy: bool) {
        self.imp().save.set_sensitive(!busy);
        self.imp().text.set_editable(!busy);
    }

    /// Closes it without a question.
    pub fn finish(&self) {
        self.imp().is_done.set(true);
        self.close();
    }
}

/// A place in a text, line and column from 1; the end of what is shorter.
fn at(buffer: &gtk::TextBuffer, line: u32, column: u32) -> gtk::TextIter {
    let number = |number: u32| i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
    let mut place = buffer
        .iter_at_line(number(line))
        .unwrap_or_else(|| buffer.end_iter());
    for _ in 1..column {
        if place.ends_line() || !place.forward_char() {
            break;
        }
    }
    place
}
