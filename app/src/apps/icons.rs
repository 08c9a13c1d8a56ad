//! Installed apps, as far as their icons go: which one a running program is of.

use std::{cell::RefCell, collections::HashMap, path::Path};

use gtk::{gio, prelude::*};

thread_local! {
    static ICONS: RefCell<Option<HashMap<String, gio::Icon>>> = const { RefCell::new(None) };
}

/// The icon of the installed app whose program has this file name; one for any program where there is none.
pub fn icon(program: &[u8]) -> gio::Icon {
    let name = String::from_utf8_lossy(program);
    let name = file_name(&name);
    let found = ICONS.with_borrow_mut(|icons| icons.get_or_insert_with(read).get(name).cloned());
    found.unwrap_or_else(|| gio::ThemedIcon::new("application-x-executable").upcast())
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
        let program = app.executable();
        let Some(icon) = app.icon() else { continue };
        if let Some(program) = program.to_str() {
            icons.entry(file_name(program).to_owned()).or_insert(icon);
        }
    }
    icons
}
