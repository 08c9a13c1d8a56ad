//! A running world, from its making to its end; in its modules what runs in it and its servers.

mod run;
mod servers;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    bus,
    init::{LAB, Order},
    net::{self, Spec},
    programs::{self, Program},
};

use run::only_child;
pub use run::{Hung, Output, Running};
pub(crate) use run::{piped, started};
use servers::Server;

/// See the crate's documentation.
#[derive(Debug)]
pub struct World {
    pub spec: Spec,
    /// Its first process, as the machine sees it.
    pub init: i32,
    waiter: Child,
    /// Its end is the end of the world.
    line: Option<ChildStdin>,
    pub(crate) services: BTreeMap<String, Running>,
    servers: Vec<Server>,
    pub(crate) controls: Vec<Vec<u8>>,
    /// What the judge is to know besides: addresses that the host was given, and endpoints of servers that moved.
    pub moved: Moved,
}

/// Where host and servers are besides where they began.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    pub host: Vec<IpAddr>,
    pub endpoints: Vec<SocketAddr>,
}

/// How long anything in a world may take to get ready, on a machine that is none of software.
pub const READY: Duration = Duration::from_secs(15);

/// By how much deadlines of worlds are longer here: an emulated processor is slower by about that.
pub fn slowness() -> u32 {
    static SLOWNESS: OnceLock<u32> = OnceLock::new();
    *SLOWNESS.get_or_init(|| {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        if text.contains("QEMU TCG") { 6 } else { 1 }
    })
}

impl World {
    /// Makes a world and starts all that its `spec` names.
    ///
    /// # Errors
    /// Not root, or the machine lacks something: see `cargo xtask setup`.
    pub fn new(spec: Spec) -> Result<Self> {
        let programs = if spec.product {
            Some(programs::built()?)
        } else {
            None
        };
        Self::make(spec, programs)
    }

    /// The same with the programs of a folder.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn with_programs(spec: Spec, folder: &Path) -> Result<Self> {
        Self::make(spec, Some(folder.to_owned()))
    }

    fn make(spec: Spec, programs: Option<PathBuf>) -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "worlds need root");
        keep_to_oneself()?;
        let order = Order {
            spec: spec.clone(),
            roles: programs::roles()?,
            project: programs::project(),
            programs,
        };
        let mut waiter = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--uts",
                "--ipc",
                "--net",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .arg(&order.roles)
            .args(["role", "init"])
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut line = waiter.stdin.take().context("no standard input")?;
        let mut said = String::new();
        writeln!(line, "{}", serde_json::to_string(&order)?)?;
        BufReader::new(waiter.stdout.take().context("no standard output")?).read_line(&mut said)?;
        ensure!(said == "ready\n", "the world was not made: {}", said.trim());
        let init = only_child(i32::try_from(waiter.id())?)?
            .context("the world's first process is gone")?;
        let mut world = Self {
            spec,
            init,
            waiter,
            line: Some(line),
            services: BTreeMap::new(),
            servers: Vec::new(),
            controls: Vec::new(),
            moved: Moved::default(),
        };
        world.start()?;
        Ok(world)
    }

    fn start(&mut self) -> Result<()> {
        self.run_in("host", &["sh", "-c", &net::script(&self.spec)])?
            .ok()
            .context("networks")?;
        if self.spec.captured {
            self.watch_uplinks()?;
        }
        self.internet()?;
        for index in 0..self.spec.servers {
            self.vpn(index)?;
        }
        if self.spec.inside {
            self.watch_inside()?;
        }
        if self.spec.product {
            bus::start(self)?;
            for program in [Program::Warden, Program::DataPlane, Program::Helper] {
                self.restart(program)?;
            }
        }
        Ok(())
    }

    /// A path in the world as the machine's root reaches it.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }
}

impl Drop for World {
    /// Ends everything in it, and waits for the end.
    fn drop(&mut self) {
        drop(self.line.take());
        let _ = until(READY, "the end of the world", || {
            Ok(self.waiter.try_wait()?.is_some())
        });
        for service in self.services.values_mut() {
            // One that was stopped does not notice that what it waits for has ended.
            let _ = service.waiter.kill();
            let _ = service.waiter.wait();
        }
    }
}

/// Where programs are, for root.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a service's log is in the world.
pub fn log_file(name: &str) -> String {
    format!("{LAB}/{name}.log")
}

/// Whatever this process was started with beside its standard streams reaches no program of a world.
#[expect(unsafe_code, reason = "no safe wrapper of close_range(2)")]
fn keep_to_oneself() -> Result<()> {
    // SAFETY: no memory is passed, and what is open here stays open here.
    let done = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    ensure!(
        done == 0,
        "close_range: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// Asks again every 5 ms until it is so; on a slow machine less often, for longer.
///
/// # Errors
/// It is not so by the deadline, or asking fails.
pub fn until(limit: Duration, what: &str, mut check: impl FnMut() -> Result<bool>) -> Result<()> {
    let limit = limit * slowness();
    let end = Instant::now() + limit;
    loop {
        if check().with_context(|| format!("waiting for {what}"))? {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "waited {} s for {what}",
            limit.as_secs()
        );
        std::thread::sleep(Duration::from_millis(5) * slowness());
    }
}
