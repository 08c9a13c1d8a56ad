//! Looks after a tunnel that is up: its state by handshakes, a dead data plane started again, peers renewed while it is blocked. All of
//! it may be aborted where it does not hold the tunnel's lock.

use std::{rc::Rc, time::Duration};

use lonewire_core::{
    state::{Reason, Sample, State, Totals},
    wgconf::Host,
};

use super::{
    Engine,
    state::{Tunnel, Up},
    steps::{self, Broken},
};
use crate::ports::{Backend, Instance as _, Links, PortError, PortResult, Ports};

/// While blocked, peers are set again so often: userspace WireGuard stops trying 90 s after the last answer.
const RENEW: Duration = Duration::from_secs(30);

/// An uplink that comes and goes renews them no more often than so.
const SETTLE: Duration = Duration::from_secs(2);

/// Names of endpoints are looked up at most so often.
const RESOLVE: Duration = Duration::from_secs(30);

/// Looks in a row that may fail before the tunnel counts as blocked.
const BLIND: u32 = 3;

/// Longest pause between starts of a data plane that dies again and again.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// A data plane that lived so long is not one that dies again and again.
const STABLE: Duration = Duration::from_secs(30);

/// What the watch remembers between looks.
struct Watch {
    renewed: Duration,
    renewals: u32,
    /// The uplink has changed since.
    uplink_changed: bool,
    resolved: Duration,
    blind: u32,
    /// Starts of the data plane that did not last, and the last of them.
    restarts: u32,
    restarted: Duration,
}

impl<P: Ports> Engine<P> {
    pub(super) async fn look_after(self: Rc<Self>, tunnel: Rc<Tunnel<P>>, up: Rc<Up<P>>) {
        let mut uplink = self.uplink.subscribe();
        let now = self.ports.uptime();
        let mut watch = Watch {
            renewed: now,
            renewals: 0,
            uplink_changed: false,
            resolved: now,
            blind: 0,
            restarts: 0,
            restarted: Duration::ZERO,
        };
        if up.backend == Backend::Userspace && up.instance.borrow().is_none() {
            // Found so after a restart.
            self.revive(&tunnel, &up, &mut watch).await;
        } else {
            self.nudge(&up).await;
            // The handshake may have been while the seal was checked.
            self.look(&tunnel, &up, &mut watch).await;
        }
        loop {
            let in_use = !self.apps_in(up.link()).is_empty();
            let pause = up.health.borrow_mut().pause(self.ports.uptime(), in_use);
            let instance = up.instance.borrow().clone();
            let died = async {
                match &instance {
                    Some(instance) => instance.died().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = died => {
                    self.revive(&tunnel, &up, &mut watch).await;
                    continue;
                }
                changed = uplink.changed() => {
                    if changed.is_err() { return }
                    up.health.borrow_mut().wake(self.ports.uptime());
                    watch.uplink_changed = true;
                }
                // An app was launched: from now on it is looked at more often.
                () = up.used.notified() => {}
                () = self.ports.sleep(pause) => {}
            }
            if up.backend == Backend::Userspace && up.instance.borrow().is_none() {
                continue;
            }
            self.look(&tunnel, &up, &mut watch).await;
            let since = self.ports.uptime().saturating_sub(watch.renewed);
            let due = since >= RENEW || (watch.uplink_changed && since >= SETTLE);
            let blocked = matches!(tunnel.state(), State::Blocked(_));
            if blocked && due {
                self.renew_peers(&tunnel, &up, &mut watch).await;
            }
        }
    }

    /// A tunnel without keepalive shakes hands only when somebody sends; and userspace WireGuard sends its first keepalive at the next of its ticks, four a second,
    /// but what is sent at once.
    async fn nudge(&self, up: &Up<P>) {
        let silent =
            |device: &crate::ports::Device| device.peers.iter().all(|peer| peer.keepalive == 0);
        let is_silent = up.device.borrow().as_ref().is_some_and(silent);
        if up.backend == Backend::Kernel && !is_silent {
            return;
        }
        let to = {
            let record = up.record.borrow();
            let dns = record.dns.iter().copied();
            // The last address of a network: nobody's own, and all that counts is that it goes over the link.
            dns.chain(record.routes.iter().map(|net| net.broadcast()))
                .find(|address| {
                    record.routes.iter().any(|net| net.contains(address)) && !address.is_multicast()
                })
        };
        if let Some(to) = to
            && let Err(error) = self.ports.nudge(&up.namespace, to).await
        {
            tracing::debug!(%error, "no nudge");
        }
    }

    /// Reads the peers' counters.
    pub(super) async fn count_peers(&self, up: &Up<P>) -> PortResult<Vec<Sample>> {
        let status = self
            .ports
            .status(&up.namespace, up.link(), up.backend)
            .await?;
        let mut counters = up.counters.borrow_mut();
        for peer in status {
            let entry = counters.entry(peer.public_key);
            let (totals, last) = entry.or_insert_with(|| (Totals::default(), peer.clone()));
            totals.add(peer.rx, peer.tx);
            *last = peer;
        }
        let sample = |key| {
            counters
                .get(key)
                .map_or_else(Sample::default, |(totals, status)| {
                    let (rx, tx) = totals.sum();
                    Sample {
                        handshake: status.handshake,
                        rx,
                        tx,
                    }
                })
        };
        Ok(up.carriers.iter().map(sample).collect())
    }

    async fn look(&self, tunnel: &Tunnel<P>, up: &Rc<Up<P>>, watch: &mut Watch) {
        let samples = match self.count_peers(up).await {
            Ok(samples) => samples,
            Err(error) => {
                watch.blind += 1;
                tracing::debug!(%error, "the peers' counters cannot be read");
                if watch.blind >= BLIND && tunnel.is_still(up) {
                    up.health.borrow_mut().block(Reason::System);
                    self.set_state(tunnel, State::Blocked(Reason::System));
                }
                return;
            }
        };
        watch.blind = 0;
        let now = self.ports.uptime();
        let before = tunnel.state();
        let state = up.health.borrow_mut().observe(now, &samples);
        if matches!(state, State::Blocked(_)) && !matches!(before, State::Blocked(_)) {
            watch.renewed = now;
            watch.renewals = 0;
            watch.uplink_changed = false;
            if !self.has_uplink(up).await {
                up.health.borrow_mut().block(Reason::NoUplink);
            }
        }
        let state = up.health.borrow().state();
        // Taken down while it was looked at.
        if tunnel.is_still(up) {
            self.set_state(tunnel, state);
        }
    }

    /// Says anew why no handshake comes.
    async fn tell_why(&self, tunnel: &Tunnel<P>, up: &Rc<Up<P>>) {
        let reason = if self.has_uplink(up).await {
            Reason::NoHandshake
        } else {
            Reason::NoUplink
        };
        let state = up.health.borrow().state();
        if matches!(
            state,
            State::Blocked(Reason::NoHandshake | Reason::NoUplink)
        ) && tunnel.is_still(up)
        {
            up.health.borrow_mut().block(reason);
            self.set_state(tunnel, State::Blocked(reason));
        }
    }

    /// Whether the host has a path to any of the peers.
    async fn has_uplink(&self, up: &Up<P>) -> bool {
        let endpoints: Vec<_> = up
            .device
            .borrow()
            .iter()
            .flat_map(|device| &device.peers)
            .filter_map(|peer| peer.endpoint)
            .collect();
        for endpoint in &endpoints {
            if self.ports.path_mtu(endpoint.ip()).await.is_ok() {
                return true;
            }
        }
        endpoints.is_empty()
    }

    /// Sets all peers again, so that handshakes start at once; where that has not helped twice, by their names' addresses of now.
    async fn renew_peers(&self, tunnel: &Tunnel<P>, up: &Rc<Up<P>>, watch: &mut Watch) {
        let now = self.ports.uptime();
        watch.renewed = now;
        watch.renewals += 1;
        watch.uplink_changed = false;
        self.tell_why(tunnel, up).await;
        if watch.renewals > 2 && now.saturating_sub(watch.resolved) >= RESOLVE {
            watch.resolved = now;
            self.resolve_again(up).await;
        }
        let _lock = tunnel.lock.read().await;
        let peers = up
            .device
            .borrow()
            .as_ref()
            .map(|device| device.peers.clone());
        for peer in peers.unwrap_or_default() {
            let key = peer.public_key;
            match self
                .ports
                .renew(&up.namespace, up.link(), up.backend, &peer)
                .await
            {
                Ok(()) => restart(up, |other| *other == key),
                Err(error) => tracing::warn!(%error, "a peer was not renewed"),
            }
        }
        up.health.borrow_mut().renewed(self.ports.uptime());
        self.nudge(up).await;
    }

    fn knows_endpoints(&self, up: &Up<P>) -> bool {
        let peers = &up.kept.config.peers;
        up.device.borrow().as_ref().is_none_or(|device| {
            device
                .peers
                .iter()
                .zip(peers)
                .all(|(own, peer)| own.endpoint.is_some() || peer.endpoint.is_none())
        })
    }

    async fn resolve_again(&self, up: &Up<P>) {
        for peer in &up.kept.config.peers {
            let Some(endpoint) = &peer.endpoint else {
                continue;
            };
            if matches!(endpoint.host, Host::Address(_)) {
                continue;
            }
            match self.resolve_endpoint(endpoint).await {
                Ok(address) => {
                    if let Some(device) = up.device.borrow_mut().as_mut()
                        && let Some(own) = device
                            .peers
                            .iter_mut()
                            .find(|own| own.public_key == peer.public_key)
                    {
                        own.endpoint = Some(address);
                    }
                }
                Err(error) => tracing::debug!(%error, "an endpoint was not resolved again"),
            }
        }
    }

    /// The data plane has died: apps are offline until another has the same TUN.
    async fn revive(&self, tunnel: &Tunnel<P>, up: &Rc<Up<P>>, watch: &mut Watch) {
        *up.instance.borrow_mut() = None;
        up.health.borrow_mut().block(Reason::NoDataPlane);
        self.set_state(tunnel, State::Blocked(Reason::NoDataPlane));
        if up.device.borrow().is_none() {
            tracing::warn!(link = %up.link(), "its configuration has been replaced: it stays offline until it is connected again");
            return;
        }
        if self.ports.uptime().saturating_sub(watch.restarted) > STABLE {
            watch.restarts = 0;
        }
        if !self.knows_endpoints(up) {
            self.resolve_again(up).await;
        }
        loop {
            let wait = match watch.restarts {
                0 => Duration::ZERO,
                tries => (Duration::from_millis(50) * 2_u32.pow(tries.min(10))).min(MAX_BACKOFF),
            };
            watch.restarts += 1;
            self.ports.sleep(wait).await;
            let _lock = tunnel.lock.read().await;
            if !tunnel.is_still(up) {
                return;
            }
            match self.start_again(up).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(?error, link = %up.link(), "no data plane yet");
                    if error.is_busy() {
                        self.drop_tun(up).await;
                    }
                }
            }
        }
        let now = self.ports.uptime();
        watch.restarted = now;
        watch.renewed = now;
        restart(up, |_| true);
        up.health.borrow_mut().restarted(now);
        self.nudge(up).await;
    }

    /// Another instance holds the TUN, one that was started just before the helper was killed: it ends with the link. The next start
    /// makes the link again; apps are offline meanwhile.
    async fn drop_tun(&self, up: &Up<P>) {
        if let Err(error) = Links::delete(&self.ports, &up.namespace, up.link()).await {
            tracing::warn!(%error, link = %up.link(), "the link was not deleted");
        }
    }

    async fn start_again(&self, up: &Up<P>) -> Result<(), Broken> {
        let tun = self.open_tun(up.link()).await?;
        let mtu = up.record.borrow().mtu;
        let instance = self.ports.start(up.link(), mtu, tun).await?;
        let process = instance.process();
        up.record.borrow_mut().plane = Some((process.pid, process.start));
        // Whatever fails from here on: it is known, and its death is noticed.
        *up.instance.borrow_mut() = Some(Rc::new(instance));
        let record = up.record.borrow().clone();
        self.write_run(&up.run, &record).await?;
        let device = up.device.borrow().clone();
        let device = device.ok_or(PortError::NotFound {
            what: "the configuration",
        })?;
        self.ports
            .apply(&up.namespace, up.link(), up.backend, &device)
            .await?;
        // Link, addresses and routes have stayed; a TUN that was lost with its process gets them anew.
        self.ports
            .configure(&up.namespace, up.link(), &steps::addressing(&record))
            .await?;
        Ok(())
    }
}

/// Peers that were just set count from 0.
fn restart<P: Ports>(up: &Up<P>, which: impl Fn(&lonewire_core::secret::PublicKey) -> bool) {
    for (key, (totals, _)) in up.counters.borrow_mut().iter_mut() {
        if which(key) {
            totals.restart();
        }
    }
}
