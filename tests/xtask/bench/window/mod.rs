//! The window against one of the same toolkit with nothing in it, and with a thousand tunnels against one. The helper is played: what is measured
//! is the window. A start ends when the window can be seen and its main thread has gone to rest.

mod stand_in;

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, World,
    desktop::{Desktop, Look},
};

use super::{Limit, Row, median, milliseconds};
use crate::cargo;

/// Where the bare window is in a world.
const BARE: &str = "/usr/local/bin/bare";
/// A main thread that has not run for so long rests.
const REST: Duration = Duration::from_millis(150);
/// Between two wake-ups it rests longer than this.
const STROKE: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(20);
/// What is typed into the search, key by key.
const TYPED: &str = "sweden 00";
/// How long an idle window is watched.
const IDLE: Duration = Duration::from_secs(10);

/// All rows of the window.
pub fn run(world: &mut World, folder: &Path, pairs: usize) -> Result<Vec<Row>> {
    install_bare(world, folder)?;
    let desktop = Desktop::start(world, &ALICE, &Look::default())?;
    // The window takes the session bus for the system's: the world's own helper is not asked.
    let stage = Stage { world, desktop };
    let one = stand_in::Told::crowd(1);
    let many = stand_in::Told::crowd(1_000);
    let (mut bare, mut ours, mut crowd) = (vec![], vec![], vec![]);
    for round in 0..=pairs.min(30) {
        let times = [
            stage.start(BARE)?,
            stage.with(&one, || stage.start("lonewire-gtk"))?,
            stage.with(&many, || stage.start("lonewire-gtk"))?,
        ];
        // The first of each reads its files from the disk.
        if round > 0 {
            for (list, time) in [&mut bare, &mut ours, &mut crowd].into_iter().zip(times) {
                list.push(milliseconds(time));
            }
        }
    }
    let (bare, ours, crowd) = (median(bare)?, median(ours)?, median(crowd)?);
    let key = stage.with(&many, || stage.search())?;
    let (shown, shown_wakes) = stage.with(&one, || stage.idle())?;
    let (off, off_wakes) = stage.with(&stand_in::Told::off(), || stage.idle())?;
    Ok(vec![
        Row {
            work: "window: start, against a bare one",
            ours: format!("{ours:.0} ms"),
            theirs: format!("{bare:.0} ms"),
            figure: ours / bare,
            limit: Limit::AtMost(1.5),
        },
        Row {
            work: "window: start, 1000 tunnels against one",
            ours: format!("{crowd:.0} ms"),
            theirs: format!("{ours:.0} ms"),
            figure: crowd / ours,
            limit: Limit::AtMost(1.5),
        },
        Row {
            work: "window: a key of a search in 1000, ms",
            ours: format!("{key:.1} ms"),
            theirs: String::new(),
            figure: key,
            limit: Limit::AtMost(16.0),
        },
        Row {
            work: "window: wake-ups a second, traffic shown",
            ours: format!("{shown:.1} ms/s"),
            theirs: String::new(),
            figure: shown_wakes,
            limit: Limit::AtMost(2.0),
        },
        Row {
            work: "window: wake-ups a second, a tunnel that is off",
            ours: format!("{off:.1} ms/s"),
            theirs: String::new(),
            figure: off_wakes,
            limit: Limit::AtMost(0.5),
        },
    ])
}

/// Builds the bare window as the programs were built.
fn install_bare(world: &World, folder: &Path) -> Result<()> {
    let is_release = folder.ends_with("release");
    let mut build = cargo::cargo();
    build.args([
        "build",
        "--quiet",
        "--package",
        "lonewire-gtk",
        "--example",
        "bare",
    ]);
    if is_release {
        build.arg("--release");
    }
    cargo::run(&mut build)?;
    let profile = if is_release { "release" } else { "debug" };
    let built = lab::programs::target()?.join(format!("{profile}/examples/bare"));
    fs::copy(&built, world.path(BARE)).with_context(|| built.display().to_string())?;
    Ok(())
}

struct Stage<'w> {
    world: &'w World,
    desktop: Desktop,
}

/// A program on the stage, which ends with this.
struct Running {
    /// Of its main thread, as this process sees it.
    pid: u32,
    child: std::process::Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(self.pid).unwrap_or(0)),
            nix::sys::signal::Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}

impl Stage<'_> {
    /// While a helper is played.
    fn with<T>(&self, told: &stand_in::Told, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let bus = self.world.path(&format!("/run/user/{}/bus", ALICE.uid));
        let served = stand_in::serve(&format!("unix:path={}", bus.display()), told)?;
        let done = work();
        drop(served);
        done
    }

    fn open(&self, program: &str) -> Result<Running> {
        let bus = format!(
            "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/user/{}/bus",
            ALICE.uid
        );
        // A bus without accessibility: it is not what is measured.
        let child = self
            .desktop
            .command(&["env", &bus, "GTK_A11Y=none", program])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let name = program.rsplit('/').next().unwrap_or(program);
        let end = Instant::now() + LONGEST;
        let pid = loop {
            if let Some(pid) = below(child.id(), name) {
                break pid;
            }
            ensure!(Instant::now() < end, "{program} does not start");
            thread::sleep(Duration::from_millis(1));
        };
        Ok(Running { pid, child })
    }

    /// Time from the start of a program to its rest.
    fn start(&self, program: &str) -> Result<Duration> {
        let began = Instant::now();
        let running = self.open(program)?;
        let shown = self.see()?;
        let rest = running.rest()?;
        Ok(rest.max(shown).duration_since(began))
    }

    /// Waits until a window can be seen.
    fn see(&self) -> Result<Instant> {
        self.desktop.run(&[
            "xdotool",
            "search",
            "--sync",
            "--onlyvisible",
            "^(bare|lonewire.*)$",
        ])?;
        Ok(Instant::now())
    }

    /// Main-loop time a key of a search.
    fn search(&self) -> Result<f64> {
        let running = self.open("lonewire-gtk")?;
        self.see()?;
        running.rest()?;
        self.desktop.keys(&["ctrl+f"])?;
        running.rest()?;
        let before = running.ran()?;
        self.desktop.type_text(TYPED)?;
        running.rest()?;
        let typed = running.ran()?.saturating_sub(before);
        Ok(milliseconds(typed) / f64::from(u32::try_from(TYPED.len())?))
    }

    /// Main-loop time and wake-ups a second while nobody does anything.
    fn idle(&self) -> Result<(f64, f64)> {
        let running = self.open("lonewire-gtk")?;
        self.see()?;
        running.rest()?;
        let (times, ran) = running.watch(IDLE)?;
        let seconds = IDLE.as_secs_f64();
        Ok((milliseconds(ran) / seconds, f64::from(times) / seconds))
    }
}

impl Running {
    /// Time that its main thread ran so far: the first figure of proc(5)'s `schedstat`.
    fn ran(&self) -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{0}/task/{0}/schedstat", self.pid))?;
        let first = text.split(' ').next().context("schedstat")?;
        Ok(Duration::from_nanos(first.parse()?))
    }

    /// How often its main thread begins to run, for a while, and for how long in all. What it does at a stroke, asking the screen in between, is one time.
    fn watch(&self, time: Duration) -> Result<(u32, Duration)> {
        let end = Instant::now() + time;
        let began = self.ran()?;
        let (mut ran, mut since, mut times) = (began, Instant::now(), 0);
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
            let now = self.ran()?;
            if now != ran {
                times += u32::from(since.elapsed() > STROKE);
                (ran, since) = (now, Instant::now());
            }
        }
        Ok((times, ran.saturating_sub(began)))
    }

    /// Waits until its main thread rests; since when it does.
    fn rest(&self) -> Result<Instant> {
        let end = Instant::now() + LONGEST;
        let (mut ran, mut since) = (self.ran()?, Instant::now());
        while since.elapsed() < REST {
            ensure!(Instant::now() < end, "the window does not come to rest");
            thread::sleep(Duration::from_millis(2));
            let now = self.ran()?;
            if now != ran {
                (ran, since) = (now, Instant::now());
            }
        }
        Ok(since)
    }
}

/// The process with this name that a process started, or that one of its children did.
fn below(pid: u32, name: &str) -> Option<u32> {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    if comm.trim() == name {
        return Some(pid);
    }
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .find_map(|child| below(child, name))
}
