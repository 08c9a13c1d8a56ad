//! The preferences: settings of the user, which the command line shares. A change is kept at once.

use std::{cell::OnceCell, rc::Rc};

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, glib};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/preferences.ui")]
    pub struct Preferences {
        #[template_child]
        pub notify_blocked: TemplateChild<gtk::Switch>,
        #[template_child]
        pub check: TemplateChild<gtk::Switch>,
        #[template_child]
        pub default_tunnel: TemplateChild<adw::ComboRow>,
        /// Ids of the tunnels in the list, after *None*.
        pub ids: OnceCell<Vec<String>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Preferences {
        const NAME: &'static str = "LonewirePreferences";
        type Type = super::Preferences;
        type ParentType = adw::PreferencesWindow;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Preferences {}
    impl WidgetImpl for Preferences {}
    impl WindowImpl for Preferences {}
    impl AdwWindowImpl for Preferences {}
    impl PreferencesWindowImpl for Preferences {}
}

glib::wrapper! {
    pub struct Preferences(ObjectSubclass<imp::Preferences>)
        @extends adw::PreferencesWindow, adw::Window, gtk::Window, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget, gtk::Native, gtk::Root,
            gtk::ShortcutManager;
}

/// What a person can set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    pub notify_blocked: bool,
    pub check_after_connect: bool,
    /// Id of a tunnel.
    pub default_tunnel: Option<String>,
}

impl Preferences {
    /// With what is set. `tunnels` are ids and names, in the order of a list. `keep` gets every change.
    pub fn new(
        parent: &impl IsA<gtk::Window>,
        choices: &Choices,
        tunnels: &[(String, String)],
        keep: impl Fn(&Self, Choices) + 'static,
    ) -> Self {
        let preferences: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        let imp = preferences.imp();
        imp.notify_blocked.set_active(choices.notify_blocked);
        imp.check.set_active(choices.check_after_connect);
        let none = gettext("None");
        let names: Vec<&str> = std::iter::once(none.as_str())
            .chain(tunnels.iter().map(|(_, name)| name.as_str()))
            .collect();
        imp.default_tunnel
            .set_model(Some(&gtk::StringList::new(&names)));
        let ids: Vec<String> = tunnels.iter().map(|(id, _)| id.clone()).collect();
        let at = choices
            .default_tunnel
            .as_ref()
            .and_then(|wanted| ids.iter().position(|id| id == wanted))
            .and_then(|at| u32::try_from(at).ok());
        imp.default_tunnel.set_selected(at.map_or(0, |at| at + 1));
        let _ = imp.ids.set(ids);
        let keep = Rc::new(keep);
        let weak = preferences.downgrade();
        let on = move || {
            let (weak, keep) = (weak.clone(), keep.clone());
            move || {
                if let Some(preferences) = weak.upgrade() {
                    keep(&preferences, preferences.choices());
                }
            }
        };
        for switch in [&imp.notify_blocked, &imp.check] {
            let changed = on();
            switch.connect_active_notify(move |_| changed());
        }
        let changed = on();
        imp.default_tunnel
            .connect_selected_notify(move |_| changed());
        preferences
    }

    fn choices(&self) -> Choices {
        let imp = self.imp();
        let at = usize::try_from(imp.default_tunnel.selected()).unwrap_or(0);
        Choices {
            notify_blocked: imp.notify_blocked.is_active(),
            check_after_connect: imp.check.is_active(),
            default_tunnel: at
                .checked_sub(1)
                .and_then(|at| imp.ids.get()?.get(at).cloned()),
        }
    }
}
