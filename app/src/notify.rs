//! Desktop notifications: of what somebody who looks elsewhere has to know, and of nothing else. Never of a connect that went well.

use std::{cell::RefCell, collections::HashMap, fs, rc::Rc, time::Duration};

use gettextrs::gettext;
use gtk::{gio, glib, prelude::*};
use lonewire_api::TunnelState;
use lonewire_client::settings::Settings;

use crate::{
    model::{Model, Tunnel},
    places,
    present::{fill, notice, reason},
};

/// What was last known of a tunnel.
#[derive(Debug, Clone, Copy)]
struct Known {
    state: TunnelState,
    /// That it is blocked is told, or about to be.
    told: bool,
    /// Counts its outages.
    outage: u32,
}

/// By id.
type States = Rc<RefCell<HashMap<String, Known>>>;

/// An outage that is over sooner is nobody's concern.
const LEAST: Duration = Duration::from_secs(1);

/// Tells of tunnels that are blocked, for as long as the application runs.
pub fn follow(application: &impl IsA<gio::Application>, model: &Model) {
    let application = application.clone().upcast::<gio::Application>();
    let states = States::default();
    let model = model.clone();
    let begin = {
        let model = model.downgrade();
        move |list: &gio::ListStore| {
            let Some(model) = model.upgrade() else { return };
            let gone = |id: &String| model.tunnel(id).is_none();
            states.borrow_mut().retain(|id, _| {
                if gone(id) {
                    application.withdraw_notification(&blocked_id(id));
                }
                !gone(id)
            });
            for tunnel in list.iter::<Tunnel>().filter_map(Result::ok) {
                let id = tunnel.id();
                if states.borrow().contains_key(&id) {
                    continue;
                }
                let known = Known {
                    state: tunnel.state(),
                    told: false,
                    outage: 0,
                };
                states.borrow_mut().insert(id, known);
                let (application, states) = (application.downgrade(), states.clone());
                tunnel.connect_changed(move |tunnel| {
                    if let Some(application) = application.upgrade() {
                        changed(&application, tunnel, &states);
                    }
                });
            }
        }
    };
    begin(model.tunnels());
    model
        .tunnels()
        .connect_items_changed(move |list, _, _, _| begin(list));
}

/// One a tunnel: the next replaces it.
fn blocked_id(tunnel: &str) -> String {
    format!("blocked-{tunnel}")
}

fn changed(application: &gio::Application, tunnel: &Tunnel, states: &States) {
    let (info, id) = (tunnel.info(), tunnel.id());
    let mut known = states.borrow_mut();
    let Some(known) = known.get_mut(&id) else {
        return;
    };
    let before = std::mem::replace(&mut known.state, info.state);
    match notice::of_change(before, &info) {
        notice::Change::Nothing => {}
        notice::Change::Over => {
            known.told = false;
            application.withdraw_notification(&blocked_id(&id));
        }
        // It goes on trying: an outage is told once.
        notice::Change::Blocked if known.told => {}
        notice::Change::Blocked => {
            known.told = true;
            known.outage = known.outage.wrapping_add(1);
            let outage = known.outage;
            let (application, tunnel, states) =
                (application.clone(), tunnel.clone(), states.clone());
            glib::spawn_future_local(async move {
                glib::timeout_future(LEAST).await;
                let wanted = gio::spawn_blocking(|| {
                    Settings::load().map_or(true, |settings| settings.notify_blocked())
                });
                let wanted = wanted.await.unwrap_or(true);
                let goes_on = |known: &Known| known.told && known.outage == outage;
                if wanted && states.borrow().get(&id).is_some_and(goes_on) {
                    blocked(&application, &tunnel);
                }
            });
        }
    }
}

fn blocked(application: &gio::Application, tunnel: &Tunnel) {
    let info = tunnel.info();
    let advice = reason::advice(info.reason.as_deref());
    let notification = about(
        tunnel,
        &fill(&gettext("“{name}” is blocked"), &[("name", &info.name)]),
        &format!("{} {}", advice.what, notice::meaning(info.apps)),
    );
    notification.set_priority(gio::NotificationPriority::High);
    notification.add_button_with_target_value(
        &gettext("Try Again"),
        "app.retry",
        Some(&tunnel.id().to_variant()),
    );
    application.send_notification(Some(&blocked_id(&tunnel.id())), &notification);
}

/// A notification that leads to a tunnel.
fn about(tunnel: &Tunnel, title: &str, body: &str) -> gio::Notification {
    let notification = gio::Notification::new(title);
    notification.set_body(Some(body));
    notification
        .set_default_action_and_target_value("app.show-tunnel", Some(&tunnel.id().to_variant()));
    notification
}

/// An app is not where it should be.
pub fn opened_outside(application: &gio::Application, tunnel: &Tunnel, title: &str, body: &str) {
    let notification = about(tunnel, title, body);
    notification.set_priority(gio::NotificationPriority::High);
    application.send_notification(Some(&format!("outside-{}", tunnel.id())), &notification);
}

/// A tunnel is not sealed: what is in it may be seen, or see, more than it should.
pub fn leak_found(application: &gio::Application, tunnel: &Tunnel, title: &str, body: &str) {
    let notification = about(tunnel, title, body);
    notification.set_priority(gio::NotificationPriority::Urgent);
    application.send_notification(Some(&format!("leak-{}", tunnel.id())), &notification);
}

/// An app that was not started: the tunnel's id or name, the app's id, a title and a body.
pub type Launch = (String, String, String, String);

/// An app was not started, and who wanted it looks elsewhere.
pub fn launch_failed(application: &gio::Application, (tunnel, app, title, body): &Launch) {
    let notification = gio::Notification::new(title);
    notification.set_body(Some(body));
    notification.set_default_action_and_target_value("app.show-tunnel", Some(&tunnel.to_variant()));
    notification.add_button_with_target_value(
        &gettext("Try Again"),
        "app.run-again",
        Some(&(tunnel, app).to_variant()),
    );
    application.send_notification(Some(&format!("launch-{tunnel}-{app}")), &notification);
}

/// The window is closed and apps go on: this is told once in a life.
pub fn apps_stay(application: &gio::Application) {
    let told = places::state().join("told-apps-stay");
    if told.exists() {
        return;
    }
    if let Some(folder) = told.parent() {
        let _ = fs::create_dir_all(folder);
    }
    // One that can not be noted would be told for ever.
    if fs::write(&told, "").is_err() {
        return;
    }
    let notification = gio::Notification::new(&gettext("Apps stay protected"));
    notification.set_body(Some(&gettext(
        "Apps that run in tunnels go on, and have no other network, while the window is closed.",
    )));
    application.send_notification(Some("apps-stay"), &notification);
}
