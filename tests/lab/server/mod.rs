//! The servers of a world's internet and VPNs: DNS and web. Each logs whom it answered, a JSON object a line.

pub mod dns;
pub mod web;

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What a server was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who asked.
    pub peer: SocketAddr,
    /// The name that was looked up, or the host and path of a request.
    pub what: String,
}

/// The file that a server's [`Asked`] lines go to.
#[derive(Debug, Clone)]
pub struct Log(Arc<Mutex<File>>);

impl Log {
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, peer: SocketAddr, what: &str) -> Result<()> {
        let mut line = serde_json::to_string(&Asked {
            peer,
            what: what.into(),
        })?;
        line.push('\n');
        let mut file = self.0.lock().ok().context("another thread died")?;
        Ok(file.write_all(line.as_bytes())?)
    }
}

/// What a log holds by now.
///
/// # Errors
/// No such file, or a line that is no [`Asked`].
pub fn read_log(path: &Path) -> Result<Vec<Asked>> {
    std::fs::read_to_string(path)
        .with_context(|| path.display().to_string())?
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}
