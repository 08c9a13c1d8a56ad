//! The acceptance suite, run by `cargo xtask vm` in a machine of its own, one test at a time, as root: Debian with systemd, logind, polkit, resolved, nscd and avahi, the
//! kernel's WireGuard, and Lonewire installed by apt. Nothing may be skipped here: what the machine lacks is a failure. Tests of `first` run
//! after the first boot, those of `second` after a reboot.

mod first;
mod second;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    system::{
        Place, Session, System, poll,
        vpn::{INSIDE, NAME, Vpn},
    },
    tty::{Desk, LEADER},
};
use nix::sys::termios::LocalFlags;

/// The server's: anna's two, and bob's.
const CLIENTS: u8 = 3;
const STREAM: &str = "/home/anna/stream";
const PASSWORD: &str = "correct horse";

/// What all tests of a boot share.
struct Scene {
    system: &'static System,
    vpn: &'static Vpn,
    /// At the screen.
    anna: Session<'static>,
}

impl Scene {
    /// The scene of this boot; set once.
    fn get() -> Result<&'static Self> {
        static SCENE: OnceLock<Result<Scene, String>> = OnceLock::new();
        SCENE
            .get_or_init(|| Self::set().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn set() -> Result<Self> {
        let (system, vpn) = served()?;
        // The second boot finds her, and her tunnels.
        let is_new = !system.run(&["id", "anna"])?.status.success();
        if is_new {
            system.add_user("anna", 61001, &["games", "plugdev"])?;
        }
        let anna = system.login("anna", Place::Seat)?;
        if is_new {
            vpn.import(&anna, 0, "demo")?;
        }
        Ok(Self { system, vpn, anna })
    }

    /// Has anna run a shell's line in her tunnel.
    fn inside(&self, line: &str) -> Result<String> {
        self.anna
            .check(&["lonewire", "run", "-t", "demo", "--", "sh", "-c", line])
    }

    /// A page that only the tunnel's server has, under a name that only its DNS knows: who asked for it.
    fn fetch(&self) -> Result<()> {
        let seen = self.inside(&format!("curl -sS --max-time 20 http://{NAME}/"))?;
        let address = self.vpn.address(0)?;
        ensure!(seen.contains(address), "{seen}, not {address}");
        Ok(())
    }

    /// The link of anna's tunnel, which is up: also the namespace's name.
    fn link(&self) -> Result<String> {
        let list = self.system.check(&["ip", "netns", "list"])?;
        let mut names = list
            .split_whitespace()
            .filter(|name| name.starts_with("lw-"));
        let name = names.next().context("no tunnel is up")?;
        ensure!(names.next().is_none(), "more than one: {list}");
        Ok(name.to_owned())
    }

    fn sh(&self, script: &str) -> Result<String> {
        self.system.check(&["sh", "-euc", script])
    }

    /// Installs packages, for as long as it takes an emulated machine.
    fn install(&self, packages: &str) -> Result<()> {
        let line = format!(
            "apt-get --quiet=2 --yes --no-install-recommends --allow-downgrades install {packages}"
        );
        let out = Command::new("sh")
            .args(["-euc", &line])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()?;
        ensure!(out.status.success(), "{line}: {out:?}");
        Ok(())
    }

    /// Unloads kernel modules, which the kernel allows once it has cleaned up after the last namespace.
    fn unload(&self, modules: &[&str]) -> Result<()> {
        let line = [&["modprobe", "--remove"], modules].concat();
        let gone = || {
            self.system.run(&line).ok()?;
            (!modules.iter().any(|module| is_loaded(module))).then_some(())
        };
        poll(Duration::from_secs(30), gone).with_context(|| format!("{modules:?} stay loaded"))
    }

    /// Has the tunnel up, whatever another test left.
    fn up(&self) -> Result<()> {
        self.anna.check(&["lonewire", "up", "demo"]).map(drop)
    }

    /// Has the tunnel down, with all that ran in it.
    fn down(&self) -> Result<()> {
        self.anna.run(&["lonewire", "stop", "--all"])?;
        self.anna
            .check(&["lonewire", "down", "--force", "demo"])
            .map(drop)
    }
}

/// The machine and the server that this boot has; started once.
fn served() -> Result<(&'static System, &'static Vpn)> {
    static SERVED: OnceLock<Result<(System, Vpn), String>> = OnceLock::new();
    let start = || -> Result<_> {
        let system = System::here()?;
        let vpn = Vpn::start_in_kernel(&system, CLIENTS)?;
        Ok((system, vpn))
    };
    SERVED
        .get_or_init(|| start().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map(|(system, vpn)| (system, vpn))
        .map_err(|error| anyhow::anyhow!("{error}"))
}

/// Runs a command of somebody's, who answers each question for a password; its exit code.
fn ask(session: &Session<'_>, line: &[&str], answers: &[&str]) -> Result<i32> {
    let command = session.command(&[LEADER, line].concat());
    let mut desk = Desk::before(command, Some(session.uid.parse()?))?;
    for answer in answers {
        desk.expect("assword:").context("nobody asks")?;
        // Keys that came before the agent hides them are thrown away.
        let hides = || {
            let echoes = desk.modes().ok()?.local_flags.contains(LocalFlags::ECHO);
            (!echoes).then_some(())
        };
        poll(Duration::from_secs(60), hides).context("the password would be shown")?;
        desk.press(answer)?;
    }
    let code = desk
        .end()
        .with_context(|| format!("{line:?}: {:?}", desk.all()))?;
    ensure!(!desk.all()?.contains(PASSWORD), "the password is shown");
    Ok(code)
}

/// A person with a password.
fn person(system: &System, name: &str, uid: u32, groups: &[&str]) -> Result<()> {
    system.add_user(name, uid, groups)?;
    let line = format!("echo '{name}:{PASSWORD}' | chpasswd");
    system.check(&["sh", "-euc", &line]).map(drop)
}

/// Pings in anna's tunnel, twice a second, until it is dropped.
struct Stream {
    pid: String,
}

impl Stream {
    /// Flows when this answers. Nobody waits for its end: a command of hers would have little time.
    fn start(scene: &Scene) -> Result<Self> {
        let ping = format!("exec ping -n -i 0.5 {INSIDE} > {STREAM}");
        let run = ["lonewire", "run", "-t", "demo", "--detach", "--"];
        scene
            .anna
            .check(&[&run[..], &["sh", "-c", &ping]].concat())?;
        let pid = || scene.sh("pgrep -x -u anna ping").ok();
        let pid = poll(Duration::from_secs(30), pid).context("it does not start")?;
        let stream = Self { pid };
        stream.flows()?;
        Ok(stream)
    }

    /// The numbers of those that were answered.
    fn answers() -> Vec<u32> {
        let number = |line: &str| {
            let (_, rest) = line.split_once("icmp_seq=")?;
            rest.split(' ').next()?.parse().ok()
        };
        let text = fs::read_to_string(STREAM).unwrap_or_default();
        text.lines().filter_map(number).collect()
    }

    /// Waits for a few more answers: from the first on none may be missing.
    fn flows(&self) -> Result<()> {
        let so_far = Self::answers().len();
        let arrived = || (Self::answers().len() > so_far + 2).then_some(());
        poll(Duration::from_secs(30), arrived).context("the stream does not flow")?;
        let all = Self::answers();
        ensure!(
            all.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "an answer is missing: {all:?}"
        );
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(&self.pid).status();
    }
}

/// What a command prints from now on, until it is asked for.
struct Watch {
    child: std::process::Child,
}

impl Watch {
    fn start(argv: &[&str]) -> Result<Self> {
        let (program, arguments) = argv.split_first().context("no program")?;
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self { child })
    }

    fn end(mut self) -> Result<String> {
        self.child.kill()?;
        let out = self.child.wait_with_output()?;
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

fn is_loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}
