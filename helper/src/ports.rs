//! What the engine needs of the world, as traits: `sys` implements them for real, the engine's tests with fakes.
//! Nothing here does anything.

#![expect(
    async_fn_in_trait,
    reason = "one thread runs the engine: its futures need not be Send"
)]

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::Duration,
};

use ipnet::IpNet;
use lonewire_core::{
    check::{Line, Task},
    launch::{self, Exit, Launch, Stage, Survey, User},
    name::{Id, LinkName},
    seal::Observed,
    secret::{PublicKey, Secret},
};

/// Why an effect did not happen. The text of a library's error is never kept: it may hold a key.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A syscall or a netlink message said no; `what` names it ("RTM_NEWLINK wireguard").
    #[error("{what}: {}", std::io::Error::from_raw_os_error(*errno))]
    Os { what: &'static str, errno: i32 },
    /// The warden could not be asked, or reset the connection (too many requests at once).
    #[error("the warden did not answer")]
    WardenGone,
    #[error("the warden refused at {stage:?}: {}", std::io::Error::from_raw_os_error(*errno))]
    Warden { stage: Stage, errno: i32 },
    /// No answer by the deadline.
    #[error("{what} took too long")]
    Deadline { what: &'static str },
    #[error("not supported here: {what}")]
    Unsupported { what: &'static str },
    #[error("{what} was not found")]
    NotFound { what: &'static str },
}

pub type PortResult<T> = Result<T, PortError>;

/// A pinned namespace, held open.
#[derive(Debug)]
pub struct Namespace {
    pub name: LinkName,
    pub inode: u64,
    pub fd: OwnedFd,
}

/// One process for ever: a pid alone is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
    pub start: u64,
}

impl ProcessId {
    /// Not known: the helper ended between asking for a process and hearing of it.
    pub const UNKNOWN: Self = Self { pid: 0, start: 0 };
}

/// Namespaces: made, pinned and removed by the warden.
pub trait Namespaces {
    /// Makes one, and reads back what was set in it.
    async fn create(&self, name: &LinkName) -> PortResult<(Namespace, Survey)>;
    /// Opens a pinned one.
    async fn open(&self, name: &LinkName) -> PortResult<Namespace>;
    /// Names of all pinned ones that look like ours.
    async fn list(&self) -> PortResult<Vec<LinkName>>;
    async fn remove(&self, name: &LinkName) -> PortResult<()>;
    async fn survey(&self, name: &LinkName) -> PortResult<Survey>;
    /// The TUN and the control socket for userspace WireGuard.
    async fn open_tun(&self, namespace: &LinkName, link: &LinkName) -> PortResult<Tun>;
}

#[derive(Debug)]
pub struct Tun {
    pub tun: OwnedFd,
    pub control: OwnedFd,
}

/// Links, addresses and routes inside a namespace, and what the host's uplink tells.
pub trait Links {
    /// `RTM_NEWLINK` of kind wireguard from the host straight into the namespace, EXCL.
    async fn create_wireguard(&self, namespace: &Namespace, link: &LinkName) -> PortResult<()>;
    /// Sets MTU and addresses, brings the link up, adds the routes over it and `unreachable default` (metric 4294967295) in both families; addresses and routes
    /// of the link that are no longer wanted go. Done twice it changes nothing.
    async fn configure(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        addressing: &Addressing,
    ) -> PortResult<()>;
    async fn delete(&self, namespace: &Namespace, link: &LinkName) -> PortResult<()>;
    /// Ends TCP connections and connected UDP sockets of the namespace, but those with itself: their next call fails with ECONNABORTED. Listening ones stay.
    async fn end_connections(&self, namespace: &Namespace) -> PortResult<()>;
    /// Sets the link down; [`Links::configure`] brings back what that took away.
    async fn cut(&self, namespace: &Namespace, link: &LinkName) -> PortResult<()>;
    /// The host's own addresses, with their networks, but for loopback.
    async fn host_addresses(&self) -> PortResult<Vec<IpNet>>;
    /// Dumps taken by a socket opened inside; `sysctls` stays empty.
    async fn observe(&self, namespace: &Namespace) -> PortResult<Observed>;
    /// MTU of the host's path to an address, in bytes, less nothing.
    async fn path_mtu(&self, to: IpAddr) -> PortResult<u32>;
    /// Answers at the host's next change of link, address or route.
    async fn uplink_changed(&self) -> PortResult<()>;
    /// Sends one UDP byte (port 9, discard) to an address from inside: a tunnel without keepalive then shakes hands.
    async fn nudge(&self, _namespace: &Namespace, _to: IpAddr) -> PortResult<()> {
        Err(PortError::Unsupported { what: "nudge" })
    }
}

/// What the link gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressing {
    pub mtu: u32,
    pub addresses: Vec<IpNet>,
    pub routes: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    Kernel,
    Userspace,
}

/// When a tunnel comes up by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With the first session of its owner.
    Login,
    /// With the machine.
    Boot,
}

/// Keys and peers of a link that is there: it is never made by this.
pub trait WireGuard {
    /// Whether a backend can work on this machine, as far as can be told without making a link: asked once at start.
    async fn works(&self, _backend: Backend) -> bool {
        true
    }
    /// Replaces key and peers, and the port where one is given: a fresh link has a random one, and keeps it.
    async fn apply(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        backend: Backend,
        device: &Device,
    ) -> PortResult<()>;
    async fn status(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        backend: Backend,
    ) -> PortResult<Vec<PeerStatus>>;
    /// Removes and adds one peer in one message: forgets its session, so that a handshake starts at once.
    async fn renew(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        backend: Backend,
        peer: &Peer,
    ) -> PortResult<()>;
}

#[derive(Debug, Clone)]
pub struct Device {
    pub private_key: Secret<32>,
    pub listen_port: Option<u16>,
    pub peers: Vec<Peer>,
}

#[derive(Debug, Clone)]
pub struct Peer {
    pub public_key: PublicKey,
    pub preshared_key: Option<Secret<32>>,
    pub endpoint: Option<SocketAddr>,
    /// Seconds; 0 off.
    pub keepalive: u16,
    pub allowed_ips: Vec<IpNet>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    pub public_key: PublicKey,
    pub endpoint: Option<SocketAddr>,
    /// Unix time, milliseconds; 0 never.
    pub handshake: u64,
    /// Bytes since the peer was set: every set begins at 0 on the userspace backend.
    pub rx: u64,
    pub tx: u64,
}

/// Instances of `lonewire-wireguard`.
pub trait DataPlane {
    type Instance: Instance;
    /// Hands TUN and control socket to a new instance and waits until it serves.
    /// `mtu` of the link, in bytes: packets are padded up to it and never above.
    async fn start(&self, link: &LinkName, mtu: u32, tun: Tun) -> PortResult<Self::Instance>;
    /// Finds the running one of a link again after a restart of the helper; one that does not answer as that process is none.
    async fn adopt(&self, link: &LinkName, process: ProcessId) -> PortResult<Self::Instance>;
}

pub trait Instance: 'static {
    fn process(&self) -> ProcessId;
    /// Tells it the link's MTU. One that an earlier helper started cannot be told.
    async fn set_mtu(&self, mtu: u32) -> PortResult<()>;
    /// Answers when it has died.
    async fn died(&self);
}

/// Launching, and the keepers that stay.
pub trait Warden {
    type Keeper: Keeper;
    /// A warden that waits for what it is to do. Dropped, it ends.
    type Ahead: 'static;
    /// Starts one for a launch that is on its way, so that this takes no time later. `None`: the launch starts its own.
    async fn start_ahead(&self) -> Option<Self::Ahead>;
    /// Launches; answers when the program runs, or says why not. `socket` is where a restarted helper will find the keeper, `exit_record` the file it leaves.
    async fn launch(
        &self,
        ahead: Option<Self::Ahead>,
        request: Launch,
        files: LaunchFiles,
    ) -> PortResult<Self::Keeper>;
    /// Connects to a keeper's socket again. [`ProcessId::UNKNOWN`]: the helper ended before it was told; the keeper says it itself.
    async fn adopt(&self, app: &Id, keeper: ProcessId) -> PortResult<Self::Keeper>;
    /// What the keeper of an app that ended left: how its first process ended.
    async fn exit_record(&self, app: &Id) -> PortResult<Option<Exit>>;
    /// Has a program of ours look around as an app, and tells what it said and who came to addresses of the host meanwhile, where somebody listens for it. With a
    /// task to drop, `cut` is done once it has sent what it sends before. It has ended when this answers.
    async fn look_around(
        &self,
        request: Launch,
        app: &Id,
        task: &Task,
        cut: impl AsyncFnOnce() -> PortResult<()>,
    ) -> PortResult<Look>;
    /// Removes an app's socket and exit record.
    async fn forget(&self, app: &Id) -> PortResult<()>;
}

/// What came of a look from inside.
#[derive(Debug, Clone, Default)]
pub struct Look {
    pub lines: Vec<Line>,
    /// Where those came from who reached the host.
    pub arrived: Vec<SocketAddr>,
}

/// The descriptors of a launch. The caller's are passed on unlooked-at and closed off the engine's thread: a close can block on FUSE.
#[derive(Debug)]
pub struct LaunchFiles {
    pub app: Id,
    pub stdio: [OwnedFd; 3],
    pub hold: Option<OwnedFd>,
    pub tie: Option<OwnedFd>,
}

pub trait Keeper: 'static {
    /// Of the keeper itself.
    fn process(&self) -> ProcessId;
    /// Pid of the first process of the app.
    fn app_pid(&self) -> i32;
    /// The next thing it reports; `None` once it has gone.
    async fn event(&self) -> Option<launch::Event>;
    async fn signal(&self, signal: i32, all: bool) -> PortResult<()>;
    /// Pids of all processes of the app, and how many of them are outside the tunnel's namespace.
    async fn processes(&self) -> PortResult<(Vec<i32>, u32)>;
}

/// The user database, asked on a thread of its own with a deadline.
pub trait Users {
    async fn by_uid(&self, uid: u32) -> PortResult<User>;
    /// Environment of a fresh login (`NAME=value`), for `clean-env`.
    async fn login_environment(&self, user: &User) -> PortResult<Vec<Vec<u8>>>;
}

/// Names of endpoints, looked up on the host.
pub trait Resolver {
    async fn resolve(&self, host: &str, port: u16) -> PortResult<Vec<SocketAddr>>;
}

pub trait Clock {
    /// Unix time, milliseconds.
    fn now(&self) -> u64;
    /// CLOCK_BOOTTIME: goes on in suspend, never jumps.
    fn uptime(&self) -> Duration;
    async fn sleep(&self, time: Duration);
}

/// Files: what is saved in `/var/lib/lonewire`, what is noted in `/run/lonewire`. Written whole or not at all.
pub trait Store {
    /// Every saved tunnel: owner, id and content. A file that cannot be read is told and left out.
    async fn load(&self) -> PortResult<Vec<Saved>>;
    async fn save(&self, tunnel: &Saved) -> PortResult<()>;
    async fn delete(&self, uid: u32, id: &Id) -> PortResult<()>;
    /// Adds a line to a tunnel's history, and reads it; lines older than 7 days go.
    async fn log(&self, uid: u32, id: &Id, entry: LogEntry) -> PortResult<()>;
    async fn read_log(&self, uid: u32, id: &Id) -> PortResult<Vec<LogEntry>>;
    /// Run-time records by kind and id: TOML text below `/run/lonewire`.
    async fn write_record(&self, kind: RecordKind, id: &Id, text: &str) -> PortResult<()>;
    async fn read_records(&self, kind: RecordKind) -> PortResult<Vec<(Id, String)>>;
    async fn remove_record(&self, kind: RecordKind, id: &Id) -> PortResult<()>;
    /// The record of what has come up by itself, if there is one, and another in its place.
    async fn read_starts(&self) -> PortResult<Option<String>>;
    async fn write_starts(&self, text: &str) -> PortResult<()>;
    /// `resolv.conf` and `hosts` of a namespace, each replaced by rename.
    async fn write_dns(
        &self,
        namespace: &LinkName,
        resolv_conf: &str,
        hosts: &str,
    ) -> PortResult<()>;
    /// The two as they are now: what a program of the namespace reads.
    async fn read_dns(&self, namespace: &LinkName) -> PortResult<(String, String)>;
    async fn remove_dns(&self, namespace: &LinkName) -> PortResult<()>;
    /// Identifies this boot; records of another are of no use.
    async fn boot_id(&self) -> PortResult<String>;
    /// The host's name, for `hosts`.
    async fn host_name(&self) -> PortResult<String>;
    /// `/etc/lonewire/config.toml`, empty where there is none.
    async fn admin_config(&self) -> PortResult<String>;
    /// Random bytes for ids, names and keys.
    fn random<const N: usize>(&self) -> PortResult<[u8; N]>;
}

#[derive(Debug, Clone)]
pub struct Saved {
    pub uid: u32,
    pub id: Id,
    /// As its options say: noted beside the file too, for units that start the helper only where there is such a tunnel.
    pub start: Option<Start>,
    /// The whole file: options and the configuration with its keys, as `core::tunnel` writes it.
    pub content: zeroize::Zeroizing<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Unix time, milliseconds.
    pub time: u64,
    pub state: u32,
    /// A code; empty where there is none.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    Tunnel,
    App,
}

/// All of them: what an engine is built on.
pub trait Ports:
    Namespaces + Links + WireGuard + DataPlane + Warden + Users + Resolver + Clock + Store + 'static
{
}
impl<T> Ports for T where
    T: Namespaces
        + Links
        + WireGuard
        + DataPlane
        + Warden
        + Users
        + Resolver
        + Clock
        + Store
        + 'static
{
}
