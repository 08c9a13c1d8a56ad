//! What the bindings for GTK before 4.10 leave out: names for those who do not see the window; and names for the parts of the toolkit's own widgets
//! that it gives none. The only file of the window with `unsafe`.

use adw::prelude::*;
use gettextrs::gettext;
use gtk::{ffi, glib, glib::translate::ToGlibPtr};

/// Names the parts of every window that there is and will be.
pub fn follow_windows() {
    gtk::Window::toplevels().connect_items_changed(|windows, at, _, added| {
        for index in at..at.saturating_add(added) {
            let window = windows.item(index).and_downcast::<gtk::Window>();
            let Some(window) = window.map(|window| window.downgrade()) else {
                continue;
            };
            // It is being made: what is in it comes after.
            glib::idle_add_local_once(move || {
                if let Some(window) = window.upgrade() {
                    name_parts(window.upcast_ref(), &window.title().unwrap_or_default());
                }
            });
        }
    });
}

/// Names the parts of the toasts that will be shown.
pub fn follow_toasts(overlay: &adw::ToastOverlay) {
    let parts = overlay.observe_children();
    let weak = overlay.downgrade();
    parts.connect_items_changed(move |_, _, _, _| {
        let weak = weak.clone();
        glib::idle_add_local_once(move || {
            let mut next = weak.upgrade().and_then(|overlay| overlay.first_child());
            while let Some(part) = next {
                // What is below the toasts is the whole window.
                if part.type_().name() == "AdwToastWidget" {
                    name_parts(&part, "");
                }
                next = part.next_sibling();
            }
        });
    });
    // The model tells only while somebody has it.
    overlay.connect_destroy(move |_| {
        let _ = &parts;
    });
}

/// Names what is below a widget and has no name of its own; `title`: of the window.
fn name_parts(widget: &gtk::Widget, title: &str) {
    let mut next = widget.first_child();
    while let Some(part) = next {
        name_part(&part, title);
        name_parts(&part, title);
        next = part.next_sibling();
    }
}

fn name_part(part: &gtk::Widget, title: &str) {
    if part.is::<gtk::ScrolledWindow>() && !title.is_empty() {
        set_label(part, title);
    } else if let Some(row) = part.downcast_ref::<adw::ExpanderRow>() {
        set_label(row, &row.title());
    } else if part.is::<gtk::ListBox>() {
        name_list(part, title);
    } else if let Some(text) = part.downcast_ref::<gtk::TextView>() {
        if !text.is_editable() {
            set_label(text, title);
        }
    } else if part.is::<gtk::SearchEntry>() && is_of_toolkit(part) {
        set_label(part, &gettext("Search"));
    } else if part.is::<gtk::MenuButton>() && is_of_toolkit(part) {
        set_label(part, title);
    } else if let Some(row) = part.downcast_ref::<adw::ActionRow>() {
        // A tooltip would be its name.
        if row.has_tooltip() {
            set_label(row, &row.title());
        }
        if let Some(row) = part.downcast_ref::<adw::ComboRow>() {
            name_choices(part, &row.title());
        }
    } else if let Some(button) = part.downcast_ref::<gtk::Button>() {
        name_button(button);
    }
}

/// Whether it is in a window whose search and header are the toolkit's.
fn is_of_toolkit(part: &gtk::Widget) -> bool {
    part.root()
        .is_some_and(|root| root.is::<adw::PreferencesWindow>())
}

/// The list that a row lets choose from.
fn name_choices(part: &gtk::Widget, title: &str) {
    let mut next = part.first_child();
    while let Some(child) = next {
        if child.is::<gtk::ListView>() {
            set_label(&child, title);
        }
        name_choices(&child, title);
        next = child.next_sibling();
    }
}

/// A list is what its group or its row is, else what its window is.
fn name_list(list: &gtk::Widget, title: &str) {
    let mut next = list.parent();
    while let Some(widget) = next {
        if let Some(row) = widget.downcast_ref::<adw::ExpanderRow>() {
            return set_label(list, &row.title());
        }
        if let Some(group) = widget.downcast_ref::<adw::PreferencesGroup>()
            && !group.title().is_empty()
        {
            // It is named by that already.
            return;
        }
        next = widget.parent();
    }
    if !title.is_empty() {
        set_label(list, title);
    }
}

/// A button with nothing but a picture is what its tooltip says; on a toast there is one without.
fn name_button(button: &gtk::Button) {
    if let Some(text) = button.tooltip_text() {
        return set_label(button, &text);
    }
    match button.icon_name().as_deref() {
        Some("window-close-symbolic") => return set_label(button, &gettext("Dismiss")),
        Some("edit-find-symbolic") => return set_label(button, &gettext("Search")),
        _ => {}
    }
    let child = button.child();
    if let Some(label) = child.and_downcast_ref::<gtk::Label>()
        && !button.uses_underline()
    {
        set_label(button, &label.label());
    }
}

/// Gives a widget its accessible name.
pub fn set_label(widget: &impl IsA<gtk::Widget>, label: &str) {
    set_text(widget.as_ref(), ffi::GTK_ACCESSIBLE_PROPERTY_LABEL, label);
}

/// Gives the row of a list view its name: of itself it has none.
pub fn set_row_label(item: &gtk::ListItem, label: &str) {
    const PROPERTY: &str = "accessible-label";
    // GTK 4.12 and later. There the row may be in nobody's hands yet: a reference taken here would be its only one, and the end of it.
    if item.has_property(PROPERTY) {
        item.set_property(PROPERTY, label);
    } else if let Some(row) = item.child().and_then(|child| child.parent()) {
        set_label(&row, label);
    }
}

#[expect(
    unsafe_code,
    reason = "the bindings ask for GTK 4.10; the function is of 4.0"
)]
mod gtk4 {
    use gtk::{ffi, glib::gobject_ffi};

    unsafe extern "C" {
        pub(super) fn gtk_accessible_update_property_value(
            accessible: *mut ffi::GtkAccessible,
            count: std::ffi::c_int,
            properties: *mut ffi::GtkAccessibleProperty,
            values: *const gobject_ffi::GValue,
        );
    }
}

#[expect(unsafe_code, reason = "the safe binding asks for GTK 4.10")]
fn set_text(widget: &gtk::Widget, property: ffi::GtkAccessibleProperty, text: &str) {
    let mut property = property;
    let value = text.to_value();
    // SAFETY: every GtkWidget implements GtkAccessible; both arrays have the one element that is announced; the value is a string, which is what
    // labels and descriptions are, and GTK copies it before it returns.
    unsafe {
        let accessible: *mut ffi::GtkWidget = widget.to_glib_none().0;
        gtk4::gtk_accessible_update_property_value(
            accessible.cast(),
            1,
            &raw mut property,
            value.to_glib_none().0,
        );
    }
}
