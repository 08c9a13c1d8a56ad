//! Bringing a tunnel up: everything is checked, then the plan is carried out, and undone in reverse where it fails.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use lonewire_core::{
    name::Id,
    plan::{self, Step},
    secret::PublicKey,
    state::{Health, Reason, State},
};
use tokio::task::spawn_local;

use super::{
    Engine, Error,
    state::{Kept, Left, Tunnel, Up},
    steps::{Broken, Making},
    view::TunnelInfo,
};
use crate::{
    auth::{ConnectOwn, Grant},
    points,
    ports::{Backend, Device, PortError, Ports},
};

/// What comes of a server's name that is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// Somebody waits, and is told.
    Fails,
    /// Nobody does: the tunnel is there and blocked until the name is found.
    Waits,
}

impl<P: Ports> Engine<P> {
    pub(super) async fn connect(
        self: &Rc<Self>,
        grant: Grant<ConnectOwn>,
        id: &Id,
        wait: u32,
    ) -> Result<TunnelInfo, Error> {
        let tunnel = self.find(grant.uid(), id)?;
        self.turn_of(grant.uid()).await?;
        self.bring_up(&tunnel, Unresolved::Fails).await?;
        // A data plane that has just died is on its way back.
        self.wait_while(&tunnel, wait, |state| {
            matches!(
                state,
                State::Connecting | State::Blocked(Reason::NoDataPlane)
            )
        })
        .await;
        Ok(self.info(&tunnel))
    }

    /// Waits at most so many seconds while the state is one of those; answers what it is then.
    pub(super) async fn wait_while(
        &self,
        tunnel: &Tunnel<P>,
        seconds: u32,
        waits: impl Fn(State) -> bool,
    ) -> State {
        let mut standing = tunnel.standing.subscribe();
        let changed = async {
            // The tunnel holds the sender: it cannot be gone.
            let _ = standing.wait_for(|standing| !waits(standing.state)).await;
        };
        tokio::select! {
            biased;
            () = changed => {}
            () = self.ports.sleep(Duration::from_secs(u64::from(seconds))) => {}
        }
        tunnel.state()
    }

    /// Where it is up, nothing happens.
    pub(super) async fn bring_up(
        self: &Rc<Self>,
        tunnel: &Rc<Tunnel<P>>,
        unresolved: Unresolved,
    ) -> Result<(), Error> {
        if tunnel.up().is_some() {
            return Ok(());
        }
        let _lock = tunnel.lock.write().await;
        if tunnel.up().is_some() {
            return Ok(());
        }
        // Removed while this waited.
        self.find(tunnel.uid, &tunnel.id)?;
        let kept = tunnel.kept();
        if kept.config.peers.is_empty() {
            return Err(Error::InvalidArgument {
                argument: "tunnel",
                problem: "no peer",
            });
        }
        self.reserve(tunnel, kept.public_key)?;
        self.set_state(tunnel, State::Connecting);
        match self.make(tunnel, kept.clone(), unresolved).await {
            Ok(up) => {
                let up = Rc::new(up);
                *tunnel.up.borrow_mut() = Some(up.clone());
                self.watch(tunnel, &up);
                Ok(())
            }
            Err((state, error)) => {
                self.keys.borrow_mut().remove(&kept.public_key);
                self.set_state(tunnel, state);
                Err(error)
            }
        }
    }

    /// Takes a place among those that are up, for the tunnel's key.
    fn reserve(&self, tunnel: &Tunnel<P>, key: PublicKey) -> Result<(), Error> {
        let mut keys = self.keys.borrow_mut();
        if keys.contains_key(&key) {
            return Err(Error::KeyInUse);
        }
        let own = keys.values().filter(|(_, uid)| *uid == tunnel.uid).count();
        for (number, limit) in [
            (own, self.quotas.connected),
            (keys.len(), self.quotas.connected_in_all),
        ] {
            if super::count(number) >= limit {
                return Err(Error::LimitsExceeded {
                    what: "tunnels up",
                    limit,
                });
            }
        }
        keys.insert(key, (tunnel.id.clone(), tunnel.uid));
        Ok(())
    }

    async fn make(
        self: &Rc<Self>,
        tunnel: &Tunnel<P>,
        kept: Rc<Kept>,
        unresolved: Unresolved,
    ) -> Result<Up<P>, (State, Error)> {
        let failed = |reason: Reason, source| {
            let error = Error::ConnectFailed {
                reason: reason.code(),
                source: Some(source),
            };
            (State::Failed(reason), error)
        };
        let wanted = self.prepare(&kept, unresolved).await;
        let wanted = wanted.map_err(|error| failed(self.unresolved(), error))?;
        let making = Making::new(self, kept, wanted, (&tunnel.id, tunnel.uid));
        let mut making = making.map_err(|error| failed(Reason::System, error))?;
        match self.carry_out(&mut making).await {
            Ok(()) => self
                .finished(making)
                .map_err(|error| failed(Reason::System, error)),
            Err((step, broken)) => {
                let reason = broken.reason(step);
                tracing::warn!(step = step.name(), ?broken, "connecting failed");
                Err(match broken {
                    Broken::Port(error) => failed(reason, error),
                    Broken::Limit(error) => (State::Off, error),
                    Broken::Unsealed(found) => {
                        let found = found.into_iter().map(|violation| violation.found).collect();
                        (State::Failed(reason), Error::Unsealed(found))
                    }
                })
            }
        }
    }

    /// Does the plan's steps; after a failure all that was done is undone.
    async fn carry_out(self: &Rc<Self>, making: &mut Making<P>) -> Result<(), (Step, Broken)> {
        let wish = making.kept.options().backend;
        let by_userspace = match wish {
            Some(backend) => backend == Backend::Userspace,
            None => self.no_kernel.get(),
        };
        let mut undos = Vec::new();
        for mut step in plan::up(by_userspace) {
            let mut result = points::step(step.name(), self.step(step, making)).await;
            let no_kernel = Broken::is_unsupported as fn(&Broken) -> bool;
            if step == Step::KernelLink && wish.is_none() && result.as_ref().is_err_and(no_kernel) {
                tracing::info!("no WireGuard in the kernel: userspace from now on");
                self.no_kernel.set(true);
                step = Step::UserspaceLink;
                result = points::step(step.name(), self.step(step, making)).await;
            }
            // What failed may have been done by half.
            let begun = result
                .as_ref()
                .err()
                .is_none_or(|broken| !broken.was_there());
            if begun && let Some(undo) = step.inverse() {
                undos.push(undo);
            }
            if let Err(broken) = result {
                undos.reverse();
                let (run, link) = (making.run.clone(), making.record.link.clone());
                let namespace = making.namespace.as_ref();
                if !self.undo_all(&undos, &run, &link, namespace).await {
                    // What kept it from being done may keep it from being undone: no descriptor, no memory.
                    self.undo_later(undos, Left { run, link });
                }
                return Err((step, broken));
            }
        }
        Ok(())
    }

    fn finished(&self, making: Making<P>) -> Result<Up<P>, PortError> {
        let backend = making.backend();
        let namespace = making.namespace.ok_or(PortError::NotFound {
            what: "the namespace",
        })?;
        let (carriers, keepalives) = carriers(&making.device);
        Ok(Up {
            run: making.run,
            record: making.record.into(),
            namespace,
            backend,
            kept: making.kept,
            device: Some(making.device).into(),
            instance: making.instance.map(Rc::new).into(),
            carriers,
            health: Health::new(self.ports.uptime(), &keepalives).into(),
            counters: BTreeMap::new().into(),
            task: None.into(),
            used: tokio::sync::Notify::new(),
            unsure: std::cell::Cell::new(false),
        })
    }

    /// Starts to look after a tunnel that is up.
    pub(super) fn watch(self: &Rc<Self>, tunnel: &Rc<Tunnel<P>>, up: &Rc<Up<P>>) {
        let task = spawn_local(self.clone().look_after(tunnel.clone(), up.clone()));
        *up.task.borrow_mut() = Some(task.abort_handle());
    }
}

impl Broken {
    fn is_unsupported(&self) -> bool {
        matches!(self, Self::Port(PortError::Unsupported { .. }))
    }
}

/// The peers by which a tunnel is judged, with their keepalives: those with a default route, else all.
pub(super) fn carriers(device: &Device) -> (Vec<PublicKey>, Vec<u16>) {
    let is_default =
        |peer: &&crate::ports::Peer| peer.allowed_ips.iter().any(|net| net.prefix_len() == 0);
    let mut chosen: Vec<_> = device.peers.iter().filter(is_default).collect();
    if chosen.is_empty() {
        chosen = device.peers.iter().collect();
    }
    chosen
        .into_iter()
        .map(|peer| (peer.public_key, peer.keepalive))
        .unzip()
}
