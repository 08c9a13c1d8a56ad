//! The programs of a desktop, from the X server to the accessibility bus. All that runs on it has its mark in the environment, and ends with it.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use zbus::{Connection, connection};

use super::Look;
use crate::{
    Person, Running, World,
    world::{READY, started, until},
};

/// Where the world's own system bus listens.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// In the environment of all that belongs to a desktop: how it is found again.
const MARK: &str = "LAB_DESKTOP";

/// The session bus: as the stock one, and open to root, who is the test.
const SESSION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
<type>session</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth><standard_session_servicedirs/>
<policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
</policy>
</busconfig>
"#;

#[derive(Debug)]
pub(super) struct Stage {
    /// How its person's programs are started: `nsenter` and its arguments, and their environment.
    enter: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// The world's files as the machine's root reaches them.
    root: PathBuf,
    /// The person's `/run/user` folder.
    run: String,
    services: Vec<Running>,
    pub(super) mark: String,
}

impl Stage {
    /// With nothing on it.
    pub(super) fn new(world: &World, person: &Person, look: &Look) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let run = format!("/run/user/{}", person.uid);
        world.sh(&format!(
            "install -d -m 1777 /tmp/.X11-unix; rm -rf {run}/bus {run}/at-spi"
        ))?;
        fs::write(
            world.path(&format!("{run}/session-bus.conf")),
            SESSION.replace("SOCKET", &format!("{run}/bus")),
        )?;
        let first = world.command("host", Some(person), &["env"])?;
        let mut enter: Vec<_> = first.get_args().map(OsStr::to_owned).collect();
        enter.pop();
        let mut stage = Self {
            enter,
            environment: Vec::new(),
            root: world.path(""),
            services: Vec::new(),
            mark,
            run,
        };
        stage.environment = first
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let bus = format!("unix:path={}/bus", stage.run);
        for (name, value) in [
            (MARK, stage.mark.clone()),
            ("DBUS_SESSION_BUS_ADDRESS", bus),
            ("DBUS_SYSTEM_BUS_ADDRESS", SYSTEM_BUS.to_owned()),
        ]
        .into_iter()
        .chain(look.environment())
        {
            stage.environment.push((name.into(), value.into()));
        }
        Ok(stage)
    }

    /// Starts all of it; the session bus and the accessibility bus.
    pub(super) fn start(&mut self, screen: (u32, u32)) -> Result<(Connection, Connection)> {
        let size = format!("{}x{}x24", screen.0, screen.1);
        let display = self.keep(
            &[
                "Xvfb",
                "-displayfd",
                "1",
                "-screen",
                "0",
                &size,
                "-nolisten",
                "tcp",
                "-noreset",
            ],
            true,
        )?;
        let display = format!(":{}", display.trim());
        self.environment.push(("DISPLAY".into(), display.into()));
        let config = format!("--config-file={}/session-bus.conf", self.run);
        self.keep(&["dbus-daemon", &config, "--nofork", "--nopidfile"], false)?;
        self.keep(&["openbox"], false)?;
        let path = self.path(&format!("{}/bus", self.run));
        until(READY, "the session bus", || Ok(path.exists()))?;
        let session = connect(&path)?;
        let reply = zbus::block_on(session.call_method(
            Some("org.a11y.Bus"),
            "/org/a11y/bus",
            Some("org.a11y.Bus"),
            "GetAddress",
            &(),
        ))
        .context("the accessibility bus")?;
        let address: String = reply.body().deserialize()?;
        let inside = address
            .split([',', ';'])
            .find_map(|part| part.strip_prefix("unix:path="))
            .with_context(|| format!("the accessibility bus is at no path: {address}"))?;
        let access = connect(&self.path(inside))?;
        Ok((session, access))
    }

    /// Starts a service; its first line, if it says one.
    fn keep(&mut self, line: &[&str], says: bool) -> Result<String> {
        let mut command = self.command(line);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(if says { Stdio::piped() } else { Stdio::null() });
        let mut running = started(command.spawn()?)?;
        let mut said = String::new();
        if let Some(stdout) = running.waiter.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let ended = running.waiter.try_wait()?;
        self.services.push(running);
        ensure!(
            ended.is_none() && says != said.trim().is_empty(),
            "{line:?} does not start"
        );
        Ok(said)
    }

    pub(super) fn command(&self, line: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(&self.enter)
            .args(line);
        command
    }

    /// `inside` begins with a slash, which `Path::join` would take for the machine's root.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        let mut path = self.root.as_os_str().to_owned();
        path.push(inside);
        path.into()
    }
}

impl Drop for Stage {
    /// SIGKILL to all that has the mark, until nothing has: the buses start programs of themselves.
    fn drop(&mut self) {
        let _ = until(Duration::from_secs(5), "the end of a desktop", || {
            let left = marked(&self.mark);
            for pid in &left {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            Ok(left.is_empty())
        });
        for service in &mut self.services {
            let _ = service.waiter.wait();
        }
    }
}

/// Processes of a desktop, as the machine sees them. One that has ended has no environment any more.
fn marked(mark: &str) -> Vec<i32> {
    let line = format!("{MARK}={mark}");
    let has = |pid: i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| {
            text.split(|byte| *byte == 0)
                .any(|one| one == line.as_bytes())
        })
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .filter(|pid| has(*pid))
        .collect()
}

/// A connection as root.
fn connect(path: &Path) -> Result<Connection> {
    let address = format!("unix:path={}", path.display());
    zbus::block_on(async {
        connection::Builder::address(address.as_str())
            .method_timeout(READY)
            .build()
            .await
    })
    .context(address)
}
