//! The acceptance suite, run by `cargo xtask vm` in a machine of its own, one test at a time, as root: Debian with systemd, logind, polkit, resolved, nscd and avahi, the
//! kernel's WireGuard, and Lonewire installed by apt. Nothing may be skipped here: what the machine lacks is a failure. Tests of `first` run
//! after the first boot, those of `second` after a reboot.

mod first;
mod second;

use std::{path::Path, process::Command, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::system::{
    Place, Session, System, poll,
    vpn::{NAME, Vpn},
};

/// What all tests of a boot share.
struct Scene {
    system: &'static System,
    vpn: Vpn,
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
        let system: &'static System = Box::leak(Box::new(System::here()?));
        let vpn = Vpn::start_in_kernel(system, 3)?;
        if system.run(&["id", "anna"])?.status.success() {
            let anna = system.login("anna", Place::Seat)?;
            // Saved before the reboot; the server has other keys at each boot.
            ensure!(
                anna.check(&["lonewire", "list"])?.contains("demo"),
                "the tunnel is not saved"
            );
            anna.check(&["lonewire", "remove", "demo"])?;
            vpn.import(&anna, 0, "demo")?;
            return Ok(Self { system, vpn, anna });
        }
        system.add_user("anna", 61001, &["games", "plugdev"])?;
        let anna = system.login("anna", Place::Seat)?;
        vpn.import(&anna, 0, "demo")?;
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

/// What a command prints from now on, until it is asked for.
struct Watch {
    child: std::process::Child,
}

impl Watch {
    fn start(argv: &[&str]) -> Result<Self> {
        let (program, arguments) = argv.split_first().context("no program")?;
        let child = Command::new(program)
            .args(arguments)
            .stdout(std::process::Stdio::piped())
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
