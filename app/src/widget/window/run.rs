//! Actions that run an app in a tunnel: the picker, the question where the app runs already, and what came of it. Their target is the
//! tunnel's id, with what to run behind it.

use std::{ffi::OsString, time::Duration};

use adw::prelude::*;
use gettextrs::gettext;
use gtk::{gio, glib};
use lonewire_client::launch::program;

use super::Window;
use crate::{
    apps::{self, Plan, Program},
    error::{Error, Result},
    model::{App, Tunnel},
    notify,
    present::{fill, launch},
    widget::{
        message::{self, Kind},
        picker::Picker,
    },
};

/// An app that ends within this did not open a window here.
const AT_ONCE: Duration = Duration::from_secs(5);

impl Window {
    pub(super) fn add_run_actions(&self) {
        let pair = <(String, String)>::static_variant_type();
        let entry = |name: &str, run: fn(&Self, &Tunnel, String)| {
            gio::ActionEntry::builder(name)
                .parameter_type(Some(&pair))
                .activate(move |window: &Self, _, target| {
                    let target = target.and_then(|target| target.get::<(String, String)>());
                    let Some((tunnel, what)) = target else { return };
                    if let Some(tunnel) = window.model().and_then(|model| model.tunnel(&tunnel)) {
                        run(window, &tunnel, what);
                    }
                })
                .build()
        };
        self.add_action_entries([
            gio::ActionEntry::builder("run-app")
                .activate(|window: &Self, _, _| {
                    if let Some(tunnel) = window.tunnel() {
                        Picker::new(window, &tunnel, window.inside(&tunnel)).present();
                    }
                })
                .build(),
            gio::ActionEntry::builder("cancel-start")
                .activate(|window: &Self, _, _| {
                    if let Some(tunnel) = window.tunnel() {
                        tunnel.cancel_starts();
                    }
                })
                .build(),
            entry("run-installed", |window, tunnel, id| {
                window.run_soon(tunnel, Program::Installed(id));
            }),
            entry("run-other", |window, tunnel, text| {
                window.ask_for_command(tunnel, &text);
            }),
        ]);
    }

    /// The first processes of the apps in a tunnel.
    fn inside(&self, tunnel: &Tunnel) -> Vec<u32> {
        let apps = self.model().map(|model| model.apps_of(&tunnel.id()));
        let apps = apps.unwrap_or_default();
        apps.iter().map(|app| app.info().pid).collect()
    }

    pub(super) fn run_soon(&self, tunnel: &Tunnel, program: Program) {
        let (window, tunnel) = (self.clone(), tunnel.clone());
        let id = match &program {
            Program::Installed(id) => Some(id.clone()),
            Program::Command(_) => None,
        };
        self.attempt(async move {
            let ran = window.run(&tunnel, program).await;
            if let (Err(error), Some(id)) = (&ran, id) {
                window.tell_elsewhere(&tunnel, &id, error);
            }
            ran
        });
    }

    /// An app that waited for its tunnel and was not started is told to somebody who looks elsewhere by now.
    fn tell_elsewhere(&self, tunnel: &Tunnel, app: &str, error: &Error) {
        let Error::Message(message) = error else {
            return;
        };
        // Any window of ours: a dialog may be in front.
        let is_seen = gtk::Window::list_toplevels()
            .iter()
            .filter_map(|window| window.downcast_ref::<gtk::Window>())
            .any(gtk::Window::is_active);
        if let Some(application) = self.application().filter(|_| !is_seen)
            && message.code != launch::HANDED_OVER
        {
            let failure = (
                tunnel.id(),
                app.to_owned(),
                message.title.clone(),
                message.body.clone(),
            );
            notify::launch_failed(application.upcast_ref(), &failure);
        }
    }

    async fn run(&self, tunnel: &Tunnel, program: Program) -> Result<()> {
        let planned = gio::spawn_blocking(move || apps::plan(program)).await;
        let plan = planned
            .map_err(|_| Error::UserCanceled)?
            .map_err(|problem| launch::not_planned(&problem, &tunnel.title()))?;
        let plan = self.make_safe(tunnel, plan).await?;
        let Some(helper) = self.helper().cloned() else {
            return Ok(());
        };
        let (context, info) = (
            WidgetExt::display(self).app_launch_context(),
            app_info(&plan),
        );
        let token = || {
            // GLib asks for an app.
            let id = info
                .as_ref()
                .and_then(|info| context.startup_notify_id(Some(info), &[]));
            id.map(String::from)
        };
        let started = plan.clone();
        let app = helper.start(tunnel, started, token).await?;
        if let Some(id) = &plan.id {
            apps::note(id);
        }
        self.watch(tunnel, plan, &app).await
    }

    /// Asks where the app runs already and a new start may be handed over to that instance.
    async fn make_safe(&self, tunnel: &Tunnel, mut plan: Plan) -> Result<Plan> {
        while plan.found.leads_out(&self.inside(tunnel)) {
            match &*self.ask_about_instance(tunnel, &plan).await {
                "separate" => {
                    plan.separate(&tunnel.id()).map_err(|error| {
                        Error::message(
                            gettext("Could not make a separate profile"),
                            lonewire_client::text::cause(error),
                            "System",
                        )
                    })?;
                    return Ok(plan);
                }
                "close-first" => {
                    self.ask_to_close(&plan).await?;
                    let looked = gio::spawn_blocking(move || {
                        plan.look_again();
                        plan
                    });
                    plan = looked.await.map_err(|_| Error::UserCanceled)?;
                }
                _ => return Err(Error::UserCanceled),
            }
        }
        Ok(plan)
    }

    async fn ask_about_instance(&self, tunnel: &Tunnel, plan: &Plan) -> String {
        let values = [("app", &*plan.name), ("tunnel", &tunnel.title())];
        let heading = fill(&gettext("{app} Is Already Running"), &values);
        let mut body = fill(
            &gettext(
                "It runs outside of “{tunnel}”, and a new window would open there, without the tunnel.",
            ),
            &values,
        );
        let mut answers = vec![
            ("cancel", gettext("_Cancel"), None),
            ("close-first", gettext("Close It _First"), None),
        ];
        if plan.has_profiles() {
            body = format!(
                "{body} {}",
                gettext(
                    "With a separate profile both can run at once: it has its own bookmarks, logins and settings."
                )
            );
            let separate = gettext("Use _Separate Profile");
            answers.push(("separate", separate, Some(Kind::Suggested)));
        }
        message::choose(self, &heading, &body, &answers).await
    }

    async fn ask_to_close(&self, plan: &Plan) -> Result<()> {
        let values = [("app", &*plan.name)];
        let answer = message::choose(
            self,
            &fill(&gettext("Close {app}"), &values),
            &fill(
                &gettext("Close all windows of {app}, then choose Try Again. Lonewire never closes apps outside of a tunnel."),
                &values,
            ),
            &[
                ("cancel", gettext("_Cancel"), None),
                ("again", gettext("_Try Again"), Some(Kind::Suggested)),
            ],
        )
        .await;
        if answer == "again" {
            Ok(())
        } else {
            Err(Error::UserCanceled)
        }
    }

    /// Tells where the app went if it is gone at once.
    async fn watch(&self, tunnel: &Tunnel, mut plan: Plan, app: &App) -> Result<()> {
        if glib::future_with_timeout(AT_ONCE, app.ended())
            .await
            .is_err()
        {
            return Ok(());
        }
        // Somebody stopped it here.
        if app.stopping() != crate::present::app::Stopping::No {
            return Ok(());
        }
        let inside = self.inside(tunnel);
        let looked = gio::spawn_blocking(move || {
            plan.look_again();
            plan
        });
        let plan = looked.await.map_err(|_| Error::UserCanceled)?;
        let info = app.info();
        let ending = launch::ending(&launch::Ended {
            code: info.exit_code,
            signal: info.exit_signal,
            installed: plan.id.is_some(),
            outside: plan.found.leads_out(&inside),
            inside: plan.found.leads_in(&inside),
            unknown: plan.found.incomplete,
        });
        let told = launch::told(&plan.name, &tunnel.title(), ending);
        if let (launch::Ending::Outside, Some(Error::Message(message)), Some(application)) =
            (ending, &told, self.application())
        {
            // The new window is in front of this one.
            notify::opened_outside(
                application.upcast_ref(),
                tunnel,
                &message.title,
                &message.body,
            );
        }
        told.map_or(Ok(()), Err)
    }

    fn ask_for_command(&self, tunnel: &Tunnel, text: &str) {
        let entry = adw::EntryRow::builder()
            .title(gettext("Command"))
            .text(text)
            .activates_default(true)
            .build();
        let list = gtk::ListBox::new();
        list.set_selection_mode(gtk::SelectionMode::None);
        list.add_css_class("boxed-list");
        list.append(&entry);
        let problem = gtk::Label::builder()
            .wrap(true)
            .xalign(0.0)
            .margin_top(6)
            .css_classes(["error", "caption"])
            .build();
        let content = gtk::Box::new(gtk::Orientation::Vertical, 0);
        content.append(&list);
        content.append(&problem);
        let (window, tunnel, typed) = (self.clone(), tunnel.clone(), entry.clone());
        let dialog = message::question(
            self,
            &gettext("Run Command"),
            &fill(
                &gettext("A program and its arguments, as in a terminal. It runs in “{tunnel}”."),
                &[("tunnel", &tunnel.title())],
            ),
            (&gettext("_Run"), Kind::Suggested),
            {
                let tunnel = tunnel.clone();
                move || {
                    if let Ok(argv) = words(&typed.text()) {
                        window.run_soon(&tunnel, Program::Command(argv));
                    }
                }
            },
        );
        let check = glib::clone!(
            #[weak]
            dialog,
            #[weak]
            problem,
            move |entry: &adw::EntryRow| {
                let text = entry.text();
                let found = words(&text);
                message::set_ready(&dialog, found.is_ok());
                let told = found.err().filter(|_| !text.trim().is_empty());
                problem.set_label(told.as_deref().unwrap_or_default());
                problem.set_visible(told.is_some());
            }
        );
        check(&entry);
        entry.connect_changed(check);
        dialog.set_extra_child(Some(&content));
        dialog.present();
        entry.grab_focus();
    }
}

/// The words of a command line whose program is there; else what is wrong with it, in a sentence.
fn words(text: &str) -> std::result::Result<Vec<OsString>, String> {
    let words = glib::shell_parse_argv(text).map_err(|_| gettext("The quotes do not match."))?;
    let first = words.first().map(OsString::as_os_str).unwrap_or_default();
    match program::find(first) {
        Ok(_) => Ok(words),
        Err(error) => Err(launch::program(&error)),
    }
}

/// What the session is told of a start.
fn app_info(plan: &Plan) -> Option<gio::AppInfo> {
    let id = plan.id.as_ref()?;
    let info = gio_unix::DesktopAppInfo::new(&format!("{id}.desktop"))?;
    Some(info.upcast())
}
