//! Connections to a socket of a booted system or a world, made by a process inside it: who listens there is told a pid and a user that it can know.

use std::{
    fs,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use anyhow::{Context as _, Result};

use super::System;
use crate::{init::ROLES, rights};

/// Puts the lab's binary into a system, and gives its path there.
pub(super) fn install_roles(system: &System) -> Result<&'static str> {
    let roles = system.root().join(ROLES.trim_start_matches('/'));
    if !roles.exists() {
        fs::create_dir_all(roles.parent().context("absolute")?)?;
        fs::copy(crate::programs::roles()?, roles)?;
    }
    Ok(ROLES)
}

/// Makes connections to one socket.
#[derive(Debug)]
pub struct Connector {
    line: Mutex<UnixStream>,
    child: Child,
}

impl Connector {
    /// # Errors
    /// The lab's binary does not start in the system.
    pub fn start(system: &System, path: &str) -> Result<Self> {
        let mut command = system.enter();
        command.args([install_roles(system)?, "role", "connect", path]);
        Self::with(command)
    }

    /// By a command that plays the role: where and as whom it runs is the command's.
    ///
    /// # Errors
    /// It does not start.
    pub fn with(mut command: Command) -> Result<Self> {
        let (line, end) = UnixStream::pair()?;
        let child = command.stdin(Stdio::from(OwnedFd::from(end))).spawn()?;
        Ok(Self {
            line: Mutex::new(line),
            child,
        })
    }

    /// A new connection.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(&self) -> Result<UnixStream> {
        let line = self.line.lock().ok().context("another thread died")?;
        rustix::io::write(&*line, b"c")?;
        let (_, rights) = rights::receive(&*line, &mut [0])?;
        let connection = rights.into_iter().next();
        Ok(connection.context("the connector has ended")?.into())
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        if let Ok(line) = self.line.lock() {
            let _ = line.shutdown(std::net::Shutdown::Both);
        }
        let _ = self.child.wait();
    }
}

/// The role: for each byte on standard input, a connection goes back.
///
/// # Errors
/// Nobody listens there.
pub fn serve(path: &Path) -> Result<()> {
    let line = std::io::stdin().as_fd().try_clone_to_owned()?;
    while rustix::io::read(&line, &mut [0; 1])? == 1 {
        let connection = UnixStream::connect(path)?;
        rights::send(&line, b"c", &[connection.as_fd()])?;
    }
    Ok(())
}
