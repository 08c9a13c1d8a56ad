//! Looks after a tunnel that is up: its state by handshakes, a dead data plane started again, peers renewed while it is blocked. All of
//! it may be aborted where it does not hold the tunnel's lock.

use std::{rc::Rc, time::Duration};

use lonewire_core::state::{Reason, Sample, State, Totals};

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

/// One that was never found so often, and at each change of the network.
const FIND: Duration = Duration::from_secs(5);

/// Two tries of a handshake, five seconds each: then a name may point elsewhere by now.
const STALE: Duration = Duration::from_secs(10);

/// An uplink that is away for so long is not one that flaps.
const OFFLINE: Duration = Duration::from_secs(5);

/// Looks in a row that may fail before the tunnel counts as blocked.
const BLIND: u32 = 3;

/// Longest pause between starts of a data plane that dies again and again.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// A data plane that lived so long is not one that dies again and again.
const STABLE: Duration = Duration::from_secs(30);

/// What the watch remembers between looks.
struct Watch {
    renewed: Duration,
    /// The uplink has changed since.
    uplink_changed: bool,
    /// Since when it is blocked.
    blocked: Option<Duration>,
    /// Since when no peer can be reached at all.
    offline: Option<Duration>,
    resolved: Duration,
    blind: u32,
    /// Starts of the data plane that did not last, and the last of them.
    restarts: u32,
    restarted: Duration,
}

impl<P: Ports> Engine<P> {
    pub(super) async fn look_after(self: Rc<Self>, tunnel: Rc<Tunnel<P>>, up: Rc<Up<P>>) {
        let mut network = self.network.subscribe();
        let mut seen = *network.borrow_and_update();
        let now = self.ports.uptime();
        let mut watch = Watch {
            renewed: now,
            uplink_changed: false,
            blocked: None,
            offline: None,
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
            let is_vain = !self.knows_endpoints(&up) || !self.has_uplink(&up).await;
            if tunnel.state() == State::Connecting && is_vain {
                // Nothing could come of waiting for an answer.
                self.block(&tunnel, &up, &mut watch).await;
            }
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
            let (mut has_slept, mut has_changed) = (false, false);
            tokio::select! {
                biased;
                () = died => {
                    self.revive(&tunnel, &up, &mut watch).await;
                    continue;
                }
                changed = network.changed() => {
                    if changed.is_err() { return }
                    let now = *network.borrow_and_update();
                    has_slept = now.resumes != seen.resumes;
                    seen = now;
                    has_changed = true;
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
            if up.unsure.get() && self.ports.uptime().saturating_sub(watch.renewed) >= RENEW {
                up.unsure.set(!self.put_right(&tunnel, &up).await);
                watch.renewed = self.ports.uptime();
                restart(&up, |_| true);
                up.health.borrow_mut().restarted(watch.renewed);
                self.nudge(&up).await;
            }
            self.look(&tunnel, &up, &mut watch).await;
            self.after_a_change(&tunnel, &up, &mut watch, has_slept)
                .await;
            let since = self.ports.uptime().saturating_sub(watch.renewed);
            let is_waiting = matches!(tunnel.state(), State::Blocked(_))
                || (watch.uplink_changed && tunnel.state() == State::Connecting);
            // A change that left no way to any peer is followed by another.
            let changed = watch.uplink_changed && since >= SETTLE;
            if is_waiting && (since >= RENEW || (changed && self.has_uplink(&up).await)) {
                self.renew_peers(&tunnel, &up, &mut watch).await;
            }
            let now = self.ports.uptime();
            let asked = now.saturating_sub(watch.resolved);
            let is_due = if self.knows_endpoints(&up) {
                let stale = |since| now.saturating_sub(since) >= STALE;
                asked >= RESOLVE && watch.blocked.is_some_and(stale)
            } else {
                asked >= FIND || has_changed
            };
            if is_due {
                watch.resolved = self.ports.uptime();
                let mut other = network.clone();
                let moved = tokio::select! {
                    moved = self.resolve_again(&up) => moved,
                    // A resolver may wait for seconds: another network is worth more.
                    _ = other.changed() => false,
                };
                if moved {
                    self.renew_peers(&tunnel, &up, &mut watch).await;
                }
            }
        }
    }

    /// The network is another, or may be: what still has a session tells the server where it is now, what has none shakes hands at once.
    async fn after_a_change(
        &self,
        tunnel: &Tunnel<P>,
        up: &Rc<Up<P>>,
        watch: &mut Watch,
        has_slept: bool,
    ) {
        let now = self.ports.uptime();
        let is_protected = tunnel.state() == State::Protected;
        if has_slept || (is_protected && up.health.borrow().has_expired(now)) {
            up.health.borrow_mut().reconnect(now);
            if tunnel.is_still(up) {
                self.set_state(tunnel, State::Connecting);
            }
            self.renew_peers(tunnel, up, watch).await;
            // Once more when the network has come back after this.
            watch.uplink_changed = true;
            return;
        }
        if !watch.uplink_changed && watch.offline.is_none() {
            return;
        }
        if is_protected {
            if self.has_uplink(up).await {
                watch.offline = None;
                if watch.uplink_changed {
                    watch.uplink_changed = false;
                    self.send_one(up).await;
                }
            } else if now.saturating_sub(*watch.offline.get_or_insert(now)) >= OFFLINE {
                self.block(tunnel, up, watch).await;
            }
        } else if watch.uplink_changed {
            self.tell_why(tunnel, up).await;
        }
    }

    /// No answer can come any more.
    async fn block(&self, tunnel: &Tunnel<P>, up: &Rc<Up<P>>, watch: &mut Watch) {
        let reason = self.why(tunnel, up).await;
        up.health.borrow_mut().block(reason);
        self.begin_block(watch);
        if tunnel.is_still(up) {
            self.set_state(tunnel, State::Blocked(reason));
        }
    }

    fn begin_block(&self, watch: &mut Watch) {
        let now = self.ports.uptime();
        watch.renewed = now;
        watch.blocked = Some(now);
        watch.uplink_changed = false;
        watch.offline = None;
    }

    /// A tunnel without keepalive shakes hands only when somebody sends; and userspace WireGuard sends its first keepalive at the next of its ticks, four a second,
    /// but what is sent at once.
    async fn nudge(&self, up: &Up<P>) {
        let silent =
            |device: &crate::ports::Device| device.peers.iter().all(|peer| peer.keepalive == 0);
        let is_silent = up.device.borrow().as_ref().is_some_and(silent);
        if up.backend == Backend::Userspace || is_silent {
            self.send_one(up).await;
        }
    }

    /// Sends a packet from inside, whoever gets it: the server learns where its client is now.
    async fn send_one(&self, up: &Up<P>) {
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
        let is_silent = before == State::Protected && matches!(state, State::Blocked(_));
        // Userspace WireGuard does not count the keepalives by which a server answers whoever only sends: a handshake does.
        if is_silent && up.backend == Backend::Userspace && up.health.borrow_mut().doubt(now) {
            self.renew_peers(tunnel, up, watch).await;
            return;
        }
        if !matches!(state, State::Blocked(_)) {
            watch.blocked = None;
        } else if !matches!(before, State::Blocked(_)) {
            self.begin_block(watch);
            let reason = self.why(tunnel, up).await;
            if state != State::Blocked(reason) {
                up.health.borrow_mut().block(reason);
            }
        }
        let state = up.health.borrow().state();
        // Taken down while it was looked at.
        if tunnel.is_still(up) {
            self.set_state(tunnel, state);
        }
    }

    /// Sets all peers again, so that handshakes start at once.
    async fn renew_peers(&self, tunnel: &Tunnel<P>, up: &Rc<Up<P>>, watch: &mut Watch) {
        watch.renewed = self.ports.uptime();
        watch.uplink_changed = false;
        self.tell_why(tunnel, up).await;
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
