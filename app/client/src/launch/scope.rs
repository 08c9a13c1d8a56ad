//! The program's place in the user's session: while it is held before its start, its process is put into a scope of the user's service manager. Else polkit, the
//! portals and logout would not know it as the user's.

use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::RecvFlags,
};
use zbus::Variant;

use super::pair;

/// The program is not held longer than 5 s.
const PATIENCE: Duration = Duration::from_secs(4);

/// Waits for the held process on a thread of its own; dropping it waits for that.
pub struct Holder(Option<JoinHandle<()>>);

impl Holder {
    /// Lets it go on by itself: for a program that outlives it, and must not wait.
    pub fn leave(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.take().map(JoinHandle::join);
    }
}

impl Holder {
    /// The descriptor for the launch, where a service manager of the user's runs. `app` is the app's id, by which portals know it: the one it has outside
    /// of a tunnel too; or the program's name where it has none.
    ///
    /// # Errors
    /// The system's.
    pub fn start(app: &[u8]) -> io::Result<Option<(OwnedFd, Self)>> {
        if !has_manager() {
            return Ok(None);
        }
        let (theirs, ours) = pair()?;
        let unit = unit_name(app);
        let thread = std::thread::spawn(move || {
            // Whatever goes wrong here, the program goes on outside of the scope.
            let manager = zbus::block_on(zbus::Connection::session());
            if let (Ok(manager), Some(pids)) = (manager, held(&ours)) {
                let _ = zbus::block_on(adopt(&manager, &unit, &pids));
                wait_until_in(&pids, &unit);
            }
        });
        Ok(Some((theirs, Self(Some(thread)))))
    }
}

/// systemd's own private socket: it is there as long as the manager is.
fn has_manager() -> bool {
    std::env::var_os("XDG_RUNTIME_DIR")
        .is_some_and(|folder| Path::new(&folder).join("systemd/private").exists())
}

/// The pids of the held process and of its bus's proxy; `None` where the launch failed before.
fn held(line: &OwnedFd) -> Option<Vec<u32>> {
    loop {
        let mut polled = [PollFd::new(line, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
        let mut buffer = [0_u8; 32];
        match rustix::net::recv(line, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return None,
            Ok((length, _)) => {
                let text = std::str::from_utf8(buffer.get(..length)?).ok()?;
                let pids = text.strip_prefix("held ")?.split(' ').map(str::parse);
                return pids.collect::<Result<_, _>>().ok();
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// `app-lonewire-<name>-<random>.scope` (systemd's DESKTOP_ENVIRONMENTS.md).
fn unit_name(program: &[u8]) -> String {
    let name = Path::new(OsStr::from_bytes(program))
        .file_name()
        .unwrap_or_default();
    let escape = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => char::from(*byte).to_string(),
        other => format!("\\x{other:02x}"),
    };
    let name: String = name.as_bytes().iter().take(64).map(escape).collect();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "app-lonewire-{name}-{:x}{:x}.scope",
        std::process::id(),
        now.subsec_nanos()
    )
}

async fn adopt(session: &zbus::Connection, unit: &str, pids: &[u32]) -> zbus::Result<()> {
    let properties: Vec<(&str, Variant<'_>)> = vec![
        ("PIDs", Variant::from(pids.to_vec())),
        ("Slice", Variant::from("app.slice")),
        ("CollectMode", Variant::from("inactive-or-failed")),
    ];
    let none: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    let body = (unit, "fail", properties, none);
    let manager = "org.freedesktop.systemd1";
    let call = session.call_method(
        Some(manager),
        "/org/freedesktop/systemd1",
        Some("org.freedesktop.systemd1.Manager"),
        "StartTransientUnit",
        &body,
    );
    call.await.map(drop)
}

/// The manager answers before it has moved the processes.
fn wait_until_in(pids: &[u32], unit: &str) {
    let is_in = |pid: &u32| {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        groups.is_empty() || groups.contains(unit)
    };
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until && !pids.iter().all(is_in) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_named_after_the_program_without_a_dash_in_it() {
        let name = unit_name(b"/usr/bin/org.example-app");
        assert!(
            name.starts_with("app-lonewire-org.example\\x2dapp-"),
            "{name}"
        );
        assert!(name.ends_with(".scope"));
    }
}
