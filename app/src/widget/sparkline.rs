//! A line of the last minute's rates. It draws again only when it is given other numbers.

use std::cell::RefCell;

use adw::{prelude::*, subclass::prelude::*};
use gtk::glib;

/// Line width in pixels.
const WIDTH: f64 = 2.0;
/// Full height is never less than this many bytes a second, so that a few stray packets look like what they are.
const LEAST: u64 = 2_000;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Sparkline {
        pub values: RefCell<Vec<u64>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Sparkline {
        const NAME: &'static str = "LonewireSparkline";
        type Type = super::Sparkline;
        type ParentType = gtk::DrawingArea;

        fn class_init(class: &mut Self::Class) {
            class.set_accessible_role(gtk::AccessibleRole::Img);
            class.set_css_name("sparkline");
        }
    }

    impl ObjectImpl for Sparkline {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().add_css_class("sparkline");
            self.obj().set_draw_func(|area, context, width, height| {
                if let Some(line) = area.downcast_ref::<super::Sparkline>() {
                    // A context that fails draws nothing, and there is nobody to tell.
                    let _ = line.draw(context, f64::from(width), f64::from(height));
                }
            });
        }
    }

    impl WidgetImpl for Sparkline {}
    impl DrawingAreaImpl for Sparkline {}
}

glib::wrapper! {
    pub struct Sparkline(ObjectSubclass<imp::Sparkline>)
        @extends gtk::DrawingArea, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Sparkline {
    /// Bytes a second, oldest first; always the same number of them.
    pub fn set_values(&self, values: Vec<u64>) {
        if *self.imp().values.borrow() != values {
            self.imp().values.replace(values);
            self.queue_draw();
        }
    }

    fn draw(
        &self,
        context: &gtk::cairo::Context,
        width: f64,
        height: f64,
    ) -> Result<(), gtk::cairo::Error> {
        let values = self.imp().values.borrow();
        let colour = self.style_context().color();
        let set = |alpha: f64| {
            context.set_source_rgba(
                colour.red().into(),
                colour.green().into(),
                colour.blue().into(),
                alpha * f64::from(colour.alpha()),
            );
        };
        let points = points(&values, width, height);
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Ok(());
        };
        let rtl = self.direction() == gtk::TextDirection::Rtl;
        if rtl {
            // Time goes the way that reading goes.
            context.translate(width, 0.0);
            context.scale(-1.0, 1.0);
        }
        context.move_to(first.0, height);
        for (x, y) in &points {
            context.line_to(*x, *y);
        }
        context.line_to(last.0, height);
        context.close_path();
        set(0.18);
        context.fill()?;
        context.move_to(first.0, first.1);
        for (x, y) in &points {
            context.line_to(*x, *y);
        }
        context.set_line_width(WIDTH);
        context.set_line_join(gtk::cairo::LineJoin::Round);
        set(1.0);
        context.stroke()
    }
}

/// Where the line goes: from edge to edge, the highest value at the top.
fn points(values: &[u64], width: f64, height: f64) -> Vec<(f64, f64)> {
    let steps = values.len().saturating_sub(1).max(1);
    let top = values.iter().copied().max().unwrap_or(0).max(LEAST);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let share = |part: u64, whole: u64| part as f64 / whole as f64;
    values
        .iter()
        .zip(0_u64..)
        .map(|(value, index)| {
            (
                width * share(index, steps as u64),
                height - WIDTH / 2.0 - (height - WIDTH) * share(*value, top),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_from_edge_to_edge_and_stays_inside() {
        let line = points(&[0, LEAST * 4, LEAST], 100.0, 40.0);
        assert_eq!(line[0], (0.0, 39.0));
        assert_eq!(line[1], (50.0, 1.0));
        assert!(line[2].0 == 100.0 && line[2].1 > 1.0 && line[2].1 < 39.0);
        assert!(points(&[], 100.0, 40.0).is_empty());
        assert_eq!(points(&[1], 100.0, 40.0).len(), 1);
    }
}
