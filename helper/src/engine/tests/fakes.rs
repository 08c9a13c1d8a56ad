//! A world for the engine: every port in memory, on tokio's paused clock. It outlives the engine, as the kernel outlives the helper.
//! Each effect is a numbered point at which a test lets it fail or the helper die.

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
    launch::{self, Exit, Launch, Survey, User},
    name::{Id, LinkName},
    plan::{LAST_METRIC, SYSCTLS},
    seal::{self, Observed, RouteKind},
};
use tokio::{sync::Notify, time::Instant};

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
    /// The helper dies before it, or after it: it never answers.
    Before,
    After,
}

#[derive(Clone)]
pub struct World(pub Rc<Inner>);

pub struct Inner {
    begin: Instant,
    random: Cell<u64>,
    pub namespaces: RefCell<BTreeMap<LinkName, Space>>,
    pub dns: RefCell<BTreeMap<LinkName, String>>,
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
    /// Looks at the peers' counters: each wakes the helper.
    pub looks: Cell<u32>,
    pub fault: Cell<Option<(usize, Fault)>>,
    pub points: RefCell<Vec<&'static str>>,
    /// What the next launch fails with.
    pub refuse_launch: RefCell<Option<PortError>>,
    /// Launches hang until told.
    pub hold: Cell<bool>,
    pub boot: RefCell<String>,
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
            looks: Cell::new(0),
            fault: Cell::new(None),
            points: RefCell::default(),
            refuse_launch: RefCell::default(),
            hold: Cell::new(false),
            boot: RefCell::new("boot".into()),
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
            .filter(|(at, _)| *at == number)
            .map(|(_, fault)| fault)
        {
            None => effect(),
            Some(Fault::Refused) => lost,
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

impl Namespaces for World {
    async fn create(&self, name: &LinkName) -> PortResult<Namespace> {
        let make = || {
            let inode = 4_026_532_000 + self.0.random.get();
            let space = Space {
                inode,
                ..Space::default()
            };
            let before = self.0.namespaces.borrow_mut().insert(name.clone(), space);
            assert!(before.is_none(), "made twice");
            Ok(Namespace {
                name: name.clone(),
                inode,
                fd: null(),
            })
        };
        self.point("create", make).await
    }

    async fn open(&self, name: &LinkName) -> PortResult<Namespace> {
        let namespaces = self.0.namespaces.borrow();
        let space = namespaces.get(name).ok_or(gone("namespace"))?;
        Ok(Namespace {
            name: name.clone(),
            inode: space.inode,
            fd: null(),
        })
    }

    async fn list(&self) -> PortResult<Vec<LinkName>> {
        Ok(self.0.namespaces.borrow().keys().cloned().collect())
    }

    async fn remove(&self, name: &LinkName) -> PortResult<()> {
        let unpin = || {
            if self.0.namespaces.borrow_mut().remove(name).is_some() {
                // The TUN goes with its namespace, and its reader with it.
                self.end_planes_of(name);
            }
            Ok(())
        };
        self.point("remove", unpin).await
    }

    async fn survey(&self, name: &LinkName) -> PortResult<Survey> {
        let look = || {
            let namespaces = self.0.namespaces.borrow();
            let space = namespaces.get(name).ok_or(gone("namespace"))?;
            let sysctls = SYSCTLS
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            Ok(Survey {
                inode: space.inode,
                sysctls: sysctls.collect(),
            })
        };
        self.point("survey", look).await
    }

    async fn open_tun(&self, namespace: &LinkName, _link: &LinkName) -> PortResult<Tun> {
        let open = || {
            let mut namespaces = self.0.namespaces.borrow_mut();
            let space = namespaces.get_mut(namespace).ok_or(gone("namespace"))?;
            space.link.get_or_insert_default().userspace = true;
            Ok(Tun {
                tun: null(),
                control: null(),
            })
        };
        self.point("open_tun", open).await
    }
}

impl World {
    fn end_planes_of(&self, link: &LinkName) {
        for plane in self
            .0
            .planes
            .borrow()
            .values()
            .filter(|plane| plane.link == *link)
        {
            plane.dead.set(true);
            plane.death.notify_waiters();
        }
    }

    fn on_link<T>(
        &self,
        namespace: &Namespace,
        act: impl FnOnce(&mut Wire) -> PortResult<T>,
    ) -> PortResult<T> {
        let mut namespaces = self.0.namespaces.borrow_mut();
        let space = namespaces
            .get_mut(&namespace.name)
            .ok_or(gone("namespace"))?;
        assert_eq!(space.inode, namespace.inode, "another namespace");
        act(space.link.as_mut().ok_or(PortError::Os {
            what: "link",
            errno: libc::ENODEV,
        })?)
    }
}

impl Links for World {
    async fn create_wireguard(&self, namespace: &Namespace, _link: &LinkName) -> PortResult<()> {
        let make = || {
            if !self.0.kernel.get() {
                return Err(PortError::Unsupported { what: "wireguard" });
            }
            let mut namespaces = self.0.namespaces.borrow_mut();
            let space = namespaces
                .get_mut(&namespace.name)
                .ok_or(gone("namespace"))?;
            assert!(space.link.is_none(), "EXCL");
            space.link = Some(Wire::default());
            Ok(())
        };
        self.point("create_wireguard", make).await
    }

    async fn configure(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        addressing: &Addressing,
    ) -> PortResult<()> {
        let set = || {
            self.on_link(namespace, |wire| {
                wire.addressing = Some(addressing.clone());
                Ok(())
            })
        };
        self.point("configure", set).await
    }

    async fn delete(&self, namespace: &Namespace, _link: &LinkName) -> PortResult<()> {
        let delete = || {
            let mut namespaces = self.0.namespaces.borrow_mut();
            let space = namespaces
                .get_mut(&namespace.name)
                .ok_or(gone("namespace"))?;
            let enodev = PortError::Os {
                what: "RTM_DELLINK",
                errno: libc::ENODEV,
            };
            space.link.take().ok_or(enodev)?;
            self.end_planes_of(&namespace.name);
            Ok(())
        };
        self.point("delete_link", delete).await
    }

    async fn observe(&self, namespace: &Namespace) -> PortResult<Observed> {
        let look = || {
            let namespaces = self.0.namespaces.borrow();
            let space = namespaces.get(&namespace.name).ok_or(gone("namespace"))?;
            Ok(observed(&namespace.name, space))
        };
        self.point("observe", look).await
    }

    async fn path_mtu(&self, _to: IpAddr) -> PortResult<u32> {
        if self.0.uplink.get() {
            Ok(1500)
        } else {
            Err(PortError::Os {
                what: "path",
                errno: libc::ENETUNREACH,
            })
        }
    }

    async fn uplink_changed(&self) -> PortResult<()> {
        self.0.uplink_changes.notified().await;
        Ok(())
    }

    async fn nudge(&self, namespace: &Namespace, _to: IpAddr) -> PortResult<()> {
        self.0.nudges.set(self.0.nudges.get() + 1);
        self.on_link(namespace, |_| Ok(()))
    }
}

fn observed(name: &LinkName, space: &Space) -> Observed {
    let link = |index, name: &str, kind: &str, mtu| seal::Link {
        index,
        name: name.into(),
        kind: kind.into(),
        up: true,
        loopback: index == 1,
        mtu,
    };
    let mut seen = Observed {
        links: vec![link(1, "lo", "", 65536)],
        ..Observed::default()
    };
    if space.foreign {
        seen.links.push(link(3, "veth0", "veth", 1500));
    }
    let route = |net, kind, link, metric| seal::Route {
        table: 254,
        destination: net,
        kind,
        link,
        gateway: None,
        metric,
        by_kernel: false,
    };
    if let Some(Wire {
        addressing: Some(addressing),
        userspace,
        ..
    }) = &space.link
    {
        let kind = if *userspace { "tun" } else { "wireguard" };
        seen.links
            .push(link(2, name.as_str(), kind, addressing.mtu));
        let address = |net: &_| seal::Address { link: 2, net: *net };
        seen.addresses = addressing.addresses.iter().map(address).collect();
        let over = addressing
            .routes
            .iter()
            .map(|net| route(*net, RouteKind::Unicast, Some(2), 0));
        seen.routes.extend(over);
        for net in ["0.0.0.0/0", "::/0"] {
            let net = net.parse().unwrap();
            seen.routes
                .push(route(net, RouteKind::Unreachable, None, LAST_METRIC));
        }
    }
    seen
}

impl WireGuard for World {
    async fn works(&self, backend: Backend) -> bool {
        backend == Backend::Userspace || self.0.kernel.get()
    }

    async fn apply(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        _backend: Backend,
        device: &Device,
    ) -> PortResult<()> {
        let now = self.uptime();
        let set = || {
            self.on_link(namespace, |wire| {
                assert!(self.serves(&namespace.name, wire), "nobody listens");
                wire.peers = device.peers.iter().map(fresh).collect();
                wire.device = Some(device.clone());
                wire.looked = now;
                Ok(())
            })
        };
        self.point("apply", set).await
    }

    async fn status(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        _backend: Backend,
    ) -> PortResult<Vec<PeerStatus>> {
        self.0.looks.set(self.0.looks.get() + 1);
        let (now, unix, alive, traffic) = (
            self.uptime(),
            self.now(),
            self.0.alive.get(),
            self.0.traffic.get(),
        );
        self.on_link(namespace, |wire| {
            if !self.serves(&namespace.name, wire) {
                return Err(gone("data plane"));
            }
            let elapsed = now - wire.looked;
            wire.looked = now;
            for peer in &mut wire.peers {
                let bytes = traffic * u64::try_from(elapsed.as_millis()).unwrap() / 1000;
                peer.tx += bytes;
                if unix - peer.handshake >= 120_000 {
                    peer.tx += 148;
                    if alive {
                        peer.handshake = unix;
                        peer.rx += 92;
                    }
                }
                peer.rx += if alive { bytes } else { 0 };
            }
            Ok(wire.peers.clone())
        })
    }

    async fn renew(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        _backend: Backend,
        peer: &Peer,
    ) -> PortResult<()> {
        self.0.renewals.set(self.0.renewals.get() + 1);
        self.on_link(namespace, |wire| {
            let own = wire
                .peers
                .iter_mut()
                .find(|own| own.public_key == peer.public_key);
            *own.unwrap() = fresh(peer);
            Ok(())
        })
    }
}

fn fresh(peer: &Peer) -> PeerStatus {
    PeerStatus {
        public_key: peer.public_key,
        endpoint: peer.endpoint,
        handshake: 0,
        rx: 0,
        tx: 0,
    }
}

impl DataPlane for World {
    type Instance = Rc<Plane>;

    async fn start(&self, link: &LinkName, _tun: Tun) -> PortResult<Rc<Plane>> {
        let start = || {
            let mut planes = self.0.planes.borrow_mut();
            let pid = 1000 + i32::try_from(planes.len()).unwrap();
            let process = ProcessId { pid, start: 7 };
            let (dead, death) = (Cell::new(false), Notify::new());
            let plane = Rc::new(Plane {
                link: link.clone(),
                process,
                dead,
                death,
            });
            planes.insert(pid, plane.clone());
            Ok(plane)
        };
        self.point("start", start).await
    }

    async fn adopt(&self, process: ProcessId) -> PortResult<Rc<Plane>> {
        let planes = self.0.planes.borrow();
        let found = planes.get(&process.pid).filter(|plane| !plane.dead.get());
        found.cloned().ok_or(gone("data plane"))
    }
}

impl Instance for Rc<Plane> {
    fn process(&self) -> ProcessId {
        self.process
    }

    async fn died(&self) {
        let death = self.death.notified();
        if !self.dead.get() {
            death.await;
        }
    }
}

impl Warden for World {
    type Keeper = Rc<Program>;

    async fn launch(&self, request: Launch, files: LaunchFiles) -> PortResult<Rc<Program>> {
        let records = self
            .0
            .records
            .borrow()
            .contains_key(&(false, files.app.clone()));
        assert!(records, "a record stands before a program runs");
        while self.0.hold.get() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(error) = self.0.refuse_launch.borrow_mut().take() {
            return Err(error);
        }
        let start = || {
            let mut apps = self.0.apps.borrow_mut();
            let pid = 5000 + i32::try_from(apps.len()).unwrap();
            let program = Rc::new(Program {
                process: ProcessId { pid, start: 9 },
                events: RefCell::default(),
                gone: Cell::new(false),
                news: Notify::new(),
                signals: RefCell::default(),
            });
            apps.insert(files.app.clone(), program.clone());
            self.0.launched.borrow_mut().push(request);
            Ok(program)
        };
        self.point("launch", start).await
    }

    async fn adopt(&self, app: &Id, keeper: ProcessId) -> PortResult<Rc<Program>> {
        let apps = self.0.apps.borrow();
        let found = apps.get(app).filter(|program| !program.gone.get());
        let program = found.cloned().ok_or(gone("keeper"))?;
        assert!(keeper == ProcessId::UNKNOWN || keeper == program.process);
        Ok(program)
    }

    async fn exit_record(&self, app: &Id) -> PortResult<Option<Exit>> {
        Ok(self.0.exits.borrow().get(app).copied())
    }

    async fn forget(&self, app: &Id) -> PortResult<()> {
        self.0.exits.borrow_mut().remove(app);
        Ok(())
    }
}

impl Keeper for Rc<Program> {
    fn process(&self) -> ProcessId {
        self.process
    }

    fn app_pid(&self) -> i32 {
        self.process.pid + 10_000
    }

    async fn event(&self) -> Option<launch::Event> {
        loop {
            let next = self.events.borrow_mut().pop_front();
            if next.is_some() || self.gone.get() {
                return next;
            }
            self.news.notified().await;
        }
    }

    async fn signal(&self, signal: i32, all: bool) -> PortResult<()> {
        self.signals.borrow_mut().push((signal, all));
        Ok(())
    }

    async fn processes(&self) -> PortResult<(Vec<i32>, u32)> {
        Ok((vec![1, 2, 3], 0))
    }
}

impl Users for World {
    async fn by_uid(&self, uid: u32) -> PortResult<User> {
        Ok(User {
            uid,
            gid: uid,
            groups: vec![uid],
            name: format!("user{uid}"),
            home: b"/home/user".into(),
            shell: b"/bin/sh".into(),
        })
    }

    async fn login_environment(&self, _user: &User) -> PortResult<Vec<Vec<u8>>> {
        Ok(vec![b"PATH=/usr/bin".into(), b"LONEWIRE_TUNNEL=old".into()])
    }
}

impl Resolver for World {
    async fn resolve(&self, host: &str, _port: u16) -> PortResult<Vec<SocketAddr>> {
        self.0.lookups.set(self.0.lookups.get() + 1);
        self.0.names.borrow().get(host).cloned().ok_or(gone("name"))
    }
}

impl Clock for World {
    fn now(&self) -> u64 {
        BEGIN + u64::try_from(self.0.begin.elapsed().as_millis()).unwrap()
    }

    fn uptime(&self) -> Duration {
        self.0.begin.elapsed() + Duration::from_secs(1000)
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Store for World {
    async fn load(&self) -> PortResult<Vec<Saved>> {
        Ok(self.0.saved.borrow().values().cloned().collect())
    }

    async fn save(&self, tunnel: &Saved) -> PortResult<()> {
        let save = || {
            self.0
                .saved
                .borrow_mut()
                .insert(tunnel.id.clone(), tunnel.clone());
            Ok(())
        };
        self.point("save", save).await
    }

    async fn delete(&self, uid: u32, id: &Id) -> PortResult<()> {
        let saved = self.0.saved.borrow_mut().remove(id);
        assert_eq!(saved.map(|saved| saved.uid), Some(uid));
        Ok(())
    }

    async fn log(&self, _uid: u32, id: &Id, entry: LogEntry) -> PortResult<()> {
        self.0.logs.borrow_mut().push((id.clone(), entry));
        Ok(())
    }

    async fn read_log(&self, _uid: u32, id: &Id) -> PortResult<Vec<LogEntry>> {
        let logs = self.0.logs.borrow();
        Ok(logs
            .iter()
            .filter(|(of, _)| of == id)
            .map(|(_, entry)| entry.clone())
            .collect())
    }

    async fn write_record(&self, kind: RecordKind, id: &Id, text: &str) -> PortResult<()> {
        let write = || {
            let key = (kind == RecordKind::Tunnel, id.clone());
            self.0.records.borrow_mut().insert(key, text.into());
            Ok(())
        };
        self.point("write_record", write).await
    }

    async fn read_records(&self, kind: RecordKind) -> PortResult<Vec<(Id, String)>> {
        let records = self.0.records.borrow();
        let own = records
            .iter()
            .filter(|((tunnel, _), _)| *tunnel == (kind == RecordKind::Tunnel));
        Ok(own
            .map(|((_, id), text)| (id.clone(), text.clone()))
            .collect())
    }

    async fn remove_record(&self, kind: RecordKind, id: &Id) -> PortResult<()> {
        let remove = || {
            self.0
                .records
                .borrow_mut()
                .remove(&(kind == RecordKind::Tunnel, id.clone()));
            Ok(())
        };
        self.point("remove_record", remove).await
    }

    async fn write_dns(&self, namespace: &LinkName, resolv: &str, _hosts: &str) -> PortResult<()> {
        let write = || {
            self.0
                .dns
                .borrow_mut()
                .insert(namespace.clone(), resolv.into());
            Ok(())
        };
        self.point("write_dns", write).await
    }

    async fn remove_dns(&self, namespace: &LinkName) -> PortResult<()> {
        let remove = || {
            self.0.dns.borrow_mut().remove(namespace);
            Ok(())
        };
        self.point("remove_dns", remove).await
    }

    async fn boot_id(&self) -> PortResult<String> {
        Ok(self.0.boot.borrow().clone())
    }

    async fn host_name(&self) -> PortResult<String> {
        Ok("host".into())
    }

    async fn admin_config(&self) -> PortResult<String> {
        Ok(self.0.admin.borrow().clone())
    }

    fn random<const N: usize>(&self) -> PortResult<[u8; N]> {
        let number = self.0.random.get();
        self.0.random.set(number + 1);
        let mut bytes = [0x5a; N];
        bytes[..4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
        Ok(bytes)
    }
}

/// Names of namespaces that are there.
pub fn spaces(world: &World) -> BTreeSet<LinkName> {
    world.0.namespaces.borrow().keys().cloned().collect()
}
