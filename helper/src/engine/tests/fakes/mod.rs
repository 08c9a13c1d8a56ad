//! A world for the engine: every port in memory, on tokio's paused clock. It outlives the engine, as the kernel outlives the helper.
//! Each effect is a numbered point at which a test lets it fail or the helper die.

mod network;
mod programs;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    rc::Rc,
    time::Duration,
};

use lonewire_core::{
    launch::{self, Exit, Launch},
    name::{Id, LinkName},
};
use tokio::{sync::Notify, time::Instant};

pub use programs::SLOW;

use crate::ports::*;

/// Unix time at the beginning, milliseconds.
pub const BEGIN: u64 = 1_800_000_000_000;

/// What happens at the point that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and nothing was done.
    Refused,
    /// It fails and was done all the same.
    Lost,
    /// It and all that come after it fail, and nothing is done.
    AllRefused,
    /// The helper dies before it, or after it: it never answers.
    Before,
    After,
}

#[derive(Clone)]
pub struct World(pub Rc<Inner>);

pub struct Inner {
    begin: Instant,
    /// By how many milliseconds the wall clock was set back.
    pub behind: Cell<u64>,
    random: Cell<u64>,
    pub namespaces: RefCell<BTreeMap<LinkName, Space>>,
    pub dns: RefCell<BTreeMap<LinkName, (String, String)>>,
    pub saved: RefCell<BTreeMap<Id, Saved>>,
    pub records: RefCell<BTreeMap<(bool, Id), String>>,
    pub logs: RefCell<Vec<(Id, LogEntry)>>,
    pub planes: RefCell<BTreeMap<i32, Rc<Plane>>>,
    pub apps: RefCell<BTreeMap<Id, Rc<Program>>>,
    /// The last launch that was asked for.
    pub launched: RefCell<Vec<Launch>>,
    pub exits: RefCell<BTreeMap<Id, Exit>>,
    pub admin: RefCell<String>,
    pub kernel: Cell<bool>,
    pub alive: Cell<bool>,
    /// Bytes a second that apps send.
    pub traffic: Cell<u64>,
    pub uplink: Cell<bool>,
    pub uplink_changes: Notify,
    pub names: RefCell<BTreeMap<String, Vec<SocketAddr>>>,
    pub lookups: Cell<u32>,
    pub renewals: Cell<u32>,
    pub nudges: Cell<u32>,
    /// How often connections were ended.
    pub ended: Cell<u32>,
    /// Looks at the peers' counters: each wakes the helper.
    pub looks: Cell<u32>,
    pub fault: Cell<Option<(usize, Fault)>>,
    pub points: RefCell<Vec<&'static str>>,
    /// Looking up a user is a bug.
    pub panics: Cell<bool>,
    /// What the next launch fails with.
    pub refuse_launch: RefCell<Option<PortError>>,
    /// Wardens that were started ahead of a launch.
    pub ahead: RefCell<Vec<std::rc::Weak<()>>>,
    pub look: RefCell<Look>,
    /// Launches hang until told.
    pub hold: Cell<bool>,
    pub boot: RefCell<String>,
    /// The record of what came up by itself.
    pub starts: RefCell<Option<String>>,
}

#[derive(Default)]
pub struct Space {
    pub inode: u64,
    pub link: Option<Wire>,
    pub foreign: bool,
}

#[derive(Default)]
pub struct Wire {
    pub userspace: bool,
    pub addressing: Option<Addressing>,
    pub device: Option<Device>,
    pub peers: Vec<PeerStatus>,
    looked: Duration,
}

pub struct Plane {
    pub link: LinkName,
    pub process: ProcessId,
    pub mtu: Cell<u32>,
    pub dead: Cell<bool>,
    pub death: Notify,
}

pub struct Program {
    pub process: ProcessId,
    pub events: RefCell<VecDeque<launch::Event>>,
    pub gone: Cell<bool>,
    pub news: Notify,
    pub signals: RefCell<Vec<(i32, bool)>>,
}

impl World {
    pub fn new() -> Self {
        Self(Rc::new(Inner {
            begin: Instant::now(),
            behind: Cell::default(),
            random: Cell::new(1),
            namespaces: RefCell::default(),
            dns: RefCell::default(),
            saved: RefCell::default(),
            records: RefCell::default(),
            logs: RefCell::default(),
            planes: RefCell::default(),
            apps: RefCell::default(),
            launched: RefCell::default(),
            exits: RefCell::default(),
            admin: RefCell::default(),
            kernel: Cell::new(false),
            alive: Cell::new(true),
            traffic: Cell::new(0),
            uplink: Cell::new(true),
            uplink_changes: Notify::new(),
            names: RefCell::default(),
            lookups: Cell::new(0),
            renewals: Cell::new(0),
            nudges: Cell::new(0),
            ended: Cell::new(0),
            looks: Cell::new(0),
            fault: Cell::new(None),
            points: RefCell::default(),
            panics: Cell::new(false),
            refuse_launch: RefCell::default(),
            ahead: RefCell::default(),
            look: RefCell::default(),
            hold: Cell::new(false),
            boot: RefCell::new("boot".into()),
            starts: RefCell::default(),
        }))
    }

    /// Does `effect`, unless this is the point where a test wants something else.
    async fn point<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce() -> PortResult<T>,
    ) -> PortResult<T> {
        let number = self.0.points.borrow().len();
        self.0.points.borrow_mut().push(name);
        // Others go on meanwhile, as with every real effect.
        tokio::task::yield_now().await;
        let lost = Err(PortError::Os {
            what: name,
            errno: libc::EIO,
        });
        match self
            .0
            .fault
            .get()
            .filter(|(at, fault)| *at == number || (*fault == Fault::AllRefused && *at < number))
            .map(|(_, fault)| fault)
        {
            None => effect(),
            Some(Fault::Refused | Fault::AllRefused) => lost,
            Some(Fault::Lost) => effect().and(lost),
            Some(Fault::Before) => std::future::pending().await,
            Some(Fault::After) => {
                let _done = effect();
                std::future::pending().await
            }
        }
    }

    /// Nothing of a tunnel is there.
    pub fn is_bare(&self) -> bool {
        let records = self.0.records.borrow();
        self.0.namespaces.borrow().is_empty()
            && self.0.dns.borrow().is_empty()
            && records.keys().all(|(is_tunnel, _)| !is_tunnel)
            && self
                .0
                .planes
                .borrow()
                .values()
                .all(|plane| plane.dead.get())
    }

    /// The link's, if there is one tunnel up.
    pub fn wire<T>(&self, look: impl FnOnce(&mut Wire) -> T) -> Option<T> {
        let mut namespaces = self.0.namespaces.borrow_mut();
        namespaces
            .values_mut()
            .find_map(|space| space.link.as_mut())
            .map(look)
    }

    pub fn kill_plane(&self) {
        for plane in self.0.planes.borrow().values() {
            plane.dead.set(true);
            plane.death.notify_waiters();
        }
    }

    pub fn living_planes(&self) -> usize {
        self.0
            .planes
            .borrow()
            .values()
            .filter(|plane| !plane.dead.get())
            .count()
    }

    pub fn tell(&self, app: &Id, event: launch::Event) {
        let program = self.0.apps.borrow()[app].clone();
        program.events.borrow_mut().push_back(event);
        program.news.notify_one();
    }

    /// An app's first process and all others end.
    pub fn end(&self, app: &Id, exit: Exit) {
        self.0.exits.borrow_mut().insert(app.clone(), exit);
        self.tell(app, launch::Event::Exited(exit));
        self.tell(app, launch::Event::Ended);
        let program = self.0.apps.borrow()[app].clone();
        program.gone.set(true);
        program.news.notify_one();
    }

    fn serves(&self, link: &LinkName, wire: &Wire) -> bool {
        let planes = self.0.planes.borrow();
        !wire.userspace
            || planes
                .values()
                .any(|plane| plane.link == *link && !plane.dead.get())
    }
}

fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

fn gone(what: &'static str) -> PortError {
    PortError::NotFound { what }
}

/// Names of namespaces that are there.
pub fn spaces(world: &World) -> BTreeSet<LinkName> {
    world.0.namespaces.borrow().keys().cloned().collect()
}
