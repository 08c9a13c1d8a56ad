//! The window: sidebar and page, or one page that stands alone. Each feature adds its actions in a file of its own beside this one:
//! an `impl Window` with `fn add_…_actions`, called in [`Window::new`].

mod action;
mod all;
mod apps;
mod edit;
mod import;
mod list;
mod look;
mod preferences;
mod receive;
mod run;
mod size;
mod tell;
mod tunnel;

use std::{
    cell::{Cell, OnceCell, RefCell},
    fs,
    future::Future,
    path::Path,
    rc::Rc,
};

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, gio, glib};
use lonewire_api::TunnelState;

use super::{
    infobar::Notice, leaflet::Split, message, sidebar::Sidebar, status::Status,
    tunnel_page::TunnelPage,
};
use crate::{
    a11y,
    application::Application,
    apps::Program,
    error::{Error, Message, Result},
    helper::Helper,
    model::{Changes, Model, Tunnel},
    notify,
    present::{
        reason,
        service::{self, ServiceState},
    },
    shelf::Shelf,
};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/window.ui")]
    pub struct Window {
        #[template_child]
        pub toasts: TemplateChild<adw::ToastOverlay>,
        #[template_child]
        pub stack: TemplateChild<gtk::Stack>,
        #[template_child]
        pub status: TemplateChild<Status>,
        #[template_child]
        pub status_add: TemplateChild<gtk::MenuButton>,
        #[template_child]
        pub status_menu: TemplateChild<gtk::MenuButton>,
        #[template_child]
        pub split: TemplateChild<Split>,
        #[template_child]
        pub sidebar_header: TemplateChild<adw::HeaderBar>,
        #[template_child]
        pub add: TemplateChild<gtk::MenuButton>,
        #[template_child]
        pub menu: TemplateChild<gtk::MenuButton>,
        #[template_child]
        pub sidebar: TemplateChild<Sidebar>,
        #[template_child]
        pub page_title: TemplateChild<adw::WindowTitle>,
        #[template_child]
        pub back: TemplateChild<gtk::Button>,
        #[template_child]
        pub tunnel_button: TemplateChild<gtk::MenuButton>,
        #[template_child]
        pub notice: TemplateChild<Notice>,
        #[template_child]
        pub page: TemplateChild<TunnelPage>,
        pub helper: OnceCell<Helper>,
        pub shelf: OnceCell<Rc<Shelf>>,
        pub handler: RefCell<Option<(Tunnel, glib::SignalHandlerId)>>,
        /// What is on the clipboard was offered already.
        pub is_offered: Cell<bool>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Window {
        const NAME: &'static str = "LonewireWindow";
        type Type = super::Window;
        type ParentType = adw::ApplicationWindow;

        fn class_init(class: &mut Self::Class) {
            Notice::ensure_type();
            Split::ensure_type();
            Sidebar::ensure_type();
            Status::ensure_type();
            TunnelPage::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Window {}
    impl WidgetImpl for Window {}

    impl WindowImpl for Window {
        fn close_request(&self) -> glib::Propagation {
            let window = self.obj();
            window.save_size();
            let has_apps = window
                .model()
                .is_some_and(|model| model.apps().n_items() > 0);
            if let Some(application) = window.application().filter(|_| has_apps) {
                notify::apps_stay(application.upcast_ref());
            }
            self.parent_close_request()
        }
    }

    impl ApplicationWindowImpl for Window {}
    impl AdwApplicationWindowImpl for Window {}
}

glib::wrapper! {
    pub struct Window(ObjectSubclass<imp::Window>)
        @extends adw::ApplicationWindow, gtk::ApplicationWindow, gtk::Window, gtk::Widget,
        @implements gio::ActionGroup, gio::ActionMap, gtk::Buildable,
            gtk::ConstraintTarget, gtk::Native, gtk::Root, gtk::ShortcutManager;
}

impl Window {
    pub fn new(application: &Application, helper: &Helper) -> Self {
        let window: Self = glib::Object::builder()
            .property("application", application)
            .build();
        let imp = window.imp();
        let _ = imp.helper.set(helper.clone());
        window.restore_size();
        window.add_own_actions();
        window.add_tunnel_actions();
        window.add_app_actions();
        window.add_all_actions();
        window.add_list_actions();
        window.add_look_actions();
        window.add_preferences_actions();
        window.add_run_actions();
        window.add_import_actions();
        window.add_edit_actions();
        window.receive();
        window.fill(helper.model());
        imp.page.offer(&window);
        a11y::follow_toasts(&imp.toasts);
        window
    }

    pub fn helper(&self) -> Option<&Helper> {
        self.imp().helper.get()
    }

    pub fn model(&self) -> Option<&Model> {
        self.helper().map(Helper::model)
    }

    /// The tunnel that is selected: what actions without a target are about.
    pub fn tunnel(&self) -> Option<Tunnel> {
        self.imp().sidebar.selected()
    }

    fn fill(&self, model: &Model) {
        let imp = self.imp();
        imp.sidebar.set_model(model, self.shelf());
        if let Some(menu) = imp.tunnel_button.menu_model() {
            imp.sidebar.set_menu(&menu);
        }
        imp.page.set_model(model);
        imp.sidebar.connect_selected(glib::clone!(
            #[weak(rename_to = window)]
            self,
            move |_| window.selected()
        ));
        imp.sidebar.connect_opened(glib::clone!(
            #[weak(rename_to = window)]
            self,
            move |_| window.imp().split.show_page()
        ));
        imp.split.connect_folded_notify(glib::clone!(
            #[weak(rename_to = window)]
            self,
            move |_| window.folded()
        ));
        model.connect_service_notify(glib::clone!(
            #[weak(rename_to = window)]
            self,
            move |_| window.show_service()
        ));
        model.tunnels().connect_items_changed(glib::clone!(
            #[weak(rename_to = window)]
            self,
            move |_, _, _, _| window.show_service()
        ));
        self.folded();
        self.selected();
        self.show_service();
    }

    fn folded(&self) {
        let folded = self.imp().split.folded();
        self.imp().back.set_visible(folded);
        self.imp().sidebar_header.set_show_end_title_buttons(folded);
    }

    /// Tunnels, where the service tells of some; else the page that says how it stands.
    fn show_service(&self) {
        let imp = self.imp();
        let Some(model) = self.model() else { return };
        let service = model.service();
        let has_tunnels = model.tunnels().n_items() > 0;
        imp.status_add.set_visible(service == ServiceState::Ready);
        // Nothing is known yet: a window without content, which can be closed.
        imp.status.set_visible(service != ServiceState::Loading);
        let name = match service {
            ServiceState::Ready if has_tunnels => "tunnels",
            _ => "status",
        };
        if name == "status" {
            imp.status.tell(service, service_command(service).as_ref());
        }
        imp.stack.set_visible_child_name(name);
        self.enable();
    }

    fn selected(&self) {
        let imp = self.imp();
        let tunnel = self.tunnel();
        if let Some((before, handler)) = imp.handler.take() {
            before.disconnect(handler);
        }
        if let Some(tunnel) = &tunnel {
            let handler = tunnel.connect_changed(glib::clone!(
                #[weak(rename_to = window)]
                self,
                move |tunnel| window.show_title(tunnel)
            ));
            imp.handler.replace(Some((tunnel.clone(), handler)));
            self.show_title(tunnel);
        }
        imp.page.set_tunnel(tunnel.as_ref());
        self.show_favourite();
        self.enable();
    }

    fn show_title(&self, tunnel: &Tunnel) {
        let imp = self.imp();
        imp.page_title.set_title(&tunnel.title());
        imp.page_title.set_subtitle(&tunnel.status());
        let info = tunnel.info();
        if matches!(info.state, TunnelState::Blocked | TunnelState::Failed) {
            let advice = reason::advice(info.reason.as_deref());
            let is_error = info.state == TunnelState::Failed;
            imp.notice.tell(&advice.what, &advice.to_do, is_error);
        } else {
            imp.notice.hide();
        }
    }

    /// Actions about a tunnel are there while one can be acted on.
    fn enable(&self) {
        let ready = self
            .model()
            .is_some_and(|model| model.service() == ServiceState::Ready);
        let set = |names: &[&str], enabled| {
            for name in names {
                if let Some(action) = self.lookup_action(name).and_downcast::<gio::SimpleAction>() {
                    action.set_enabled(enabled);
                }
            }
        };
        let has_tunnel = ready && self.tunnel().is_some();
        set(tunnel::ACTIONS, has_tunnel);
        set(edit::ACTIONS, has_tunnel);
        set(look::ACTIONS, has_tunnel);
        set(list::ACTIONS, has_tunnel);
        set(import::ACTIONS, ready);
    }

    fn add_own_actions(&self) {
        self.add_action_entries([
            action::plain("back", |window| window.imp().split.show_sidebar()),
            action::plain("primary-menu", |window| {
                let imp = window.imp();
                let button = if imp.menu.is_mapped() {
                    &imp.menu
                } else {
                    &imp.status_menu
                };
                button.popup();
            }),
            action::plain("look-again", |window| {
                if let Some(helper) = window.helper() {
                    helper.look_again();
                }
            }),
            action::plain("copy-command", |window| {
                let service = window.model().map(Model::service).unwrap_or_default();
                if let Some(command) = service_command(service) {
                    window.clipboard().set_text(&command.line);
                    window.toast(&gettextrs::gettext("Command copied"));
                }
            }),
        ]);
    }

    /// Shows the page of a tunnel, once it is told of.
    pub fn lead_to(&self, id: &str) {
        self.with_tunnel(id, |_, _| {});
    }

    /// Shows a tunnel and asks for it to be connected, again.
    pub fn retry(&self, id: &str) {
        self.with_tunnel(id, |window, tunnel| {
            if let Some(helper) = window.helper().cloned() {
                let tunnel = tunnel.clone();
                window.attempt(async move { helper.turn_on(&tunnel).await });
            }
        });
    }

    /// Waits until tunnels are told of, shows one by its id or, as launchers may name it, by its name, and does something with it. Without
    /// a name it is the default tunnel.
    fn with_tunnel(&self, wanted: &str, then: impl FnOnce(&Self, &Tunnel) + 'static) {
        let Some(model) = self.model().cloned() else {
            return;
        };
        let (window, wanted) = (self.clone(), wanted.to_owned());
        glib::spawn_future_local(async move {
            let changes = Changes::new(&model, |model, changed| {
                model.connect_service_notify(move |_| changed())
            });
            let ready = || (model.service() == ServiceState::Ready).then_some(());
            changes.until(ready).await;
            let wanted = match &*wanted {
                "" => preferences::default_tunnel().unwrap_or_default(),
                _ => wanted,
            };
            let named = || {
                let mut tunnels = model.tunnels().iter::<Tunnel>().filter_map(|one| one.ok());
                tunnels.find(|tunnel| tunnel.title() == wanted)
            };
            let Some(tunnel) = model.tunnel(&wanted).or_else(named) else {
                return;
            };
            if window.imp().sidebar.select(&tunnel.id()) {
                window.imp().split.show_page();
            }
            then(&window, &tunnel);
        });
    }

    /// Shows a tunnel and runs an installed app in it, again.
    pub fn run_again(&self, tunnel: &str, app: &str) {
        let app = app.to_owned();
        self.with_tunnel(tunnel, move |window, tunnel| {
            window.run_soon(tunnel, Program::Installed(app));
        });
    }

    /// Does something for the person, and tells them if it fails.
    pub fn attempt(&self, work: impl Future<Output = Result<()>> + 'static) {
        let window = self.clone();
        glib::spawn_future_local(async move {
            if let Err(error) = work.await {
                window.show_error(&error);
            }
        });
    }

    /// The one place where a failure reaches the person.
    pub fn show_error(&self, error: &Error) {
        let Error::Message(message) = error else {
            return;
        };
        let toast = adw::Toast::builder()
            .title(glib::markup_escape_text(&message.title))
            .timeout(TOAST)
            .priority(adw::ToastPriority::High)
            .build();
        if !message.body.is_empty() {
            toast.set_button_label(Some(&gettextrs::gettext("_Details")));
            let message = message.clone();
            toast.connect_button_clicked(glib::clone!(
                #[weak(rename_to = window)]
                self,
                move |_| window.show_details(&message)
            ));
        }
        self.imp().toasts.add_toast(toast);
    }

    fn show_details(&self, message: &Message) {
        let code = crate::present::fill(
            &gettextrs::gettext("Code: {code}"),
            &[("code", &message.code)],
        );
        message::tell(self, &message.title, &format!("{}\n\n{code}", message.body));
    }

    /// A short word that something was done.
    pub fn toast(&self, text: &str) {
        let toast = adw::Toast::new(&glib::markup_escape_text(text));
        self.imp().toasts.add_toast(toast);
    }
}

/// The command that helps here.
fn service_command(state: ServiceState) -> Option<service::Command> {
    let is_installed = UNITS.iter().any(|unit| Path::new(unit).exists());
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    service::command(state, is_installed, &os_release)
}

/// Where packages put the service's unit.
const UNITS: [&str; 3] = [
    "/usr/lib/systemd/system/lonewire-helper.service",
    "/lib/systemd/system/lonewire-helper.service",
    "/etc/systemd/system/lonewire-helper.service",
];

/// Seconds that a failure is shown: time to read it and to reach for its button.
const TOAST: u32 = 10;
