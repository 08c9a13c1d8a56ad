//! What the engine tells about tunnels and apps, as plain values. The bus turns them into dictionaries; the words are those of `data/dbus/*.xml`.

use lonewire_core::{launch::Exit, name::Id};

use crate::{
    auth::Owner,
    ports::{Backend, Start},
};

/// The numbers are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u32)]
pub enum TunnelState {
    Off = 1,
    Connecting = 2,
    Protected = 3,
    Blocked = 4,
    Failed = 5,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelInfo {
    pub name: String,
    pub state: TunnelState,
    pub since: u64,
    pub reason: Option<&'static str>,
    pub apps: u32,
    pub shared: bool,
    /// Whose configuration is up, where it is not its own.
    pub switched_to: Option<Id>,
    pub public_key: String,
    pub warnings: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TunnelDetail {
    pub info: TunnelInfo,
    pub config: String,
    pub ignored: Vec<(u32, String)>,
    pub options: TunnelOptions,
    pub addresses: Vec<String>,
    pub dns: Vec<String>,
    pub mtu: u32,
    pub backend: Option<Backend>,
    pub link: Option<String>,
    pub peers: Vec<PeerInfo>,
    pub handshake: u64,
    pub rx: u64,
    pub tx: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    pub public_key: String,
    pub endpoint: Option<String>,
    pub resolved: Option<String>,
    pub allowed_ips: Vec<String>,
    pub keepalive: u32,
    pub handshake: u64,
    pub rx: u64,
    pub tx: u64,
}

/// Per-tunnel options; `None` is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct TunnelOptions {
    pub mtu: Option<u32>,
    pub keepalive: Option<u32>,
    pub backend: Option<Backend>,
    pub dns: Option<Vec<std::net::IpAddr>>,
    pub down_with_last_app: Option<bool>,
    pub start: Option<Start>,
}

/// A change of options: the outer `None` leaves one as it is, the inner takes it back to its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptionsChange {
    pub mtu: Option<Option<u32>>,
    pub keepalive: Option<Option<u32>>,
    pub backend: Option<Option<Backend>>,
    pub dns: Option<Option<Vec<std::net::IpAddr>>>,
    pub down_with_last_app: Option<Option<bool>>,
    pub start: Option<Option<Start>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub id: Id,
    pub name: String,
    pub public_key: String,
    pub warnings: Vec<&'static str>,
    pub ignored: Vec<(u32, String)>,
}

/// The numbers are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum AppState {
    Running = 1,
    Stopped = 2,
    Ended = 3,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInfo {
    pub tunnel: Id,
    /// Without a zero byte at its end.
    pub program: Vec<u8>,
    pub name: String,
    pub pid: u32,
    pub state: AppState,
    pub since: u64,
    pub processes: Option<u32>,
    pub exit: Option<Exit>,
}

/// A probe of `Check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub probe: String,
    pub passed: bool,
    pub tried: String,
    pub found: String,
}

/// What is wished of `Check`.
#[derive(Debug, Default)]
pub struct CheckWish {
    /// The drop test cuts the tunnel's own link.
    pub drop: bool,
    /// As a launch's.
    pub bus_names: Vec<String>,
}

/// What the login manager says of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// He has a session; `since` tells this time from others.
    LoggedIn { since: u64 },
    /// He has none, and his programs may go on all the same.
    Lingers,
}

/// By uid. Who is not in it is not there.
pub type Presences = std::collections::BTreeMap<u32, Presence>;

/// What subscribers are told, with whose it is.
#[derive(Debug, Clone)]
pub enum Event {
    TunnelAdded(Owner, Id, TunnelInfo),
    /// The whole info: the bus sends what differs from what it sent last.
    TunnelChanged(Owner, Id, TunnelInfo),
    TunnelRemoved(Owner, Id),
    AppAdded(Owner, Id, AppInfo),
    AppChanged(Owner, Id, AppInfo),
    AppRemoved(Owner, Id),
}

/// What a caller wants launched, checked for size and shape by the bus (SECURITY, launch step c).
#[derive(Debug)]
pub struct LaunchWish {
    pub program: Vec<u8>,
    pub argv: Vec<Vec<u8>>,
    pub environment: Vec<Vec<u8>>,
    pub cwd: Vec<u8>,
    pub umask: u32,
    pub pty: bool,
    pub clean_env: bool,
    pub name: Option<String>,
    /// Seconds to wait for `Protected`.
    pub wait: u32,
    pub stdio: [std::os::fd::OwnedFd; 3],
    pub hold: Option<std::os::fd::OwnedFd>,
    pub tie: Option<std::os::fd::OwnedFd>,
    /// The names that the system bus has and those that it can start.
    pub bus_names: Vec<String>,
}

/// Quotas of a user and of the machine (the admin file's, else the defaults).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quotas {
    pub tunnels: u32,
    pub connected: u32,
    pub apps: u32,
    pub prompts: u32,
    pub launches_per_second: u32,
    pub connected_in_all: u32,
    pub warden_requests_per_second: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            tunnels: 2048,
            connected: 32,
            apps: 512,
            prompts: 4,
            launches_per_second: 50,
            connected_in_all: 128,
            warden_requests_per_second: 80,
        }
    }
}
