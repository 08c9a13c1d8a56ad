//! The engine owns every tunnel and app. It decides by `core`, acts by `ports`, and undoes in reverse what it could not finish.
//! It never authorises: a [`crate::auth::Grant`] is taken by value by whatever changes something.

mod adopt;
mod apps;
mod check;
mod connect;
mod disconnect;
mod environment;
pub mod error;
pub mod handle;
mod health;
mod launch;
mod look;
mod network;
mod prepare;
mod quota;
mod show;
mod start;
mod state;
mod steps;
mod switch;
#[cfg(test)]
mod tests;
mod tunnels;
pub mod view;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

pub use error::Error;
use handle::{Command, Shared};
pub use handle::{Commands, Handle};
use lonewire_core::{name::Id, secret::PublicKey, state::State};
use state::{App, Left, Standing, Tunnel};
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::spawn_local,
};
use view::{Event, Quotas};

use crate::{
    auth::{Kind, Owner},
    points,
    ports::{Backend, LogEntry, PortResult, Ports, Start},
};

/// A line for a tunnel's history.
type Note = (u32, Id, LogEntry);

/// What has happened to the host's network so far, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Network {
    /// Of links, addresses, routes, and whether a login is wanted.
    changes: u64,
    /// How often the machine has slept.
    resumes: u64,
}

struct Engine<P: Ports> {
    ports: P,
    shared: Arc<Shared>,
    quotas: Quotas,
    boot: String,
    tunnels: RefCell<BTreeMap<Id, Rc<Tunnel<P>>>>,
    apps: RefCell<BTreeMap<Id, Rc<App<P>>>>,
    /// Namespaces kept for their apps.
    left: RefCell<Vec<Left>>,
    /// Public keys that are up or coming up: of which tunnel, of which user.
    keys: RefCell<HashMap<PublicKey, (Id, u32)>>,
    /// Held while the list of saved tunnels changes: labels stay unique and quotas are kept.
    catalogue: Mutex<()>,
    /// Launches begun and not yet in `apps`, by user.
    launching: RefCell<HashMap<u32, u32>>,
    warden: RefCell<quota::Rate>,
    /// A warden that one of these launches will need.
    ahead: RefCell<Option<P::Ahead>>,
    launches: RefCell<quota::Launches>,
    journal: mpsc::UnboundedSender<Note>,
    /// Counts what happens to the host's network.
    network: watch::Sender<Network>,
    /// The network wants a login before it carries anything.
    portal: Cell<bool>,
    /// The kernel has said that it has no WireGuard: it is not asked again.
    no_kernel: Cell<bool>,
    /// Users that are there, and since when; see [`lonewire_core::tunnel::Starts`].
    logins: RefCell<BTreeMap<u32, u64>>,
    /// What starts at boot has been tried.
    is_started: Cell<bool>,
    /// How many groups of tunnels are coming up by themselves.
    rising: Cell<u32>,
}

/// The engine: loads, adopts what runs, then answers its handles until all of them are dropped.
///
/// Its future is not `Send`: run it on a thread with a tokio current-thread runtime, inside a [`tokio::task::LocalSet`] (it spawns
/// local tasks): `LocalSet::new().run_until(engine::run(ports, commands))`, or `spawn_local` beside the bus on the same set.
///
/// # Errors
/// What is saved could not be loaded.
pub async fn run<P: Ports>(ports: P, mut commands: Commands) -> Result<(), Error> {
    let engine = Engine::load(ports, commands.shared.clone()).await?;
    engine.adopt().await?;
    engine.start_at_boot().await;
    spawn_local(engine.clone().watch_uplink());
    // One task a command: a panic in it is told to its caller alone, who finds the reply dropped.
    while let Some(command) = commands.receiver.recv().await {
        let what = command.name();
        spawn_local(points::during(what, engine.clone().answer(command)));
    }
    Ok(())
}

impl<P: Ports> Engine<P> {
    async fn load(ports: P, shared: Arc<Shared>) -> PortResult<Rc<Self>> {
        let admin_file = ports.admin_config().await?;
        let quotas = quota::from_admin_file(&admin_file).unwrap_or_else(|error| {
            // The span says where; the text of the file is not a secret, but not the log's either.
            tracing::warn!(span = ?error.span(), "the admin file has no valid [quotas]: defaults are used");
            Quotas::default()
        });
        let mut features = Vec::new();
        for (backend, word) in [
            (Backend::Kernel, "kernel-wireguard"),
            (Backend::Userspace, "userspace-wireguard"),
        ] {
            if ports.works(backend).await {
                features.push(word);
            }
        }
        let no_kernel = Cell::new(!features.contains(&"kernel-wireguard"));
        // Set once: this is the only engine of these handles.
        let _ = shared.quotas.set(quotas);
        let _ = shared.features.set(features);
        let boot = ports.boot_id().await?;
        let (journal, notes) = mpsc::unbounded_channel();
        let engine = Rc::new(Self {
            ports,
            shared,
            quotas,
            boot,
            tunnels: RefCell::default(),
            apps: RefCell::default(),
            left: RefCell::default(),
            keys: RefCell::default(),
            catalogue: Mutex::new(()),
            launching: RefCell::default(),
            warden: RefCell::new(quota::Rate::new(quotas.warden_requests_per_second)),
            ahead: RefCell::default(),
            launches: RefCell::default(),
            journal,
            network: watch::Sender::default(),
            portal: Cell::new(false),
            no_kernel,
            logins: RefCell::default(),
            is_started: Cell::new(false),
            rising: Cell::new(0),
        });
        spawn_local(Self::keep_journal(Rc::downgrade(&engine), notes));
        Ok(engine)
    }

    async fn answer(self: Rc<Self>, command: Command) {
        // A caller that has gone away is no error: what it asked for is done all the same.
        match command {
            Command::Ready(to) => drop(to.send(())),
            Command::Import(grant, list, to) => drop(to.send(self.import(grant, list).await)),
            Command::Create(grant, name, to) => drop(to.send(self.create(grant, &name).await)),
            Command::List(grant, to) => drop(to.send(Ok(self.list(&grant)))),
            Command::Show(grant, id, to) => drop(to.send(self.show(&grant, &id).await)),
            Command::Rename(grant, id, name, to) => {
                drop(to.send(self.rename(grant, &id, &name).await));
            }
            Command::Replace(grant, id, text, to) => {
                drop(to.send(self.replace(grant, &id, &text).await));
            }
            Command::Duplicate(grant, id, name, to) => {
                drop(to.send(self.duplicate(grant, &id, &name).await));
            }
            Command::Remove(grant, id, to) => drop(to.send(self.remove(grant, &id).await)),
            Command::SetOptions(grant, autostart, id, change, to) => {
                drop(to.send(self.set_options(grant, autostart, &id, change).await));
            }
            Command::Connect(grant, id, wait, to) => {
                drop(to.send(self.connect(grant, &id, wait).await));
            }
            Command::Switch(grant, id, other, wait, to) => {
                drop(to.send(self.switch(grant, &id, &other, wait).await));
            }
            Command::Disconnect(grant, id, force, to) => {
                drop(to.send(self.disconnect(grant, &id, force).await));
            }
            Command::Check(grant, id, wish, to) => {
                drop(to.send(self.check(&grant, &id, &wish).await));
            }
            Command::Log(grant, id, since, to) => {
                drop(to.send(self.read_log(&grant, &id, since).await));
            }
            Command::Launch(grant, id, wish, to) => {
                drop(to.send(self.launch(grant, &id, *wish).await));
            }
            Command::Apps(grant, to) => drop(to.send(Ok(self.list_apps(&grant)))),
            Command::App(grant, id, to) => drop(to.send(self.show_app(&grant, &id).await)),
            Command::Signal(grant, id, signal, to) => {
                drop(to.send(self.signal(grant, &id, signal).await));
            }
            Command::Stop(grant, id, force, to) => {
                drop(to.send(self.stop(grant, &id, force).await));
            }
            Command::Resumed(to) => {
                self.network.send_modify(|network| network.resumes += 1);
                let _ = to.send(());
            }
            Command::Portal(is_there, to) => {
                self.portal.set(is_there);
                self.network.send_modify(|network| network.changes += 1);
                let _ = to.send(());
            }
            Command::Logins(now, to) => {
                self.see_logins(&now);
                let _ = to.send(());
            }
            Command::Connected(to) => drop(to.send(self.connected())),
            Command::StartsAtBoot(id, to) => {
                let tunnel = self.tunnels.borrow().get(&id).cloned();
                let start = tunnel.and_then(|tunnel| tunnel.start());
                let _ = to.send(start == Some(Start::Boot));
            }
            Command::Owner(kind, id, to) => drop(to.send(self.owner(kind, &id))),
            Command::Label(id, to) => {
                let label = self
                    .tunnels
                    .borrow()
                    .get(&id)
                    .map(|tunnel| tunnel.kept().head.name.to_string());
                drop(to.send(label));
            }
        }
    }

    fn owner(&self, kind: Kind, id: &Id) -> Option<Owner> {
        let uid = match kind {
            Kind::Tunnel => self.tunnels.borrow().get(id).map(|tunnel| tunnel.uid),
            Kind::App => self.apps.borrow().get(id).map(|app| app.uid),
        };
        uid.map(Owner::User)
    }

    /// The user's own tunnel of that id.
    fn find(&self, uid: u32, id: &Id) -> Result<Rc<Tunnel<P>>, Error> {
        let tunnel = self.tunnels.borrow().get(id).cloned();
        tunnel
            .filter(|tunnel| tunnel.uid == uid)
            .ok_or(Error::NotFound)
    }

    fn connected(&self) -> u32 {
        let up = self
            .tunnels
            .borrow()
            .values()
            .filter(|tunnel| tunnel.up().is_some())
            .count();
        let running = self
            .apps
            .borrow()
            .values()
            .filter(|app| app.is_running())
            .count();
        count(up + running + self.left.borrow().len() + self.to_start())
    }

    /// The one road to another state: told to subscribers and to the history.
    fn set_state(&self, tunnel: &Tunnel<P>, state: State) {
        let before = *tunnel.standing.borrow();
        if before.state == state {
            return;
        }
        let since = self.ports.now();
        tracing::info!(tunnel = %tunnel.id, ?state, "state");
        tunnel.standing.send_replace(Standing { state, since });
        let reason = state.reason().map_or("", |reason| reason.code()).to_owned();
        let entry = LogEntry {
            time: since,
            state: show::number(state) as u32,
            reason,
        };
        // The journal ends with the engine.
        let _ = self.journal.send((tunnel.uid, tunnel.id.clone(), entry));
        self.tell_tunnel(tunnel);
    }

    fn tell_tunnel(&self, tunnel: &Tunnel<P>) {
        let info = self.info(tunnel);
        self.tell(Event::TunnelChanged(
            Owner::User(tunnel.uid),
            tunnel.id.clone(),
            info,
        ));
    }

    /// To subscribers; that there are none is no error.
    fn tell(&self, event: Event) {
        let _ = self.shared.events.send(event);
    }

    /// Writes histories in the order of what happened, off the road of what happens.
    async fn keep_journal(engine: std::rc::Weak<Self>, mut notes: mpsc::UnboundedReceiver<Note>) {
        while let Some((uid, id, entry)) = notes.recv().await {
            let Some(engine) = engine.upgrade() else {
                return;
            };
            // A tunnel removed meanwhile has no history.
            if engine.tunnels.borrow().contains_key(&id)
                && let Err(error) = engine.ports.log(uid, &id, entry).await
            {
                tracing::warn!(%error, "history not written");
            }
        }
    }

    /// Tells all tunnels of changes of the host's uplink; several at once are one.
    async fn watch_uplink(self: Rc<Self>) {
        loop {
            match self.ports.uplink_changed().await {
                Ok(()) => {
                    // Addresses, links and routes change together.
                    self.ports.sleep(Duration::from_millis(100)).await;
                    self.network.send_modify(|network| network.changes += 1);
                }
                Err(error) => {
                    tracing::warn!(%error, "the uplink cannot be watched");
                    self.ports.sleep(Duration::from_secs(10)).await;
                }
            }
        }
    }

    /// Waits for a user's turn at what makes work for the warden: launching, connecting, checking. One user's do not crowd out all others'.
    async fn turn_of(&self, uid: u32) -> Result<(), Error> {
        let limit = self.quotas.launches_per_second;
        let wait = self
            .launches
            .borrow_mut()
            .take(uid, limit, self.ports.uptime());
        let wait = wait.ok_or(Error::LimitsExceeded {
            what: "launches a second",
            limit,
        })?;
        self.pause(wait).await;
        Ok(())
    }

    /// Waits for a turn at the warden.
    async fn turn_at_warden(&self) -> Result<(), Error> {
        let wait = self
            .warden
            .borrow_mut()
            .take(self.ports.uptime(), quota::PATIENCE);
        let limit = self.quotas.warden_requests_per_second;
        let wait = wait.ok_or(Error::LimitsExceeded {
            what: "requests a second",
            limit,
        })?;
        self.pause(wait).await;
        Ok(())
    }

    /// As [`Self::turn_at_warden`] for what takes things away: it waits, but is never refused.
    async fn turn_to_remove(&self) {
        let wait = self
            .warden
            .borrow_mut()
            .take(self.ports.uptime(), Duration::MAX);
        self.pause(wait.unwrap_or_default()).await;
    }

    async fn pause(&self, time: Duration) {
        if !time.is_zero() {
            self.ports.sleep(time).await;
        }
    }

    fn new_id(&self) -> PortResult<Id> {
        self.ports.random().map(Id::from_random)
    }
}

/// A count for the API.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
