//! What the bindings for GTK before 4.10 leave out: names for those who do not see the window. The only file of the window with `unsafe`.

use gtk::{ffi, glib::translate::ToGlibPtr, prelude::*};

/// Gives a widget its accessible name.
pub fn set_label(widget: &impl IsA<gtk::Widget>, label: &str) {
    set_text(widget.as_ref(), ffi::GTK_ACCESSIBLE_PROPERTY_LABEL, label);
}

/// Gives the row of a list view its name: of itself it has none.
pub fn set_row_label(item: &gtk::ListItem, label: &str) {
    if let Some(row) = item.child().and_then(|child| child.parent()) {
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
