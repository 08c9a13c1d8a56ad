//! Whether an app runs already, where a second start of it would be handed over to the first: then the new window would open wherever that one is. What cannot be
//! told is told as that; nothing here is ever a "no" by mistake, and no process is touched.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::desktop::Entry;

/// How it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The app's name on the user's session bus is owned.
    BusName { name: String, pid: Option<u32> },
    /// A profile is locked.
    Profile { folder: PathBuf, pid: Option<u32> },
}

/// Where that instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In our own network namespace: outside of every tunnel, as we are.
    Outside,
    /// In another one.
    Elsewhere,
    /// Nobody can say: its process is unknown, or not ours to look at.
    Unknown,
}

/// An instance that a new start may be handed over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub evidence: Evidence,
    pub place: Place,
}

/// What is known of an app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    pub instances: Vec<Instance>,
    /// Something could not be looked at: that there are no instances means nothing then.
    pub incomplete: bool,
}

/// Browsers, whose profiles tell whether they run, and which can be given another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    Firefox,
    Chromium,
}

impl Browser {
    /// By the program's file name, with version words behind it: `firefox-esr`, `google-chrome-stable`.
    pub fn of_program(program: &Path) -> Option<Self> {
        let name = program.file_name()?.to_str()?;
        let is = |known: &str| {
            name.strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        if ["firefox", "librewolf"].iter().any(|known| is(known)) {
            return Some(Self::Firefox);
        }
        let chromium = ["chromium", "google-chrome", "brave-browser", "vivaldi"];
        chromium
            .iter()
            .any(|known| is(known))
            .then_some(Self::Chromium)
    }

    /// Arguments, right behind the program, that give it a profile of its own in `folder`, which it makes if it is missing. It hands nothing over then.
    pub fn separate_profile(self, folder: &Path) -> Vec<std::ffi::OsString> {
        match self {
            Self::Firefox => vec!["--profile".into(), folder.into(), "--no-remote".into()],
            Self::Chromium => {
                let mut argument = std::ffi::OsString::from("--user-data-dir=");
                argument.push(folder);
                vec![argument]
            }
        }
    }
}

impl Found {
    /// Whether a new start in a tunnel may be handed over to an instance that is not in it. `inside`: processes that are in that tunnel.
    pub fn leads_out(&self, inside: &[u32]) -> bool {
        self.instances.iter().any(|one| !one.is_beside(inside))
    }

    /// Whether a new start may have been handed over to an instance in the same tunnel, and to no other.
    pub fn leads_in(&self, inside: &[u32]) -> bool {
        !self.instances.is_empty() && !self.leads_out(inside)
    }
}

impl Instance {
    fn is_beside(&self, inside: &[u32]) -> bool {
        let (Evidence::BusName { pid, .. } | Evidence::Profile { pid, .. }) = &self.evidence;
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let theirs = pid.and_then(namespace);
        self.place == Place::Elsewhere
            && theirs.is_some()
            && inside.iter().any(|pid| namespace(*pid) == theirs)
    }
}

/// Looks at the session bus for the names that the app may own, and at the profiles of browsers below the user's home. `program` is that of its command line.
pub async fn look(entry: &Entry, program: &Path) -> Found {
    let mut found = look_at_all([(entry, program)]).await;
    found.pop().unwrap_or_default()
}

/// The same for many apps, with one connection.
pub async fn look_at_all(apps: impl IntoIterator<Item = (&Entry, &Path)>) -> Vec<Found> {
    let session = zbus::Connection::session().await.ok();
    let mut all = Vec::new();
    for (entry, program) in apps {
        all.push(look_on(session.as_ref(), entry, program).await);
    }
    all
}

async fn look_on(session: Option<&zbus::Connection>, entry: &Entry, program: &Path) -> Found {
    let mut found = Found::default();
    // GApplication takes its id as name; with DBusActivatable it is the desktop file's, and without it usually is.
    if is_bus_name(&entry.id) {
        match owner(session, &entry.id).await {
            Ok(Some(pid)) => found.instances.push(Instance {
                place: pid.map_or(Place::Unknown, |pid| place(Path::new("/proc"), pid)),
                evidence: Evidence::BusName {
                    name: entry.id.clone(),
                    pid,
                },
            }),
            Ok(None) => {}
            Err(_) => found.incomplete = true,
        }
    }
    if let Some(browser) = Browser::of_program(program) {
        match std::env::var_os("HOME") {
            Some(home) => {
                let home = PathBuf::from(home);
                let config = std::env::var_os("XDG_CONFIG_HOME")
                    .map(PathBuf::from)
                    .filter(|path| path.is_absolute())
                    .unwrap_or_else(|| home.join(".config"));
                profiles(
                    browser,
                    [home.as_path(), config.as_path()],
                    Path::new("/proc"),
                    &mut found,
                );
            }
            None => found.incomplete = true,
        }
    } else if !entry.is_dbus_activatable() {
        // Any other program may have a way of its own.
        found.incomplete = true;
    }
    found
}

/// Whether a name is one that a program can own on a bus (D-Bus Specification, "Bus names").
fn is_bus_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    name.len() < 256 && name.contains('.') && name.split('.').all(is_part)
}

/// Who owns a name on the session bus: nobody, or a process that may be unknown.
async fn owner(
    session: Option<&zbus::Connection>,
    name: &str,
) -> zbus::Result<Option<Option<u32>>> {
    let no_bus =
        || zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::NotConnected.into()));
    let connection = session.ok_or_else(no_bus)?;
    let bus = "org.freedesktop.DBus";
    let ask = async |member: &'static str| {
        let path = "/org/freedesktop/DBus";
        connection
            .call_method(Some(bus), path, Some(bus), member, &(name,))
            .await
    };
    let owned: bool = ask("NameHasOwner").await?.body().deserialize()?;
    if !owned {
        return Ok(None);
    }
    let pid = match ask("GetConnectionUnixProcessID").await {
        Ok(reply) => reply.body().deserialize().ok(),
        Err(_) => None,
    };
    Ok(Some(pid))
}

fn profiles(browser: Browser, [home, config]: [&Path; 2], proc: &Path, found: &mut Found) {
    let (roots, lock): (Vec<PathBuf>, &str) = match browser {
        Browser::Firefox => (
            vec![
                home.join(".mozilla/firefox"),
                config.join("mozilla/firefox"),
                home.join("snap/firefox/common/.mozilla/firefox"),
                home.join(".librewolf"),
            ],
            "lock",
        ),
        Browser::Chromium => (
            [
                "chromium",
                "google-chrome",
                "BraveSoftware/Brave-Browser",
                "vivaldi",
            ]
            .map(|name| config.join(name))
            .into(),
            "SingletonLock",
        ),
    };
    for root in roots {
        let folders = match (browser, fs::read_dir(&root)) {
            (_, Err(error)) => {
                found.incomplete |= error.kind() != std::io::ErrorKind::NotFound;
                continue;
            }
            (Browser::Chromium, Ok(_)) => vec![root],
            (Browser::Firefox, Ok(entries)) => {
                entries.flatten().map(|entry| entry.path()).collect()
            }
        };
        for folder in folders {
            let target = match fs::read_link(folder.join(lock)) {
                Ok(target) => target,
                Err(error) => {
                    use std::io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
                    let none = [NotFound, NotADirectory, InvalidInput].contains(&error.kind());
                    found.incomplete |= !none;
                    continue;
                }
            };
            let Some((host, pid)) = holder(browser, target.as_os_str().as_bytes()) else {
                found.incomplete = true;
                continue;
            };
            // Firefox notes an address, and one of several; Chromium the machine's name.
            let here = browser == Browser::Firefox || host == machine().as_bytes();
            if here && !proc.join(pid.to_string()).exists() {
                // What is left of one that crashed: the next start takes it over.
                continue;
            }
            let pid = here.then_some(pid);
            found.instances.push(Instance {
                place: pid.map_or(Place::Unknown, |pid| place(proc, pid)),
                evidence: Evidence::Profile { folder, pid },
            });
        }
    }
}

/// Host and process of a lock's target: `127.0.1.1:+4321` of Firefox, `machine-4321` of Chromium.
fn holder(browser: Browser, target: &[u8]) -> Option<(&[u8], u32)> {
    let mark = match browser {
        Browser::Firefox => b':',
        Browser::Chromium => b'-',
    };
    let at = target.iter().rposition(|byte| *byte == mark)?;
    let pid = std::str::from_utf8(target.get(at + 1..)?).ok()?;
    let pid = match browser {
        Browser::Firefox => pid.strip_prefix('+').unwrap_or(pid),
        Browser::Chromium => pid,
    };
    let digits = pid.bytes().all(|byte| byte.is_ascii_digit());
    let pid = pid.parse().ok().filter(|pid| digits && *pid > 0)?;
    Some((target.get(..at)?, pid))
}

fn machine() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// Where a process is, compared with ourselves.
fn place(proc: &Path, pid: u32) -> Place {
    let namespace = |process: &str| fs::read_link(proc.join(process).join("ns/net"));
    match (namespace("self"), namespace(&pid.to_string())) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Place::Outside,
        (Ok(_), Ok(_)) => Place::Elsewhere,
        _ => Place::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A home and a /proc with ourselves, process 10 beside us, 11 in another namespace, and 12 that is not ours to look at.
    fn world() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (home, proc) = (folder.path().join("home"), folder.path().join("proc"));
        for (process, inode) in [("self", "1"), ("10", "1"), ("11", "2")] {
            fs::create_dir_all(proc.join(process).join("ns")).unwrap();
            symlink(format!("net:[{inode}]"), proc.join(process).join("ns/net")).unwrap();
        }
        fs::create_dir_all(proc.join("12")).unwrap();
        fs::create_dir(&home).unwrap();
        (folder, home, proc)
    }

    fn lock(home: &Path, path: &str, target: &str) {
        let path = home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn places(browser: Browser, home: &Path, proc: &Path) -> (Vec<Place>, bool) {
        let mut found = Found::default();
        profiles(browser, [home, &home.join(".config")], proc, &mut found);
        let mut places: Vec<_> = found.instances.iter().map(|one| one.place).collect();
        places.sort_by_key(|place| *place as u8);
        (places, found.incomplete)
    }

    #[test]
    fn a_locked_profile_of_firefox_tells_who_holds_it_and_where() {
        let (_folder, home, proc) = world();
        assert_eq!(places(Browser::Firefox, &home, &proc), (vec![], false));
        for (profile, target) in [
            ("a.default", "127.0.1.1:+10"),
            ("b.inside", "192.0.2.1:+11"),
            ("c.foreign", "127.0.1.1:12"),
            ("d.crashed", "127.0.1.1:+99"),
        ] {
            lock(&home, &format!(".mozilla/firefox/{profile}/lock"), target);
        }
        fs::write(home.join(".mozilla/firefox/profiles.ini"), "").unwrap();
        fs::create_dir(home.join(".mozilla/firefox/e.free")).unwrap();
        let all = vec![Place::Outside, Place::Elsewhere, Place::Unknown];
        assert_eq!(places(Browser::Firefox, &home, &proc), (all.clone(), false));
        // What cannot be read is no "no".
        lock(&home, ".mozilla/firefox/f.odd/lock", "nonsense");
        assert_eq!(places(Browser::Firefox, &home, &proc), (all, true));
    }

    #[test]
    fn a_lock_of_chromium_is_this_machines_or_unknown() {
        let (_folder, home, proc) = world();
        let here = machine();
        lock(
            &home,
            ".config/chromium/SingletonLock",
            &format!("{here}-10"),
        );
        lock(
            &home,
            ".config/google-chrome/SingletonLock",
            "other-host-10",
        );
        lock(
            &home,
            ".config/vivaldi/SingletonLock",
            &format!("{here}-99"),
        );
        let found = places(Browser::Chromium, &home, &proc);
        assert_eq!(found, (vec![Place::Outside, Place::Unknown], false));
    }

    #[test]
    fn a_holder_is_read_to_the_digit() {
        let read = |browser, text: &'static str| holder(browser, text.as_bytes());
        assert_eq!(
            read(Browser::Chromium, "my-host-7"),
            Some((&b"my-host"[..], 7))
        );
        assert_eq!(read(Browser::Firefox, "[::1]:+7"), Some((&b"[::1]"[..], 7)));
        for bad in ["", "host", "host-", "host-+7", "host-0", "host-7x"] {
            assert_eq!(read(Browser::Chromium, bad), None, "{bad}");
        }
    }

    #[test]
    fn browsers_are_known_by_their_programs() {
        let of = |path: &str| Browser::of_program(Path::new(path));
        assert_eq!(
            of("/usr/lib/firefox-esr/firefox-esr"),
            Some(Browser::Firefox)
        );
        assert_eq!(of("google-chrome-stable"), Some(Browser::Chromium));
        assert_eq!(of("/usr/bin/firefoxy"), None);
        let folder = Path::new("/a b");
        let chromium = Browser::Chromium.separate_profile(folder);
        assert_eq!(chromium, ["--user-data-dir=/a b"]);
        let firefox = Browser::Firefox.separate_profile(folder);
        assert_eq!(firefox, ["--profile", "/a b", "--no-remote"]);
    }

    #[test]
    fn names_of_the_bus_are_told_from_other_ids() {
        for name in ["org.gnome.Maps", "a.b_c-d"] {
            assert!(is_bus_name(name), "{name}");
        }
        for name in ["firefox", "", "a..b", "a.1b", "a.b c"] {
            assert!(!is_bus_name(name), "{name}");
        }
    }

    #[test]
    fn our_own_process_is_where_we_are() {
        assert_eq!(
            place(Path::new("/proc"), std::process::id()),
            Place::Outside
        );
    }
}
