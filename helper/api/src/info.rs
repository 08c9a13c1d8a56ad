// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the service tells, as types. An entry that is missing reads as its default and an unknown number as `Unknown`, so that
//! a client goes on with a newer service.

use zbus::Variant;

use crate::{
    error::ApiError,
    value::{self, Dictionary, Options, get},
};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum $name {
            #[default]
            $($(#[$variant_doc])* $variant = $value,)*
        }

        impl $name {
            /// As a word, for output that programs read.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                match number {
                    $($value => Self::$variant,)*
                    _ => Self::default(),
                }
            }
        }
    };
}

number! {
    /// A tunnel's state.
    TunnelState {
        /// Of a newer service.
        Unknown = 0 "unknown",
        Off = 1 "off",
        Connecting = 2 "connecting",
        /// There is a handshake.
        Protected = 3 "protected",
        /// No handshake: apps are offline.
        Blocked = 4 "blocked",
        Failed = 5 "failed",
    }
}

number! {
    /// An app's state.
    AppState {
        /// Of a newer service.
        Unknown = 0 "unknown",
        /// Also: the first process ended and others go on.
        Running = 1 "running",
        Stopped = 2 "stopped",
        Ended = 3 "ended",
    }
}

number! {
    /// Which WireGuard runs a tunnel, or which one an option asks for.
    Backend {
        /// None while off; as an option: chosen by the service.
        Automatic = 0 "automatic",
        Kernel = 1 "kernel",
        Userspace = 2 "userspace",
    }
}

number! {
    /// When a tunnel comes up by itself.
    Start {
        /// By hand, or because something is launched in it.
        Never = 0 "never",
        /// With the first session of its owner.
        Login = 1 "login",
        /// With the machine.
        Boot = 2 "boot",
    }
}

/// A tunnel in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunnelInfo {
    pub name: String,
    pub state: TunnelState,
    /// When it entered this state: Unix time, milliseconds.
    pub since: u64,
    /// Why it is blocked or failed, a code.
    pub reason: Option<String>,
    pub apps: u32,
    /// The administrator's.
    pub shared: bool,
    /// Id of the tunnel whose configuration is up, where it is not its own.
    pub switched_to: Option<String>,
    /// Base64.
    pub public_key: String,
    /// Codes.
    pub warnings: Vec<String>,
}

impl From<&Dictionary> for TunnelInfo {
    fn from(dictionary: &Dictionary) -> Self {
        let mut info = Self::default();
        info.apply(dictionary);
        info
    }
}

impl TunnelInfo {
    /// Takes in what a `TunnelChanged` told. An empty string takes an entry away.
    pub fn apply(&mut self, changes: &Dictionary) {
        set(&mut self.name, get(changes, "name"));
        set(
            &mut self.state,
            get::<u32>(changes, "state").map(TunnelState::from),
        );
        set(&mut self.since, get(changes, "since"));
        set(
            &mut self.reason,
            get::<String>(changes, "reason").map(|code| Some(code).filter(|code| !code.is_empty())),
        );
        set(&mut self.apps, get(changes, "apps"));
        set(&mut self.shared, get(changes, "shared"));
        set(
            &mut self.switched_to,
            get::<String>(changes, "switched-to").map(|id| Some(id).filter(|id| !id.is_empty())),
        );
        set(&mut self.public_key, get(changes, "public-key"));
        set(&mut self.warnings, get(changes, "warnings"));
    }
}

/// Everything about a tunnel but its secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunnelDetail {
    pub info: TunnelInfo,
    /// Configuration text; every secret key reads `(unchanged)`.
    pub config: String,
    /// Line and key of what the import left out.
    pub ignored: Vec<(u32, String)>,
    pub options: TunnelOptions,
    pub addresses: Vec<String>,
    pub dns: Vec<String>,
    /// Of the link, in bytes; 0 while off.
    pub mtu: u32,
    pub backend: Backend,
    /// Name of link and namespace while up.
    pub link: Option<String>,
    pub peers: Vec<Peer>,
    /// Newest of the peers': Unix time, milliseconds; 0 never.
    pub handshake: u64,
    /// Bytes since the tunnel came up.
    pub rx: u64,
    pub tx: u64,
}

impl From<&Dictionary> for TunnelDetail {
    fn from(dictionary: &Dictionary) -> Self {
        Self {
            info: dictionary.into(),
            config: get(dictionary, "config").unwrap_or_default(),
            ignored: get(dictionary, "ignored").unwrap_or_default(),
            options: get::<Dictionary>(dictionary, "options")
                .map(|options| (&options).into())
                .unwrap_or_default(),
            addresses: get(dictionary, "addresses").unwrap_or_default(),
            dns: get(dictionary, "dns").unwrap_or_default(),
            mtu: get(dictionary, "mtu").unwrap_or_default(),
            backend: get::<u32>(dictionary, "backend").unwrap_or_default().into(),
            link: get(dictionary, "link"),
            peers: get::<Vec<Dictionary>>(dictionary, "peers")
                .unwrap_or_default()
                .iter()
                .map(Peer::from)
                .collect(),
            handshake: get(dictionary, "handshake").unwrap_or_default(),
            rx: get(dictionary, "rx").unwrap_or_default(),
            tx: get(dictionary, "tx").unwrap_or_default(),
        }
    }
}

/// One end of a tunnel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    pub public_key: String,
    /// As configured.
    pub endpoint: Option<String>,
    /// Address in use.
    pub resolved: Option<String>,
    pub allowed_ips: Vec<String>,
    /// Seconds; 0 off.
    pub keepalive: u32,
    /// Unix time, milliseconds; 0 never.
    pub handshake: u64,
    pub rx: u64,
    pub tx: u64,
}

impl From<&Dictionary> for Peer {
    fn from(dictionary: &Dictionary) -> Self {
        Self {
            public_key: get(dictionary, "public-key").unwrap_or_default(),
            endpoint: get(dictionary, "endpoint"),
            resolved: get(dictionary, "resolved"),
            allowed_ips: get(dictionary, "allowed-ips").unwrap_or_default(),
            keepalive: get(dictionary, "keepalive").unwrap_or_default(),
            handshake: get(dictionary, "handshake").unwrap_or_default(),
            rx: get(dictionary, "rx").unwrap_or_default(),
            tx: get(dictionary, "tx").unwrap_or_default(),
        }
    }
}

/// Per-tunnel options that were set; `None` is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunnelOptions {
    pub mtu: Option<u32>,
    /// Seconds; 0 off.
    pub keepalive: Option<u32>,
    pub backend: Option<Backend>,
    pub dns: Option<Vec<String>>,
    pub down_with_last_app: Option<bool>,
    pub start: Option<Start>,
}

impl From<&Dictionary> for TunnelOptions {
    fn from(dictionary: &Dictionary) -> Self {
        Self {
            mtu: get(dictionary, "mtu"),
            keepalive: get(dictionary, "keepalive"),
            backend: get::<u32>(dictionary, "backend").map(Backend::from),
            dns: get(dictionary, "dns"),
            down_with_last_app: get(dictionary, "down-with-last-app"),
            start: get::<u32>(dictionary, "start").map(Start::from),
        }
    }
}

/// A change of options: the outer `None` leaves one as it is, the inner takes it back to its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptionsChange {
    pub mtu: Option<Option<u32>>,
    /// Seconds; 0 off.
    pub keepalive: Option<Option<u32>>,
    pub backend: Option<Option<Backend>>,
    pub dns: Option<Option<Vec<String>>>,
    pub down_with_last_app: Option<Option<bool>>,
    pub start: Option<Option<Start>>,
}

impl OptionsChange {
    pub(crate) fn to_options(&self) -> Options<'static> {
        let mut options = Options::new();
        let mut put = |key: &'static str, value: Option<Option<Variant<'static>>>| {
            if let Some(value) = value {
                options.insert(key, value.unwrap_or_else(|| Variant::from("")));
            }
        };
        put("mtu", self.mtu.map(|value| value.map(Variant::from)));
        put(
            "keepalive",
            self.keepalive.map(|value| value.map(Variant::from)),
        );
        put(
            "backend",
            self.backend
                .map(|value| value.map(|backend| Variant::from(backend as u32))),
        );
        put(
            "dns",
            self.dns.clone().map(|value| value.map(Variant::from)),
        );
        put(
            "down-with-last-app",
            self.down_with_last_app
                .map(|value| value.map(Variant::from)),
        );
        put(
            "start",
            self.start
                .map(|value| value.map(|start| Variant::from(start as u32))),
        );
        options
    }
}

/// A configuration that was saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    pub id: String,
    pub name: String,
    pub warnings: Vec<String>,
    /// Line and key of what was left out.
    pub ignored: Vec<(u32, String)>,
}

/// A configuration that was refused: the error as if it were a call's own.
pub type ImportRefusal = ApiError;

/// What became of one configuration of an import.
pub type ImportResult = Result<Imported, ImportRefusal>;

pub(crate) fn import_result(dictionary: &Dictionary) -> ImportResult {
    if let Some(error) = ApiError::from_result(dictionary) {
        return Err(error);
    }
    Ok(Imported {
        id: get(dictionary, "id").unwrap_or_default(),
        name: get(dictionary, "name").unwrap_or_default(),
        warnings: get(dictionary, "warnings").unwrap_or_default(),
        ignored: get(dictionary, "ignored").unwrap_or_default(),
    })
}

/// What replacing a configuration told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced {
    pub public_key: String,
    pub warnings: Vec<String>,
    pub ignored: Vec<(u32, String)>,
}

impl From<&Dictionary> for Replaced {
    fn from(dictionary: &Dictionary) -> Self {
        Self {
            public_key: get(dictionary, "public-key").unwrap_or_default(),
            warnings: get(dictionary, "warnings").unwrap_or_default(),
            ignored: get(dictionary, "ignored").unwrap_or_default(),
        }
    }
}

/// An app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppInfo {
    /// Id of its tunnel.
    pub tunnel: String,
    /// Absolute path, without a zero byte at its end.
    pub program: Vec<u8>,
    pub name: String,
    /// Of the first process.
    pub pid: u32,
    pub state: AppState,
    /// When it was launched: Unix time, milliseconds.
    pub since: u64,
    /// How many there are now; of `app` only.
    pub processes: Option<u32>,
    /// How the first process ended, once it has.
    pub exit_code: Option<i32>,
    pub exit_signal: Option<i32>,
}

impl From<&Dictionary> for AppInfo {
    fn from(dictionary: &Dictionary) -> Self {
        let mut info = Self::default();
        info.apply(dictionary);
        info
    }
}

impl AppInfo {
    /// Takes in what an `AppChanged` told.
    pub fn apply(&mut self, changes: &Dictionary) {
        set(&mut self.tunnel, get(changes, "tunnel"));
        set(&mut self.program, value::path(changes, "program"));
        set(&mut self.name, get(changes, "name"));
        set(&mut self.pid, get(changes, "pid"));
        set(
            &mut self.state,
            get::<u32>(changes, "state").map(AppState::from),
        );
        set(&mut self.since, get(changes, "since"));
        set(&mut self.processes, get(changes, "processes").map(Some));
        set(&mut self.exit_code, get(changes, "exit-code").map(Some));
        set(&mut self.exit_signal, get(changes, "exit-signal").map(Some));
    }
}

/// One thing that `check` looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// A code.
    pub probe: String,
    pub passed: bool,
    /// What was done to find out.
    pub tried: String,
    /// What was seen.
    pub found: String,
}

impl From<&Dictionary> for Probe {
    fn from(dictionary: &Dictionary) -> Self {
        Self {
            probe: get(dictionary, "probe").unwrap_or_default(),
            // What cannot be read has not passed.
            passed: get(dictionary, "passed").unwrap_or(false),
            tried: get(dictionary, "tried").unwrap_or_default(),
            found: get(dictionary, "found").unwrap_or_default(),
        }
    }
}

/// A state a tunnel was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Unix time, milliseconds.
    pub time: u64,
    pub state: TunnelState,
    /// A code; empty where there is none.
    pub reason: String,
}

/// Quotas of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub tunnels: u32,
    pub connected: u32,
    pub apps: u32,
    pub prompts: u32,
    pub launches_per_second: u32,
}

impl From<&Dictionary> for Limits {
    fn from(dictionary: &Dictionary) -> Self {
        Self {
            tunnels: get(dictionary, "tunnels").unwrap_or_default(),
            connected: get(dictionary, "connected").unwrap_or_default(),
            apps: get(dictionary, "apps").unwrap_or_default(),
            prompts: get(dictionary, "prompts").unwrap_or_default(),
            launches_per_second: get(dictionary, "launches-per-second").unwrap_or_default(),
        }
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
