//! Plays the helper for a window: so many tunnels, one of them on with traffic. It answers at once, so that what is measured is the window.
//! Must never be a program's only witness that the window works: the rings use the real one.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use zbus::{Connection, OwnedVariant, Variant, connection::Builder};

type Dict = HashMap<String, OwnedVariant>;

const NAME: &str = "org.lonewire.Helper1";
const PATH: &str = "/org/lonewire/Helper1";

/// What it tells of.
#[derive(Debug, Clone)]
pub struct Told {
    pub version: String,
    /// Since when the tunnels are as they are, Unix time in milliseconds.
    pub since: u64,
    pub tunnels: Vec<Tunnel>,
    pub apps: Vec<(String, String)>,
}

/// A tunnel: its label and what the API tells of its state.
#[derive(Debug, Clone)]
pub struct Tunnel {
    pub name: String,
    pub state: u32,
    pub reason: &'static str,
    pub apps: u32,
}

impl Told {
    /// So many tunnels, the first of which is protected.
    pub fn crowd(count: usize) -> Self {
        let places = ["Sweden", "Zürich", "New York", "São Paulo", "Tokyo", "Oslo"];
        let tunnels = (0..count)
            .map(|number| Tunnel {
                name: format!("{} {number:04}", places[number % places.len()]),
                state: if number == 0 { 3 } else { 1 },
                reason: "",
                apps: 0,
            })
            .collect();
        Self {
            version: "0.1.0".into(),
            since: now() - 7_200_000,
            tunnels,
            apps: Vec::new(),
        }
    }

    /// One that is off.
    pub fn off() -> Self {
        let mut told = Self::crowd(1);
        told.tunnels.iter_mut().for_each(|tunnel| tunnel.state = 1);
        told
    }
}

/// Serves on a bus until it is dropped.
///
/// # Errors
/// The bus is not there, or the name is taken.
pub fn serve(address: &str, told: &Told) -> zbus::Result<Connection> {
    let service = Service { told: told.clone() };
    let tunnels = Tunnels {
        told: told.clone(),
        bytes: AtomicU64::new(0),
    };
    let apps = Apps { told: told.clone() };
    zbus::block_on(async {
        Builder::address(address)
            .name(NAME)
            .serve_at(PATH, service)
            .serve_at(PATH, tunnels)
            .serve_at(PATH, apps)
            .build()
            .await
    })
}

fn value<'a>(value: impl Into<Variant<'a>>) -> OwnedVariant {
    value
        .into()
        .try_into_owned()
        .unwrap_or_else(|_| OwnedVariant::from(0_u32))
}

fn id(number: usize) -> String {
    format!("{number:032x}")
}

fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0))
}

fn info(tunnel: &Tunnel, since: u64) -> Dict {
    let mut info = Dict::from([
        ("name".into(), value(tunnel.name.as_str())),
        ("state".into(), value(tunnel.state)),
        ("since".into(), value(since)),
        ("apps".into(), value(tunnel.apps)),
        ("shared".into(), value(false)),
        (
            "public-key".into(),
            value("o5sXbM1sVjb2lgeJrNRzZmWRFRxmLWS1cVYDpfaEqVI="),
        ),
    ]);
    if !tunnel.reason.is_empty() {
        info.insert("reason".into(), value(tunnel.reason));
    }
    info
}

struct Service {
    told: Told,
}

#[zbus::interface(name = "org.lonewire.Helper1.Service", introspection_docs = false)]
impl Service {
    #[zbus(property)]
    fn version(&self) -> String {
        self.told.version.clone()
    }

    #[zbus(property)]
    fn features(&self) -> Vec<String> {
        vec!["userspace-wireguard".into()]
    }

    fn subscribe(&self) {}
}

struct Tunnels {
    told: Told,
    bytes: AtomicU64,
}

#[zbus::interface(name = "org.lonewire.Helper1.Tunnels", introspection_docs = false)]
impl Tunnels {
    fn list(&self) -> Vec<(String, Dict)> {
        let tunnels = self.told.tunnels.iter().enumerate();
        tunnels
            .map(|(number, tunnel)| (id(number), info(tunnel, self.told.since)))
            .collect()
    }

    fn show(&self, tunnel: &str) -> zbus::fdo::Result<Dict> {
        let number = usize::from_str_radix(tunnel, 16).ok();
        let tunnel = number
            .and_then(|number| self.told.tunnels.get(number))
            .ok_or_else(|| zbus::fdo::Error::Failed("no such tunnel".into()))?;
        let mut all = info(tunnel, self.told.since);
        let bytes = self.bytes.fetch_add(150_000, Ordering::Relaxed);
        let peer: HashMap<&str, Variant<'_>> = HashMap::from([
            (
                "public-key",
                "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE=".into(),
            ),
            ("endpoint", "se1.vpn.example:51820".into()),
            ("resolved", "185.213.154.68:51820".into()),
            ("allowed-ips", vec!["0.0.0.0/0", "::/0"].into()),
            ("keepalive", 25_u32.into()),
        ]);
        all.extend([
            (
                "addresses".to_owned(),
                value(vec!["10.66.12.5/32", "fc00:bbbb::5/128"]),
            ),
            ("dns".to_owned(), value(vec!["10.64.0.1"])),
            ("peers".to_owned(), value(vec![peer])),
        ]);
        if tunnel.state == 3 {
            all.extend([
                ("mtu".to_owned(), value(1420_u32)),
                ("backend".to_owned(), value(2_u32)),
                ("link".to_owned(), value("lw-5f3a")),
                ("handshake".to_owned(), value(self.told.since + 7_166_000)),
                ("rx".to_owned(), value(bytes % 900_000 + bytes)),
                ("tx".to_owned(), value(bytes / 8)),
            ]);
        }
        Ok(all)
    }

    fn check(&self, _tunnel: &str, _options: HashMap<String, OwnedVariant>) -> Vec<Dict> {
        let probe = |probe: &str, passed: bool, found: &str| {
            Dict::from([
                ("probe".into(), value(probe)),
                ("passed".into(), value(passed)),
                ("found".into(), value(found)),
            ])
        };
        vec![
            probe("links", true, "lo, lw-5f3a"),
            probe("addresses", true, "10.66.12.5/32, fc00:bbbb::5/128"),
            probe("routes", true, "0.0.0.0/0, ::/0, else unreachable"),
            probe("sysctls", true, "14 as set"),
            probe("data-plane", true, "userspace"),
            probe("handshake", true, "34 s ago"),
            probe("dns", true, "10.64.0.1"),
        ]
    }

    fn log(&self, _tunnel: &str, _since: u64) -> Vec<(u64, u32, String)> {
        let hour = 3_600_000;
        vec![
            (now() - 50 * hour, 2, String::new()),
            (now() - 50 * hour + 900, 3, String::new()),
            (now() - 49 * hour, 1, String::new()),
            (now() - 26 * hour, 3, String::new()),
            (now() - 3 * hour, 4, "no-handshake".into()),
            (now() - 2 * hour, 3, String::new()),
        ]
    }

    fn set_options(&self, _tunnel: &str, _options: HashMap<String, OwnedVariant>) {}
}

struct Apps {
    told: Told,
}

#[zbus::interface(name = "org.lonewire.Helper1.Apps", introspection_docs = false)]
impl Apps {
    fn list(&self) -> Vec<(String, Dict)> {
        let apps = self.told.apps.iter().enumerate();
        apps.map(|(number, (tunnel, name))| {
            let info = Dict::from([
                ("tunnel".into(), value(tunnel.as_str())),
                ("name".into(), value(name.as_str())),
                ("program".into(), value(b"/usr/bin/firefox\0".to_vec())),
                ("pid".into(), value(42_u32)),
                ("state".into(), value(1_u32)),
                ("since".into(), value(now() - 300_000)),
                ("processes".into(), value(3_u32)),
            ]);
            (format!("a{number}"), info)
        })
        .collect()
    }

    fn get(&self, app: &str) -> zbus::fdo::Result<Dict> {
        self.list()
            .into_iter()
            .find(|(id, _)| id == app)
            .map(|(_, info)| info)
            .ok_or_else(|| zbus::fdo::Error::Failed("no such app".into()))
    }
}
