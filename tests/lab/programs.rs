//! Lonewire's own programs: where they were built, and starting, killing and restarting them in a world.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    bus,
    init::{ROLES, UNITS},
    net::Sabotage,
    users::DATA_PLANE,
    world::{READY, World, until},
};

const WARDEN: &str = "/usr/libexec/lonewire/lonewire-warden";
const WIREGUARD: &str = "/usr/libexec/lonewire/lonewire-wireguard";

/// Names a folder with the four programs, instead of what `cargo xtask build` last made.
pub const VARIABLE: &str = "LONEWIRE_PROGRAMS";

/// What runs without being asked by a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Helper,
    /// Its socket, and all instances: keepers too.
    Warden,
    /// All instances of userspace WireGuard; `restart` brings the socket back, where instances come from.
    DataPlane,
    Polkit,
    Bus,
}

impl Program {
    /// Of the process.
    pub fn name(self) -> &'static str {
        match self {
            Self::Helper => "lonewire-helper",
            Self::Warden => "lonewire-warden",
            Self::DataPlane => "lonewire-wireguard",
            Self::Polkit => "polkitd",
            Self::Bus => "dbus-daemon",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Self::Helper => "helper",
            Self::Warden => "warden",
            Self::DataPlane => "data-plane",
            Self::Polkit => "polkit",
            Self::Bus => "bus",
        }
    }
}

/// The project's folder: the one that cargo or nextest runs this in, else that which it was built from, else the one around the current folder. A
/// target folder may be shared by clones, and the one that this was built from may be gone.
pub fn project() -> PathBuf {
    let run = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let here = std::env::current_dir().unwrap_or_default();
    run.iter()
        .chain([&built])
        .filter_map(|tests| tests.parent())
        .chain(here.ancestors())
        .find(|top| top.join("data/install.toml").is_file())
        .unwrap_or(&here)
        .to_owned()
}

/// The target folder that this program was built into.
///
/// # Errors
/// It is in none.
pub fn target() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own
        .ancestors()
        .find(|path| path.join("deps").is_dir())
        .and_then(Path::parent)
        .with_context(|| format!("{} is in no target folder", own.display()))?;
    Ok(folder.to_owned())
}

/// Where `cargo xtask setup` puts packages that tests lay over systems of their own.
///
/// # Errors
/// This program is in no target folder.
pub fn overlay() -> Result<PathBuf> {
    Ok(target()?.join("overlay"))
}

/// The binary that has the roles: `xtask`, which is this program or was built beside it.
pub(crate) fn roles() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    if own.file_stem().is_some_and(|name| name == "xtask") {
        return Ok(own);
    }
    let beside = own
        .ancestors()
        .map(|path| path.join("xtask"))
        .find(|path| path.is_file())
        .context("xtask is not built: cargo xtask build")?;
    Ok(beside)
}

/// Where `cargo xtask build` puts the four programs of a profile.
///
/// # Errors
/// This program is in no target folder.
pub fn folder(release: bool) -> Result<PathBuf> {
    Ok(target()?
        .join("programs")
        .join(if release { "release" } else { "debug" }))
}

/// The folder with the programs to run.
///
/// # Errors
/// They are not there.
pub(crate) fn built() -> Result<PathBuf> {
    let folder = match std::env::var_os(VARIABLE) {
        Some(path) => path.into(),
        None => folder(false)?,
    };
    for name in [
        "lonewire",
        "lonewire-gtk",
        "lonewire-helper",
        "lonewire-warden",
        "lonewire-wireguard",
    ] {
        ensure!(
            folder.join(name).is_file(),
            "{name} is not in {}: cargo xtask build",
            folder.display()
        );
    }
    Ok(folder)
}

impl World {
    /// SIGKILL to a program, and what it started of itself.
    ///
    /// # Errors
    /// None of it runs.
    pub fn kill(&mut self, program: Program) -> Result<()> {
        let pids = self.processes(program.name())?;
        ensure!(!pids.is_empty(), "{} does not run", program.name());
        self.end(&pids)
    }

    /// Ends a program's service, and what it started: nothing brings it back but [`World::restart`].
    ///
    /// # Errors
    /// It does not go.
    pub fn stop(&mut self, program: Program) -> Result<()> {
        if let Some(mut old) = self.services.remove(program.service()) {
            self.end(&[old.pid])?;
            let _ = old.waiter.wait();
        }
        let left = self.processes(program.name())?;
        self.end(&left)
    }

    /// SIGKILL to some processes of the world, and waits until they are gone.
    ///
    /// # Errors
    /// They do not go.
    pub fn end(&self, pids: &[i32]) -> Result<()> {
        for pid in pids {
            // To kill(2) that would be everybody, or all of our own.
            ensure!(*pid > 0, "no process: {pid}");
            match kill(Pid::from_raw(*pid), Signal::SIGKILL) {
                Ok(()) | Err(nix::Error::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        until(READY, "the end of a process", || {
            Ok(pids.iter().all(|pid| is_gone(*pid)))
        })
    }

    /// Ends a program's service where it runs, starts it, and waits until it serves.
    ///
    /// # Errors
    /// It does not serve: the text holds what it wrote.
    pub fn restart(&mut self, program: Program) -> Result<()> {
        let name = program.service();
        if let Some(mut old) = self.services.remove(name) {
            self.end(&[old.pid])?;
            let _ = old.waiter.wait();
        }
        match program {
            Program::Helper => {
                let unit = format!("{UNITS}/lonewire-helper.service");
                let command = self.command("host", None, &[ROLES, "role", "sandbox", &unit])?;
                self.serve(name, command, lonewire_api::names::BUS_NAME)
            }
            Program::Warden if self.spec.listen => {
                let socket = lonewire_api::names::WARDEN_SOCKET;
                self.listen(name, &[WARDEN, "--listen", socket], socket)
            }
            Program::DataPlane if self.spec.listen => {
                let socket = lonewire_api::names::WIREGUARD_SOCKET;
                let (uid, gid) = (DATA_PLANE.uid.to_string(), DATA_PLANE.gid.to_string());
                let line = [WIREGUARD, "--listen", socket, "--uid", &uid, "--gid", &gid];
                self.listen(name, &line, socket)
            }
            Program::Warden => {
                let unit = format!("{UNITS}/lonewire-warden@.service");
                let public = lonewire_api::names::WARDEN_SOCKET;
                let how = match self.spec.sabotage {
                    Some(Sabotage::WrongUid) => "wrong-uid",
                    Some(Sabotage::KeptCapability) => "kept-capability",
                    _ => return self.role(name, "host", &["activate", public, &unit]),
                };
                let hidden = "/run/lab/warden.sock";
                self.role(name, "host", &["activate", hidden, &unit])?;
                self.role("meddle", "host", &["meddle", how, public, hidden])
            }
            Program::DataPlane => {
                let unit = format!("{UNITS}/lonewire-wireguard@.service");
                let socket = lonewire_api::names::WIREGUARD_SOCKET;
                let mut line = vec!["activate", socket, &unit];
                if self.spec.sabotage == Some(Sabotage::PlainForwarder) {
                    line.extend(["--", ROLES, "role", "forward"]);
                }
                self.role(name, "host", &line)
            }
            Program::Polkit => {
                let daemon = [
                    "/usr/lib/polkit-1/polkitd",
                    "/usr/libexec/polkitd",
                    "/usr/libexec/polkit-1/polkitd",
                ]
                .into_iter()
                .find(|path| Path::new(path).is_file())
                .context("no polkitd: cargo xtask setup")?;
                let command = self.command("host", None, &[daemon, "--no-debug"])?;
                self.serve(name, command, "org.freedesktop.PolicyKit1")
            }
            Program::Bus => {
                let line = [
                    "dbus-daemon",
                    "--config-file=/usr/share/dbus-1/system.conf",
                    "--nofork",
                    "--nopidfile",
                    "--nosyslog",
                ];
                let command = self.command("host", None, &line)?;
                self.keep(name, command)?;
                until(READY, "the bus", || Ok(bus::connect(self).is_ok()))
            }
        }
    }

    /// Starts a program that binds its own socket.
    fn listen(&mut self, name: &str, line: &[&str], socket: &str) -> Result<()> {
        let command = self.command("host", None, line)?;
        self.keep(name, command)?;
        let path = self.path(socket);
        until(READY, name, || Ok(path.exists()))
    }

    /// Starts a service of the bus and waits for its name.
    fn serve(&mut self, name: &str, command: Command, bus_name: &str) -> Result<()> {
        self.keep(name, command)?;
        let bus = bus::connect(self)?;
        let waited = until(READY, bus_name, || {
            let ended = match self.services.get_mut(name) {
                Some(service) => service.waiter.try_wait()?.is_some(),
                None => true,
            };
            ensure!(!ended, "{name} ended");
            bus::has_owner(&bus, bus_name)
        });
        waited.with_context(|| self.log(name).trim().to_owned())
    }
}

/// A zombie counts as gone: nothing of it acts any more.
fn is_gone(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}
