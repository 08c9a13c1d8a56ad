//! The only place that speaks D-Bus with the helper: keeps the model what the helper tells, and carries out what the window asks for.
//! It never shows anything, and nothing in it waits without a deadline but for a person at a password prompt.

mod calls;
mod configs;
mod detail;
mod inspect;
mod start;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    time::Duration,
};

use gtk::glib;
use lonewire_api::{ApiError, AppInfo, Client, Code, Event, Events};

pub use configs::Named;

use crate::{
    model::{Model, Tunnel},
    present::service::{self, ServiceState},
};

/// A service that takes longer for a plain question does not answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Time between two looks at a service that does not answer, or at a bus that is not there.
const AGAIN: Duration = Duration::from_secs(2);
/// A service that is started again is back within this: nobody needs to hear of it.
const RESTART: Duration = Duration::from_millis(1500);

/// The helper, as the window has it. Cheap to clone.
#[derive(Clone)]
pub struct Helper(Rc<Inner>);

struct Inner {
    model: Model,
    client: RefCell<Option<Client>>,
    /// Events that came while a list was on its way: they are taken in after it, whichever came first.
    waiting: RefCell<Option<Vec<Event>>>,
    /// Somebody is looking whether it answers.
    probing: Cell<bool>,
    /// What the page shows is followed.
    keeping: Cell<bool>,
    /// Counts the lists, so that an older one does not end what a newer one began.
    round: Cell<u32>,
}

/// A call got no answer in time.
fn late() -> ApiError {
    zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::TimedOut.into())).into()
}

/// With the deadline for plain questions.
async fn soon<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    glib::future_with_timeout(ANSWER, call)
        .await
        .unwrap_or_else(|_| Err(late()))
}

impl Helper {
    /// Begins to fill the model.
    pub fn new(model: &Model) -> Self {
        let helper = Self(Rc::new(Inner {
            model: model.clone(),
            client: RefCell::default(),
            waiting: RefCell::default(),
            probing: Cell::default(),
            keeping: Cell::default(),
            round: Cell::default(),
        }));
        helper.follow_shown();
        let following = helper.clone();
        glib::spawn_future_local(async move { following.follow().await });
        helper
    }

    pub fn model(&self) -> &Model {
        &self.0.model
    }

    /// Looks again, where the service was not there.
    pub fn look_again(&self) {
        let helper = self.clone();
        glib::spawn_future_local(async move { helper.list().await });
    }

    /// Keeps a connection to the bus for as long as the window lives.
    async fn follow(&self) {
        loop {
            if let Ok((client, mut events)) = connect().await {
                self.0.client.replace(Some(client));
                self.look_again();
                while let Some(event) = events.next().await {
                    self.take(event);
                }
                self.0.client.replace(None);
            }
            self.0.model.set_service(ServiceState::NoBus);
            glib::timeout_future(AGAIN).await;
        }
    }

    fn client(&self) -> Result<Client, ApiError> {
        let client = self.0.client.borrow().clone();
        client.ok_or_else(|| {
            zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::NotConnected.into()))
                .into()
        })
    }

    /// Subscribes and lists.
    async fn list(&self) {
        let round = self.0.round.get().wrapping_add(1);
        self.0.round.set(round);
        self.0.waiting.borrow_mut().get_or_insert_default();
        let listed = soon(self.ask_for_all()).await;
        if self.0.round.get() != round {
            return;
        }
        let state = match listed {
            Ok(state) => state,
            Err(error) => of_error(&error),
        };
        let waiting = self.0.waiting.take().unwrap_or_default();
        for event in waiting {
            self.take(event);
        }
        self.0.model.set_service(state);
        if state == ServiceState::NotAnswering {
            self.probe();
        }
    }

    async fn ask_for_all(&self) -> Result<ServiceState, ApiError> {
        let client = self.client()?;
        let version = client.version().await?;
        self.0.model.set_version(&version);
        if !service::is_enough(&version) {
            return Ok(ServiceState::TooOld);
        }
        client.subscribe().await?;
        let tunnels = client.tunnels().await?;
        let apps = client.apps().await?;
        self.0.model.set_tunnels(tunnels);
        self.0.model.set_apps(apps);
        Ok(ServiceState::Ready)
    }

    fn take(&self, event: Event) {
        match event {
            Event::ServiceAppeared => return self.look_again(),
            Event::ServiceVanished => return self.vanished(),
            _ => {}
        }
        if let Some(waiting) = self.0.waiting.borrow_mut().as_mut() {
            waiting.push(event);
            return;
        }
        let model = &self.0.model;
        match event {
            Event::TunnelAdded(id, info) => model.add_tunnel(&id, (&info).into()),
            Event::TunnelChanged(id, changes) => {
                if let Some(tunnel) = model.tunnel(&id) {
                    let place = |tunnel: &Tunnel| (tunnel.folded(), tunnel.state());
                    let before = place(&tunnel);
                    tunnel.apply(&changes);
                    if place(&tunnel) != before {
                        model.reorder();
                    }
                    self.detail_soon(&tunnel);
                }
            }
            Event::TunnelRemoved(id) => model.remove_tunnel(&id),
            Event::AppAdded(id, info) => {
                let info = AppInfo::from(&info);
                model.add_app(&id, info);
                self.count_processes(&id);
            }
            Event::AppChanged(id, changes) => {
                if let Some(app) = model.app(&id) {
                    app.apply(&changes);
                    if !app.is_alive() {
                        model.remove_app(&id);
                    }
                }
            }
            Event::AppRemoved(id) => model.remove_app(&id),
            Event::ServiceAppeared | Event::ServiceVanished => {}
        }
    }

    /// The service left. It may be on its way back.
    fn vanished(&self) {
        let round = self.0.round.get().wrapping_add(1);
        self.0.round.set(round);
        self.0.waiting.replace(None);
        let helper = self.clone();
        glib::spawn_future_local(async move {
            glib::timeout_future(RESTART).await;
            if helper.0.round.get() == round {
                helper.0.model.set_service(ServiceState::Missing);
            }
        });
    }

    /// Runs a call for a person, and tells on the way if the service does not answer at all. The call itself may take as long as somebody
    /// needs to type a password.
    async fn attended<T>(
        &self,
        call: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let helper = self.clone();
        let watch = glib::spawn_future_local(async move {
            loop {
                glib::timeout_future(ANSWER).await;
                helper.probe();
            }
        });
        let result = call.await;
        watch.abort();
        if let Err(error) = &result
            && matches!(error.code, Code::ServiceMissing | Code::NoAnswer)
        {
            self.probe();
        }
        result
    }

    /// Asks whether the service answers; where it does not, until it does.
    fn probe(&self) {
        if self.0.probing.replace(true) {
            return;
        }
        let helper = self.clone();
        glib::spawn_future_local(async move {
            let mut lost = helper.0.model.service() == ServiceState::NotAnswering;
            loop {
                let answer = match helper.client() {
                    Ok(client) => soon(client.version()).await.map(|_| ()),
                    Err(error) => Err(error),
                };
                match answer {
                    Err(error) if of_error(&error) == ServiceState::NotAnswering => {
                        lost = true;
                        helper.0.model.set_service(ServiceState::NotAnswering);
                        glib::timeout_future(AGAIN).await;
                    }
                    Err(error) => {
                        helper.0.model.set_service(of_error(&error));
                        break;
                    }
                    Ok(()) => {
                        if lost {
                            helper.look_again();
                        }
                        break;
                    }
                }
            }
            helper.0.probing.set(false);
        });
    }
}

async fn connect() -> Result<(Client, Events), ApiError> {
    soon(async {
        let client = lonewire_client::bus::client().await?;
        let events = client.events().await?;
        Ok((client, events))
    })
    .await
}

/// How it stands with a service that a plain question failed with.
fn of_error(error: &ApiError) -> ServiceState {
    match error.code {
        Code::BusMissing => ServiceState::NoBus,
        Code::NoAnswer => ServiceState::NotAnswering,
        // It is not an answer of the API: another program, or of another time.
        Code::Unexpected => ServiceState::TooOld,
        _ => ServiceState::Missing,
    }
}
