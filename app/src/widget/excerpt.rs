//! A few lines of a text with their numbers, the wrong one marked. What it is given has no key in it.

use adw::subclass::prelude::*;
use gtk::{CompositeTemplate, glib};

use crate::present::problem::Line;

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/excerpt.ui")]
    pub struct Excerpt {
        #[template_child]
        pub lines: TemplateChild<gtk::Label>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Excerpt {
        const NAME: &'static str = "LonewireExcerpt";
        type Type = super::Excerpt;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Excerpt {}
    impl WidgetImpl for Excerpt {}
    impl BinImpl for Excerpt {}
}

glib::wrapper! {
    pub struct Excerpt(ObjectSubclass<imp::Excerpt>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Excerpt {
    pub fn new(lines: &[Line]) -> Self {
        let excerpt: Self = glib::Object::new();
        let text: Vec<String> = lines
            .iter()
            .map(|line| {
                let mark = if line.is_marked { '▸' } else { ' ' };
                format!("{mark} {:>3}  {}", line.number, line.text)
            })
            .collect();
        excerpt.imp().lines.set_label(&text.join("\n"));
        excerpt
    }
}
