//! Actions about apps that run: their target is the app's id.

use gtk::{gio, glib, prelude::*};

use super::Window;
use crate::model::App;

impl Window {
    pub(super) fn add_app_actions(&self) {
        let entry = |name: &str, run: fn(&Self, App)| {
            gio::ActionEntry::builder(name)
                .parameter_type(Some(glib::VariantTy::STRING))
                .activate(move |window: &Self, _, id| {
                    let app = id
                        .and_then(glib::Variant::str)
                        .and_then(|id| window.model()?.app(id));
                    if let Some(app) = app {
                        run(window, app);
                    }
                })
                .build()
        };
        self.add_action_entries([
            entry("stop-app", |window, app| {
                let Some(helper) = window.helper().cloned() else {
                    return;
                };
                window.attempt(async move { helper.stop(&app).await });
            }),
            entry("force-stop-app", |window, app| {
                let Some(helper) = window.helper().cloned() else {
                    return;
                };
                window.attempt(async move { helper.force_stop(&app).await });
            }),
        ]);
    }
}
