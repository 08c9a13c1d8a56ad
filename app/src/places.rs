//! Folders of the window's own files.

use std::path::PathBuf;

use gtk::glib;

/// `$XDG_STATE_HOME/lonewire`: what the window remembers. Losing it is no error.
pub fn state() -> PathBuf {
    folder("XDG_STATE_HOME", ".local/state")
}

/// A variable that is no absolute path counts as none (XDG Base Directory).
fn folder(variable: &str, below_home: &str) -> PathBuf {
    // The bindings for the first ask for a newer GLib than this window does.
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| glib::home_dir().join(below_home))
        .join("lonewire")
}
