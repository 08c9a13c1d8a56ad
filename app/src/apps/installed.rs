//! The installed apps that a menu would show, kept up to date while somebody looks.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
};

use gio_unix::prelude::*;
use gtk::{gio, glib, subclass::prelude::*};

use super::{recent, search::Text};
use crate::APP_ID;

mod imp {
    use super::*;

    #[derive(Default, glib::Properties)]
    #[properties(wrapper_type = super::InstalledApp)]
    pub struct InstalledApp {
        /// The desktop file's name without `.desktop`.
        #[property(get, construct_only)]
        pub id: RefCell<String>,
        #[property(get, construct_only)]
        pub title: RefCell<String>,
        #[property(get, construct_only)]
        pub description: RefCell<String>,
        #[property(get, construct_only, nullable)]
        pub icon: RefCell<Option<gio::Icon>>,
        /// It runs, and not in a tunnel: a second start of it may be handed over to the first.
        #[property(get, set)]
        pub outside: Cell<bool>,
        /// It has a launcher that runs it in a tunnel.
        #[property(get, construct_only)]
        pub assigned: Cell<bool>,
        pub text: RefCell<Text>,
        /// How many were run since it was; the greatest number if it never was.
        pub age: Cell<usize>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for InstalledApp {
        const NAME: &'static str = "LonewireInstalledApp";
        type Type = super::InstalledApp;
    }

    #[glib::derived_properties]
    impl ObjectImpl for InstalledApp {}
}

glib::wrapper! {
    /// An app as a menu shows it.
    pub struct InstalledApp(ObjectSubclass<imp::InstalledApp>);
}

impl InstalledApp {
    fn new(
        info: &gio_unix::DesktopAppInfo,
        recent: &[String],
        assigned: &HashSet<String>,
    ) -> Option<Self> {
        let id = info.id()?;
        let id = id.strip_suffix(".desktop").unwrap_or(&id);
        // A tunnel in a tunnel, and a launcher that names its tunnel itself.
        if id == APP_ID || info.has_key(LAUNCHER) {
            return None;
        }
        let name = info.display_name();
        let app: Self = glib::Object::builder()
            .property("id", id)
            .property("title", &name)
            .property("description", info.description().unwrap_or_default())
            .property("icon", info.icon())
            .property("assigned", assigned.contains(id))
            .build();
        let (keywords, generic) = (info.keywords(), info.generic_name());
        let keywords = keywords
            .iter()
            .map(|keyword| keyword.as_str())
            .chain(generic.iter().map(|name| name.as_str()));
        let program = program(info).unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        app.imp().text.replace(Text::new(&name, keywords, program));
        app.imp().age.set(age(id, recent));
        Some(app)
    }

    /// The row that stands for any other program: it has no id.
    pub fn other(title: &str, description: &str) -> Self {
        glib::Object::builder()
            .property("id", "")
            .property("title", title)
            .property("description", description)
            .property("icon", gio::ThemedIcon::new("system-run-symbolic"))
            .build()
    }

    pub fn is_other(&self) -> bool {
        self.imp().id.borrow().is_empty()
    }

    /// How well a search fits, 0 the best; `None`: it does not.
    pub fn rank(&self, search: &str) -> Option<u32> {
        self.imp().text.borrow().rank(search)
    }

    /// What comes first where a search fits both alike.
    fn order(&self) -> (usize, String) {
        (self.imp().age.get(), self.title().to_lowercase())
    }

    /// The order of two in a list of what was searched for.
    pub fn compare(&self, other: &Self, search: &str) -> std::cmp::Ordering {
        self.rank(search)
            .cmp(&other.rank(search))
            .then_with(|| self.order().cmp(&other.order()))
    }
}

/// The program of a desktop file; one that the bus starts may name none. GLib's own call for it has no way to say so: its binding ends the process.
pub(super) fn program(info: &gio_unix::DesktopAppInfo) -> Option<String> {
    let line = info.string("Exec")?;
    let words = glib::shell_parse_argv(line.as_str()).ok()?;
    Some(words.first()?.to_string_lossy().into_owned())
}

fn age(id: &str, recent: &[String]) -> usize {
    let place = recent.iter().position(|known| known == id);
    place.unwrap_or(usize::MAX)
}

/// The list, and what keeps it up to date: dropping it ends that.
#[derive(Debug)]
pub struct Installed {
    pub list: gio::ListStore,
    monitor: gio::AppInfoMonitor,
    handler: Option<glib::SignalHandlerId>,
}

impl Installed {
    /// Reads them, and calls `changed` when it has read them again.
    pub fn new(changed: impl Fn() + 'static) -> Self {
        let list = gio::ListStore::new::<InstalledApp>();
        fill(&list);
        let monitor = gio::AppInfoMonitor::get();
        let filled = list.clone();
        let handler = monitor.connect_changed(move |_| {
            fill(&filled);
            changed();
        });
        Self {
            list,
            monitor,
            handler: Some(handler),
        }
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if let Some(handler) = self.handler.take() {
            self.monitor.disconnect(handler);
        }
    }
}

/// In the desktop files of launchers: the tunnel, and the app that it is a launcher of.
const LAUNCHER: &str = "X-Lonewire-Tunnel";
const SOURCE: &str = "X-Lonewire-Source";

fn fill(list: &gio::ListStore) {
    let recent = recent::read();
    let all: Vec<gio_unix::DesktopAppInfo> = gio::AppInfo::all()
        .into_iter()
        .filter(|app| app.should_show())
        .filter_map(|app| app.downcast().ok())
        .collect();
    let assigned: HashSet<String> = all
        .iter()
        .filter(|app| app.has_key(LAUNCHER))
        .filter_map(|app| app.string(SOURCE))
        .map(|id| id.strip_suffix(".desktop").unwrap_or(&id).to_owned())
        .collect();
    let apps: Vec<InstalledApp> = all
        .iter()
        .filter_map(|app| InstalledApp::new(app, &recent, &assigned))
        .collect();
    list.splice(0, list.n_items(), &apps);
}
