//! The keys, as a list that fits any width: the toolkit's own window of shortcuts does not get narrower than its columns.

use adw::prelude::*;
use gettextrs::gettext;

use crate::a11y;

/// The menu of what has the focus is the toolkit's: its key belongs to no action of ours.
const CONTEXT_MENU: &str = "<Shift>F10";

/// All keys of an application's actions, over a window.
pub fn window(
    parent: &impl IsA<gtk::Window>,
    application: &gtk::Application,
) -> adw::PreferencesWindow {
    let title = gettext("Keyboard Shortcuts");
    // Of the page too: the toolkit makes a tab of it, if one that is not shown.
    let page = adw::PreferencesPage::builder().title(&title).build();
    for (title, keys) in groups() {
        let group = adw::PreferencesGroup::builder().title(title).build();
        for (title, action) in keys {
            group.add(&row(&title, &accelerators(application, action)));
        }
        page.add(&group);
    }
    let window = adw::PreferencesWindow::builder()
        .title(title)
        .transient_for(parent)
        .modal(true)
        .default_width(480)
        .default_height(560)
        .width_request(340)
        .height_request(280)
        .build();
    window.add(&page);
    window
}

/// What has a key, and the action that it is of.
fn groups() -> [(String, Vec<(String, &'static str)>); 2] {
    [
        (
            gettext("Tunnel"),
            vec![
                (gettext("Import File"), "win.import"),
                (gettext("Paste Configuration"), "win.paste"),
                (gettext("New Tunnel"), "win.new-tunnel"),
                (gettext("Edit Configuration"), "win.edit"),
                (gettext("Turn On or Off"), "win.toggle-tunnel"),
                (gettext("Run App"), "win.run-app"),
                (gettext("Menu of a Tunnel in the List"), CONTEXT_MENU),
                (gettext("Rename"), "win.rename"),
                (gettext("Remove"), "win.remove"),
            ],
        ),
        (
            gettext("Window"),
            vec![
                (gettext("Search Tunnels"), "win.search"),
                (gettext("Preferences"), "win.preferences"),
                (gettext("Main Menu"), "win.primary-menu"),
                (gettext("Back"), "win.back"),
                (gettext("Keyboard Shortcuts"), "win.shortcuts"),
                (gettext("Close the Window"), "window.close"),
                (gettext("Quit, Apps Go On"), "app.quit"),
            ],
        ),
    ]
}

fn accelerators(application: &gtk::Application, action: &str) -> Vec<String> {
    if action == CONTEXT_MENU {
        return vec![CONTEXT_MENU.to_owned()];
    }
    let keys = application.accels_for_action(action);
    keys.into_iter().map(Into::into).collect()
}

fn row(title: &str, accelerators: &[String]) -> adw::ActionRow {
    let row = adw::ActionRow::builder()
        .title(title)
        .title_lines(0)
        .build();
    let keys = gtk::ShortcutLabel::builder()
        .accelerator(accelerators.join(" "))
        .valign(gtk::Align::Center)
        .build();
    row.add_suffix(&keys);
    let spoken = accelerators
        .iter()
        .filter_map(gtk::accelerator_parse)
        .map(|(key, modifiers)| gtk::accelerator_get_label(key, modifiers).into());
    let told: Vec<String> = std::iter::once(title.to_owned()).chain(spoken).collect();
    a11y::set_label(&row, &told.join(", "));
    row
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::application::ACCELERATORS;

    #[test]
    fn every_key_is_in_the_list_and_nothing_without_one() {
        let listed: BTreeSet<_> = groups()
            .into_iter()
            .flat_map(|(_, keys)| keys)
            .map(|(_, action)| action)
            .filter(|action| *action != CONTEXT_MENU)
            .collect();
        let known: BTreeSet<_> = ACCELERATORS.iter().map(|(action, _)| *action).collect();
        assert_eq!(listed, known);
    }
}
