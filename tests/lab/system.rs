//! Ring system: the machine's own systemd as process 1 of new namespaces, over an overlay of `/` in which Lonewire is installed by
//! `data/install.toml`: D-Bus activation, socket units, logind sessions and polkit as a user has them. Needs root.
//! Writes go to a tmpfs that dies with it; the machine itself never changes. It must never start a unit of the machine's.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{install, programs::project, world::PATH};

pub mod connector;
pub mod crowd;
mod session;
pub mod vpn;

pub use session::{Place, Session};

const BOOT: &str = include_str!("system-boot.sh");
/// Only images that `cargo xtask vm` makes have it.
pub const THROW_AWAY: &str = "/etc/lonewire-throw-away";
/// Poweroff, for systemd as process 1: SIGRTMIN+4.
const POWEROFF: i32 = 4;

/// A booted system. Dropping it powers it off and leaves nothing.
#[derive(Debug)]
pub struct System {
    /// `unshare`, whose only child is the system's process 1; `None` for the machine itself.
    outer: Option<Child>,
    /// Process 1 of the system, as the machine numbers it.
    init: Pid,
    cgroup: PathBuf,
    folder: tempfile::TempDir,
}

impl System {
    /// Boots, and answers when systemd has started everything.
    ///
    /// # Errors
    /// Not root, programs not built, or the system does not come up within 60 s (its log is in the error).
    pub fn boot() -> Result<Self> {
        Self::boot_with(&crate::programs::built()?)
    }

    /// The same with the programs of a folder.
    ///
    /// # Errors
    /// As [`System::boot`].
    pub fn boot_with(programs: &Path) -> Result<Self> {
        Self::boot_over(&to_install(programs)?, None)
    }

    /// The same with the contents of a folder's Debian packages laid over it; nothing of them is run or installed.
    ///
    /// # Errors
    /// As [`System::boot`].
    pub fn boot_with_packages(packages: &Path) -> Result<Self> {
        let list = to_install(&crate::programs::built()?)?;
        Self::boot_over(&list, Some(packages))
    }

    /// The same with nothing of Lonewire in it: for packages.
    ///
    /// # Errors
    /// As [`System::boot`].
    pub fn boot_bare() -> Result<Self> {
        Self::boot_over("", None)
    }

    /// The machine that this runs on, for a suite in a virtual machine. Dropping it does nothing; nothing but a throw-away machine may be taken.
    ///
    /// # Errors
    /// Not root, or this is no machine that was made for it.
    pub fn here() -> Result<Self> {
        ensure!(
            is_throw_away() && nix::unistd::geteuid().is_root(),
            "this machine was not made for a suite: cargo xtask vm"
        );
        Ok(Self {
            outer: None,
            init: Pid::from_raw(1),
            cgroup: cgroup2()?,
            folder: tempfile::tempdir()?,
        })
    }

    fn boot_over(list: &str, packages: Option<&Path>) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        ensure!(nix::unistd::geteuid().is_root(), "ring system needs root");
        sweep(&cgroup2()?, remove_cgroup);
        sweep(&std::env::temp_dir(), |path| fs::remove_dir_all(path));
        let folder = tempfile::Builder::new()
            .prefix(&format!("lonewire-system-{}-", std::process::id()))
            .tempdir()?;
        fs::create_dir(folder.path().join("root"))?;
        fs::write(folder.path().join("boot"), BOOT)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cgroup = cgroup2()?.join(format!("lonewire-system-{}-{number}", std::process::id()));
        fs::create_dir(&cgroup).with_context(|| cgroup.display().to_string())?;
        let log = fs::File::create(folder.path().join("log"))?;

        // Process 1 dies with unshare, and unshare with the test. The shell enters the cgroup before unshare makes it the namespace's root.
        let mut outer = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "sh", "-c"])
            .arg("echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"")
            .arg("sh")
            .arg(&cgroup)
            .args([
                "unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup",
            ])
            .args(["--propagation", "private", "--fork", "--kill-child", "bash"])
            .arg(folder.path().join("boot"))
            .arg(folder.path().join("root"))
            .args(packages)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let stdin = outer.stdin.take();
        // From here on Drop cleans up.
        let mut system = Self {
            outer: Some(outer),
            init: Pid::from_raw(0),
            cgroup,
            folder,
        };
        stdin
            .context("stdin was asked for")?
            .write_all(list.as_bytes())?;
        system.init = system.wait_for_init()?;
        system.wait_until_up()?;
        Ok(system)
    }

    /// What systemd and the boot script printed.
    pub fn log(&self) -> String {
        fs::read(self.folder.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// `/` of the system, as the machine sees it.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init))
    }

    /// Puts the lab's binary into the system, and gives its path there.
    ///
    /// # Errors
    /// It is not built, or the disk is full.
    pub fn roles(&self) -> Result<&'static str> {
        connector::install_roles(self)
    }

    /// All that is of this system on the machine: none of it is there once the system is gone.
    pub fn traces(&self) -> [PathBuf; 3] {
        [
            self.folder.path().to_owned(),
            self.cgroup.clone(),
            PathBuf::from(format!("/proc/{}", self.init)),
        ]
    }

    /// Process 1, as the machine numbers it: for `/proc/<pid>/ns/net`.
    pub fn init(&self) -> Pid {
        self.init
    }

    /// A command in the system, as root, outside every session and unit, with at most 120 s to run.
    pub fn command<S: AsRef<OsStr>>(&self, argv: &[S]) -> Command {
        let mut command = self.enter();
        command.args([
            "env",
            "-i",
            &format!("PATH={PATH}"),
            "LANG=C.UTF-8",
            "HOME=/root",
        ]);
        command
            .args(["timeout", "--foreground", "-k", "5", "120"])
            .args(argv);
        command
    }

    /// Runs a command as root and gives what came of it.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<Output> {
        Ok(self.command(argv).stdin(Stdio::null()).output()?)
    }

    /// Runs a command as root that has to succeed, and gives its output, trimmed.
    ///
    /// # Errors
    /// It could not be started or did not exit with 0: both its streams are in the error.
    pub fn check<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<String> {
        checked(argv, &self.run(argv)?)
    }

    /// A property of a unit.
    ///
    /// # Errors
    /// systemctl fails.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.check(&["systemctl", "show", "--value", "--property", name, unit])
    }

    /// Every line of the journal, with all fields.
    ///
    /// # Errors
    /// journalctl fails.
    pub fn journal(&self) -> Result<String> {
        self.check(&["journalctl", "--sync"])?;
        self.check(&["journalctl", "--no-pager", "--all", "--output=export"])
    }

    /// The end of the journal, for messages.
    pub fn last_words(&self) -> String {
        let tail = [
            "journalctl",
            "--no-pager",
            "--lines=40",
            "--output=short-monotonic",
        ];
        self.check(&tail).unwrap_or_else(|error| error.to_string())
    }

    /// Adds a user with a home folder and a group of its own, and `groups` besides (made where missing).
    ///
    /// # Errors
    /// useradd fails.
    pub fn add_user(&self, name: &str, uid: u32, groups: &[&str]) -> Result<()> {
        for group in groups {
            self.check(&["groupadd", "--force", group])?;
        }
        let uid = uid.to_string();
        self.check(&[
            "useradd",
            "--create-home",
            "--shell",
            "/bin/bash",
            "--uid",
            &uid,
            "--groups",
            &groups.join(","),
            name,
        ])?;
        Ok(())
    }

    /// Tells systemd to power off, and waits until everything is gone.
    ///
    /// # Errors
    /// It takes more than the time given.
    pub fn power_off(mut self, within: Duration) -> Result<()> {
        let began = Instant::now();
        self.signal_poweroff()?;
        while !self.is_off()? {
            ensure!(
                began.elapsed() < within,
                "not off after {within:?}: {}",
                self.log()
            );
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.init.to_string());
        command.args([
            "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd", "--",
        ]);
        command
    }

    fn is_off(&mut self) -> Result<bool> {
        let outer = self.outer.as_mut().context("this machine itself")?;
        Ok(outer.try_wait()?.is_some())
    }

    fn wait_for_init(&mut self) -> Result<Pid> {
        let outer = self.outer.as_ref().context("this machine itself")?.id();
        let children = format!("/proc/{outer}/task/{outer}/children");
        let found = poll(Duration::from_secs(20), || {
            if self.is_off().unwrap_or(true) {
                return Some(None);
            }
            let child = fs::read_to_string(&children)
                .unwrap_or_default()
                .trim()
                .parse()
                .ok()?;
            let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
            (name.trim() == "systemd").then_some(Some(child))
        });
        let init = found
            .flatten()
            .with_context(|| format!("systemd did not start: {}", self.log()))?;
        Ok(Pid::from_raw(init))
    }

    fn wait_until_up(&self) -> Result<()> {
        let mut state = String::new();
        let up = poll(Duration::from_secs(60), || {
            let output = self.run(&["systemctl", "is-system-running"]).ok()?;
            state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            matches!(state.as_str(), "running" | "degraded").then_some(())
        });
        up.with_context(|| format!("state is {state:?}: {}", self.log()))
    }

    fn signal_poweroff(&self) -> Result<()> {
        let number = (libc::SIGRTMIN() + POWEROFF).to_string();
        let status = Command::new("kill")
            .args(["-s", &number, &self.init.to_string()])
            .status()?;
        ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    /// The time of processors that all of its processes have taken since it began: unlike a clock it does not tell how busy the machine is
    /// otherwise.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn processor_time(&self) -> Result<Duration> {
        let path = self.cgroup.join("cpu.stat");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let used = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok());
        used.map(Duration::from_micros).context(text)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if self.outer.is_none() {
            return;
        }
        let is_on =
            |system: &mut Self| system.init.as_raw() > 0 && matches!(system.is_off(), Ok(false));
        if is_on(self) && self.signal_poweroff().is_ok() {
            let _ = poll(Duration::from_secs(3), || self.is_off().ok()?.then_some(()));
        }
        if is_on(self) {
            let _ = kill(self.init, Signal::SIGKILL);
        }
        if let Some(outer) = &mut self.outer {
            let _ = outer.kill();
            let _ = outer.wait();
        }
        // The kernel ends what is left in the pid namespace; the folders go once they are empty.
        let _ = poll(Duration::from_secs(5), || remove_cgroup(&self.cgroup).ok());
    }
}

fn checked<S: AsRef<OsStr>>(argv: &[S], output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let line: Vec<_> = argv
            .iter()
            .map(|word| word.as_ref().to_string_lossy())
            .collect();
        let how = match output.status.code() {
            Some(code) => format!("exit code {code}"),
            None => format!("signal {}", output.status.signal().unwrap_or(0)),
        };
        bail!(
            "{}: {how}\n{stdout}\n{}",
            line.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(stdout.trim().to_owned())
}

/// Asks again every 20 ms until there is an answer or the time is over.
pub fn poll<T>(within: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if began.elapsed() > within {
            return None;
        }
        sleep(Duration::from_millis(20));
    }
}

/// Whether this machine was made to be thrown away: what is all of its own may be changed.
pub fn is_throw_away() -> bool {
    Path::new(THROW_AWAY).exists()
}

/// Where cgroup2 is mounted on this machine.
///
/// # Errors
/// It is not.
pub fn cgroup2() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut fields = mounts.lines().map(|line| line.split(' '));
    let place = fields.find_map(|mut line| {
        let place = line.nth(1)?;
        (line.next()? == "cgroup2").then(|| PathBuf::from(place))
    });
    place.context("this machine has no cgroup2 mounted")
}

/// Removes a cgroup and those below it, none of which may hold a process.
fn remove_cgroup(cgroup: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup)
}

/// Removes what tests left that were killed: the pid of the test is in the name.
fn sweep(folder: &Path, remove: impl Fn(&Path) -> std::io::Result<()>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix("lonewire-system-")
            .and_then(|rest| rest.split('-').next());
        let test = pid.and_then(|pid| pid.parse::<u32>().ok());
        if test.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = remove(&entry.path());
        }
    }
}

/// What the system gets of Lonewire, a line a file, as the boot script reads it.
fn to_install(programs: &Path) -> Result<String> {
    let project = project();
    let mut list = String::new();
    for file in install::list(&project)? {
        let origin = file.origin(&project, programs)?;
        list += &format!(
            "{}\t{}\t{}\n",
            file.mode,
            origin.display(),
            file.destination
        );
    }
    Ok(list)
}
