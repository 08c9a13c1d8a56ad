//! Line numbers beside a text view; lines that are wrong have a mark. It draws only what can be seen.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeSet,
};

use gtk::{glib, pango, prelude::*, subclass::prelude::*};

/// Pixels at each side of a number.
const PAD: i32 = 9;
/// Digits that there is always room for.
const DIGITS: usize = 3;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Gutter {
        pub view: OnceCell<glib::WeakRef<gtk::TextView>>,
        /// From 1.
        pub wrong: RefCell<BTreeSet<i32>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Gutter {
        const NAME: &'static str = "LonewireGutter";
        type Type = super::Gutter;
        type ParentType = gtk::Widget;
    }

    impl ObjectImpl for Gutter {}

    impl WidgetImpl for Gutter {
        fn measure(&self, orientation: gtk::Orientation, _for_size: i32) -> (i32, i32, i32, i32) {
            if orientation == gtk::Orientation::Vertical {
                return (0, 0, -1, -1);
            }
            let gutter = self.obj();
            let count = gutter.view().map_or(1, |view| view.buffer().line_count());
            let digits = count.to_string().len().max(DIGITS);
            let layout = gutter.create_pango_layout(Some(&"0".repeat(digits + 2)));
            let width = layout.pixel_size().0 + PAD * 2;
            (width, width, -1, -1)
        }

        fn snapshot(&self, snapshot: &gtk::Snapshot) {
            self.obj().draw(snapshot);
        }
    }
}

glib::wrapper! {
    pub struct Gutter(ObjectSubclass<imp::Gutter>)
        @extends gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Gutter {
    /// Puts one beside a text view.
    pub fn of(view: &gtk::TextView) -> Self {
        let gutter: Self = glib::Object::builder()
            .property("accessible-role", gtk::AccessibleRole::Presentation)
            .property("css-classes", ["monospace", "dim-label"].as_slice())
            .build();
        let _ = gutter.imp().view.set(view.downgrade());
        view.set_gutter(gtk::TextWindowType::Left, Some(&gutter));
        let weak = gutter.downgrade();
        view.buffer().connect_changed(move |_| {
            if let Some(gutter) = weak.upgrade() {
                gutter.queue_resize();
                gutter.queue_draw();
            }
        });
        let weak = gutter.downgrade();
        view.connect_vadjustment_notify(move |view| follow(view, &weak));
        follow(view, &gutter.downgrade());
        gutter
    }

    /// Lines that get a mark, from 1.
    pub fn mark(&self, lines: impl IntoIterator<Item = i32>) {
        self.imp().wrong.replace(lines.into_iter().collect());
        self.queue_draw();
    }

    fn view(&self) -> Option<gtk::TextView> {
        self.imp().view.get().and_then(glib::WeakRef::upgrade)
    }

    fn draw(&self, snapshot: &gtk::Snapshot) {
        let Some(view) = self.view() else { return };
        let seen = view.visible_rect();
        let (first, _) = view.line_at_y(seen.y());
        let buffer = view.buffer();
        let color = self.style_context().color();
        let wrong = self.imp().wrong.borrow();
        for index in first.line()..buffer.line_count() {
            let Some(line) = buffer.iter_at_line(index) else {
                return;
            };
            let (top, height) = view.line_yrange(&line);
            if top > seen.y() + seen.height() {
                return;
            }
            let number = index + 1;
            let mark = if wrong.contains(&number) { "▸ " } else { "" };
            let layout = self.create_pango_layout(Some(&format!("{mark}{number}")));
            layout.set_alignment(pango::Alignment::Right);
            let (width, own) = layout.pixel_size();
            let (_, y) = view.buffer_to_window_coords(gtk::TextWindowType::Left, 0, top);
            // A line that is wrapped has its number at its first row.
            let rise = (height.min(own * 2) - own).max(0) / 2;
            snapshot.save();
            let x = WidgetExt::width(self) - PAD - width;
            snapshot.translate(&gtk::graphene::Point::new(x as f32, (y + rise) as f32));
            snapshot.append_layout(&layout, &color);
            snapshot.restore();
        }
    }
}

/// Scrolling moves the numbers too.
fn follow(view: &gtk::TextView, gutter: &glib::WeakRef<Gutter>) {
    if let Some(adjustment) = view.vadjustment() {
        let gutter = gutter.clone();
        adjustment.connect_value_changed(move |_| {
            if let Some(gutter) = gutter.upgrade() {
                gutter.queue_draw();
            }
        });
    }
}
