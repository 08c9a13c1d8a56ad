//! What a person sees of their tunnels and apps, as the command line's JSON tells it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    Person, World,
    init::ROLES,
    world::{Output, until},
};

impl World {
    /// A person's tunnels.
    ///
    /// # Errors
    /// `lonewire list` fails.
    pub fn tunnels(&self, person: &Person) -> Result<Vec<Value>> {
        self.rows(person, &["list", "--json"], "tunnels")
    }

    /// The names of a person's tunnels, sorted.
    ///
    /// # Errors
    /// `lonewire list` fails.
    pub fn names(&self, person: &Person) -> Result<Vec<String>> {
        let tunnels = self.tunnels(person)?;
        let name = |tunnel| text(tunnel, "name").to_owned();
        let mut names: Vec<_> = tunnels.iter().map(name).collect();
        names.sort();
        Ok(names)
    }

    /// A person's apps, also those that have ended.
    ///
    /// # Errors
    /// `lonewire ps` fails.
    pub fn apps(&self, person: &Person) -> Result<Vec<Value>> {
        self.rows(person, &["ps", "--all", "--json"], "apps")
    }

    fn rows(&self, person: &Person, line: &[&str], key: &str) -> Result<Vec<Value>> {
        let text = self.cli(person, line)?.ok()?.stdout;
        let value: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let rows = value.get(key).and_then(Value::as_array);
        Ok(rows.with_context(|| text.clone())?.clone())
    }

    /// A field of a person's tunnel: `id`, `state`.
    ///
    /// # Errors
    /// No such tunnel.
    pub fn tunnel(&self, person: &Person, name: &str, field: &str) -> Result<String> {
        let tunnels = self.tunnels(person)?;
        tunnels
            .iter()
            .find(|tunnel| text(tunnel, "name") == name)
            .map(|tunnel| text(tunnel, field).to_owned())
            .with_context(|| format!("{} has no tunnel {name}", person.name))
    }

    /// Waits until a tunnel is in a state.
    ///
    /// # Errors
    /// It is not by the deadline.
    pub fn wait_state(
        &self,
        person: &Person,
        name: &str,
        state: &str,
        limit: Duration,
    ) -> Result<()> {
        until(limit, &format!("{name} to be {state}"), || {
            Ok(self.tunnel(person, name, "state")? == state)
        })
    }

    /// The pid, as the world sees it, of the first process of a person's one app of a name that runs.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn app_pid(&self, person: &Person, name: &str) -> Result<i32> {
        let apps = self.apps(person)?;
        let mut found = apps
            .iter()
            .filter(|app| text(app, "name") == name && text(app, "state") == "running")
            .filter_map(|app| app.get("pid")?.as_i64());
        let (Some(pid), None) = (found.next(), found.next()) else {
            bail!("not one app {name}: {apps:?}");
        };
        Ok(i32::try_from(pid)?)
    }

    /// Runs a shell script as root among a program's own mounts; `pid` as the world sees it.
    ///
    /// # Errors
    /// It fails.
    pub fn inside(&self, pid: i32, script: &str) -> Result<()> {
        let target = pid.to_string();
        let line = [
            "nsenter", "--target", &target, "--mount", "sh", "-ec", script,
        ];
        self.run_in("host", &line)?.ok()?;
        Ok(())
    }

    /// Shows a folder of the host to a program that it is hidden from; `pid` as the world sees it.
    ///
    /// # Errors
    /// It cannot be mounted there.
    pub fn graft(&self, folder: &str, pid: i32) -> Result<()> {
        let line = [ROLES, "role", "graft", folder, &pid.to_string()];
        self.run_in("host", &line)?.ok()?;
        Ok(())
    }

    /// The host replaces its `/etc/resolv.conf` by rename, as network managers do.
    ///
    /// # Errors
    /// It cannot.
    pub fn replace_resolv_conf(&self) -> Result<()> {
        self.sh(
            "cp /etc/resolv.conf /etc/resolv.conf.new; mv -f /etc/resolv.conf.new /etc/resolv.conf",
        )
    }

    /// Starts stand-ins for the host's name services.
    ///
    /// # Errors
    /// They cannot listen.
    pub fn fakes(&mut self) -> Result<()> {
        let log = crate::world::log_file(crate::fakes::LOG);
        self.role(crate::fakes::LOG, "host", &["fakes", &log])
    }

    /// Runs a program in a person's tunnel.
    ///
    /// # Errors
    /// `lonewire` cannot be started.
    pub fn run_inside(&self, person: &Person, tunnel: &str, line: &[&str]) -> Result<Output> {
        self.cli(person, &[&["run", "-t", tunnel, "--"], line].concat())
    }
}

/// A list of texts; what is none is left out.
pub fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A field of a row, as text; empty where it has none.
pub fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}
