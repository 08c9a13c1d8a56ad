//! Ring lab: the helper dies at each point of what it was asked for: before and after every step of `core::plan`, and wherever it waits. Whoever comes after it
//! finds the old state or the new one, whole; nothing is orphaned and nothing leaks.
//!
//! Every step's points are struck in each run, and some of the others by chance; with `LONEWIRE_POINTS=all` all of them are.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, Marker, Program, Running, Spec, World,
    dice::Dice,
    leftovers::{leftovers, of_tunnels},
    probe::Probe,
    product::text,
    uplinks::Watch,
    world::{READY, until},
};
use lonewire_core::plan;
use serde_json::Value;

const VARIABLE: &str = "LONEWIRE_POINTS";

/// Of the points that are not a step's.
const BY_CHANCE: usize = 4;

const FILE: &str = "/run/lonewire/points";
const SLEEP: &[&str] = &["run", "-t", "demo", "--detach", "--", "sleep", "98765"];

const LOG: &str = "/run/lonewire/points.log";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Up,
    Launch,
    /// In a tunnel that is off.
    FirstLaunch,
    Down,
    /// Under an app.
    ForcedDown,
    Import,
    Switch,
}

impl Op {
    fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Launch | Self::FirstLaunch => "launch",
            Self::Down | Self::ForcedDown => "down",
            Self::Import => "import",
            Self::Switch => "switch",
        }
    }

    /// By its plan.
    fn steps(self) -> Vec<&'static str> {
        match self {
            Self::Up => plan::up(true).map(plan::Step::name).to_vec(),
            Self::Launch => plan::launch().to_vec(),
            Self::FirstLaunch => [Self::Up.steps(), Self::Launch.steps()].concat(),
            // The rest comes when the app ends.
            Self::ForcedDown => vec![plan::Undo::DeleteLink.name()],
            Self::Down => plan::down().into_iter().map(plan::Undo::name).collect(),
            Self::Import => vec![plan::SAVE],
            Self::Switch => plan::switch().map(plan::Change::name).to_vec(),
        }
    }
}

impl Op {
    /// Whether its steps' points are struck in each run: those of the others are the same steps.
    fn is_whole(self) -> bool {
        !matches!(self, Self::FirstLaunch | Self::ForcedDown)
    }
}

/// A point that was passed: its number, what it is of, and which side.
type Point = (usize, String, String);

struct Scene {
    op: Op,
    world: World,
    watch: Watch,
    markers: Vec<Marker>,
    /// An app with traffic in a tunnel that nothing is done to.
    steady: Probe,
    /// The same in the tunnel that is switched.
    switched: Option<Probe>,
}

#[test]
fn killed_at_any_point_of_coming_up() -> Result<()> {
    points(Op::Up)
}

#[test]
fn killed_at_any_point_of_a_launch() -> Result<()> {
    points(Op::Launch)
}

#[test]
fn killed_at_any_point_of_a_launch_that_connects() -> Result<()> {
    points(Op::FirstLaunch)
}

#[test]
fn killed_at_any_point_of_going_down_under_an_app() -> Result<()> {
    points(Op::ForcedDown)
}

#[test]
fn killed_at_any_point_of_going_down() -> Result<()> {
    points(Op::Down)
}

#[test]
fn killed_at_any_point_of_an_import() -> Result<()> {
    points(Op::Import)
}

#[test]
fn killed_at_any_point_of_a_switch() -> Result<()> {
    points(Op::Switch)
}

fn points(op: Op) -> Result<()> {
    let mut scene = Scene::new(op)?;
    let passed = scene.pass()?;
    for step in op.steps() {
        for side in ["Before", "After"] {
            let has = passed.iter().any(|(_, of, at)| of == step && at == side);
            ensure!(has, "no point {side} {step}: {passed:?}");
        }
    }
    let (mut chosen, mut others): (Vec<Point>, Vec<Point>) = passed
        .into_iter()
        .partition(|(_, of, _)| op.is_whole() && of != "await");
    if std::env::var(VARIABLE).is_ok_and(|word| word == "all") {
        chosen.append(&mut others);
    } else {
        let mut dice = Dice::new(op.word())?;
        for _ in 0..BY_CHANCE.min(others.len()) {
            let place = dice.below(others.len() as u64);
            chosen.push(others.swap_remove(usize::try_from(place)?));
        }
        eprintln!(
            "{}: {} points left out: {VARIABLE}=all",
            op.word(),
            others.len()
        );
    }
    let mut killed = 0;
    for (number, of, side) in &chosen {
        let died = scene.run(*number).with_context(|| {
            let log = scene.world.log("helper");
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(30)..].join("\n");
            format!("{op:?} killed at point {number}, {side} {of}\n{last}")
        })?;
        killed += usize::from(died);
    }
    eprintln!(
        "{}: killed at {killed} of {} points",
        op.word(),
        chosen.len()
    );
    // How often it waits is not the same each time: the last points may not come, and of a few by chance two may be among those.
    let missed = chosen.len() - killed;
    ensure!(
        killed > 0 && missed <= (chosen.len() / 5).max(2),
        "{killed} of {}",
        chosen.len()
    );
    scene.end()
}

impl Scene {
    fn new(op: Op) -> Result<Self> {
        let mut world = World::new(Spec::product())?;
        world.import(&ALICE, "steady", 0)?;
        world.import(&ALICE, "demo", 0)?;
        let other = world.client(0)?;
        let other = other.replace("DNS = 10.66.0.1", "DNS = 10.66.0.1, other.example");
        world.import_text(&ALICE, "other", &other)?;
        let marker = Marker::new()?;
        let mut steady = Probe::with_traffic(&world, &ALICE, "steady", &marker)?;
        steady.ask("links")?;
        let mut scene = Self {
            op,
            world,
            watch: Watch::default(),
            markers: vec![marker],
            steady,
            switched: None,
        };
        if op == Op::Switch {
            let marker = Marker::new()?;
            let mut probe = Probe::with_traffic(&scene.world, &ALICE, "demo", &marker)?;
            probe.ask("links")?;
            scene.markers.push(marker);
            scene.switched = Some(probe);
        }
        Ok(scene)
    }

    fn cli(&self, line: &[&str]) -> Result<String> {
        let out = self.world.cli(&ALICE, line)?.ok();
        Ok(out.with_context(|| line.join(" "))?.stdout)
    }

    /// Lets it be done, and answers which points were passed.
    fn pass(&mut self) -> Result<Vec<Point>> {
        self.prepare()?;
        let log = self.world.path(LOG);
        self.strike_at(usize::MAX)?;
        ensure!(self.act()?.wait(READY)? == 0, "it failed undisturbed");
        fs::remove_file(self.world.path(FILE))?;
        let text =
            fs::read_to_string(&log).context("the helper notes no points: a debug build?")?;
        let mut passed = Vec::new();
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [what, number, of, side] = words.as_slice() else {
                anyhow::bail!("{line}");
            };
            ensure!(*what == self.op.word(), "{line}");
            passed.push((number.parse()?, (*of).to_owned(), (*side).to_owned()));
        }
        self.verify()?;
        self.tidy()?;
        Ok(passed)
    }

    fn strike_at(&self, number: usize) -> Result<()> {
        let line = format!("{} {number}", self.op.word());
        let _ = fs::remove_file(self.world.path(LOG));
        Ok(fs::write(self.world.path(FILE), line)?)
    }

    /// What has to be there before.
    fn prepare(&self) -> Result<()> {
        match self.op {
            Op::Launch | Op::Down => self.cli(&["up", "demo"]).map(drop),
            Op::ForcedDown => self.cli(SLEEP).map(drop),
            Op::Import => {
                let from = self.world.path(&format!("{}/other.conf", ALICE.home));
                let to = self.world.path(&format!("{}/fresh.conf", ALICE.home));
                let (own, others) = (lab::keys::Pair::new()?, fs::read_to_string(from)?);
                let old = others
                    .lines()
                    .find_map(|line| line.strip_prefix("PrivateKey = "))
                    .context("no key")?;
                fs::write(&to, others.replace(old, &own.private))?;
                Ok(std::os::unix::fs::chown(
                    to,
                    Some(ALICE.uid),
                    Some(ALICE.gid),
                )?)
            }
            Op::Up | Op::FirstLaunch | Op::Switch => Ok(()),
        }
    }

    fn act(&self) -> Result<Running> {
        let fresh = format!("{}/fresh.conf", ALICE.home);
        let line: &[&str] = match self.op {
            Op::Up => &["up", "demo"],
            Op::Launch | Op::FirstLaunch => SLEEP,
            Op::Down => &["down", "demo"],
            Op::ForcedDown => &["down", "demo", "--force"],
            Op::Import => &["import", &fresh, "--name", "fresh"],
            Op::Switch => &["switch", "demo", "other"],
        };
        self.world.spawn_as(&ALICE, &[&["lonewire"], line].concat())
    }

    /// Whether it died there: what is done may have been done before the point came.
    fn run(&mut self, number: usize) -> Result<bool> {
        self.prepare()?;
        self.strike_at(number)?;
        let mut acting = self.act()?;
        acting.wait(READY)?;
        fs::remove_file(self.world.path(FILE))?;
        // It notes the point before it dies there.
        let text = fs::read_to_string(self.world.path(LOG)).unwrap_or_default();
        let died = text.contains(&format!("{} {number} ", self.op.word()));
        if died {
            until(READY, "the helper's end", || {
                Ok(self.world.processes(Program::Helper.name())?.is_empty())
            })?;
            self.flows("while it is dead")?;
            self.world.restart(Program::Helper)?;
        }
        self.verify()?;
        self.tidy()?;
        self.judge()?;
        Ok(died)
    }

    /// The old state or the new one, and nothing else.
    fn verify(&mut self) -> Result<()> {
        self.world
            .wait_state(&ALICE, "steady", "protected", READY)?;
        match self.op {
            Op::Up | Op::Down => self.is_off_or_up(),
            Op::Launch | Op::FirstLaunch => self.is_known_or_never_was(),
            Op::ForcedDown => {
                self.is_known_or_never_was()?;
                ensure!(self.world.processes("sleep")?.len() == 1, "the app is gone");
                let state = self.world.tunnel(&ALICE, "demo", "state")?;
                ensure!(matches!(&*state, "off" | "protected"), "{state}");
                Ok(())
            }
            Op::Import => {
                let names = self.world.names(&ALICE)?;
                if names.iter().any(|name| name == "fresh") {
                    ensure!(self.cli(&["show", "fresh", "--json"])?.contains("10.66.0."));
                }
                Ok(())
            }
            Op::Switch => self.is_old_or_new(),
        }
    }

    fn is_off_or_up(&self) -> Result<()> {
        let mut seen = String::new();
        until(READY, "the one or the other", || {
            let state = self.world.tunnel(&ALICE, "demo", "state")?;
            let there = of_tunnels(&self.world)?;
            seen = format!("{state} {there:?}");
            Ok(match state.as_str() {
                "off" => there == [1; 4],
                "protected" => there == [2; 4],
                _ => false,
            })
        })
        .with_context(|| seen.clone())
    }

    fn is_known_or_never_was(&self) -> Result<()> {
        let mut seen = String::new();
        until(READY, "as many apps as programs", || {
            let programs = self.world.processes("sleep")?.len();
            let apps = self.world.apps(&ALICE)?;
            let known = apps
                .iter()
                .filter(|app| text(app, "name") == "sleep" && text(app, "state") == "running");
            let known = known.count();
            seen = format!("{programs} programs, {known} apps");
            Ok(programs == known)
        })
        .with_context(|| seen.clone())
    }

    fn is_old_or_new(&mut self) -> Result<()> {
        self.world.wait_state(&ALICE, "demo", "protected", READY)?;
        let show: Value = serde_json::from_str(&self.cli(&["show", "demo", "--json"])?)?;
        let link = text(&show, "link");
        let dns = self
            .world
            .path(&format!("/run/lonewire/dns/{link}/resolv.conf"));
        let has_other_dns = fs::read_to_string(dns)?.contains("other.example");
        let is_new = show["addresses"][0] == "10.66.0.4/32";
        ensure!(is_new || show["addresses"][0] == "10.66.0.3/32", "{show}");
        ensure!(is_new == has_other_dns, "{show}");
        ensure!(is_new != show["switched_to"].is_null(), "{show}");
        let inside = ["ip", "-n", link, "-o", "addr", "show", "dev", link];
        let inside = self.world.run_in("host", &inside)?.ok()?.stdout;
        ensure!(inside.contains("10.66.0.4") == is_new, "{inside}");
        ensure!(inside.contains("10.66.0.3") != is_new, "{inside}");
        let used = self.world.cli(&ALICE, &["up", "other", "--wait", "0"])?;
        ensure!((used.code == 0) != is_new, "{used:?}");
        self.cli(&["down", "other"])?;
        let probe = self.switched.as_mut().context("no app")?;
        let counts = probe.ask("counts")?;
        until(READY, "traffic of the switched one", || {
            let now = probe.ask("counts")?;
            Ok(["udp", "tcp", "dns"]
                .iter()
                .all(|kind| now[kind].as_u64() > counts[kind].as_u64()))
        })
    }

    /// As it was before, and it can be used.
    fn tidy(&self) -> Result<()> {
        match self.op {
            Op::Switch => self.cli(&["switch", "demo", "demo"]).map(drop),
            Op::Import => {
                let names = self.world.names(&ALICE)?;
                if names.iter().any(|name| name == "fresh") {
                    self.cli(&["remove", "fresh"])?;
                }
                Ok(())
            }
            Op::Up | Op::Launch | Op::FirstLaunch | Op::Down | Op::ForcedDown => {
                for app in self.world.apps(&ALICE)? {
                    if text(&app, "name") == "sleep" && text(&app, "state") == "running" {
                        self.cli(&["stop", text(&app, "id")])?;
                    }
                }
                self.cli(&["up", "demo"])?;
                until(READY, "demo to go down", || {
                    Ok(self.world.cli(&ALICE, &["down", "demo"])?.code == 0)
                })?;
                until(READY, "the end of demo", || {
                    Ok(of_tunnels(&self.world)? == [1; 4])
                })
            }
        }
    }

    fn flows(&mut self, when: &str) -> Result<()> {
        let before = self.steady.ask("counts")?;
        until(READY, &format!("traffic {when}"), || {
            let now = self.steady.ask("counts")?;
            Ok(["udp", "stream"]
                .iter()
                .all(|kind| now[kind].as_u64() > before[kind].as_u64()))
        })?;
        let streams = self.steady.ask("counts")?;
        ensure!(streams["streams"] == 1, "the long stream broke: {streams}");
        Ok(())
    }

    fn judge(&mut self) -> Result<()> {
        self.world.control()?;
        let report = self.world.report_since(&mut self.watch, &self.markers)?;
        report.assert_clean()?;
        ensure!(
            report.frames("control") > 0 && report.frames("WireGuard") > 0,
            "{report}"
        );
        Ok(())
    }

    fn end(self) -> Result<()> {
        let world = self.world;
        self.steady.close()?;
        if let Some(probe) = self.switched {
            probe.close()?;
        }
        until(READY, "the end of all tunnels", || {
            Ok(world.cli(&ALICE, &["down", "--all"])?.code == 0)
        })?;
        let found = until(READY, "the end of everything", || {
            Ok(leftovers(&world)?.is_empty())
        });
        found.with_context(|| format!("{:?}", leftovers(&world)))
    }
}
