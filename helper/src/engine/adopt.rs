//! After a restart: what the records tell is found again under the same ids. What cannot be adopted is taken down: link first, so that
//! apps are offline, never exposed.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use lonewire_core::{
    name::Id,
    state::{Health, Sample, State, Totals},
    tunnel::{self, Phase, Run},
    wgconf::{self, Host},
};
use tokio::task::spawn_local;

use super::{
    Engine, Error, apps, connect, launch, prepare,
    state::{App, Kept, Left, Tunnel, Up},
    tunnels,
    view::AppState,
};
use crate::ports::{
    Backend, DataPlane, Device, Namespace, PeerStatus, PortError, PortResult, Ports, ProcessId,
    RecordKind, Saved, Start, Warden,
};

impl<P: Ports> Engine<P> {
    /// Loads what is saved and finds again what runs.
    pub(super) async fn adopt(self: &Rc<Self>) -> Result<(), Error> {
        for saved in self.ports.load().await? {
            let start = self.load_tunnel(&saved);
            if let Some(start) = start.filter(|start| *start != saved.start) {
                // Files that were put back, or power that was lost between file and note.
                if let Err(error) = self.ports.save(&Saved { start, ..saved }).await {
                    tracing::warn!(%error, "what starts the helper for a tunnel is not noted");
                }
            }
        }
        // Apps first: whether a namespace is still needed depends on them.
        let mut ended = Vec::new();
        for (id, text) in self.ports.read_records(RecordKind::App).await? {
            match tunnel::read_record::<tunnel::App>(&text) {
                Ok(record) if record.boot == self.boot => {
                    let ran = record.ended.is_none();
                    if let Some(app) = self.adopt_app(id, record).await
                        && ran
                        && !app.is_running()
                    {
                        ended.push(app);
                    }
                }
                _ => self.forget_files(&id).await,
            }
        }
        let mut known = HashSet::new();
        for (run, text) in self.ports.read_records(RecordKind::Tunnel).await? {
            match tunnel::read_record::<Run>(&text) {
                Ok(record) if record.boot == self.boot => {
                    known.insert(record.link.clone());
                    self.adopt_run(run, record).await;
                }
                // Of another boot, or torn: what it stood for is gone, or pinned without a record.
                _ => self.ports.remove_record(RecordKind::Tunnel, &run).await?,
            }
        }
        for link in self.ports.list().await? {
            if !known.contains(&link) {
                tracing::warn!(%link, "a namespace without a record is removed");
                let left = Left {
                    run: self.new_id()?,
                    link,
                };
                self.tear_down(left).await;
            }
        }
        let apps: Vec<_> = self.apps.borrow().values().cloned().collect();
        for app in apps {
            self.go_on(app);
        }
        for app in ended {
            self.after_last_app(&app).await;
        }
        Ok(())
    }

    /// When it is to start, as its options say; `None` where it cannot be read.
    fn load_tunnel(&self, saved: &Saved) -> Option<Option<Start>> {
        let kept = tunnel::read(&saved.content).ok().and_then(|(head, text)| {
            let parsed = wgconf::parse_new(text.as_bytes()).ok()?;
            tunnels::read_kept(head, parsed.config)
        });
        let Some(kept) = kept else {
            tracing::error!(tunnel = %saved.id, "a saved tunnel cannot be read");
            return None;
        };
        let start = kept.options().start;
        let tunnel = Tunnel::new(saved.id.clone(), saved.uid, kept, self.ports.now());
        self.tunnels
            .borrow_mut()
            .insert(saved.id.clone(), Rc::new(tunnel));
        Some(start)
    }

    async fn adopt_app(&self, id: Id, record: tunnel::App) -> Option<Rc<App<P>>> {
        let mut record = record;
        let mut keeper = None;
        if record.ended.is_none() {
            let process = record
                .keeper
                .map_or(ProcessId::UNKNOWN, |(pid, start)| ProcessId { pid, start });
            match Warden::adopt(&self.ports, &id, process).await {
                Ok(found) => keeper = Some(Rc::new(found)),
                Err(error) => {
                    tracing::info!(app = %id, %error, "has ended meanwhile");
                    let exit = self.ports.exit_record(&id).await.ok().flatten();
                    if record.keeper.is_none() && exit.is_none() {
                        // It was never seen to run: the launch was not answered either.
                        self.forget_files(&id).await;
                        return None;
                    }
                    record.ended = Some(self.ports.now());
                    record.exit = exit.map(lonewire_core::launch::Exit::to_record);
                    if let Err(error) = self.write_app(&id, &record).await {
                        tracing::warn!(%error, "the end of an app is not noted");
                    }
                }
            }
        }
        let app = Rc::new(App {
            id: id.clone(),
            uid: record.uid,
            link: record.link.clone(),
            info: RefCell::new(launch::info_from(&record)),
            exited: Cell::new(record.exit()),
            record: RefCell::new(record),
            keeper: RefCell::new(keeper),
        });
        self.apps.borrow_mut().insert(id, app.clone());
        Some(app)
    }

    /// Listens to an app that runs, or lets one be forgotten when its time has come.
    fn go_on(self: &Rc<Self>, app: Rc<App<P>>) {
        if app.info.borrow().state != AppState::Ended {
            spawn_local(self.clone().listen(app));
            return;
        }
        let ended = app.record.borrow().ended.unwrap_or(0);
        let age = Duration::from_millis(self.ports.now().saturating_sub(ended));
        let engine = self.clone();
        let wait = apps::KNOWN.saturating_sub(age);
        spawn_local(async move { engine.forget_later(&app, wait).await });
    }

    async fn adopt_run(self: &Rc<Self>, run: Id, record: Run) {
        let left = Left {
            run,
            link: record.link.clone(),
        };
        let tunnel = self.tunnels.borrow().get(&record.tunnel).cloned();
        let namespace = self.ports.open(&record.link).await;
        let is_same = |namespace: &Namespace| namespace.inode == record.inode;
        match (record.phase, namespace, tunnel) {
            (Phase::Up | Phase::Switching, Ok(namespace), Some(tunnel))
                if is_same(&namespace) && tunnel.uid == record.uid && tunnel.up().is_none() =>
            {
                match self
                    .adopt_up(&tunnel, left.run.clone(), record, namespace)
                    .await
                {
                    Ok(()) => tracing::info!(tunnel = %tunnel.id, link = %left.link, "adopted"),
                    Err(error) => {
                        tracing::warn!(tunnel = %tunnel.id, %error, "cannot be adopted");
                        self.tear_down(left).await;
                    }
                }
            }
            // It was being made or taken down, or is kept for its apps, or nobody's any more.
            _ => self.tear_down(left).await,
        }
    }

    async fn adopt_up(
        self: &Rc<Self>,
        tunnel: &Rc<Tunnel<P>>,
        run: Id,
        record: Run,
        namespace: Namespace,
    ) -> PortResult<()> {
        let mut record = record;
        let kept = self.kept_of(tunnel, &record)?;
        if record.phase == Phase::Switching {
            self.finish_switch(&run, &mut record, &namespace, &kept)
                .await?;
        }
        let backend = if record.userspace {
            Backend::Userspace
        } else {
            Backend::Kernel
        };
        let status = match self.ports.status(&namespace, &record.link, backend).await {
            Ok(status) => status,
            // The kernel's link is what holds keys and peers: without it there is nothing to adopt.
            Err(error) if backend == Backend::Kernel => return Err(error),
            // The data plane may have died; another is started on the same TUN.
            Err(_) => Vec::new(),
        };
        let is_as_saved = kept.head.revision == record.revision;
        // Addresses of names as they are in use, so that nothing waits for a resolver.
        let device = if is_as_saved {
            device_in_use(&kept, &status)
        } else {
            None
        };
        // One that was started just before the helper ended may never have been told keys and peers: another takes its place.
        let is_told = device.iter().flat_map(|device| &device.peers).all(|peer| {
            status
                .iter()
                .any(|known| known.public_key == peer.public_key)
        });
        let instance = match (backend, record.plane) {
            (Backend::Kernel, _) => None,
            (Backend::Userspace, _) if !is_told => None,
            (Backend::Userspace, plane) => {
                let process =
                    plane.map_or(ProcessId::UNKNOWN, |(pid, start)| ProcessId { pid, start });
                DataPlane::adopt(&self.ports, &record.link, process)
                    .await
                    .ok()
                    .map(Rc::new)
            }
        };
        // The last helper may have ended with a drop test or a change half done.
        let unsure = (backend == Backend::Kernel || instance.is_some())
            && self.check_seal(&namespace, &record).await.is_err();
        let (carriers, keepalives) = match &device {
            Some(device) => connect::carriers(device),
            None => status.iter().map(|peer| (peer.public_key, 0)).unzip(),
        };
        let mut counters = BTreeMap::new();
        for peer in &status {
            let mut totals = Totals::default();
            totals.add(peer.rx, peer.tx);
            counters.insert(peer.public_key, (totals, peer.clone()));
        }
        let sample = |key: &lonewire_core::secret::PublicKey| {
            status
                .iter()
                .find(|peer| peer.public_key == *key)
                .map_or_else(Sample::default, |peer| Sample {
                    handshake: peer.handshake,
                    rx: peer.rx,
                    tx: peer.tx,
                })
        };
        let samples: Vec<_> = carriers.iter().map(sample).collect();
        let (now, unix) = (self.ports.uptime(), self.ports.now());
        let health = Health::resume(now, &keepalives, &samples, unix);
        let state = health.state();
        let has_died = backend == Backend::Userspace && instance.is_none();
        let up = Rc::new(Up {
            run,
            record: record.into(),
            namespace,
            backend,
            kept: kept.clone(),
            device: device.into(),
            instance: instance.into(),
            carriers,
            health: health.into(),
            counters: counters.into(),
            task: None.into(),
            used: tokio::sync::Notify::new(),
            unsure: unsure.into(),
        });
        self.keys
            .borrow_mut()
            .insert(kept.public_key, (tunnel.id.clone(), tunnel.uid));
        *tunnel.up.borrow_mut() = Some(up.clone());
        self.set_state(tunnel, if has_died { State::Connecting } else { state });
        self.watch(tunnel, &up);
        Ok(())
    }

    /// The saved configuration that is up.
    fn kept_of(&self, tunnel: &Tunnel<P>, record: &Run) -> PortResult<Rc<Kept>> {
        let Some(of) = &record.of else {
            return Ok(tunnel.kept());
        };
        let tunnels = self.tunnels.borrow();
        let other = tunnels.get(of).filter(|other| other.uid == tunnel.uid);
        other.map(|other| other.kept()).ok_or(PortError::NotFound {
            what: "the configuration that it was switched to",
        })
    }

    /// Takes down what cannot be adopted; a namespace with apps in it stays, without link.
    async fn tear_down(self: &Rc<Self>, left: Left) {
        if !self.apps_in(&left.link).is_empty() {
            let undo = lonewire_core::plan::Undo::DeleteLink;
            if let Err(error) = self.undo(undo, &left.run, &left.link, None).await {
                tracing::error!(link = %left.link, %error, "apps may still be online by their tunnel");
            }
            self.left.borrow_mut().push(left);
        } else {
            self.remove_left(left).await;
        }
    }
}

/// The configuration with the endpoints in use; a name whose address is not known has none until it is resolved again.
fn device_in_use(kept: &Kept, status: &[PeerStatus]) -> Option<Device> {
    prepare::device(kept, |key| {
        let peer = kept
            .config
            .peers
            .iter()
            .find(|peer| peer.public_key == *key)?;
        let endpoint = peer.endpoint.as_ref()?;
        match endpoint.host {
            Host::Address(address) => Some(SocketAddr::new(address, endpoint.port)),
            Host::Name(_) => status.iter().find(|peer| peer.public_key == *key)?.endpoint,
        }
    })
}
