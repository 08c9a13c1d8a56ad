//! An app that runs in a tunnel.

use std::cell::{Cell, RefCell};

use gtk::{glib, prelude::*, subclass::prelude::*};
use lonewire_api::{AppInfo, AppState, Dictionary};

use super::Changes;
use crate::present::app::Stopping;

mod imp {
    use super::*;

    #[derive(Default, glib::Properties)]
    #[properties(wrapper_type = super::App)]
    pub struct App {
        #[property(get, construct_only)]
        pub id: RefCell<String>,
        /// Id of its tunnel.
        #[property(name = "tunnel", get = |this: &Self| this.info.borrow().tunnel.clone(), type = String)]
        #[property(name = "title", get = |this: &Self| this.info.borrow().name.clone(), type = String)]
        pub info: RefCell<AppInfo>,
        #[property(get, set, builder(Stopping::default()))]
        pub stopping: Cell<Stopping>,
        /// Counts the changes of its info.
        #[property(get)]
        pub version: Cell<u32>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for App {
        const NAME: &'static str = "LonewireApp";
        type Type = super::App;
    }

    #[glib::derived_properties]
    impl ObjectImpl for App {}
}

glib::wrapper! {
    /// A program and every process that came from it.
    pub struct App(ObjectSubclass<imp::App>);
}

impl App {
    pub fn new(id: &str, info: AppInfo) -> Self {
        let app: Self = glib::Object::builder().property("id", id).build();
        app.imp().info.replace(info);
        app
    }

    pub fn info(&self) -> AppInfo {
        self.imp().info.borrow().clone()
    }

    /// Whether any process of it is left.
    pub fn is_alive(&self) -> bool {
        self.imp().info.borrow().state != AppState::Ended
    }

    /// Waits until nothing of it is left.
    pub async fn ended(&self) {
        let changes = Changes::new(self, |app, changed| {
            app.connect_version_notify(move |_| changed())
        });
        changes.until(|| (!self.is_alive()).then_some(())).await;
    }

    /// Takes in what it is now. How many processes it has, which a list does not tell, is kept.
    pub fn set_info(&self, info: AppInfo) {
        let processes = info.processes.or(self.imp().info.borrow().processes);
        let info = AppInfo { processes, ..info };
        if self.imp().info.replace(info.clone()) != info {
            self.tell();
        }
    }

    /// Takes in what changed.
    pub fn apply(&self, changes: &Dictionary) {
        self.imp().info.borrow_mut().apply(changes);
        self.tell();
    }

    fn tell(&self) {
        self.imp().version.set(self.version().wrapping_add(1));
        self.notify_version();
        self.notify_title();
    }
}
