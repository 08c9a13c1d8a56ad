//! How the window's actions are made: those of the window, and those of the tunnel that is selected.

use gtk::gio;

use super::Window;
use crate::model::Tunnel;

/// Without a target.
pub(super) fn plain(name: &str, run: fn(&Window)) -> gio::ActionEntry<Window> {
    gio::ActionEntry::builder(name)
        .activate(move |window, _, _| run(window))
        .build()
}

/// About the selected tunnel; nothing happens where there is none.
pub(super) fn of_tunnel(name: &str, run: fn(&Window, &Tunnel)) -> gio::ActionEntry<Window> {
    gio::ActionEntry::builder(name)
        .activate(move |window: &Window, _, _| {
            if let Some(tunnel) = window.tunnel() {
                run(window, &tunnel);
            }
        })
        .build()
}
