//! A window of the same toolkit with nothing in it: what `cargo xtask bench window` holds the real one to.

use adw::prelude::*;
use gtk::glib;

fn main() -> glib::ExitCode {
    let application = adw::Application::builder()
        .application_id("org.lonewire.Bare")
        .build();
    application.connect_activate(|application| {
        let content = gtk::Box::new(gtk::Orientation::Vertical, 0);
        content.append(&adw::HeaderBar::new());
        content.append(&gtk::Label::new(Some("Bare")));
        adw::ApplicationWindow::builder()
            .application(application)
            .default_width(900)
            .default_height(700)
            .content(&content)
            .build()
            .present();
    });
    application.run()
}
