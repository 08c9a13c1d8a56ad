//! `--listen`: what systemd's socket unit does, for where there is none. Binds as root, gives root up, then runs this
//! program afresh for each connection; it never reads from one.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::Context as _;

use crate::privilege;

/// Never returns but with an error.
pub fn listen(path: &Path, uid: u32, gid: u32) -> anyhow::Result<()> {
    let listener = bind(path)?;
    privilege::give_up(uid, gid)?;
    for connection in listener.incoming() {
        let connection = connection.context("accept")?;
        // Through /proc: the file may lie in a folder that this user cannot enter.
        let child = Command::new("/proc/self/exe")
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(connection)))
            .stdout(Stdio::null())
            .spawn();
        match child {
            Ok(mut child) => drop(thread::spawn(move || child.wait())),
            Err(error) => eprintln!("lonewire-wireguard: cannot start an instance: {error}"),
        }
    }
    Ok(())
}

/// The socket, root's alone from its first moment: it is bound under another name and moved.
fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let early = path.with_extension("new");
    let _ = fs::remove_file(&early);
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(&early);
    nix::sys::stat::umask(mask);
    let listener = listener.with_context(|| format!("bind {}", early.display()))?;
    fs::set_permissions(&early, fs::Permissions::from_mode(0o600)).context("chmod")?;
    fs::rename(&early, path).with_context(|| format!("rename to {}", path.display()))?;
    Ok(listener)
}
