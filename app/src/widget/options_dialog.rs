//! The options of a tunnel. What is typed is checked at once; nothing is changed before *Save*.

use std::cell::{OnceCell, RefCell};

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, glib};
use lonewire_api::{OptionsChange, TunnelDetail, TunnelOptions};

use crate::present::{
    fill,
    options::{self, Form, Wrong},
};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/options_dialog.ui")]
    pub struct OptionsDialog {
        #[template_child]
        pub title: TemplateChild<adw::WindowTitle>,
        #[template_child]
        pub save: TemplateChild<gtk::Button>,
        #[template_child]
        pub mtu: TemplateChild<adw::EntryRow>,
        #[template_child]
        pub keepalive: TemplateChild<adw::EntryRow>,
        #[template_child]
        pub dns: TemplateChild<adw::EntryRow>,
        #[template_child]
        pub backend: TemplateChild<adw::ComboRow>,
        #[template_child]
        pub down: TemplateChild<gtk::Switch>,
        #[template_child]
        pub start: TemplateChild<adw::ComboRow>,
        #[template_child]
        pub reset: TemplateChild<gtk::Button>,
        /// What is set, and whether the tunnel has an IPv6 address.
        pub before: OnceCell<(TunnelOptions, bool)>,
        pub after: RefCell<Option<TunnelOptions>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for OptionsDialog {
        const NAME: &'static str = "LonewireOptionsDialog";
        type Type = super::OptionsDialog;
        type ParentType = adw::Window;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for OptionsDialog {}
    impl WidgetImpl for OptionsDialog {}
    impl WindowImpl for OptionsDialog {}
    impl AdwWindowImpl for OptionsDialog {}
}

glib::wrapper! {
    pub struct OptionsDialog(ObjectSubclass<imp::OptionsDialog>)
        @extends adw::Window, gtk::Window, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget, gtk::Native, gtk::Root,
            gtk::ShortcutManager;
}

impl OptionsDialog {
    /// With what is set. `save` gets what differs.
    pub fn new(
        parent: &impl IsA<gtk::Window>,
        detail: &TunnelDetail,
        save: impl Fn(OptionsChange) + 'static,
    ) -> Self {
        let dialog: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        let imp = dialog.imp();
        imp.title.set_subtitle(&detail.info.name);
        let has_v6 = detail.addresses.iter().any(|address| address.contains(':'));
        let _ = imp.before.set((detail.options.clone(), has_v6));
        dialog.put(&Form::from(&detail.options));
        let check = |dialog: &Self| dialog.check();
        let weak = dialog.downgrade();
        let on = move || {
            let weak = weak.clone();
            move || {
                if let Some(dialog) = weak.upgrade() {
                    check(&dialog);
                }
            }
        };
        for entry in [&imp.mtu, &imp.keepalive, &imp.dns] {
            let changed = on();
            entry.connect_changed(move |_| changed());
        }
        for list in [&imp.backend, &imp.start] {
            let changed = on();
            list.connect_selected_notify(move |_| changed());
        }
        let changed = on();
        imp.down.connect_active_notify(move |_| changed());
        imp.reset.connect_clicked(glib::clone!(
            #[weak]
            dialog,
            move |_| dialog.put(&Form::default())
        ));
        imp.save.connect_clicked(glib::clone!(
            #[weak]
            dialog,
            move |_| {
                if let Some(change) = dialog.change() {
                    dialog.close();
                    save(change);
                }
            }
        ));
        dialog.check();
        dialog
    }

    fn put(&self, form: &Form) {
        let imp = self.imp();
        imp.mtu.set_text(&form.mtu);
        imp.keepalive.set_text(&form.keepalive);
        imp.dns.set_text(&form.dns);
        imp.backend.set_selected(form.backend);
        imp.down.set_active(form.down_with_last_app);
        imp.start.set_selected(form.start);
    }

    fn form(&self) -> Form {
        let imp = self.imp();
        Form {
            mtu: imp.mtu.text().into(),
            keepalive: imp.keepalive.text().into(),
            dns: imp.dns.text().into(),
            backend: imp.backend.selected(),
            down_with_last_app: imp.down.is_active(),
            start: imp.start.selected(),
        }
    }

    fn check(&self) {
        let imp = self.imp();
        let Some((before, has_v6)) = imp.before.get() else {
            return;
        };
        let form = self.form();
        let read = form.read(*has_v6);
        let wrong = read.as_ref().err().cloned().unwrap_or_default();
        self.tell(&wrong);
        imp.save
            .set_sensitive(read.as_ref().is_ok_and(|after| after != before));
        imp.reset.set_sensitive(form != Form::default());
        imp.after.replace(read.ok());
    }

    /// A field's title is what a screen reader says of it: what is wrong stands there.
    fn tell(&self, wrong: &Wrong) {
        let imp = self.imp();
        for (entry, name, wrong) in [
            (&imp.mtu, gettext("MTU"), &wrong.mtu),
            (
                &imp.keepalive,
                gettext("Keepalive in Seconds, 0 for Off"),
                &wrong.keepalive,
            ),
            (&imp.dns, gettext("DNS Servers"), &wrong.dns),
        ] {
            let title = match wrong {
                // The field, then what is wrong with what was typed.
                Some(wrong) => fill(
                    &gettext("{field}: {problem}"),
                    &[("field", &name), ("problem", wrong)],
                ),
                None => name,
            };
            entry.set_title(&glib::markup_escape_text(&title));
            if wrong.is_some() {
                entry.add_css_class("error");
            } else {
                entry.remove_css_class("error");
            }
        }
    }

    fn change(&self) -> Option<OptionsChange> {
        let imp = self.imp();
        let (before, _) = imp.before.get()?;
        let after = imp.after.borrow();
        let change = options::change(before, after.as_ref()?);
        (change != OptionsChange::default()).then_some(change)
    }
}
