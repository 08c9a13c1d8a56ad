//! All tunnels and apps that the helper told of, and how it stands with the helper.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
};

use gtk::{gio, glib, prelude::*, subclass::prelude::*};
use lonewire_api::{AppInfo, TunnelInfo};

use super::{App, Tunnel};
use crate::present::service::ServiceState;

mod imp {
    use super::*;

    #[derive(Default, glib::Properties)]
    #[properties(wrapper_type = super::Model)]
    pub struct Model {
        #[property(get, set, builder(ServiceState::default()))]
        pub service: Cell<ServiceState>,
        /// The tunnel on the page while the page can be seen: of it the helper is asked all.
        #[property(get, set, nullable)]
        pub shown: RefCell<Option<Tunnel>>,
        /// Counts changes that may put a tunnel to another place in a list.
        #[property(get)]
        pub order: Cell<u32>,
        pub tunnels: OnceCell<gio::ListStore>,
        pub apps: OnceCell<gio::ListStore>,
        pub by_id: RefCell<HashMap<String, Tunnel>>,
        /// The service's, once it told.
        pub version: RefCell<Option<String>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Model {
        const NAME: &'static str = "LonewireModel";
        type Type = super::Model;
    }

    #[glib::derived_properties]
    impl ObjectImpl for Model {}
}

glib::wrapper! {
    /// What the window knows.
    pub struct Model(ObjectSubclass<imp::Model>);
}

impl Default for Model {
    fn default() -> Self {
        glib::Object::new()
    }
}

impl Model {
    /// Tunnels, in no order that means anything.
    pub fn tunnels(&self) -> &gio::ListStore {
        self.imp()
            .tunnels
            .get_or_init(gio::ListStore::new::<Tunnel>)
    }

    /// Apps that run, of all tunnels, oldest first.
    pub fn apps(&self) -> &gio::ListStore {
        self.imp().apps.get_or_init(gio::ListStore::new::<App>)
    }

    pub fn tunnel(&self, id: &str) -> Option<Tunnel> {
        self.imp().by_id.borrow().get(id).cloned()
    }

    pub fn app(&self, id: &str) -> Option<App> {
        self.all_apps().find(|app| app.id() == id)
    }

    /// The apps that run in a tunnel.
    pub fn apps_of(&self, tunnel: &str) -> Vec<App> {
        self.all_apps()
            .filter(|app| app.tunnel() == tunnel)
            .collect()
    }

    fn all_apps(&self) -> impl Iterator<Item = App> + '_ {
        self.apps().iter::<App>().filter_map(Result::ok)
    }

    /// The version of the service, for *About*.
    pub fn version(&self) -> Option<String> {
        self.imp().version.borrow().clone()
    }

    pub(crate) fn set_version(&self, version: &str) {
        self.imp().version.replace(Some(version.to_owned()));
    }

    /// Takes in a whole list: objects of tunnels that stay, stay.
    pub(crate) fn set_tunnels(&self, list: Vec<(String, TunnelInfo)>) {
        let mut before = self.imp().by_id.take();
        let mut tunnels = Vec::with_capacity(list.len());
        for (id, info) in list {
            let tunnel = match before.remove(&id) {
                Some(tunnel) => {
                    tunnel.set_info(info);
                    tunnel
                }
                None => Tunnel::new(&id, info),
            };
            self.imp().by_id.borrow_mut().insert(id, tunnel.clone());
            tunnels.push(tunnel);
        }
        let same = before.is_empty()
            && self
                .tunnels()
                .iter::<Tunnel>()
                .filter_map(Result::ok)
                .eq(tunnels.iter().cloned());
        // A list that is the same keeps what is selected and where it is scrolled to.
        if same {
            self.reorder();
        } else {
            self.tunnels().splice(0, self.tunnels().n_items(), &tunnels);
        }
    }

    /// Takes in a tunnel that is new, or was told of twice.
    pub(crate) fn add_tunnel(&self, id: &str, info: TunnelInfo) {
        if let Some(tunnel) = self.tunnel(id) {
            return tunnel.set_info(info);
        }
        let tunnel = Tunnel::new(id, info);
        self.imp()
            .by_id
            .borrow_mut()
            .insert(id.to_owned(), tunnel.clone());
        self.tunnels().append(&tunnel);
    }

    /// A name or a state changed.
    pub(crate) fn reorder(&self) {
        self.imp().order.set(self.order().wrapping_add(1));
        self.notify_order();
    }

    pub(crate) fn remove_tunnel(&self, id: &str) {
        let Some(tunnel) = self.imp().by_id.borrow_mut().remove(id) else {
            return;
        };
        if let Some(position) = self.tunnels().find(&tunnel) {
            self.tunnels().remove(position);
        }
    }

    /// Takes in all apps; those that ended are left out.
    pub(crate) fn set_apps(&self, list: Vec<(String, AppInfo)>) {
        let mut apps: Vec<App> = list
            .into_iter()
            .map(|(id, info)| match self.app(&id) {
                Some(app) => {
                    app.set_info(info);
                    app
                }
                None => App::new(&id, info),
            })
            .filter(App::is_alive)
            .collect();
        apps.sort_by_key(|app| app.info().since);
        self.apps().splice(0, self.apps().n_items(), &apps);
    }

    pub(crate) fn add_app(&self, id: &str, info: AppInfo) {
        match self.app(id) {
            Some(app) => app.set_info(info),
            None => self.apps().append(&App::new(id, info)),
        }
    }

    /// Takes in what the service says of an app: one that has ended is not in the list.
    pub(crate) fn take_app(&self, id: &str, info: AppInfo) -> App {
        let known = self.app(id);
        let app = known.clone().unwrap_or_else(|| App::new(id, info.clone()));
        app.set_info(info);
        match (known.is_some(), app.is_alive()) {
            (false, true) => self.apps().append(&app),
            (true, false) => self.remove_app(id),
            _ => {}
        }
        app
    }

    pub(crate) fn remove_app(&self, id: &str) {
        if let Some(position) = self.app(id).and_then(|app| self.apps().find(&app)) {
            self.apps().remove(position);
        }
    }
}
