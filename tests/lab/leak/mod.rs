//! The leak matrix: every stimulus in every state, with the real programs, judged by the one oracle. A cell is a stimulus in a state; all cells of a
//! state share its worlds, one for each kind of uplink that chance chose, where all stimuli are fired at once.
//!
//! Must never call a cell passed whose stimulus would not have been seen: what a shot looks like beside the tunnel is seen first.

mod aim;
mod attack;
mod control;
mod handed;
mod scene;
mod state;
mod table;
mod trial;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::Mutex,
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    dice::Dice,
    net::{Family, Kind, Uplink},
};

pub use state::State;
pub use table::Table;

/// Which WireGuard the tunnel has. The helper chooses it by itself, and has to choose what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    Kernel,
    Userspace,
}

impl Backend {
    /// What the helper is to choose on this machine.
    ///
    /// # Errors
    /// It cannot be tried.
    pub fn of_this_machine() -> Result<Self> {
        let line = ["--net", "ip", "link", "add", "wg0", "type", "wireguard"];
        let tried = Command::new("unshare").args(line).output();
        Ok(if tried.context("unshare")?.status.success() {
            Self::Kernel
        } else {
            Self::Userspace
        })
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Userspace => "userspace",
        }
    }

    /// What ip-link(8) calls a link of it.
    fn link_kind(self) -> &'static str {
        match self {
            Self::Kernel => "wireguard",
            Self::Userspace => "tun",
        }
    }
}

/// What is tried inside (SECURITY 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stimulus {
    S01,
    S02,
    S03,
    S04,
    S05,
    S06,
    S07,
    S08,
    S09,
    S10,
    S11,
    S12,
    S13,
    S14,
    S15,
    S16,
    S17,
    S18,
    S19,
    S20,
    S21,
    S22,
    S23,
    S24,
    S25,
    S26,
    S27,
}

impl Stimulus {
    pub const ALL: [Self; 27] = [
        Self::S01,
        Self::S02,
        Self::S03,
        Self::S04,
        Self::S05,
        Self::S06,
        Self::S07,
        Self::S08,
        Self::S09,
        Self::S10,
        Self::S11,
        Self::S12,
        Self::S13,
        Self::S14,
        Self::S15,
        Self::S16,
        Self::S17,
        Self::S18,
        Self::S19,
        Self::S20,
        Self::S21,
        Self::S22,
        Self::S23,
        Self::S24,
        Self::S25,
        Self::S26,
        Self::S27,
    ];

    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::S01 => "TCP to the internet, Fast Open, MPTCP",
            Self::S02 => "the host's own network, loopback, other tunnels",
            Self::S03 => "UDP: small, large, fragments, segments",
            Self::S04 => "the endpoint's own address",
            Self::S05 => "ICMP echo, with options",
            Self::S06 => "raw sockets, as the user and as root inside",
            Self::S07 => "IPv6: global, local, scoped, mapped",
            Self::S08 => "names: resolved",
            Self::S09 => "names: nscd",
            Self::S10 => "names: avahi, sssd, nsswitch",
            Self::S11 => "DNS to servers of one's own choice",
            Self::S12 => "names over the system bus",
            Self::S13 => "multicast",
            Self::S14 => "broadcast, DHCP",
            Self::S15 => "SCTP, DCCP, UDP-Lite",
            Self::S16 => "packet sockets, user namespaces, AF_XDP",
            Self::S17 => "families that are not the internet's",
            Self::S18 => "sockets told to use the host's interface or address",
            Self::S19 => "sockets handed in",
            Self::S20 => "agents behind sockets with a path",
            Self::S21 => "the session bus",
            Self::S22 => "single instances outside",
            Self::S23 => "flows that began before",
            Self::S24 => "path MTU, hops, malformed packets",
            Self::S25 => "an attacker on the host's network",
            Self::S26 => "escapes to the host's namespace",
            Self::S27 => "what is visible of the host",
        }
    }
}

/// Why a cell is not run: there are no other reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// What is promised of programs that ask others is not built yet.
    WaitsForApps,
    /// Nothing can be launched in this state, and the stimulus is a launch.
    NothingStarts,
    /// The state is of the data plane's process, which the kernel's WireGuard has not.
    NoDataPlane,
}

impl Reason {
    pub const ALL: [Self; 3] = [Self::WaitsForApps, Self::NothingStarts, Self::NoDataPlane];

    pub fn words(self) -> &'static str {
        match self {
            Self::WaitsForApps => "waits for the work on apps",
            Self::NothingStarts => "nothing is started in this state",
            Self::NoDataPlane => "the kernel's WireGuard has no process",
        }
    }
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail {
        why: Vec<String>,
    },
    #[serde(rename = "n/a")]
    NotApplicable {
        reason: Reason,
    },
}

/// One of the matrix.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    pub stimulus: Stimulus,
    pub state: State,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Where it ran: `veth, IPv4`.
    pub uplinks: Vec<String>,
    /// How many things were tried, and what came of those that a program fired, each in a line.
    pub shots: usize,
    pub said: Vec<String>,
}

/// What is not run, and why.
pub fn not_applicable(stimulus: Stimulus, state: State, backend: Backend) -> Option<Reason> {
    match stimulus {
        Stimulus::S20 | Stimulus::S21 | Stimulus::S22 => Some(Reason::WaitsForApps),
        // The socket is handed in at a launch.
        Stimulus::S19 if !state.launches() => Some(Reason::NothingStarts),
        _ if !state.is_of(backend) => Some(Reason::NoDataPlane),
        _ => None,
    }
}

/// A part of the matrix, or all.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub backend: Backend,
    pub states: BTreeSet<State>,
    pub stimuli: BTreeSet<Stimulus>,
    /// Worlds at once.
    pub workers: usize,
    /// Of tests of the matrix itself.
    pub plant: Option<Plant>,
}

/// A leak that a test of the matrix plants in every world of a run: cells have to fail then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// The data plane sends packets as they are; the kernel's is not replaced.
    PlainForwarder,
    /// The namespace has another link, to the host.
    Link,
    /// The app reaches the host's name service and its system bus.
    Services,
    /// The host has the tunnel's addresses too.
    Addresses,
}

/// A world to run in.
#[derive(Debug, Clone)]
struct Job {
    backend: Backend,
    plant: Option<Plant>,
    state: State,
    /// Which form of the fault.
    variant: usize,
    /// Whether the tunnel has an IPv6 address.
    has_v6: bool,
    uplinks: Vec<Uplink>,
}

/// What came of a stimulus in one world.
#[derive(Debug, Default)]
struct Tried {
    why: Vec<String>,
    shots: usize,
    said: Vec<String>,
    /// Whether this world could show what it looks like beside the tunnel.
    controlled: bool,
}

const KINDS: [Kind; 3] = [Kind::Veth, Kind::Bridge, Kind::Macvlan];
/// Pairs, so that each state meets both families.
const FAMILIES: [[Family; 2]; 6] = [
    [Family::V4, Family::V6],
    [Family::V6, Family::V4],
    [Family::Both, Family::V4],
    [Family::Both, Family::V6],
    [Family::V4, Family::Both],
    [Family::V6, Family::Both],
];

fn jobs(plan: &Plan) -> Vec<Job> {
    let mut jobs = Vec::new();
    // For all states, whichever are run: a part of a run chooses as the whole.
    let mut dice = Dice::of(plan.seed);
    let mut pick = |count: usize| usize::try_from(dice.below(count as u64)).unwrap_or(0);
    for state in State::ALL {
        let first = pick(KINDS.len());
        let second = (first + 1 + pick(KINDS.len() - 1)) % KINDS.len();
        let families = FAMILIES[pick(FAMILIES.len())];
        let third = KINDS[pick(KINDS.len())];
        let with_v6 = pick(2);
        for (variant, kind) in [first, second].into_iter().enumerate() {
            let mut uplinks = vec![Uplink {
                kind: KINDS[kind],
                family: families[variant],
            }];
            if state.wants_another_uplink() {
                uplinks.push(Uplink {
                    kind: third,
                    family: families[variant],
                });
            }
            if plan.states.contains(&state) && state.is_of(plan.backend) {
                jobs.push(Job {
                    backend: plan.backend,
                    plant: plan.plant,
                    state,
                    variant,
                    has_v6: variant == with_v6,
                    uplinks,
                });
            }
        }
    }
    jobs
}

/// Runs the plan; `told` hears of each world.
///
/// # Errors
/// An unfit machine; what fails in a world is in the table.
pub fn run(plan: &Plan, told: &(dyn Fn(&str) + Sync)) -> Result<Table> {
    if plan.states.is_empty() || plan.stimuli.is_empty() {
        bail!("nothing to run");
    }
    let began = Instant::now();
    let todo = Mutex::new(jobs(plan));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..plan.workers.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(job) = todo.lock().ok().and_then(|mut jobs| jobs.pop()) else {
                        return;
                    };
                    let since = Instant::now();
                    let result = trial::run(&job, &plan.stimuli);
                    told(&told_of(&job, &result, since.elapsed().as_secs_f64()));
                    if let Ok(mut done) = done.lock() {
                        done.push((job, result));
                    }
                }
            });
        }
    });
    let done = done.into_inner().ok().context("a world's thread died")?;
    Ok(Table::new(plan, cells(plan, &done), began.elapsed()))
}

type Done = (Job, Result<BTreeMap<Stimulus, Tried>>);

fn told_of(job: &Job, result: &Result<BTreeMap<Stimulus, Tried>>, seconds: f64) -> String {
    let place = place(job);
    match result {
        Ok(tried) => {
            let bad = tried.values().filter(|one| !one.why.is_empty()).count();
            format!("{:?} {place}: {bad} fail, {seconds:.1} s", job.state)
        }
        Err(error) => format!("{:?} {place}: {error:#}, {seconds:.1} s", job.state),
    }
}

fn place(job: &Job) -> String {
    let one = |uplink: &Uplink| {
        let kind = match uplink.kind {
            Kind::Veth => "veth",
            Kind::Bridge => "bridge",
            Kind::Macvlan => "macvlan",
        };
        let family = match uplink.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
            Family::Both => "both",
        };
        format!("{kind} {family}")
    };
    let all: Vec<_> = job.uplinks.iter().map(one).collect();
    all.join(" + ")
}

fn cells(plan: &Plan, done: &[Done]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for state in &plan.states {
        for stimulus in &plan.stimuli {
            let worlds: Vec<_> = done.iter().filter(|(job, _)| job.state == *state).collect();
            let reason = not_applicable(*stimulus, *state, plan.backend);
            cells.push(cell(*stimulus, *state, reason, &worlds));
        }
    }
    cells
}

fn cell(stimulus: Stimulus, state: State, reason: Option<Reason>, worlds: &[&Done]) -> Cell {
    let mut cell = Cell {
        stimulus,
        state,
        verdict: Verdict::Pass,
        uplinks: Vec::new(),
        shots: 0,
        said: Vec::new(),
    };
    if let Some(reason) = reason {
        cell.verdict = Verdict::NotApplicable { reason };
        return cell;
    }
    let (mut why, mut controlled) = (Vec::new(), false);
    for (job, result) in worlds {
        let place = place(job);
        match result {
            Ok(tried) => match tried.get(&stimulus) {
                Some(tried) => {
                    why.extend(tried.why.iter().map(|text| format!("{place}: {text}")));
                    cell.shots += tried.shots;
                    let said = tried.said.iter();
                    cell.said
                        .extend(said.map(|text| format!("{place}: {text}")));
                    controlled |= tried.controlled;
                }
                None => why.push(format!("{place}: not tried")),
            },
            Err(error) => why.push(format!("{place}: {error:#}")),
        }
        cell.uplinks.push(place);
    }
    if worlds.len() < 2 {
        why.push("fewer than two worlds".into());
    }
    if !controlled {
        why.push("nothing showed what it looks like beside the tunnel".into());
    }
    if !why.is_empty() {
        cell.verdict = Verdict::Fail { why };
    }
    cell
}
