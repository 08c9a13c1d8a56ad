//! A tunnel in the sidebar: its name, its state in words, and the state's shape.

use std::{cell::RefCell, rc::Rc};

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, glib};

use crate::{
    a11y,
    model::Tunnel,
    present::{fill, state},
    shelf::{Shelf, Sort},
};
use gettextrs::gettext;

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/tunnel_row.ui")]
    pub struct TunnelRow {
        #[template_child]
        pub icon: TemplateChild<gtk::Image>,
        #[template_child]
        pub title: TemplateChild<gtk::Label>,
        #[template_child]
        pub status: TemplateChild<gtk::Label>,
        #[template_child]
        pub star: TemplateChild<gtk::Image>,
        pub bound: RefCell<Option<(Tunnel, glib::SignalHandlerId)>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for TunnelRow {
        const NAME: &'static str = "LonewireTunnelRow";
        type Type = super::TunnelRow;
        type ParentType = gtk::Box;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for TunnelRow {}
    impl WidgetImpl for TunnelRow {}
    impl BoxImpl for TunnelRow {}
}

glib::wrapper! {
    pub struct TunnelRow(ObjectSubclass<imp::TunnelRow>)
        @extends gtk::Box, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget, gtk::Orientable;
}

impl TunnelRow {
    pub fn new() -> Self {
        glib::Object::new()
    }

    /// Shows the tunnel of a list item, for as long as it is bound.
    pub fn bind(&self, item: &gtk::ListItem, tunnel: &Tunnel, shelf: &Rc<Shelf>) {
        self.unbind();
        let noted = shelf.clone();
        let handler = tunnel.connect_changed(glib::clone!(
            #[weak(rename_to = row)]
            self,
            #[weak]
            item,
            move |tunnel| row.show_tunnel(&item, tunnel, &noted)
        ));
        self.imp().bound.replace(Some((tunnel.clone(), handler)));
        self.show_tunnel(item, tunnel, shelf);
    }

    pub fn unbind(&self) {
        if let Some((tunnel, handler)) = self.imp().bound.take() {
            tunnel.disconnect(handler);
        }
    }

    /// The tunnel that it shows.
    pub fn tunnel(&self) -> Option<Tunnel> {
        let bound = self.imp().bound.borrow();
        bound.as_ref().map(|(tunnel, _)| tunnel.clone())
    }

    fn show_tunnel(&self, item: &gtk::ListItem, tunnel: &Tunnel, shelf: &Shelf) {
        let imp = self.imp();
        let (title, look) = (tunnel.title(), tunnel.look());
        let is_favourite = shelf.is_favourite(&tunnel.id());
        let archive = match shelf.sort() {
            Sort::Archive => shelf.archive(&tunnel.id()),
            _ => String::new(),
        };
        let status = if archive.is_empty() {
            tunnel.status()
        } else {
            fill(
                // The state, then the file that the tunnel came from.
                &gettext("{state} · {file}"),
                &[("state", &tunnel.status()), ("file", &archive)],
            )
        };
        imp.star.set_visible(is_favourite);
        imp.title.set_label(&title);
        imp.status.set_label(&status);
        imp.icon.set_icon_name(Some(&tunnel.icon_name()));
        for class in state::CLASSES {
            imp.icon.remove_css_class(class);
        }
        imp.icon.add_css_class(&look);
        // The state is told by the name too: nobody has to see the colour.
        let mut label = format!("{title}, {status}");
        if is_favourite {
            label = fill(&gettext("{tunnel}, favourite"), &[("tunnel", &label)]);
        }
        a11y::set_row_label(item, &label);
    }
}
