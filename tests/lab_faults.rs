//! Ring lab: a machine that fails. Whatever is missing or full is told, what was begun is undone, and another tunnel does not notice. T72, T73.

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, Output, Program, Spec, World, probe::Probe};

/// A tunnel that is up with an app in it, and one that is to come up.
struct Scene {
    world: World,
    probe: Probe,
    before: String,
    /// The servers of the world can note what they are asked; else they do not answer.
    served: bool,
}

impl Scene {
    fn new() -> Result<Self> {
        let spec = Spec {
            servers: 2,
            ..Spec::product()
        };
        let mut world = World::new(spec)?;
        world.import(&ALICE, "other", 0)?;
        world.import(&ALICE, "demo", 1)?;
        let probe = Probe::inside(&world, &ALICE, "other")?;
        let before = Self::traces(&world)?;
        Ok(Self {
            world,
            probe,
            before,
            served: true,
        })
    }

    /// All that a tunnel leaves on a machine: pins, records, resolver files, control sockets; and processes.
    fn traces(world: &World) -> Result<String> {
        let script = "cd /run; find netns wireguard lonewire -mindepth 1 | grep -v '/apps/' | sort; ip -o link | wc -l";
        Ok(world.run_in("host", &["sh", "-c", script])?.ok()?.stdout)
    }

    /// What failed said so in words, and left nothing; the other tunnel carries on.
    fn failed_cleanly(&mut self, out: &Output) -> Result<()> {
        ensure!(out.code != 0, "it worked: {out:?}");
        let said = out.stderr.lines().next().unwrap_or_default();
        ensure!(said.starts_with("lonewire: ") && said.len() > 20, "{out:?}");
        self.unharmed()
    }

    fn unharmed(&mut self) -> Result<()> {
        if self.served {
            self.probe
                .ask("http whoami.demo /other")
                .context("the other tunnel")?;
        } else {
            assert_eq!(self.world.tunnel(&ALICE, "other", "state")?, "protected");
        }
        // What cannot be undone at once is tried again.
        lab::world::until(
            std::time::Duration::from_secs(5),
            "nothing to be left",
            || Ok(Self::traces(&self.world)? == self.before),
        )
        .with_context(|| {
            format!(
                "{}\n{}",
                Self::traces(&self.world).unwrap_or_default(),
                self.before
            )
        })
    }

    fn up(&self) -> Result<Output> {
        self.world.cli(&ALICE, &["up", "demo"])
    }

    /// Once the machine is whole again, so is everything.
    fn works_again(mut self) -> Result<()> {
        let out = self.world.run_inside(&ALICE, "demo", &["echo", "fine"])?;
        assert_eq!(out.ok()?.stdout, "fine\n");
        self.world.cli(&ALICE, &["down", "demo"])?.ok()?;
        self.unharmed()?;
        self.world.uplinks_report(&[])?.assert_clean()
    }
}

/// Takes all the room that a file system has left: `top` is where it is mounted.
fn fill(world: &World, top: &str, folder: &str) -> Result<()> {
    let script = format!(
        "used=$(df -k --output=used {top} | tail -n 1); mount -n -o remount,size=$((used + 2048))k {top}; mkdir {folder}/full
         for size in 64K 4096 1; do dd if=/dev/zero of={folder}/full/$size bs=$size 2> /dev/null || :; done
         if echo x > {folder}/full/probe; then exit 1; fi 2> /dev/null"
    );
    world
        .sh(&script)
        .with_context(|| format!("{folder} cannot be filled"))
}

/// Makes room again.
fn empty(world: &World, top: &str, folder: &str) -> Result<()> {
    world.sh(&format!(
        "rm -r {folder}/full; mount -n -o remount,size=1g {top}"
    ))
}

#[test]
fn no_room_left_on_run() -> Result<()> {
    let mut scene = Scene::new()?;
    fill(&scene.world, "/run", "/run")?;
    scene.served = false;
    let out = scene.up()?;
    scene.failed_cleanly(&out)?;
    // Not even a record of an app fits: it does not run.
    let out = scene
        .world
        .run_inside(&ALICE, "other", &["touch", "/tmp/ran"])?;
    scene.failed_cleanly(&out)?;
    ensure!(!scene.world.path("/tmp/ran").exists(), "it ran");
    // Off is off, whatever is full.
    empty(&scene.world, "/run", "/run")?;
    scene.served = true;
    scene.works_again()
}

#[test]
fn no_room_left_for_what_is_saved() -> Result<()> {
    let mut scene = Scene::new()?;
    // What is written below /var lies there.
    let state = "/var/lib/lonewire";
    fill(&scene.world, "/mnt", state)?;
    let out = scene.world.cli(&ALICE, &["duplicate", "demo", "twin"])?;
    ensure!(out.code != 0, "{out:?}");
    assert_eq!(scene.world.names(&ALICE)?, ["demo", "other"]);
    // What is there comes up, though its history cannot be written.
    scene.up()?.ok()?;
    scene.world.cli(&ALICE, &["down", "demo"])?.ok()?;
    scene.unharmed()?;
    empty(&scene.world, "/mnt", state)?;
    scene.works_again()
}

#[test]
fn no_descriptor_left() -> Result<()> {
    let mut scene = Scene::new()?;
    let [helper] = scene.world.processes(Program::Helper.name())?[..] else {
        anyhow::bail!("not one helper")
    };
    let limit = |number: &str| -> Result<()> {
        let pid = helper.to_string();
        let line = ["prlimit", "--pid", &pid, &format!("--nofile={number}:")];
        ensure!(
            std::process::Command::new(line[0])
                .args(&line[1..])
                .status()?
                .success(),
            "prlimit"
        );
        Ok(())
    };
    let old = std::fs::read_to_string(format!("/proc/{helper}/limits"))?;
    let old = old
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .context("no limit")?;
    let old = old
        .split_whitespace()
        .nth(3)
        .context("no limit")?
        .to_owned();
    let mut failures = 0;
    // No number from this one on, however many are free below, until it is enough.
    for number in 8..128 {
        limit(&number.to_string())?;
        let out = scene.up()?;
        if out.code == 0 {
            break;
        }
        failures += 1;
        limit(&old)?;
        scene
            .failed_cleanly(&out)
            .with_context(|| format!("none from {number} on"))?;
    }
    limit(&old)?;
    ensure!(failures > 3, "it lacked one only {failures} times");
    scene.works_again()
}

#[test]
fn no_tun_device() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.world.sh("mv /dev/net/tun /dev/net/away")?;
    let out = scene.up()?;
    scene.failed_cleanly(&out)?;
    ensure!(
        scene
            .world
            .cli(&ALICE, &["doctor"])?
            .stdout
            .contains("/dev/net/tun is missing"),
        "doctor is silent"
    );
    scene.world.sh("mv /dev/net/away /dev/net/tun")?;
    scene.works_again()
}

#[test]
fn an_etc_that_takes_no_overlay() -> Result<()> {
    let mut scene = Scene::new()?;
    // As deep as the kernel goes: a third one on top is refused.
    scene.world.sh("for n in 1 2; do mkdir -p /tmp/o$n; mount -t tmpfs o /tmp/o$n; mkdir /tmp/o$n/u /tmp/o$n/w; mount -t overlay o -o lowerdir=/etc,upperdir=/tmp/o$n/u,workdir=/tmp/o$n/w /etc || :; done")?;
    let out = scene
        .world
        .run_inside(&ALICE, "other", &["touch", "/tmp/ran"])?;
    scene.failed_cleanly(&out)?;
    ensure!(out.stderr.contains("step etc"), "{out:?}");
    ensure!(!scene.world.path("/tmp/ran").exists(), "it ran");
    scene.world.sh("umount -l /etc; umount -l /etc || :")?;
    scene.works_again()
}

#[test]
fn an_error_of_netlinks_at_each_call_of_the_plan() -> Result<()> {
    let mut scene = Scene::new()?;
    let [helper] = scene.world.processes(Program::Helper.name())?[..] else {
        anyhow::bail!("not one helper")
    };
    let mut failures = 0;
    for call in 1..200 {
        // Netlink is asked by sendto(2), and nobody else is: the bus and the warden by sendmsg(2).
        let inject = format!("inject=sendto:error=ENOBUFS:when={call}");
        let mut tracer = std::process::Command::new("strace")
            .args([
                "-f",
                "-qq",
                "-e",
                "trace=sendto",
                "-e",
                &inject,
                "-o",
                "/dev/null",
                "-p",
                &helper.to_string(),
            ])
            .spawn()?;
        lab::world::until(std::time::Duration::from_secs(5), "strace", || {
            let status = std::fs::read_to_string(format!("/proc/{helper}/status"))?;
            Ok(status
                .lines()
                .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")))
        })?;
        let out = scene.up();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(tracer.id())?),
            nix::sys::signal::Signal::SIGINT,
        )?;
        tracer.wait()?;
        let out = out?;
        if out.code == 0 {
            break;
        }
        failures += 1;
        scene
            .failed_cleanly(&out)
            .with_context(|| format!("at call {call}"))?;
    }
    // Links, MTU, addresses, two last resorts, up, routes, and all that the seal looks at.
    ensure!(failures > 10, "only {failures} calls failed");
    scene.works_again()
}
