//! The application: one instance a session, its windows, its own actions and all keys.

use adw::subclass::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib, prelude::*};

use crate::{APP_ID, a11y, helper::Helper, model::Model, notify, widget::Window};

/// Keys of actions, those of a window's features too: one table, so that no key is taken twice.
pub const ACCELERATORS: &[(&str, &[&str])] = &[
    ("app.quit", &["<Control>q"]),
    ("window.close", &["<Control>w"]),
    ("win.back", &["<Alt>Left"]),
    ("win.toggle-tunnel", &["<Control>t"]),
    ("win.rename", &["F2"]),
    ("win.remove", &["Delete"]),
    ("win.primary-menu", &["F10"]),
    ("win.import", &["<Control>o", "<Control>n"]),
    ("win.paste", &["<Control>v"]),
    ("win.edit", &["<Control>e"]),
    ("win.new-tunnel", &["<Control><Shift>n"]),
    ("win.run-app", &["<Control>r"]),
    ("win.search", &["<Control>f"]),
    ("win.preferences", &["<Control>comma"]),
    ("win.shortcuts", &["<Control>question"]),
];

/// Keys that mean something else to a person who types.
const OF_TEXT: &[&str] = &["win.paste", "win.remove"];

mod imp {
    use std::cell::OnceCell;

    use super::*;

    #[derive(Default)]
    pub struct Application {
        pub helper: OnceCell<Helper>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Application {
        const NAME: &'static str = "LonewireApplication";
        type Type = super::Application;
        type ParentType = adw::Application;
    }

    impl ObjectImpl for Application {}

    impl ApplicationImpl for Application {
        fn startup(&self) {
            self.parent_startup();
            let application = self.obj();
            glib::set_application_name(&gettext("Lonewire"));
            gtk::Window::set_default_icon_name(APP_ID);
            a11y::follow_windows();
            for (action, keys) in ACCELERATORS {
                application.set_accels_for_action(action, keys);
            }
            application.add_action_entries([gio::ActionEntry::builder("quit")
                .activate(|application: &super::Application, _, _| {
                    for window in application.windows() {
                        window.close();
                    }
                })
                .build()]);
            // What notifications lead to: their target is a tunnel's id.
            let about = |name: &str, run: fn(&Window, &str)| {
                gio::ActionEntry::builder(name)
                    .parameter_type(Some(glib::VariantTy::STRING))
                    .activate(move |application: &super::Application, _, id| {
                        let window = application.window();
                        window.present();
                        if let Some(id) = id.and_then(glib::Variant::str) {
                            run(&window, id);
                        }
                    })
                    .build()
            };
            application.add_action_entries([
                about("show-tunnel", Window::lead_to),
                about("retry", Window::retry),
                // The tunnel and the app.
                gio::ActionEntry::builder("run-again")
                    .parameter_type(Some(&<(String, String)>::static_variant_type()))
                    .activate(|application: &super::Application, _, target| {
                        let target = target.and_then(glib::Variant::get::<(String, String)>);
                        let Some((tunnel, app)) = target else { return };
                        let window = application.window();
                        window.present();
                        window.run_again(&tunnel, &app);
                    })
                    .build(),
                // Of a launcher, with what went wrong: no window is needed for that.
                gio::ActionEntry::builder("launch-failed")
                    .parameter_type(Some(&<notify::Launch>::static_variant_type()))
                    .activate(|application: &super::Application, _, failure| {
                        if let Some(failure) = failure.and_then(glib::Variant::get) {
                            notify::launch_failed(application.upcast_ref(), &failure);
                        }
                    })
                    .build(),
            ]);
        }

        fn activate(&self) {
            self.parent_activate();
            self.obj().window().present();
        }

        fn open(&self, files: &[gio::File], _hint: &str) {
            let window = self.obj().window();
            window.present();
            window.open_files(files);
        }
    }

    impl GtkApplicationImpl for Application {}
    impl AdwApplicationImpl for Application {}
}

glib::wrapper! {
    pub struct Application(ObjectSubclass<imp::Application>)
        @extends adw::Application, gtk::Application, gio::Application,
        @implements gio::ActionGroup, gio::ActionMap;
}

impl Default for Application {
    fn default() -> Self {
        glib::Object::builder()
            .property("application-id", APP_ID)
            .property("flags", gio::ApplicationFlags::HANDLES_OPEN)
            .build()
    }
}

impl Application {
    /// The window, which is made where there is none.
    fn window(&self) -> Window {
        let open = self
            .windows()
            .into_iter()
            .find_map(|window| window.downcast::<Window>().ok());
        open.unwrap_or_else(|| {
            let helper = self.imp().helper.get_or_init(|| {
                let model = Model::default();
                notify::follow(self, &model);
                Helper::new(&model)
            });
            Window::new(self, helper)
        })
    }

    /// While a person types, the keys of text fields are theirs.
    pub fn set_typing(&self, is_typing: bool) {
        for (action, keys) in ACCELERATORS {
            if OF_TEXT.contains(action) {
                self.set_accels_for_action(action, if is_typing { &[] } else { keys });
            }
        }
    }
}
