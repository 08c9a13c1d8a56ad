//! Who runs in a tunnel while something is killed: the app that goes on, and the one whose end is to be known.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, Marker, World,
    probe::Probe,
    product::text,
    world::{READY, until},
};
use serde_json::Value;

/// The app that runs through the rounds.
pub struct Steady {
    pub probe: Probe,
    pub app: String,
}

pub struct Witness {
    pub fifo: String,
    pub app: String,
    pub code: i64,
}

impl Witness {
    pub fn processes(&self, world: &World) -> Result<Vec<i32>> {
        let mut pids = world.processes("sh")?;
        pids.retain(|pid| command_line(*pid).contains(&self.fifo));
        Ok(pids)
    }

    /// Lets it end.
    pub fn finish(&self, world: &World) -> Result<()> {
        let path = world.path(&self.fifo);
        until(READY, "the witness to be told", || {
            // Without a reader it cannot be opened like this.
            let opened = OpenOptions::new()
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&path);
            Ok(opened.is_ok_and(|mut fifo| fifo.write_all(b"x\n").is_ok()))
        })?;
        until(READY, "the end of the witness", || {
            Ok(self.processes(world)?.is_empty())
        })
    }

    pub fn is_known(&self, world: &World) -> Result<()> {
        let apps = world.apps(&ALICE)?;
        let app = apps
            .iter()
            .find(|app| text(app, "id") == self.app)
            .with_context(|| format!("the witness is lost: {apps:?}"))?;
        ensure!(
            app.get("exit_code").and_then(Value::as_i64) == Some(self.code)
                && text(app, "state") == "ended",
            "{app}"
        );
        Ok(())
    }
}

pub fn start_steady(world: &World, marker: &Marker) -> Result<Steady> {
    let mut probe = Probe::with_traffic(world, &ALICE, "steady", marker)?;
    probe.ask("counts")?;
    let mut app = String::new();
    // It may answer a moment before the helper knows that it runs.
    until(READY, "the app to be known", || {
        let apps = world.apps(&ALICE)?;
        let running = apps
            .iter()
            .find(|app| text(app, "name") == "roles" && text(app, "state") == "running");
        app = running.map_or("", |app| text(app, "id")).to_owned();
        Ok(!app.is_empty())
    })?;
    Ok(Steady { probe, app })
}

/// Ends a probe, and waits until nothing of its app is left.
pub fn gone(world: &World, probe: Probe, marker: &Marker) -> Result<()> {
    probe.close()?;
    until(READY, "the end of an app", || {
        Ok(apps_with(world, marker)?.is_empty())
    })
}

/// Probes whose traffic has a marker, without the command lines that started them.
pub fn apps_with(world: &World, marker: &Marker) -> Result<Vec<i32>> {
    let mut pids = world.processes("roles")?;
    pids.retain(|pid| command_line(*pid).contains(&marker.hex()));
    Ok(pids)
}

fn command_line(pid: i32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into()
}

pub fn count(counts: &Value, kind: &str) -> u64 {
    counts.get(kind).and_then(Value::as_u64).unwrap_or(0)
}

pub fn ids(rows: &[Value]) -> Vec<String> {
    let mut ids: Vec<_> = rows.iter().map(|row| text(row, "id").to_owned()).collect();
    ids.sort();
    ids
}
