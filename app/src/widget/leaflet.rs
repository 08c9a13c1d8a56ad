//! Sidebar and page side by side, or one at a time where the window is narrow. Wraps AdwLeaflet, which newer libadwaita replaces.

use std::cell::{OnceCell, RefCell};

use adw::{prelude::*, subclass::prelude::*};
use gtk::glib;

mod imp {
    use super::*;

    #[derive(Default, glib::Properties)]
    #[properties(wrapper_type = super::Split)]
    pub struct Split {
        #[property(get, set = Self::set_sidebar, nullable)]
        pub sidebar: RefCell<Option<gtk::Widget>>,
        #[property(get, set = Self::set_page, nullable)]
        pub page: RefCell<Option<gtk::Widget>>,
        /// One at a time.
        #[property(name = "folded", get = |this: &Self| this.leaflet().is_folded(), type = bool)]
        pub leaflet: OnceCell<adw::Leaflet>,
    }

    impl Split {
        pub fn leaflet(&self) -> &adw::Leaflet {
            self.leaflet.get_or_init(|| {
                let leaflet = adw::Leaflet::builder()
                    .can_navigate_back(true)
                    .can_unfold(true)
                    .build();
                let line = gtk::Separator::new(gtk::Orientation::Vertical);
                leaflet.append(&line).set_navigatable(false);
                leaflet
            })
        }

        fn set_sidebar(&self, sidebar: Option<gtk::Widget>) {
            if let Some(sidebar) = &sidebar {
                self.leaflet().prepend(sidebar);
                // The line between was there first, and would be what is seen.
                self.leaflet().set_visible_child(sidebar);
            }
            self.sidebar.replace(sidebar);
        }

        fn set_page(&self, page: Option<gtk::Widget>) {
            if let Some(page) = &page {
                self.leaflet().append(page);
            }
            self.page.replace(page);
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Split {
        const NAME: &'static str = "LonewireSplit";
        type Type = super::Split;
        type ParentType = adw::Bin;
    }

    #[glib::derived_properties]
    impl ObjectImpl for Split {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_child(Some(self.leaflet()));
            let split = self.obj().downgrade();
            self.leaflet().connect_folded_notify(move |_| {
                if let Some(split) = split.upgrade() {
                    split.notify_folded();
                }
            });
        }
    }

    impl WidgetImpl for Split {}
    impl BinImpl for Split {}
}

glib::wrapper! {
    pub struct Split(ObjectSubclass<imp::Split>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Split {
    /// Shows the page, where it is one at a time; where it is not, it is the one that stays when the window gets narrow. The leaflet takes the
    /// focus along, which is for those alone who see nothing else.
    pub fn show_page(&self) {
        let Some(page) = self.page() else { return };
        let focus = self.root().and_then(|root| root.focus());
        self.imp().leaflet().set_visible_child(&page);
        if let Some(focus) = focus.filter(|_| !self.folded()) {
            focus.grab_focus();
        }
    }

    /// Shows the sidebar, where it is one at a time.
    pub fn show_sidebar(&self) {
        if let Some(sidebar) = self.sidebar() {
            self.imp().leaflet().set_visible_child(&sidebar);
        }
    }
}
