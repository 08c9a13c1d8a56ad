// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A world with one peer, in steps of a tenth of a second; the helper looks when [`Health::pause`] says so.
struct World {
    now: Duration,
    next: Duration,
    counters: Sample,
    health: Health,
    looks: u32,
    in_use: bool,
    states: Vec<(Duration, State)>,
}

impl World {
    fn new(keepalive: u16) -> Self {
        let health = Health::new(at(1000.0), &[keepalive]);
        Self {
            now: at(1000.0),
            next: at(1000.0),
            counters: Sample::default(),
            health,
            looks: 0,
            in_use: true,
            states: Vec::new(),
        }
    }

    /// Runs for some seconds; `traffic` changes the counters, given the tenth it is.
    fn run(&mut self, seconds: u32, traffic: impl FnMut(u32, &mut Sample)) {
        self.run_tenths(seconds * 10, traffic);
    }

    fn run_tenths(&mut self, tenths: u32, mut traffic: impl FnMut(u32, &mut Sample)) {
        for tenth in 0..tenths {
            traffic(tenth, &mut self.counters);
            while self.next <= self.now {
                let state = self.health.observe(self.now, &[self.counters]);
                self.looks += 1;
                if self.states.last().is_none_or(|(_, last)| *last != state) {
                    self.states.push((self.now, state));
                }
                self.next = self.now + self.health.pause(self.now, self.in_use);
            }
            self.now += at(0.1);
        }
    }

    fn shake(&mut self) {
        self.counters.handshake += 120_000;
        self.counters.tx += 148 + 32;
        self.counters.rx += 92;
    }

    fn states(&self) -> Vec<State> {
        self.states.iter().map(|(_, state)| *state).collect()
    }
}

const BLOCKED: State = State::Blocked(Reason::NoHandshake);

#[test]
fn a_handshake_protects_within_a_fifth_of_a_second() {
    let mut world = World::new(25);
    world.run(3, |tenth, counters| {
        if tenth == 10 {
            *counters = Sample {
                handshake: 5,
                rx: 92,
                tx: 180,
            };
        }
    });
    assert_eq!(world.states(), [State::Connecting, State::Protected]);
    assert!(world.states[1].0 <= at(1001.3), "{:?}", world.states);
}

#[test]
fn no_handshake_blocks_after_fifteen_seconds() {
    let mut world = World::new(25);
    world.run(30, |tenth, counters| {
        counters.tx += if tenth % 50 == 0 { 148 } else { 0 }
    });
    assert_eq!(world.states(), [State::Connecting, BLOCKED]);
    assert!(world.states[1].0 <= at(1015.3), "{:?}", world.states);
}

#[test]
fn a_tunnel_nobody_uses_and_without_keepalive_is_not_blocked() {
    let mut world = World::new(0);
    world.run(60, |_, _| ());
    assert_eq!(world.states(), [State::Connecting]);
    world.shake();
    world.run(3600, |_, _| ());
    assert_eq!(world.states(), [State::Connecting, State::Protected]);
}

#[test]
fn an_idle_tunnel_neither_flaps_nor_wakes_the_helper() {
    let mut world = World::new(25);
    world.in_use = false;
    world.shake();
    world.run(60, |_, _| ());
    world.looks = 0;
    // An hour: a keepalive every 25 s, none answered, a handshake every 125 s.
    for round in 1..=144 {
        world.run(25, |_, _| ());
        world.counters.tx += 32;
        if round % 5 == 0 {
            world.shake();
        }
    }
    assert_eq!(world.states(), [State::Protected]);
    assert!(world.looks <= 60 * 5, "{} looks an hour", world.looks);
}

#[test]
fn a_server_that_shakes_hands_as_the_initiator_does_not_make_it_flap() {
    let mut world = World::new(25);
    world.shake();
    // The responder lets a session grow old: up to 180 s and a keepalive.
    for round in 1..=80 {
        world.run(25, |_, _| ());
        world.counters.tx += 32;
        if round % 8 == 0 {
            world.shake();
        }
    }
    assert_eq!(world.states(), [State::Protected]);
}

#[test]
fn silence_while_an_app_sends_blocks_within_fifteen_seconds() {
    // A second between packets, then ten of them in a second: a slow sender and a fast one.
    for every in [10, 1] {
        let mut world = World::new(25);
        world.shake();
        world.run(100, |tenth, counters| {
            if tenth % every == 0 {
                counters.tx += 128;
                counters.rx += 128;
            }
        });
        let silent = world.now;
        world.run(16, |tenth, counters| {
            counters.tx += if tenth % every == 0 { 128 } else { 0 };
        });
        assert_eq!(world.states(), [State::Protected, BLOCKED]);
        assert!(
            world.states[1].0 - silent <= at(15.0),
            "{:?} {silent:?}",
            world.states
        );
        // An answer on the old session is enough while that session stands.
        world.counters.rx += 128;
        world.run(2, |_, _| ());
        assert_eq!(world.health.state(), State::Protected);
    }
}

#[test]
fn one_way_traffic_is_no_silence() {
    let mut world = World::new(0);
    world.shake();
    // An app that only sends: the peer says "alive" every ten seconds, and shakes hands every two minutes.
    for round in 1..=60 {
        world.run(10, |_, counters| counters.tx += 1000);
        world.counters.rx += 32;
        if round % 12 == 0 {
            world.shake();
        }
    }
    assert_eq!(world.states(), [State::Protected]);
}

#[test]
fn a_dead_server_blocks_an_idle_tunnel_once_its_session_is_due() {
    let mut world = World::new(25);
    world.shake();
    let dead = world.now;
    // Keepalives go unanswered; from 125 s on they are initiations, every 5 s for 90 s.
    world.run(300, |tenth, counters| match tenth {
        1250..2150 if tenth % 50 == 0 => counters.tx += 148,
        0..1250 if tenth % 250 == 0 => counters.tx += 32,
        _ => (),
    });
    assert_eq!(world.states(), [State::Protected, BLOCKED]);
    let after = world.states[1].0 - dead;
    assert!(after > at(125.0) && after < at(165.0), "{after:?}");
}

#[test]
fn a_renewed_peer_lives_only_by_a_new_handshake() {
    let mut world = World::new(25);
    world.shake();
    world.run(5, |_, _| ());
    world.health.block(Reason::NoDataPlane);
    world.health.renewed(world.now);
    world.next = world.now;
    world.run(3, |_, counters| counters.tx += 148);
    assert_eq!(world.health.state(), State::Blocked(Reason::NoDataPlane));
    world.counters.rx += 500;
    world.run(3, |_, _| ());
    assert_eq!(world.health.state(), State::Blocked(Reason::NoDataPlane));
    world.shake();
    world.run(2, |_, _| ());
    assert_eq!(world.health.state(), State::Protected);
}

#[test]
fn a_tunnel_found_up_is_protected_by_a_young_handshake_alone() {
    let unix = 1_000_000_000;
    let resumed = |age: u64| {
        let sample = Sample {
            handshake: unix - age,
            rx: 1000,
            tx: 5000,
        };
        let mut health = Health::resume(at(9.0), &[25], &[sample], unix);
        health.observe(at(9.1), &[sample])
    };
    assert_eq!(resumed(5_000), State::Protected);
    assert_eq!(resumed(400_000), State::Connecting);
}

#[test]
fn one_living_peer_is_enough() {
    let mut health = Health::new(at(0.0), &[25, 25]);
    let alive = Sample {
        handshake: 7,
        rx: 92,
        tx: 180,
    };
    assert_eq!(
        health.observe(at(1.0), &[Sample::default(), alive]),
        State::Protected
    );
}

#[test]
fn totals_go_on_over_a_reset() {
    let mut totals = Totals::default();
    assert_eq!(totals.add(10, 20), (10, 20));
    assert_eq!(totals.add(15, 25), (15, 25));
    assert_eq!(totals.add(0, 3), (15, 28));
    assert_eq!(totals.add(5, 3), (20, 28));
    // Reset and grown past the last value before it was looked at: only who reset it knows.
    totals.restart();
    assert_eq!(totals.add(9, 9), (29, 37));
}

#[test]
fn silence_is_told_within_fifteen_seconds_whenever_an_app_begins_to_send() {
    // An app sends for a moment after a long silence of its own, and the server falls silent then: at every offset to the looks.
    for offset in 0..40 {
        for answered in 0..40 {
            let mut world = World::new(25);
            world.shake();
            world.run(60, |_, _| ());
            world.run_tenths(offset, |_, _| ());
            world.run_tenths(answered, |_, counters| {
                counters.tx += 96;
                counters.rx += 96;
            });
            let silent = world.now;
            world.run(16, |tenth, counters| {
                counters.tx += if tenth % 5 == 0 { 96 } else { 0 }
            });
            assert_eq!(
                world.states(),
                [State::Protected, BLOCKED],
                "{offset} {answered}"
            );
            let after = world.states[1].0 - silent;
            assert!(
                after <= at(15.0) && after >= ANSWER,
                "{offset} {answered} {after:?}"
            );
        }
    }
}

#[test]
fn a_handshake_with_another_data_plane_counts_within_the_second_of_the_last() {
    let now = Duration::from_secs(1000);
    let shaken = [Sample {
        handshake: 5000,
        rx: 92,
        tx: 148,
    }];
    let mut health = Health::new(now, &[25]);
    assert_eq!(health.observe(now, &shaken), State::Protected);
    health.block(Reason::NoDataPlane);
    let blocked = State::Blocked(Reason::NoDataPlane);
    assert_eq!(health.observe(now, &shaken), blocked);
    health.restarted(now);
    assert_eq!(health.observe(now, &[Sample::default()]), blocked);
    assert_eq!(health.observe(now, &shaken), State::Protected);
}
