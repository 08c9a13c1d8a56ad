//! The list of tunnels: a list view over a sorted, filtered model, so that a thousand cost what a screenful costs.

use std::cell::OnceCell;

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, gio, glib};

use super::tunnel_row::TunnelRow;
use crate::model::Tunnel;

mod imp {
    use std::sync::OnceLock;

    use gtk::glib::subclass::Signal;

    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/sidebar.ui")]
    pub struct Sidebar {
        #[template_child]
        pub list: TemplateChild<gtk::ListView>,
        pub selection: OnceCell<gtk::SingleSelection>,
        pub filtered: OnceCell<gtk::FilterListModel>,
        pub sorted: OnceCell<gtk::SortListModel>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Sidebar {
        const NAME: &'static str = "LonewireSidebar";
        type Type = super::Sidebar;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Sidebar {
        fn signals() -> &'static [Signal] {
            static SIGNALS: OnceLock<Vec<Signal>> = OnceLock::new();
            // A row was clicked, or Return pressed on it.
            SIGNALS.get_or_init(|| vec![Signal::builder("opened").build()])
        }
    }

    impl WidgetImpl for Sidebar {}
    impl BinImpl for Sidebar {}
}

glib::wrapper! {
    pub struct Sidebar(ObjectSubclass<imp::Sidebar>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Sidebar {
    /// Lists tunnels by name.
    pub fn set_tunnels(&self, tunnels: &gio::ListStore) {
        let imp = self.imp();
        let name =
            gtk::PropertyExpression::new(Tunnel::static_type(), gtk::Expression::NONE, "title");
        let filtered = gtk::FilterListModel::new(Some(tunnels.clone()), gtk::Filter::NONE.cloned());
        let sorted = gtk::SortListModel::new(
            Some(filtered.clone()),
            Some(
                gtk::StringSorter::builder()
                    .expression(&name)
                    .ignore_case(true)
                    .build(),
            ),
        );
        let selection = gtk::SingleSelection::new(Some(sorted.clone()));
        imp.list.set_factory(Some(&self.factory()));
        imp.list.set_model(Some(&selection));
        imp.list.connect_activate(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            move |_, _| sidebar.emit_by_name::<()>("opened", &[])
        ));
        let _ = imp.filtered.set(filtered);
        let _ = imp.sorted.set(sorted);
        let _ = imp.selection.set(selection);
    }

    fn factory(&self) -> gtk::SignalListItemFactory {
        let factory = gtk::SignalListItemFactory::new();
        let sidebar = self.downgrade();
        factory.connect_setup(move |_, item| {
            let Some(item) = item.downcast_ref::<gtk::ListItem>() else {
                return;
            };
            let row = TunnelRow::new();
            // A click on the row that is selected already opens it too.
            let click = gtk::GestureClick::new();
            let sidebar = sidebar.clone();
            click.connect_released(move |_, _, _, _| {
                if let Some(sidebar) = sidebar.upgrade() {
                    sidebar.emit_by_name::<()>("opened", &[]);
                }
            });
            row.add_controller(click);
            item.set_child(Some(&row));
        });
        factory.connect_bind(|_, item| {
            let Some(item) = item.downcast_ref::<gtk::ListItem>() else {
                return;
            };
            let row = item.child().and_downcast::<TunnelRow>();
            let tunnel = item.item().and_downcast::<Tunnel>();
            if let (Some(row), Some(tunnel)) = (row, tunnel) {
                row.bind(item, &tunnel);
            }
        });
        factory.connect_unbind(|_, item| {
            let row = item
                .downcast_ref::<gtk::ListItem>()
                .and_then(gtk::ListItem::child)
                .and_downcast::<TunnelRow>();
            if let Some(row) = row {
                row.unbind();
            }
        });
        factory
    }

    pub fn selected(&self) -> Option<Tunnel> {
        self.imp().selection.get()?.selected_item().and_downcast()
    }

    /// Selects a tunnel by its id. `false`: it is not in the list.
    pub fn select(&self, id: &str) -> bool {
        let Some(selection) = self.imp().selection.get() else {
            return false;
        };
        let position = selection
            .iter::<glib::Object>()
            .filter_map(Result::ok)
            .position(|item| {
                item.downcast_ref::<Tunnel>()
                    .is_some_and(|tunnel| tunnel.id() == id)
            });
        let Some(position) = position.and_then(|position| u32::try_from(position).ok()) else {
            return false;
        };
        selection.set_selected(position);
        true
    }

    /// Another tunnel is selected, or none.
    pub fn connect_selected(&self, f: impl Fn(&Self) + 'static) {
        let sidebar = self.downgrade();
        if let Some(selection) = self.imp().selection.get() {
            selection.connect_selected_item_notify(move |_| {
                if let Some(sidebar) = sidebar.upgrade() {
                    f(&sidebar);
                }
            });
        }
    }

    /// The person wants to see the tunnel that is selected.
    pub fn connect_opened(&self, f: impl Fn(&Self) + 'static) {
        self.connect_closure(
            "opened",
            false,
            glib::closure_local!(move |sidebar: &Self| f(sidebar)),
        );
    }
}
