//! Reads a systemd unit file as far as the lab applies it (systemd.syntax(7)).

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// The `[Service]` section of a unit.
#[derive(Debug, Clone)]
pub struct Unit(Vec<(String, String)>);

impl Unit {
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self::parse(&text))
    }

    pub fn parse(text: &str) -> Self {
        let joined = text.replace("\\\n", " ");
        let mut section = "";
        let mut lines = Vec::new();
        for line in joined.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section == "[Service]"
                && !line.starts_with(['#', ';'])
                && let Some((key, value)) = line.split_once('=')
            {
                lines.push((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Self(lines)
    }

    /// All values of a key that may stand several times.
    pub fn values(&self, key: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(known, _)| known == key)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// The last value of a key.
    pub fn value(&self, key: &str) -> Option<String> {
        self.values(key).pop()
    }

    pub fn is_on(&self, key: &str) -> bool {
        matches!(
            self.value(key).as_deref(),
            Some("yes" | "true" | "on" | "1")
        )
    }
}
