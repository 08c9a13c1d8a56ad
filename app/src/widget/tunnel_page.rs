//! The page of a tunnel: its switch, its apps, its traffic and its connection.

use std::cell::{Cell, RefCell};

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, gio, glib};
use lonewire_api::TunnelState;

use super::{app_row::AppRow, connection::Connection, traffic::TrafficGroup};
use crate::{
    model::{App, Model, Pending, Tunnel},
    present::{state, time},
};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/tunnel_page.ui")]
    pub struct TunnelPage {
        #[template_child]
        pub switch_row: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub state: TemplateChild<gtk::Image>,
        #[template_child]
        pub spinner: TemplateChild<gtk::Spinner>,
        #[template_child]
        pub switch: TemplateChild<gtk::Switch>,
        #[template_child]
        pub apps: TemplateChild<adw::PreferencesGroup>,
        #[template_child]
        pub run_app: TemplateChild<gtk::Button>,
        #[template_child]
        pub starting: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub starting_spinner: TemplateChild<gtk::Spinner>,
        #[template_child]
        pub no_apps: TemplateChild<adw::ActionRow>,
        #[template_child]
        pub traffic: TemplateChild<TrafficGroup>,
        #[template_child]
        pub connection: TemplateChild<Connection>,
        pub model: RefCell<Option<Model>>,
        pub tunnel: RefCell<Option<Tunnel>>,
        pub handlers: RefCell<Vec<glib::SignalHandlerId>>,
        pub rows: RefCell<Vec<AppRow>>,
        /// The switch is being set from the model: nobody touched it.
        pub setting: Cell<bool>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for TunnelPage {
        const NAME: &'static str = "LonewireTunnelPage";
        type Type = super::TunnelPage;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            TrafficGroup::ensure_type();
            Connection::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for TunnelPage {
        fn constructed(&self) {
            self.parent_constructed();
            let page = self.obj();
            self.switch.connect_state_set(glib::clone!(
                #[weak]
                page,
                #[upgrade_or]
                glib::Propagation::Proceed,
                move |_, on| page.switched(on)
            ));
        }
    }

    impl WidgetImpl for TunnelPage {
        fn map(&self) {
            self.parent_map();
            self.obj().tell_shown();
        }

        fn unmap(&self) {
            self.parent_unmap();
            self.obj().tell_shown();
        }
    }

    impl BinImpl for TunnelPage {}
}

glib::wrapper! {
    pub struct TunnelPage(ObjectSubclass<imp::TunnelPage>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl TunnelPage {
    /// Where apps come from.
    pub fn set_model(&self, model: &Model) {
        self.imp().model.replace(Some(model.clone()));
        model.apps().connect_items_changed(glib::clone!(
            #[weak(rename_to = page)]
            self,
            move |_, _, _, _| page.show_apps()
        ));
    }

    /// Shows another tunnel.
    pub fn set_tunnel(&self, tunnel: Option<&Tunnel>) {
        let imp = self.imp();
        if imp.tunnel.borrow().as_ref() == tunnel {
            return;
        }
        if let Some(before) = imp.tunnel.replace(tunnel.cloned()) {
            for handler in imp.handlers.take() {
                before.disconnect(handler);
            }
        }
        if let Some(tunnel) = tunnel {
            let weak = self.downgrade();
            let on = |f: fn(&Self)| {
                let weak = weak.clone();
                move |_: &Tunnel| {
                    if let Some(page) = weak.upgrade() {
                        f(&page);
                    }
                }
            };
            imp.handlers.replace(vec![
                tunnel.connect_changed(on(Self::show_state)),
                tunnel.connect_pending_notify(on(Self::show_state)),
                tunnel.connect_starting_notify(on(Self::show_starting)),
                tunnel.connect_detailed(on(|page| page.show_detail(false))),
            ]);
            self.show_state();
            self.show_apps();
            self.show_starting();
            self.show_detail(true);
        }
        self.tell_shown();
    }

    fn tunnel(&self) -> Option<Tunnel> {
        self.imp().tunnel.borrow().clone()
    }

    /// Whoever fills the model learns which tunnel is looked at.
    fn tell_shown(&self) {
        if let Some(model) = &*self.imp().model.borrow() {
            let shown = self.tunnel().filter(|_| self.is_mapped());
            if model.shown() != shown {
                model.set_shown(shown);
            }
        }
    }

    /// A person moved the switch. What it stands at is told by the helper alone.
    fn switched(&self, on: bool) -> glib::Propagation {
        if !self.imp().setting.get() {
            let action = if on { "win.turn-on" } else { "win.turn-off" };
            if self.activate_action(action, None).is_err() {
                self.show_state();
            }
        }
        glib::Propagation::Stop
    }

    fn show_state(&self) {
        let imp = self.imp();
        let Some(tunnel) = self.tunnel() else { return };
        let info = tunnel.info();
        let pending = tunnel.pending();
        let look = state::look(info.state, info.apps);
        imp.state.set_icon_name(Some(look.icon));
        for class in state::CLASSES {
            imp.state.remove_css_class(class);
        }
        imp.state.add_css_class(look.class);
        imp.switch_row
            .set_subtitle(&state::sentence(&info, time::now()));
        let is_on = state::is_on(info.state);
        let wanted = match pending {
            Pending::Nothing => is_on,
            Pending::TurnOn => true,
            Pending::TurnOff => false,
        };
        imp.setting.set(true);
        imp.switch.set_active(wanted);
        imp.switch.set_state(is_on);
        imp.setting.set(false);
        let busy = pending != Pending::Nothing || info.state == TunnelState::Connecting;
        imp.spinner.set_visible(busy);
        imp.spinner.set_spinning(busy);
        imp.traffic.set_visible(is_on);
    }

    /// The switch stands at what the model says again.
    pub fn undo_switch(&self) {
        self.show_state();
    }

    fn show_apps(&self) {
        let imp = self.imp();
        let (Some(tunnel), Some(model)) = (self.tunnel(), imp.model.borrow().clone()) else {
            return;
        };
        let apps: Vec<App> = model.apps_of(&tunnel.id());
        // The row of an app that stays, stays: with it the focus, and a button that is being pressed.
        let mut rows = imp.rows.take();
        let mut position = 0;
        rows.retain(|row| {
            let stays = row.app() == apps.get(position);
            if stays {
                position += 1
            } else {
                imp.apps.remove(row)
            }
            stays
        });
        for app in &apps[position..] {
            let row = AppRow::new(app);
            imp.apps.add(&row);
            rows.push(row);
        }
        imp.rows.replace(rows);
        self.show_starting();
    }

    /// What waits for the tunnel, and that there is nothing where there is nothing.
    fn show_starting(&self) {
        let imp = self.imp();
        let starting = self.tunnel().map(|tunnel| tunnel.starting());
        let starting = starting.unwrap_or_default();
        imp.starting.set_title(&starting);
        imp.starting.set_visible(!starting.is_empty());
        imp.starting_spinner.set_spinning(!starting.is_empty());
        let is_empty = imp.rows.borrow().is_empty() && starting.is_empty();
        imp.no_apps.set_visible(is_empty);
    }

    fn show_detail(&self, is_new: bool) {
        let imp = self.imp();
        let Some(tunnel) = self.tunnel() else { return };
        let now = time::now();
        imp.traffic.show_traffic(&tunnel.traffic(), now, is_new);
        let detail = tunnel.detail().unwrap_or_default();
        imp.connection.show_detail(&detail, now);
        for row in &*imp.rows.borrow() {
            row.refresh();
        }
    }

    /// Offers what the window has actions for.
    pub fn offer(&self, actions: &impl IsA<gio::ActionMap>) {
        self.imp()
            .run_app
            .set_visible(actions.lookup_action("run-app").is_some());
    }
}
