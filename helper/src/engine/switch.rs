//! Switching: a tunnel that is up takes over the configuration of another saved one, under the apps that run in it. `core::plan` says in what steps,
//! and what takes them back. What is saved of either stays as it is.

use std::{collections::BTreeMap, net::SocketAddr, rc::Rc};

use lonewire_core::{
    name::Id,
    plan::{self, Change},
    resolv,
    secret::PublicKey,
    state::{Health, Reason, State},
    tunnel::{Phase, Run},
};

use super::{
    Engine, Error,
    connect::{self, Unresolved},
    prepare::{self, Wanted},
    state::{Kept, Tunnel, Up},
    steps::{self, Broken},
    view::TunnelInfo,
};
use crate::{
    auth::{ConnectOwn, Grant},
    points,
    ports::{Backend, Device, Instance as _, Links, Namespace, PortError, PortResult, Ports},
};

/// What the steps make true.
pub(super) struct Target {
    pub record: Run,
    pub device: Device,
}

/// Where they make it true.
pub(super) struct Place<'a, P: Ports> {
    pub run: &'a Id,
    pub namespace: &'a Namespace,
    pub instance: Option<Rc<P::Instance>>,
}

impl<P: Ports> Engine<P> {
    pub(super) async fn switch(
        self: &Rc<Self>,
        grant: Grant<ConnectOwn>,
        id: &Id,
        other: &Id,
        wait: u32,
    ) -> Result<TunnelInfo, Error> {
        let (tunnel, other) = (self.find(grant.uid(), id)?, self.find(grant.uid(), other)?);
        if tunnel.up().is_none() {
            return Err(OFF);
        }
        self.turn_of(grant.uid()).await?;
        let kept = other.kept();
        if kept.config.peers.is_empty() {
            return Err(Error::InvalidArgument {
                argument: "other",
                problem: "no peer",
            });
        }
        {
            // One at a time: a resolver may take its time, and has a thread for each name.
            let _turn = tunnel.switching.lock().await;
            // Before anything else is held.
            let wanted = self.prepare(&kept, Unresolved::Fails).await;
            let wanted = wanted.map_err(|error| failed(self.unresolved(), error))?;
            self.take_over(&tunnel, &other, kept, wanted).await?;
        }
        self.wait_while(&tunnel, wait, |state| {
            matches!(
                state,
                State::Connecting | State::Blocked(Reason::NoDataPlane)
            )
        })
        .await;
        Ok(self.info(&tunnel))
    }

    async fn take_over(
        self: &Rc<Self>,
        tunnel: &Rc<Tunnel<P>>,
        other: &Rc<Tunnel<P>>,
        kept: Rc<Kept>,
        wanted: Wanted,
    ) -> Result<(), Error> {
        let is_own = tunnel.id == other.id;
        // Both stay as they are meanwhile; whoever switches the other way round takes them in the same order.
        let (_lock, _other) = if is_own {
            (tunnel.lock.write().await, None)
        } else if tunnel.id < other.id {
            let lock = tunnel.lock.write().await;
            (lock, Some(other.lock.read().await))
        } else {
            let other = other.lock.read().await;
            (tunnel.lock.write().await, Some(other))
        };
        // Removed while this waited.
        self.find(other.uid, &other.id)?;
        let up = tunnel.up().ok_or(OFF)?;
        let of = (!is_own).then(|| other.id.clone());
        let was = up.record.borrow().clone();
        let is_there = was.of == of
            && was.revision == kept.head.revision
            && steps::addressing(&was) == wanted.addressing
            && was.dns == wanted.dns;
        if is_there {
            return Ok(());
        }
        let Some(old_device) = up.device.borrow().clone() else {
            // What is up could not be put back: it was replaced before a restart.
            return Err(Error::Busy);
        };
        self.hold_key(tunnel, kept.public_key)?;
        let namespace = match self.ports.open(up.link()).await {
            Ok(namespace) if namespace.inode == up.namespace.inode => namespace,
            found => {
                self.let_key_go(&up.kept.public_key, &kept.public_key);
                let gone = PortError::NotFound {
                    what: "the namespace",
                };
                return Err(failed(Reason::System, found.err().unwrap_or(gone)));
            }
        };
        // Nothing else touches the peers now.
        if let Some(task) = up.task.take() {
            task.abort();
        }
        self.set_state(tunnel, State::Connecting);
        let place = Place {
            run: &up.run,
            namespace: &namespace,
            instance: up.instance.borrow().clone(),
        };
        let mtu = new_mtu::<P>(&place, was.mtu, wanted.addressing.mtu).await;
        let target = Target {
            record: Run {
                of,
                revision: kept.head.revision,
                mtu,
                addresses: wanted.addressing.addresses,
                routes: wanted.addressing.routes,
                dns: wanted.dns,
                search: kept.config.interface.search.clone(),
                endpoints: endpoints(&wanted.device),
                ..was.clone()
            },
            device: wanted.device,
        };
        let former = Target {
            record: was,
            device: old_device,
        };
        match self.change_over(&place, &target, &former).await {
            Ok(()) => {
                let instance = place.instance;
                let now = self.switched(&up, kept, target, namespace, instance);
                self.let_key_go(&now.kept.public_key, &up.kept.public_key);
                *tunnel.up.borrow_mut() = Some(now.clone());
                tracing::info!(tunnel = %tunnel.id, other = %other.id, "switched");
                self.tell_tunnel(tunnel);
                self.watch(tunnel, &now);
                Ok(())
            }
            Err((step, broken, is_back)) => {
                tracing::warn!(step = step.name(), ?broken, is_back, "switching failed");
                self.let_key_go(&up.kept.public_key, &kept.public_key);
                {
                    let mut health = up.health.borrow_mut();
                    health.restarted(self.ports.uptime());
                    if !is_back {
                        health.block(Reason::System);
                    }
                }
                for (totals, _) in up.counters.borrow_mut().values_mut() {
                    totals.restart();
                }
                if !is_back {
                    up.unsure.set(true);
                    self.set_state(tunnel, State::Blocked(Reason::System));
                }
                self.watch(tunnel, &up);
                Err(match broken {
                    Broken::Port(error) => failed(Reason::System, error),
                    Broken::Limit(error) => error,
                    Broken::Unsealed(found) => {
                        Error::Unsealed(found.into_iter().map(|one| one.found).collect())
                    }
                })
            }
        }
    }

    /// Does the steps; after a failure what was is put back, and told whether that worked.
    async fn change_over(
        &self,
        place: &Place<'_, P>,
        target: &Target,
        former: &Target,
    ) -> Result<(), (Change, Broken, bool)> {
        for change in plan::switch() {
            let changed = points::step(change.name(), self.change_to(change, place, target)).await;
            let Err(broken) = changed else {
                continue;
            };
            let mut is_back = true;
            // MTU of the data plane: where it cannot be told, nothing was changed.
            let _ = new_mtu::<P>(place, target.record.mtu, former.record.mtu).await;
            for back in plan::switch_back(change) {
                if let Err(error) = self.change_to(back, place, former).await {
                    tracing::error!(step = back.name(), ?error, "not put back");
                    is_back = false;
                }
            }
            if !is_back && let Err(error) = self.write_run(place.run, &former.record).await {
                // What a restarted helper would finish.
                tracing::error!(%error, "the record says what is not so");
            }
            return Err((change, broken, is_back));
        }
        Ok(())
    }

    /// After a switch that could not be taken back: what was is put in place again, all of it. Whether it is.
    pub(super) async fn put_right(&self, tunnel: &Tunnel<P>, up: &Up<P>) -> bool {
        let _lock = tunnel.lock.read().await;
        let Some(device) = up.device.borrow().clone() else {
            return true;
        };
        let target = Target {
            record: up.record.borrow().clone(),
            device,
        };
        let place = Place {
            run: &up.run,
            namespace: &up.namespace,
            instance: up.instance.borrow().clone(),
        };
        let mut is_right = true;
        for change in plan::switch_back(Change::Seal) {
            // Those of the failed switch have ended with it.
            if change == Change::Connections {
                continue;
            }
            // The peers come back whatever else fails.
            if let Err(error) = self.change_to(change, &place, &target).await {
                tracing::warn!(step = change.name(), ?error, "not put right");
                is_right = false;
            }
        }
        is_right
    }

    /// Makes one thing what the target says.
    pub(super) async fn change_to(
        &self,
        change: Change,
        place: &Place<'_, P>,
        target: &Target,
    ) -> Result<(), Broken> {
        tracing::debug!(step = change.name(), link = %target.record.link, "step");
        let (namespace, record) = (place.namespace, &target.record);
        let link = &namespace.name;
        let backend = if record.userspace {
            Backend::Userspace
        } else {
            Backend::Kernel
        };
        match change {
            Change::Record => {
                let record = Run {
                    phase: Phase::Switching,
                    ..record.clone()
                };
                self.write_run(place.run, &record).await?;
            }
            Change::Silence => {
                let silent = Device {
                    peers: Vec::new(),
                    ..target.device.clone()
                };
                self.ports.apply(namespace, link, backend, &silent).await?;
            }
            Change::Addressing => {
                let addressing = steps::addressing(record);
                self.ports.configure(namespace, link, &addressing).await?;
            }
            Change::Connections => match Links::end_connections(&self.ports, namespace).await {
                Err(PortError::Unsupported { what }) => {
                    tracing::warn!(what, "not supported: they end when they time out");
                }
                ended => ended?,
            },
            Change::Dns => {
                let text = resolv::resolv_conf(&record.dns, &record.search);
                let hosts = resolv::hosts(&self.ports.host_name().await?);
                self.ports.write_dns(link, &text, &hosts).await?;
            }
            Change::Peers => {
                let device = &target.device;
                self.ports.apply(namespace, link, backend, device).await?;
            }
            Change::Seal => {
                self.check_seal(namespace, record).await?;
                let record = Run {
                    phase: Phase::Up,
                    endpoints: BTreeMap::new(),
                    ..record.clone()
                };
                self.write_run(place.run, &record).await?;
            }
        }
        Ok(())
    }

    /// The tunnel as it is up from now on: counted and judged anew.
    fn switched(
        &self,
        up: &Up<P>,
        kept: Rc<Kept>,
        target: Target,
        namespace: Namespace,
        instance: Option<Rc<P::Instance>>,
    ) -> Rc<Up<P>> {
        let (carriers, keepalives) = connect::carriers(&target.device);
        let record = Run {
            phase: Phase::Up,
            endpoints: BTreeMap::new(),
            ..target.record
        };
        Rc::new(Up {
            run: up.run.clone(),
            record: record.into(),
            namespace,
            backend: up.backend,
            kept,
            device: Some(target.device).into(),
            instance: instance.into(),
            carriers,
            health: Health::new(self.ports.uptime(), &keepalives).into(),
            counters: BTreeMap::new().into(),
            task: None.into(),
            used: tokio::sync::Notify::new(),
            unsure: std::cell::Cell::new(false),
        })
    }

    /// After a restart: a switch that was begun is finished. `Ok` also where the data plane is dead: the next one gets all of it.
    pub(super) async fn finish_switch(
        &self,
        run: &Id,
        record: &mut Run,
        namespace: &Namespace,
        kept: &Kept,
    ) -> PortResult<()> {
        let endpoint = |key: &PublicKey| record.endpoints.get(&key.to_string()).copied();
        let device = prepare::device(kept, endpoint).ok_or(PortError::NotFound {
            what: "the private key",
        })?;
        let target = Target {
            record: record.clone(),
            device,
        };
        let place = Place::<P> {
            run,
            namespace,
            instance: None,
        };
        let mut is_dead = false;
        for change in plan::switch() {
            if change == Change::Record || (is_dead && change == Change::Peers) {
                continue;
            }
            match self.change_to(change, &place, &target).await {
                Ok(()) => {}
                Err(Broken::Port(error)) if change == Change::Silence && nobody_serves(&error) => {
                    is_dead = true;
                }
                Err(Broken::Port(error)) => return Err(error),
                Err(broken) => {
                    tracing::warn!(?broken, "a switch cannot be finished");
                    return Err(PortError::NotFound { what: "the seal" });
                }
            }
        }
        record.phase = Phase::Up;
        record.endpoints.clear();
        Ok(())
    }

    /// Takes a key for a tunnel that is up; it may be the tunnel's own already.
    fn hold_key(&self, tunnel: &Tunnel<P>, key: PublicKey) -> Result<(), Error> {
        let mut keys = self.keys.borrow_mut();
        match keys.get(&key) {
            Some((holder, _)) if *holder != tunnel.id => Err(Error::KeyInUse),
            Some(_) => Ok(()),
            None => {
                keys.insert(key, (tunnel.id.clone(), tunnel.uid));
                Ok(())
            }
        }
    }

    fn let_key_go(&self, used: &PublicKey, unused: &PublicKey) {
        if used != unused {
            self.keys.borrow_mut().remove(unused);
        }
    }
}

const OFF: Error = Error::InvalidArgument {
    argument: "tunnel",
    problem: "off",
};

fn failed(reason: Reason, source: PortError) -> Error {
    Error::ConnectFailed {
        reason: reason.code(),
        source: Some(source),
    }
}

/// The MTU to take: a data plane that cannot be told of a larger one keeps what it knows, and pads by 15 bytes too many under a smaller one.
async fn new_mtu<P: Ports>(place: &Place<'_, P>, was: u32, wanted: u32) -> u32 {
    match &place.instance {
        Some(instance) if was != wanted && instance.set_mtu(wanted).await.is_err() => {
            was.min(wanted)
        }
        _ => wanted,
    }
}

fn endpoints(device: &Device) -> BTreeMap<String, SocketAddr> {
    let known = |peer: &crate::ports::Peer| Some((peer.public_key.to_string(), peer.endpoint?));
    device.peers.iter().filter_map(known).collect()
}

/// The control socket is there and nobody listens, or it has gone.
fn nobody_serves(error: &PortError) -> bool {
    matches!(
        error,
        PortError::NotFound { .. }
            | PortError::Os {
                errno: libc::ECONNREFUSED | libc::ENOENT,
                ..
            }
    )
}
