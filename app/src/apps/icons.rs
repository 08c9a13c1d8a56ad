//! Installed apps, as far as their icons go: which one a running program is of.

use std::{cell::RefCell, collections::HashMap, path::Path};

use gtk::{gdk, gio, prelude::*};

use super::installed::program;

thread_local! {
    static ICONS: RefCell<Option<HashMap<String, gio::Icon>>> = const { RefCell::new(None) };
}

/// The icon of the installed app whose program has this file name; one for any program where there is none.
pub fn icon(program: &[u8]) -> gio::Icon {
    let name = String::from_utf8_lossy(program);
    let name = file_name(&name);
    let found = ICONS.with_borrow_mut(|icons| icons.get_or_insert_with(read).get(name).cloned());
    shown(found)
}

/// An icon that can be shown: that of any program where there is none, or the theme does not have it.
pub fn shown(icon: Option<gio::Icon>) -> gio::Icon {
    let theme = gdk::Display::default().map(|display| gtk::IconTheme::for_display(&display));
    let has = |icon: &gio::Icon| theme.as_ref().is_none_or(|theme| theme.has_gicon(icon));
    icon.filter(has)
        .unwrap_or_else(|| gio::ThemedIcon::new("application-x-executable").upcast())
}

fn file_name(path: &str) -> &str {
    Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(path)
}

/// The first app of a program that a menu would show has its icon.
fn read() -> HashMap<String, gio::Icon> {
    let mut icons = HashMap::new();
    let mut apps = gio::AppInfo::all();
    apps.sort_by_key(|app| !app.should_show());
    for app in apps {
        let program = app.downcast_ref().and_then(program);
        if let Some((program, icon)) = program.zip(app.icon()) {
            icons.entry(file_name(&program).to_owned()).or_insert(icon);
        }
    }
    icons
}
