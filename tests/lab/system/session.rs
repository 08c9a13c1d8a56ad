//! Login sessions in a booted system: opened through PAM and logind as a login program does, with commands run in them as their user.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{System, checked, poll};

impl System {
    /// Opens a session of a user through PAM and logind. The newest on `seat0` is the active one there.
    ///
    /// # Errors
    /// PAM or logind refuse.
    pub fn login(&self, user: &str, place: Place) -> Result<Session<'_>> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unit = format!("login-{user}-{number}.service");
        let uid = self.check(&["id", "-u", user])?;
        let gid = self.check(&["id", "-g", user])?;
        let home = self.check(&["sh", "-c", &format!("getent passwd {user} | cut -d: -f6")])?;
        let before = self.sessions()?;
        let mut argv = vec!["systemd-run", "--quiet", "--collect", "--unit", &unit];
        let user_property = format!("User={user}");
        argv.extend([
            "-p",
            "PAMName=login",
            "-p",
            &user_property,
            "-E",
            "XDG_SESSION_CLASS=user",
        ]);
        // On a machine with virtual terminals a session at the screen is on one, and active while that is in front.
        let script = "[ ! -e /dev/tty0 ] || sed s/tty/XDG_VTNR=/ /sys/class/tty/tty0/active";
        let terminal = self.check(&["sh", "-c", script])?;
        match place {
            Place::Seat => {
                argv.extend(["-E", "XDG_SEAT=seat0", "-E", "XDG_SESSION_TYPE=tty"]);
                if !terminal.is_empty() {
                    argv.extend(["-E", &terminal]);
                }
            }
            Place::Remote => argv.extend(["-E", "XDG_SESSION_TYPE=tty"]),
        }
        argv.extend(["sleep", "infinity"]);
        self.check(&argv)?;
        // The unit counts as started before PAM has done its work: wait for what PAM does.
        let opened = || {
            self.sessions()
                .ok()?
                .into_iter()
                .find(|id| !before.contains(id))
        };
        let id = poll(Duration::from_secs(60), opened).context("logind has no new session")?;
        let state = [
            "loginctl",
            "show-session",
            &id,
            "--value",
            "--property",
            "State",
        ];
        poll(Duration::from_secs(60), || {
            self.check(&state).ok().filter(|state| state != "opening")
        })
        .context("the session does not open")?;
        let scope = self.check(&[
            "loginctl",
            "show-session",
            &id,
            "--value",
            "--property",
            "Scope",
        ])?;
        let cgroup = format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/{scope}");
        Ok(Session {
            system: self,
            user: user.into(),
            uid,
            gid,
            home,
            id,
            unit,
            cgroup,
        })
    }

    fn sessions(&self) -> Result<Vec<String>> {
        let list = self.check(&["loginctl", "--no-legend", "list-sessions"])?;
        Ok(list
            .lines()
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect())
    }
}

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In front of the screen.
    Seat,
    /// On no seat, as over ssh.
    Remote,
}

/// A login session. Dropping it ends it.
#[derive(Debug)]
pub struct Session<'a> {
    system: &'a System,
    pub user: String,
    pub uid: String,
    gid: String,
    home: String,
    /// logind's.
    pub id: String,
    unit: String,
    cgroup: String,
}

impl Session<'_> {
    /// A command in this session, as its user, with at most 120 s to run.
    pub fn command<S: AsRef<OsStr>>(&self, argv: &[S]) -> Command {
        let mut command = self.system.enter();
        // A login program would have done this once; here each command enters the session's cgroup and becomes the user.
        command.args([
            "sh",
            "-c",
            "echo $$ > \"$1/cgroup.procs\" && umask 022 && cd \"$2\" && shift 2 && exec \"$@\"",
            "sh",
        ]);
        command.args([&self.cgroup, &self.home]);
        command.args([
            "setpriv",
            "--reuid",
            &self.uid,
            "--regid",
            &self.gid,
            "--init-groups",
            "--",
        ]);
        command.args([
            "env",
            "-i",
            "LANG=C.UTF-8",
            "SHELL=/bin/bash",
            "PATH=/usr/local/bin:/usr/bin:/bin",
        ]);
        command.args([
            format!("HOME={}", self.home),
            format!("USER={}", self.user),
            format!("LOGNAME={}", self.user),
            format!("XDG_SESSION_ID={}", self.id),
            format!("XDG_RUNTIME_DIR=/run/user/{}", self.uid),
            format!(
                "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{}/bus",
                self.uid
            ),
        ]);
        command
            .args(["timeout", "--foreground", "-k", "5", "120"])
            .args(argv);
        command
    }

    /// Runs a command as the user and gives what came of it.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<Output> {
        Ok(self.command(argv).stdin(Stdio::null()).output()?)
    }

    /// Runs a command as the user that has to succeed, and gives its output, trimmed.
    ///
    /// # Errors
    /// It could not be started or did not exit with 0: both its streams are in the error.
    pub fn check<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<String> {
        checked(argv, &self.run(argv)?)
    }

    /// Writes a private file into the user's home folder, and gives its path.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = Path::new(&self.home).join(name);
        let outside = self.system.root().join(path.strip_prefix("/")?);
        fs::write(&outside, text)?;
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600))?;
        std::os::unix::fs::chown(&outside, Some(self.uid.parse()?), Some(self.gid.parse()?))?;
        Ok(path.display().to_string())
    }

    /// A property of the session, as logind tells it.
    ///
    /// # Errors
    /// loginctl fails.
    pub fn property(&self, name: &str) -> Result<String> {
        self.system.check(&[
            "loginctl",
            "show-session",
            &self.id,
            "--value",
            "--property",
            name,
        ])
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let _ = self
            .system
            .run(&["loginctl", "terminate-session", &self.id]);
        let _ = self.system.run(&["systemctl", "stop", &self.unit]);
    }
}
