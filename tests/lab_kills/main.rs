//! Ring lab: SIGKILL to each program of the product at random points of up, run and down, with traffic of every kind going. Nothing but WireGuard
//! to the endpoint leaves, what runs goes on, and whoever comes back finds everything again.
//!
//! Two tunnels: in `steady` an app runs through all rounds; `demo` is what is brought up, used and taken down when the kill comes.

mod witness;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, Marker, Program, Running, Spec, World,
    dice::Dice,
    leftovers::{leftovers, ours},
    probe::Probe,
    product::text,
    uplinks::Watch,
    world::{READY, until},
};
use witness::{Steady, Witness, apps_with, count, gone, ids, start_steady};

const ROUNDS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Helper,
    /// And whatever else the warden does at that moment.
    Keeper,
    DataPlane,
    Cli,
    Bus,
    Polkit,
}

/// What goes on when the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Up,
    Run,
    Down,
}

const PHASES: [Phase; 3] = [Phase::Up, Phase::Run, Phase::Down];

struct Scene {
    world: World,
    dice: Dice,
    target: Target,
    watch: Watch,
    /// Of the traffic inside: first the steady app's, last the newest one's.
    markers: Vec<Marker>,
    /// Sends what the captures must see.
    beside: Probe,
    steady: Steady,
    tunnels: Vec<String>,
    /// How long each phase takes undisturbed.
    lasts: [Duration; 3],
}

#[test]
fn the_helper_is_killed_and_nothing_leaks_or_is_lost() -> Result<()> {
    kills(Target::Helper)
}

#[test]
fn keepers_are_killed_and_nothing_leaks() -> Result<()> {
    kills(Target::Keeper)
}

#[test]
fn the_data_plane_is_killed_and_apps_wait_for_the_next_one() -> Result<()> {
    kills(Target::DataPlane)
}

#[test]
fn the_command_line_is_killed_and_leaves_nothing_behind() -> Result<()> {
    kills(Target::Cli)
}

#[test]
fn the_bus_is_killed_and_apps_go_on() -> Result<()> {
    kills(Target::Bus)
}

#[test]
fn polkit_is_killed_and_nothing_is_allowed_meanwhile() -> Result<()> {
    kills(Target::Polkit)
}

/// The judge itself: what the kills would let out is seen, each kind of it.
#[test]
fn a_leak_of_any_kind_would_be_seen() -> Result<()> {
    let mut scene = Scene::new(Target::Cli)?;
    scene.judge()?;
    // A second way out of the namespace, as an app that left it would have.
    let link = scene.namespaces()?.pop().context("no namespace")?;
    let script = format!(
        "ip link add planted type veth peer name planted0 netns {link}
         ip addr add 192.0.2.254/31 dev planted; ip link set planted up; sysctl -qw net.ipv4.ip_forward=1
         ip -n {link} addr add 192.0.2.255/31 dev planted0; ip -n {link} link set planted0 up
         ip -n {link} route replace 198.51.100.0/24 via 192.0.2.254"
    );
    scene
        .world
        .run_in("host", &["sh", "-ec", &script])?
        .ok()
        .context("plant a way out")?;
    let marker = scene.markers[0].hex();
    until(READY, "the leak in a report", || {
        scene.world.control_by(&mut scene.beside)?;
        let report = scene.world.report_since(&mut scene.watch, &scene.markers)?;
        Ok(report.violation_count > 0
            && report.frames("TCP in the clear") > 0
            && report.violations.iter().any(|one| one.contains(&marker)))
    })
}

fn kills(target: Target) -> Result<()> {
    let mut scene = Scene::new(target)?;
    for round in 0..ROUNDS {
        let phase = PHASES[round % PHASES.len()];
        let done = scene.round(round, phase);
        done.with_context(|| {
            let log = scene.world.log("helper");
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            format!("round {round}: {target:?} killed in {phase:?}\n{last}")
        })?;
    }
    scene.end()
}

impl Scene {
    fn new(target: Target) -> Result<Self> {
        let dice = Dice::new(&format!("{target:?}"))?;
        let mut world = World::new(Spec::product())?;
        world.import(&ALICE, "steady", 0)?;
        world.import(&ALICE, "demo", 0)?;
        let marker = Marker::new()?;
        let beside = Probe::outside(&world, &ALICE)?;
        let steady = start_steady(&world, &marker)?;
        let tunnels = ids(&world.tunnels(&ALICE)?);
        let mut scene = Self {
            world,
            dice,
            target,
            watch: Watch::default(),
            markers: vec![marker],
            beside,
            steady,
            tunnels,
            lasts: [Duration::ZERO; 3],
        };
        scene.lasts = scene.undisturbed()?;
        Ok(scene)
    }

    fn undisturbed(&self) -> Result<[Duration; 3]> {
        let begun = Instant::now();
        self.cli(&["up", "demo"])?;
        let up = begun.elapsed();
        let begun = Instant::now();
        self.cli(&["run", "-t", "demo", "--", "true"])?;
        let run = begun.elapsed();
        let begun = Instant::now();
        self.cli(&["down", "demo"])?;
        Ok([up, run, begun.elapsed()])
    }

    fn cli(&self, line: &[&str]) -> Result<String> {
        let out = self.world.cli(&ALICE, line)?.ok();
        Ok(out.with_context(|| line.join(" "))?.stdout)
    }

    fn round(&mut self, round: usize, phase: Phase) -> Result<()> {
        let witness = match self.target {
            Target::Helper | Target::Bus => Some(self.witness(round)?),
            _ => None,
        };
        let mut app = self.begin(phase)?;
        let mut acting = self.act(phase, &mut app)?;
        std::thread::sleep(self.dice.moment(self.lasts[phase as usize]));
        self.strike(acting.as_ref().or(app.as_ref().map(|app| &app.running)))?;
        if let Some(running) = &mut acting {
            // It may have worked or not; it may not hang.
            running.wait(READY)?;
        }
        if let Some(witness) = &witness {
            witness.finish(&self.world)?;
        }
        self.recover(round)?;
        if let Some(witness) = &witness {
            witness.is_known(&self.world)?;
        }
        self.tidy(app)?;
        self.judge()
    }

    /// What has to be there before the phase.
    fn begin(&mut self, phase: Phase) -> Result<Option<Probe>> {
        if phase != Phase::Down {
            return Ok(None);
        }
        let mut app = self.traffic()?;
        app.ask("links").context("an app in demo")?;
        Ok(Some(app))
    }

    /// An app with traffic in `demo`.
    fn traffic(&mut self) -> Result<Probe> {
        let marker = Marker::new()?;
        self.markers.push(marker.clone());
        Probe::with_traffic(&self.world, &ALICE, "demo", &marker)
    }

    fn act(&mut self, phase: Phase, app: &mut Option<Probe>) -> Result<Option<Running>> {
        match phase {
            Phase::Run => {
                *app = Some(self.traffic()?);
                Ok(None)
            }
            Phase::Up => Ok(Some(
                self.world.spawn_as(&ALICE, &["lonewire", "up", "demo"])?,
            )),
            Phase::Down => {
                let line = ["lonewire", "down", "demo", "--force"];
                Ok(Some(self.world.spawn_as(&ALICE, &line)?))
            }
        }
    }

    fn strike(&mut self, acting: Option<&Running>) -> Result<()> {
        let program = match self.target {
            Target::Cli => {
                // It may have ended by itself already.
                if let Some(acting) = acting {
                    let _ = acting.signal(nix::sys::signal::Signal::SIGKILL);
                }
                return Ok(());
            }
            Target::Helper => Program::Helper,
            Target::Keeper => Program::Warden,
            Target::DataPlane => Program::DataPlane,
            Target::Bus => Program::Bus,
            Target::Polkit => Program::Polkit,
        };
        let link = self.steady_link()?;
        if program == Program::Polkit {
            self.polkit_can_start(false)?;
        }
        self.world.kill(program)?;
        match self.target {
            Target::DataPlane => {
                // The same TUN, which has never gone.
                until(READY, "another data plane", || {
                    Ok(!self.world.processes(program.name())?.is_empty())
                })?;
                ensure!(link == self.steady_link()?, "the link was made anew");
            }
            Target::Polkit => {
                self.flows("while it is dead", &["udp", "tcp", "stream"])?;
                // It is up already: whom it is allowed is answered at once.
                let out = self.world.cli(&ALICE, &["up", "steady", "--no-input"])?;
                ensure!(out.code == 4, "allowed by nobody: {out:?}");
                self.polkit_can_start(true)?;
            }
            // What runs needs none of these.
            _ => self.flows("while it is dead", &["udp", "tcp", "stream"])?,
        }
        Ok(())
    }

    /// Whether the bus can start it again for who asks it.
    fn polkit_can_start(&self, can: bool) -> Result<()> {
        let places = "/usr/lib/polkit-1/polkitd /usr/libexec/polkitd /usr/libexec/polkit-1/polkitd";
        let change = if can {
            "! mountpoint -q $place || umount $place"
        } else {
            "[ ! -f $place ] || mount --bind /dev/null $place"
        };
        let script = format!("for place in {places}; do {change}; done");
        self.world.run_in("host", &["sh", "-ec", &script])?.ok()?;
        Ok(())
    }

    /// Address, index and name of the steady tunnel's link, as the app's network has them.
    fn steady_link(&self) -> Result<String> {
        let pid = apps_with(&self.world, &self.markers[0])?
            .pop()
            .context("the app has gone")?;
        let table = fs::read_to_string(format!("/proc/{pid}/net/if_inet6"))?;
        let line = table
            .lines()
            .find(|line| line.contains("lw-"))
            .with_context(|| format!("no link: {table}"))?;
        Ok(line.into())
    }

    /// Everything that was killed is there again, and has found what it had.
    fn recover(&mut self, round: usize) -> Result<()> {
        let programs: &[Program] = match self.target {
            Target::Helper => &[Program::Helper],
            Target::Bus => &[Program::Bus, Program::Polkit, Program::Helper],
            Target::Polkit => &[Program::Polkit],
            Target::Keeper | Target::DataPlane | Target::Cli => &[],
        };
        for program in programs {
            self.world.restart(*program)?;
        }
        if self.target == Target::DataPlane && !round.is_multiple_of(2) {
            // While it is at starting another. And one that dies again and again is started later and later: the next helper counts anew.
            self.world.restart(Program::Helper)?;
        }
        ensure!(
            ids(&self.world.tunnels(&ALICE)?) == self.tunnels,
            "other tunnels"
        );
        if self.target == Target::Keeper {
            // Nobody keeps it any more: it is forgotten, and was never exposed.
            self.flows("without a keeper", &["udp", "tcp", "stream"])?;
            let marker = self.markers[0].clone();
            let fresh = Marker::new()?;
            let new = start_steady(&self.world, &fresh)?;
            let old = std::mem::replace(&mut self.steady, new);
            self.markers.insert(0, fresh);
            return gone(&self.world, old.probe, &marker);
        }
        self.world
            .wait_state(&ALICE, "steady", "protected", READY)?;
        let apps = self.world.apps(&ALICE)?;
        ensure!(
            apps.iter()
                .any(|app| text(app, "id") == self.steady.app && text(app, "state") == "running"),
            "the app is lost: {apps:?}"
        );
        self.flows("after it", &["udp", "tcp", "dns", "stream"])?;
        let streams = count(&self.steady.probe.ask("counts")?, "streams");
        ensure!(streams == 1, "the long stream broke: {streams} connections");
        Ok(())
    }

    /// Every kind of the steady app's traffic gets through.
    fn flows(&mut self, when: &str, kinds: &[&str]) -> Result<()> {
        let before = self.steady.probe.ask("counts")?;
        until(READY, &format!("traffic {when}"), || {
            let now = self.steady.probe.ask("counts")?;
            Ok(kinds
                .iter()
                .all(|kind| count(&now, kind) > count(&before, kind)))
        })
        .with_context(|| format!("{before} to {:?}", self.steady.probe.ask("counts")))
    }

    /// After the round `demo` can be used like any other, and is off.
    fn tidy(&mut self, app: Option<Probe>) -> Result<()> {
        if let (Some(app), Some(marker)) = (app, self.markers.last()) {
            gone(&self.world, app, marker)?;
        }
        self.cli(&["up", "demo"])?;
        self.cli(&["run", "-t", "demo", "--", "true"])?;
        until(READY, "the end of demo's apps", || {
            let apps = self.world.apps(&ALICE)?;
            let demo = self.world.tunnel(&ALICE, "demo", "id")?;
            Ok(apps
                .iter()
                .all(|app| text(app, "tunnel") != demo || text(app, "state") == "ended"))
        })?;
        self.cli(&["down", "demo"])?;
        until(READY, "the end of demo's namespaces", || {
            Ok(self.namespaces()?.len() == 1)
        })
    }

    fn namespaces(&self) -> Result<Vec<String>> {
        ours(&self.world, "/run/netns")
    }

    /// The captures work, and hold nothing that must not be.
    fn judge(&mut self) -> Result<()> {
        self.world.control_by(&mut self.beside)?;
        let report = self.world.report_since(&mut self.watch, &self.markers)?;
        report.assert_clean()?;
        ensure!(
            report.frames("control") > 0 && report.frames("WireGuard") > 0,
            "{report}"
        );
        Ok(())
    }

    /// An app that is to end with a code of its own while the target is dead.
    fn witness(&self, round: usize) -> Result<Witness> {
        let code = i64::try_from(round)? + 40;
        let fifo = format!("{}/witness-{round}", ALICE.home);
        let line = format!(
            "mkfifo {fifo} && lonewire run -t steady --detach -- sh -c 'read x < {fifo}; exit {code}' > {fifo}.log 2>&1 && cat {fifo}.log"
        );
        let out = self.world.run_as(&ALICE, &["sh", "-c", &line])?.ok()?;
        Ok(Witness {
            fifo,
            app: out.stdout.trim().into(),
            code,
        })
    }

    /// Nothing is left of anything.
    fn end(self) -> Result<()> {
        let world = self.world;
        gone(&world, self.steady.probe, &self.markers[0])?;
        until(READY, "the end of all apps", || {
            Ok(world
                .apps(&ALICE)?
                .iter()
                .all(|app| text(app, "state") == "ended"))
        })?;
        world.cli(&ALICE, &["down", "--all"])?.ok()?;
        let left = || leftovers(&world);
        let found = until(READY, "the end of everything", || Ok(left()?.is_empty()));
        found.with_context(|| format!("{:?}", left()))
    }
}
