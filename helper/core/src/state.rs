// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state of a tunnel, from what its peers' counters say. `Protected` means a handshake, never hope; an idle tunnel does not flap.
//! Time is an argument: a clock that goes on in suspend and never jumps (CLOCK_BOOTTIME).

use std::time::Duration;

/// Where a tunnel stands. In each of them nothing leaves the namespace but by the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No namespace, or one left to apps that are offline.
    Off,
    /// It is there and no handshake has been yet.
    Connecting,
    /// A handshake, and answers to what is sent.
    Protected,
    /// No handshake, or no answers: apps are offline.
    Blocked(Reason),
    /// Bringing it up did not work; all of it was undone.
    Failed(Reason),
}

impl State {
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Off | Self::Connecting | Self::Protected => None,
            Self::Blocked(reason) | Self::Failed(reason) => Some(reason),
        }
    }

    /// Whether its namespace and link are there.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Connecting | Self::Protected | Self::Blocked(_))
    }
}

/// Why a tunnel is blocked or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    NoHandshake,
    Unresolvable,
    NoDataPlane,
    Unsealed,
    NoUplink,
    /// The network reaches addresses of the other family only.
    NeedsIpv4,
    NeedsIpv6,
    /// The network wants a login before it carries anything.
    CaptivePortal,
    /// The host's clock was set back: a server takes handshakes in the order of time only.
    ClockBehind,
    KeyInUse,
    NotSupported,
    System,
}

impl Reason {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NoHandshake,
        Self::Unresolvable,
        Self::NoDataPlane,
        Self::Unsealed,
        Self::NoUplink,
        Self::NeedsIpv4,
        Self::NeedsIpv6,
        Self::CaptivePortal,
        Self::ClockBehind,
        Self::KeyInUse,
        Self::NotSupported,
        Self::System,
    ];

    /// Whether it tells of the network on the way: then it may be another a moment later.
    pub fn is_of_network(self) -> bool {
        matches!(
            self,
            Self::NoHandshake
                | Self::Unresolvable
                | Self::NoUplink
                | Self::NeedsIpv4
                | Self::NeedsIpv6
                | Self::CaptivePortal
                | Self::ClockBehind
        )
    }

    /// The API's word.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoHandshake => "no-handshake",
            Self::Unresolvable => "unresolvable",
            Self::NoDataPlane => "no-data-plane",
            Self::Unsealed => "unsealed",
            Self::NoUplink => "no-uplink",
            Self::NeedsIpv4 => "needs-ipv4",
            Self::NeedsIpv6 => "needs-ipv6",
            Self::CaptivePortal => "captive-portal",
            Self::ClockBehind => "clock-behind",
            Self::KeyInUse => "key-in-use",
            Self::NotSupported => "not-supported",
            Self::System => "system",
        }
    }
}

/// Without a handshake for so long a new tunnel is no longer connecting but blocked.
pub const CONNECTING: Duration = Duration::from_secs(15);

/// A peer that lives answers within 10 s, by an empty packet if by nothing else (WireGuard's KEEPALIVE_TIMEOUT); half a second for the road.
pub const ANSWER: Duration = Duration::from_millis(10_500);

/// Looks at a tunnel that apps run in are never further apart: a server that falls silent just when they begin to send is noticed
/// [`ANSWER`] and two looks later, within 15 s.
const IN_USE: Duration = Duration::from_secs(3);

/// How long a handshake may take that decides whether a silent peer lives: with [`ANSWER`] it stays below 15 s.
const DOUBT: Duration = Duration::from_secs(2);

/// Looks at one that nobody can use.
const IDLE: Duration = Duration::from_secs(25);

/// WireGuard's REJECT_AFTER_TIME: an older session carries nothing.
pub const SESSION: Duration = Duration::from_secs(180);

/// Grace past [`SESSION`] and a keepalive, for the handshake that the keepalive starts: three tries of it.
const RENEWAL: Duration = Duration::from_secs(15);

/// An empty WireGuard packet, in bytes; one with data has 64 at least.
const KEEPALIVE_BYTES: u64 = 32;

/// A peer's counters at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Unix time of the newest handshake, milliseconds; 0 never. Only compared with the one before.
    pub handshake: u64,
    /// Bytes received and sent since the tunnel came up; never falling (see [`Totals`]).
    pub rx: u64,
    pub tx: u64,
}

/// Counters that go on over the resets that every set of a peer makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    before: (u64, u64),
    last: (u64, u64),
}

impl Totals {
    /// What has been counted in all, given what the peer counts now.
    pub fn add(&mut self, rx: u64, tx: u64) -> (u64, u64) {
        if rx < self.last.0 || tx < self.last.1 {
            self.before = self.sum();
        }
        self.last = (rx, tx);
        self.sum()
    }

    /// The peer begins at 0 again: it was just set.
    pub fn restart(&mut self) {
        self.before = self.sum();
        self.last = (0, 0);
    }

    pub fn sum(&self) -> (u64, u64) {
        (
            self.before.0.saturating_add(self.last.0),
            self.before.1.saturating_add(self.last.1),
        )
    }
}

/// What is known of one peer that carries the tunnel.
#[derive(Debug, Clone, Default)]
struct Peer {
    /// Seconds; 0 off.
    keepalive: u64,
    last: Sample,
    /// When its newest handshake was noticed.
    fresh: Option<Duration>,
    /// Bytes sent up to the last answer, and when that was noticed.
    answered: (u64, Duration),
    /// Since when more than keepalives has been sent without an answer.
    unanswered: Option<Duration>,
}

impl Peer {
    fn observe(&mut self, now: Duration, sample: Sample) {
        let shaken = sample.handshake != 0 && sample.handshake != self.last.handshake;
        if shaken {
            self.fresh = Some(now);
        }
        if shaken || sample.rx > self.last.rx {
            self.answered = (sample.tx, now);
            self.unanswered = None;
        } else if sample.tx.saturating_sub(self.answered.0) > self.keepalives(now) {
            self.unanswered.get_or_insert(now);
        }
        self.last = sample;
    }

    /// Bytes that keepalives alone may have sent since the last answer: ours at their interval, and one for what was received last.
    fn keepalives(&self, now: Duration) -> u64 {
        let elapsed = now.saturating_sub(self.answered.1).as_secs();
        let sent = elapsed.checked_div(self.keepalive).unwrap_or(0);
        KEEPALIVE_BYTES.saturating_mul(sent.saturating_add(2))
    }

    fn lives(&self, now: Duration) -> bool {
        let Some(fresh) = self.fresh else {
            return false;
        };
        let silent = self
            .unanswered
            .is_some_and(|since| now.saturating_sub(since) >= ANSWER);
        let limit = SESSION + Duration::from_secs(self.keepalive) + RENEWAL;
        let stale = self.keepalive > 0 && now.saturating_sub(fresh) > limit;
        !silent && !stale
    }

    /// Without keepalive and without an app that sends there is nothing that could start a handshake.
    fn has_tried(&self) -> bool {
        self.keepalive > 0 || self.last.tx > 0
    }
}

/// The state machine of a tunnel that is up.
#[derive(Debug, Clone)]
pub struct Health {
    peers: Vec<Peer>,
    state: State,
    started: Duration,
    /// Bytes sent and received when traffic was last weighed, and when.
    weighed: (u64, Duration),
    busy_until: Duration,
    /// The last pause between looks.
    pause: Duration,
    /// Silence is doubted until then: a handshake was asked for.
    doubted: Option<Duration>,
}

impl Health {
    /// A tunnel that has just come up; `keepalives` of the peers that carry it, in the order of the samples.
    pub fn new(now: Duration, keepalives: &[u16]) -> Self {
        let peer = |&keepalive: &u16| Peer {
            keepalive: u64::from(keepalive),
            answered: (0, now),
            ..Peer::default()
        };
        Self {
            peers: keepalives.iter().map(peer).collect(),
            state: State::Connecting,
            started: now,
            weighed: (0, now),
            busy_until: Duration::ZERO,
            pause: Duration::ZERO,
            doubted: None,
        }
    }

    /// One that was found up: a handshake that a session may still stand on counts, `unix` being the Unix time now in milliseconds.
    pub fn resume(now: Duration, keepalives: &[u16], samples: &[Sample], unix: u64) -> Self {
        let mut health = Self::new(now, keepalives);
        for (peer, sample) in health.peers.iter_mut().zip(samples) {
            let age = Duration::from_millis(unix.saturating_sub(sample.handshake));
            peer.last = *sample;
            peer.answered = (sample.tx, now);
            if sample.handshake != 0 && age < SESSION {
                peer.fresh = Some(now.saturating_sub(age));
                health.state = State::Protected;
            }
        }
        health
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Takes a look at the peers' counters into account.
    pub fn observe(&mut self, now: Duration, samples: &[Sample]) -> State {
        for (peer, sample) in self.peers.iter_mut().zip(samples) {
            peer.observe(now, *sample);
        }
        let lives = self.peers.iter().any(|peer| peer.lives(now));
        let tried = self.peers.iter().any(Peer::has_tried);
        let patience = !tried || now.saturating_sub(self.started) < CONNECTING;
        if lives {
            self.doubted = None;
        }
        self.state = match self.state {
            _ if lives => State::Protected,
            State::Protected if self.doubted.is_some_and(|until| now < until) => State::Protected,
            State::Connecting if patience => State::Connecting,
            State::Blocked(reason) => State::Blocked(reason),
            _ => State::Blocked(Reason::NoHandshake),
        };
        self.weigh(now);
        self.state
    }

    /// The peers were set again: their sessions are forgotten, and only a new handshake makes them live.
    pub fn renewed(&mut self, now: Duration) {
        for peer in &mut self.peers {
            peer.fresh = None;
            peer.unanswered = None;
            peer.answered = (peer.last.tx, now);
        }
        self.pause = Duration::ZERO;
    }

    /// Silence where received keepalives are not counted proves nothing: the peers were set again, and their handshake decides. False where that was
    /// tried already.
    pub fn doubt(&mut self, now: Duration) -> bool {
        if self.doubted.is_some() {
            self.doubted = None;
            return false;
        }
        self.renewed(now);
        self.state = State::Protected;
        self.doubted = Some(now + DOUBT);
        true
    }

    /// Whatever was counts no more (the machine has slept): it begins like a new tunnel.
    pub fn reconnect(&mut self, now: Duration) {
        self.renewed(now);
        self.state = State::Connecting;
        self.started = now;
        self.doubted = None;
    }

    /// Whether no peer can have a session any more, though each keeps its own alive: the network was away for too long.
    pub fn has_expired(&self, now: Duration) -> bool {
        let expired = |peer: &Peer| {
            peer.keepalive > 0
                && peer
                    .fresh
                    .is_none_or(|fresh| now.saturating_sub(fresh) > SESSION)
        };
        self.doubted.is_none() && self.peers.iter().all(expired)
    }

    /// Another data plane has taken over, which knows of no handshake: any that it tells of is new, also one within the second of the last (times
    /// of the userspace backend are whole seconds).
    pub fn restarted(&mut self, now: Duration) {
        self.renewed(now);
        for peer in &mut self.peers {
            peer.last.handshake = 0;
        }
    }

    /// Something else takes it off line (a dead data plane), or says why it is.
    pub fn block(&mut self, reason: Reason) {
        self.state = State::Blocked(reason);
        self.doubted = None;
        for peer in &mut self.peers {
            peer.fresh = None;
        }
    }

    /// Something happened (the uplink changed): look often again.
    pub fn wake(&mut self, now: Duration) {
        self.busy_until = now + Duration::from_secs(10);
        self.pause = Duration::ZERO;
    }

    /// More than a few keepalives in 10 s is traffic; a handshake counts as one, which does no harm.
    fn weigh(&mut self, now: Duration) {
        let bytes = self
            .peers
            .iter()
            .map(|peer| peer.last.tx.saturating_add(peer.last.rx))
            .sum();
        if bytes > self.weighed.0.saturating_add(6 * KEEPALIVE_BYTES) {
            self.busy_until = now + Duration::from_secs(10);
            self.weighed = (bytes, now);
        } else if now.saturating_sub(self.weighed.1) >= Duration::from_secs(10) {
            self.weighed = (bytes, now);
        }
    }

    /// How long to wait before the next look; `in_use` while apps run in it. A handshake is noticed at once, silence under traffic
    /// within 15 s, and a tunnel that nobody uses hardly wakes the helper.
    pub fn pause(&mut self, now: Duration, in_use: bool) -> Duration {
        let second = Duration::from_secs(1);
        self.pause = match self.state {
            State::Connecting => {
                (self.pause * 2).clamp(Duration::from_millis(5), Duration::from_millis(200))
            }
            State::Protected if self.doubted.is_some() => {
                (self.pause * 2).clamp(Duration::from_millis(10), Duration::from_millis(200))
            }
            State::Protected => match self.patience_left(now) {
                // Not a second later than it is due.
                Some(left) => left.clamp(Duration::from_millis(20), second),
                None if in_use && now < self.busy_until => second,
                None => (self.pause * 4).clamp(second, if in_use { IN_USE } else { IDLE }),
            },
            // After a renewal as often as while connecting, then every second.
            _ => (self.pause * 2).clamp(Duration::from_millis(10), second),
        };
        self.pause
    }

    /// How long unanswered packets may still stay unanswered.
    fn patience_left(&self, now: Duration) -> Option<Duration> {
        let since = self.peers.iter().filter_map(|peer| peer.unanswered).min()?;
        Some((since + ANSWER).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests;
