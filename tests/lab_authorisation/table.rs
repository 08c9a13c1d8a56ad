//! What each member asks for, written here a second time: this table is compared with the running service, never with the helper's own.

use std::{
    collections::HashMap,
    fs::File,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use lab::{caller::call, keys::Pair};
use lonewire_api::names::{
    APPS_INTERFACE as APPS, SERVICE_INTERFACE as SERVICE, TUNNELS_INTERFACE as TUNNELS,
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use zbus::{Fd, Message, Variant, message::Flags};

/// What a member's first argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Nothing,
    Tunnel,
    App,
}

/// A method: what it names, the action that polkit is asked about, and a call of it whose arguments are valid, with the id it is given.
pub struct Row {
    pub interface: &'static str,
    pub member: &'static str,
    pub names: Names,
    pub action: Option<&'static str>,
    pub call: fn(&str, Flags) -> Result<Message>,
}

pub const IMPORT: &str = "org.lonewire.helper1.import-own";
pub const CONNECT: &str = "org.lonewire.helper1.connect-own";
pub const LAUNCH: &str = "org.lonewire.helper1.launch-own";
pub const AUTOSTART: &str = "org.lonewire.helper1.install-autostart";

/// SECURITY §3.2: seeing and switching off one's own asks nobody. Exactly these, and no other.
pub const WITHOUT_AUTHORISATION: [&str; 15] = [
    "Apps.Get",
    "Apps.List",
    "Apps.Signal",
    "Apps.Stop",
    "Service.Features",
    "Service.Limits",
    "Service.Subscribe",
    "Service.Unsubscribe",
    "Service.Version",
    "Tunnels.Check",
    "Tunnels.Disconnect",
    "Tunnels.List",
    "Tunnels.Log",
    "Tunnels.Rename",
    "Tunnels.Show",
];

pub const PROPERTIES: [&str; 3] = ["Version", "Features", "Limits"];

/// What the library that serves the object adds: nothing of it changes anything.
pub const STANDARD: [&str; 6] = [
    "org.freedesktop.DBus.Introspectable.Introspect",
    "org.freedesktop.DBus.Peer.GetMachineId",
    "org.freedesktop.DBus.Peer.Ping",
    "org.freedesktop.DBus.Properties.Get",
    "org.freedesktop.DBus.Properties.GetAll",
    "org.freedesktop.DBus.Properties.Set",
];

type Options<'a> = HashMap<&'a str, Variant<'a>>;

fn none() -> Options<'static> {
    Options::new()
}

/// A label that no tunnel has yet.
fn label() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("label {}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A memfd with a text and all seals.
pub fn sealed(text: &[u8]) -> Result<OwnedFd> {
    let fd = memfd_create("lab", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    anyhow::ensure!(rustix::io::write(&fd, text)? == text.len());
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

/// A configuration that no server knows.
pub fn configuration() -> Result<OwnedFd> {
    let (own, peer) = (Pair::new()?, Pair::new()?);
    let text = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.9.0.2/32\nDNS = 10.9.0.1\n[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.9:51820\n",
        own.private, peer.public
    );
    sealed(text.as_bytes())
}

/// An import of one configuration.
pub fn import(label: &str, configuration: OwnedFd, flags: Flags) -> Result<Message> {
    let list = vec![(label, Fd::from(configuration))];
    call(TUNNELS, "Import", &(list, none()), flags)
}

/// A launch that does not wait for the tunnel.
pub fn launch(tunnel: &str, argv: &[&str], flags: Flags) -> Result<Message> {
    let zeroed = |text: &str| [text.as_bytes(), b"\0"].concat();
    let program = format!("/usr/bin/{}", argv[0]);
    let argv: Vec<_> = argv.iter().map(|word| zeroed(word)).collect();
    let mut stdio = Vec::new();
    for _ in 0..3 {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        stdio.push(Fd::from(OwnedFd::from(null)));
    }
    let mut options = none();
    options.insert("program", Variant::from(zeroed(&program)));
    options.insert("wait", Variant::from(0_u32));
    let environment = Vec::<Vec<u8>>::new();
    let arguments = (tunnel, argv, environment, zeroed("/"), stdio, options);
    call(APPS, "Launch", &arguments, flags)
}

macro_rules! row {
    ($interface:ident $member:literal $names:ident $action:expr, |$id:ident| $arguments:expr) => {
        Row {
            interface: $interface,
            member: $member,
            names: Names::$names,
            action: $action,
            call: |$id, flags| call($interface, $member, &$arguments, flags),
        }
    };
}

/// Every method of the three interfaces, in an order in which all can be called one after the other.
pub fn table() -> Vec<Row> {
    let mut import_row = row!(TUNNELS "Import" Nothing Some(IMPORT), |_id| ());
    import_row.call = |_, flags| import("", configuration()?, flags);
    let mut launch_row = row!(APPS "Launch" Tunnel Some(LAUNCH), |_id| ());
    launch_row.call = |id, flags| launch(id, &["true"], flags);
    vec![
        row!(SERVICE "Subscribe" Nothing None, |_id| ()),
        import_row,
        row!(TUNNELS "Create" Nothing Some(IMPORT), |_id| (label(), none())),
        row!(TUNNELS "List" Nothing None, |_id| ()),
        row!(TUNNELS "Show" Tunnel None, |id| id),
        row!(TUNNELS "Rename" Tunnel None, |id| (id, label())),
        row!(TUNNELS "Replace" Tunnel Some(IMPORT), |id| (
            id,
            Fd::from(configuration()?),
            none()
        )),
        row!(TUNNELS "Duplicate" Tunnel Some(IMPORT), |id| (id, label())),
        row!(TUNNELS "SetOptions" Tunnel Some(IMPORT), |id| (
            id,
            Options::from([("mtu", Variant::from(1400_u32))])
        )),
        row!(TUNNELS "Connect" Tunnel Some(CONNECT), |id| (
            id,
            Options::from([("wait", Variant::from(0_u32))])
        )),
        // To its own configuration: nothing changes.
        row!(TUNNELS "Switch" Tunnel Some(CONNECT), |id| (
            id,
            id,
            Options::from([("wait", Variant::from(0_u32))])
        )),
        launch_row,
        row!(TUNNELS "Check" Tunnel None, |id| (id, none())),
        row!(TUNNELS "Log" Tunnel None, |id| (id, 0_u64)),
        row!(APPS "List" Nothing None, |_id| ()),
        row!(APPS "Get" App None, |id| id),
        // SIGCONT: changes nothing.
        row!(APPS "Signal" App None, |id| (id, 18_u32)),
        row!(APPS "Stop" App None, |id| (id, none())),
        row!(TUNNELS "Disconnect" Tunnel None, |id| (
            id,
            Options::from([("force", Variant::from(true))])
        )),
        row!(TUNNELS "Remove" Tunnel Some(IMPORT), |id| id),
        row!(SERVICE "Unsubscribe" Nothing None, |_id| ()),
    ]
}

/// The rows of the table that ask polkit.
pub fn asking() -> Vec<Row> {
    let mut rows = table();
    rows.retain(|row| row.action.is_some());
    rows
}
