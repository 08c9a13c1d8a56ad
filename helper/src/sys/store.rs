//! Files of the helper's own: saved tunnels and their history below the state folder, run-time records below the runtime folder. Written whole or not at all, read by
//! root alone; no path comes from a client.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use lonewire_core::name::{Id, LinkName};
use zeroize::Zeroizing;

use super::{Sys, errno, os};
use crate::ports::{Clock as _, LogEntry, PortResult, RecordKind, Saved, Start, Store};

/// How long history is kept.
const HISTORY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A history of more bytes is pruned when the next entry comes.
const HISTORY_BYTES: u64 = 64 * 1024;

/// Endings of the empty files beside those of tunnels that come up by themselves. `lonewire-boot.service` and `lonewire-login@.service` look for them.
const MARKS: [(Start, &str); 2] = [(Start::Login, "login"), (Start::Boot, "boot")];

impl Store for Sys {
    async fn load(&self) -> PortResult<Vec<Saved>> {
        let mut all = Vec::new();
        for user in entries(&self.paths.state)? {
            let Some(uid) = user
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let files = entries(&user)?;
            let marks: BTreeMap<Id, Start> = files
                .iter()
                .flat_map(|file| MARKS.map(|(start, ending)| Some((id_of(file, ending)?, start))))
                .flatten()
                .collect();
            for file in files {
                let Some(id) = id_of(&file, "toml") else {
                    continue;
                };
                match read(&file) {
                    Ok(content) => all.push(Saved {
                        uid,
                        start: marks.get(&id).copied(),
                        id,
                        content: Zeroizing::new(content),
                    }),
                    Err(error) => {
                        tracing::error!(%uid, %id, %error, "a saved tunnel cannot be read")
                    }
                }
            }
        }
        Ok(all)
    }

    async fn save(&self, tunnel: &Saved) -> PortResult<()> {
        let folder = self.user_folder(tunnel.uid);
        make_folder(&self.paths.state, 0o700).map_err(os("the state folder"))?;
        make_folder(&folder, 0o700).map_err(os("the user's folder"))?;
        let file = |ending| folder.join(format!("{}.{ending}", tunnel.id));
        // A mark too many starts the helper for nothing; one too few would leave the tunnel down.
        for (start, ending) in MARKS {
            let mark = file(ending);
            if tunnel.start == Some(start) && !mark.exists() {
                replace(&mark, b"", 0o600).map_err(os("the mark of a tunnel"))?;
            }
        }
        replace(&file("toml"), tunnel.content.as_bytes(), 0o600).map_err(os("a saved tunnel"))?;
        for (start, ending) in MARKS {
            if tunnel.start != Some(start) {
                gone(fs::remove_file(file(ending))).map_err(os("the mark of a tunnel"))?;
            }
        }
        Ok(())
    }

    async fn delete(&self, uid: u32, id: &Id) -> PortResult<()> {
        let folder = self.user_folder(uid);
        for ending in ["toml", "log", "login", "boot"] {
            gone(fs::remove_file(folder.join(format!("{id}.{ending}"))))
                .map_err(os("a saved tunnel"))?;
        }
        // Only one that is empty goes.
        let _ = fs::remove_dir(&folder);
        Ok(())
    }

    async fn log(&self, uid: u32, id: &Id, entry: LogEntry) -> PortResult<()> {
        let path = self.history(uid, id);
        let line = format!("{} {} {}\n", entry.time, entry.state, entry.reason);
        let is_long = fs::metadata(&path).is_ok_and(|found| found.len() > HISTORY_BYTES);
        if is_long {
            let mut text: String = self.history_lines(&path).iter().map(write_entry).collect();
            text.push_str(&line);
            return replace(&path, text.as_bytes(), 0o600).map_err(os("the history"));
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(os("the history"))
    }

    async fn read_log(&self, uid: u32, id: &Id) -> PortResult<Vec<LogEntry>> {
        Ok(self.history_lines(&self.history(uid, id)))
    }

    async fn write_record(&self, kind: RecordKind, id: &Id, text: &str) -> PortResult<()> {
        let folder = self.records(kind);
        make_folder(&folder, 0o700).map_err(os("the folder of records"))?;
        replace(&folder.join(format!("{id}.toml")), text.as_bytes(), 0o600).map_err(os("a record"))
    }

    async fn read_records(&self, kind: RecordKind) -> PortResult<Vec<(Id, String)>> {
        let mut all = Vec::new();
        for file in entries(&self.records(kind))? {
            let Some(id) = id_of(&file, "toml") else {
                continue;
            };
            match read(&file) {
                Ok(text) => all.push((id, text)),
                Err(error) => tracing::error!(%id, %error, "a record cannot be read"),
            }
        }
        Ok(all)
    }

    async fn remove_record(&self, kind: RecordKind, id: &Id) -> PortResult<()> {
        gone(fs::remove_file(
            self.records(kind).join(format!("{id}.toml")),
        ))
        .map_err(os("a record"))
    }

    async fn read_starts(&self) -> PortResult<Option<String>> {
        match read(&self.starts()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some).map_err(os("the record of starts")),
        }
    }

    async fn write_starts(&self, text: &str) -> PortResult<()> {
        replace(&self.starts(), text.as_bytes(), 0o600).map_err(os("the record of starts"))
    }

    async fn write_dns(
        &self,
        namespace: &LinkName,
        resolv_conf: &str,
        hosts: &str,
    ) -> PortResult<()> {
        // The folder is bound into every app of the namespace: it stays, and its files are replaced in it.
        let folder = self.dns(namespace);
        make_folder(&self.paths.runtime.join("dns"), 0o755)
            .and_then(|()| make_folder(&folder, 0o755))
            .and_then(|()| replace(&folder.join("hosts"), hosts.as_bytes(), 0o644))
            .and_then(|()| replace(&folder.join("resolv.conf"), resolv_conf.as_bytes(), 0o644))
            .map_err(os("the resolver files"))
    }

    async fn read_dns(&self, namespace: &LinkName) -> PortResult<(String, String)> {
        let folder = self.dns(namespace);
        let text = |name| read(&folder.join(name)).map_err(os("the resolver files"));
        Ok((text("resolv.conf")?, text("hosts")?))
    }

    async fn remove_dns(&self, namespace: &LinkName) -> PortResult<()> {
        gone(fs::remove_dir_all(self.dns(namespace))).map_err(os("the resolver files"))
    }

    async fn boot_id(&self) -> PortResult<String> {
        // The unit's ProcSubset=pid hides /proc/sys; but the runtime folder is on a tmpfs, and lives exactly as long as a boot.
        if let Ok(id) = fs::read_to_string("/proc/sys/kernel/random/boot_id") {
            return Ok(id.trim().to_owned());
        }
        let path = self.paths.runtime.join("boot-id");
        if let Ok(id) = read(&path) {
            return Ok(id);
        }
        let id = Id::from_random(self.random()?).to_string();
        replace(&path, id.as_bytes(), 0o600).map_err(os("the boot's id"))?;
        Ok(id)
    }

    async fn host_name(&self) -> PortResult<String> {
        Ok(rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned())
    }

    async fn admin_config(&self) -> PortResult<String> {
        match fs::read_to_string(&self.paths.admin_config) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(os("the administrator's configuration")),
        }
    }

    fn random<const N: usize>(&self) -> PortResult<[u8; N]> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
                .map_err(errno("getrandom"))?;
        }
        Ok(bytes)
    }
}

impl Sys {
    fn user_folder(&self, uid: u32) -> PathBuf {
        self.paths.state.join(uid.to_string())
    }

    fn history(&self, uid: u32, id: &Id) -> PathBuf {
        self.user_folder(uid).join(format!("{id}.log"))
    }

    fn records(&self, kind: RecordKind) -> PathBuf {
        self.paths.runtime.join(match kind {
            RecordKind::Tunnel => "tunnels",
            RecordKind::App => "apps",
        })
    }

    fn starts(&self) -> PathBuf {
        self.paths.runtime.join("starts.toml")
    }

    fn dns(&self, namespace: &LinkName) -> PathBuf {
        self.paths.runtime.join("dns").join(namespace.as_str())
    }

    /// What is not too old of a history; a broken line (the machine lost power while it was written) is left out.
    fn history_lines(&self, path: &Path) -> Vec<LogEntry> {
        let text = read(path).unwrap_or_default();
        let oldest = self.now().saturating_sub(HISTORY.as_secs() * 1000);
        text.lines()
            .filter_map(read_entry)
            .filter(|entry| entry.time >= oldest)
            .collect()
    }
}

fn read_entry(line: &str) -> Option<LogEntry> {
    let mut words = line.splitn(3, ' ');
    Some(LogEntry {
        time: words.next()?.parse().ok()?,
        state: words.next()?.parse().ok()?,
        reason: words.next()?.to_owned(),
    })
}

fn write_entry(entry: &LogEntry) -> String {
    format!("{} {} {}\n", entry.time, entry.state, entry.reason)
}

/// What lies in a folder, in no order; a folder that is not there is empty.
fn entries(folder: &Path) -> PortResult<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(os("a folder")(error)),
    }
}

/// Reads a file of ours; a link in its place is none.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = OpenOptions::new();
    file.read(true).custom_flags(libc::O_NOFOLLOW);
    file.open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The id that a file is named by, if it has this ending.
fn id_of(path: &Path, ending: &str) -> Option<Id> {
    let name = path
        .file_name()?
        .to_str()?
        .strip_suffix(ending)?
        .strip_suffix('.')?;
    Id::try_from(name.to_owned()).ok()
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Puts a whole file in the place of another, or nothing: written beside it, synced, renamed, and the folder synced.
fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    // Left behind by a crash; nobody else writes here.
    gone(fs::remove_file(&beside))?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&beside)
        .and_then(|mut file| {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// That something is not there is as good as having removed it.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
