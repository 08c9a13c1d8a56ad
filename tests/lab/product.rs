//! What a person sees of their tunnels and apps, as the command line's JSON tells it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    Person, World,
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

    /// Runs a program in a person's tunnel.
    ///
    /// # Errors
    /// `lonewire` cannot be started.
    pub fn run_inside(&self, person: &Person, tunnel: &str, line: &[&str]) -> Result<Output> {
        self.cli(person, &[&["run", "-t", tunnel, "--"], line].concat())
    }
}

/// A field of a row, as text; empty where it has none.
pub fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}
