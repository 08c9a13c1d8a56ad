//! The world as it is: the ports of the engine done for real. The only effects of the helper, and, with the warden, the only unsafe code.
//! Decides nothing. No thread that lives longer than one question ever enters a namespace.

mod clock;
mod connections;
mod dataplane;
mod keeper;
mod links;
mod look;
mod resolver;
pub mod seccomp;
mod store;
mod thread;
mod uplink;
mod users;
mod warden;
mod wireguard;

use std::path::PathBuf;

pub use dataplane::Process;
pub use keeper::AppKeeper;

use crate::ports::PortError;

/// Where things are. The folders of namespaces and control sockets are fixed: the kernel's tools look there.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Records, sockets of keepers, resolver files.
    pub runtime: PathBuf,
    /// Saved tunnels.
    pub state: PathBuf,
    pub admin_config: PathBuf,
    pub warden: PathBuf,
    pub wireguard: PathBuf,
}

/// All ports on this machine.
#[derive(Debug)]
pub struct Sys {
    paths: Paths,
    /// Tells that the host's network changed; opened at the first question.
    uplink: tokio::sync::Mutex<Option<tokio::sync::mpsc::Receiver<()>>>,
}

impl Sys {
    pub fn new(paths: Paths) -> Self {
        // Before there is a second thread: `wireguard-control` would run what this names when a control socket is missing.
        wireguard::forbid_spawning();
        Self {
            paths,
            uplink: tokio::sync::Mutex::new(None),
        }
    }
}

/// An error of the kernel's.
fn os(what: &'static str) -> impl Fn(std::io::Error) -> PortError {
    move |error| PortError::Os {
        what,
        errno: error.raw_os_error().unwrap_or(0),
    }
}

/// The same, by rustix.
fn errno(what: &'static str) -> impl Fn(rustix::io::Errno) -> PortError {
    move |errno| PortError::Os {
        what,
        errno: errno.raw_os_error(),
    }
}
