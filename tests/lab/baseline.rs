//! What a machine looks like from outside of all worlds, so that it can be compared before and after. Only reads.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash as _, Hasher as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// Changes by itself: logs, counters, and what the machine's own services note down.
const RESTLESS: &[&str] = &[
    "/run/log",
    "/run/systemd/journal",
    "/run/systemd/timesync",
    "/run/systemd/sessions",
    "/run/systemd/users",
    "/run/systemd/units",
    "/run/systemd/transient",
    "/run/systemd/propagate",
    "/run/udev",
    "/run/user",
    "/run/utmp",
    "/run/sudo",
    // A world's own captures and logs: no machine has this.
    "/run/lab",
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/net/ipv4/tcp_fastopen_key",
    "/proc/sys/net/ipv6/conf/all/stable_secret",
];

/// A machine's links, namespaces, mounts, firewall, network settings, and its `/run` and `/etc`: one entry for each thing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Baseline(BTreeMap<String, String>);

impl Baseline {
    /// Looks at the machine that this process is in.
    ///
    /// # Errors
    /// `ip` or `nft` is missing, or a file that must be readable is not.
    pub fn take() -> Result<Self> {
        let mut seen = BTreeMap::new();
        for (name, line) in [
            ("ip -j link", ["ip", "-j", "link"].as_slice()),
            ("ip netns", &["ip", "netns"]),
            ("nft list ruleset", &["nft", "list", "ruleset"]),
        ] {
            seen.insert(name.to_owned(), output(line)?);
        }
        for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
            // Without the number of the mount and of its parent, which say nothing.
            let rest: Vec<_> = line.split(' ').skip(2).collect();
            seen.insert(format!("mount {}", rest.join(" ")), String::new());
        }
        for top in ["/proc/sys/net", "/run", "/etc"] {
            walk(Path::new(top), &mut seen)?;
        }
        Ok(Self(seen))
    }

    /// What differs in `later`: one line each.
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, before) in &self.0 {
            match later.0.get(name) {
                None => lines.push(format!("gone: {name}")),
                Some(after) if after != before => lines.push(format!(
                    "changed: {name}: {} > {}",
                    short(before),
                    short(after)
                )),
                Some(_) => {}
            }
        }
        lines.extend(
            later
                .0
                .keys()
                .filter(|name| !self.0.contains_key(*name))
                .map(|name| format!("new: {name}")),
        );
        lines
    }

    /// # Errors
    /// Anything differs now.
    pub fn assert_same(&self) -> Result<()> {
        let differences = self.differences(&Self::take()?);
        ensure!(
            differences.is_empty(),
            "the machine changed:\n{}",
            differences.join("\n")
        );
        Ok(())
    }
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

fn output(line: &[&str]) -> Result<String> {
    let (program, arguments) = line.split_first().context("no program")?;
    let out = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| (*program).to_owned())?;
    ensure!(
        out.status.success(),
        "{line:?}: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&out.stdout).into())
}

/// Notes kind, mode, owner and content of everything below `path`.
fn walk(path: &Path, seen: &mut BTreeMap<String, String>) -> Result<()> {
    let name = path.display().to_string();
    if RESTLESS.contains(&name.as_str()) {
        return Ok(());
    }
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        // Gone since its folder was read.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context(name),
    };
    let kind = meta.file_type();
    let content = if kind.is_symlink() {
        fs::read_link(path)?.display().to_string()
    } else if kind.is_file() {
        // Some settings of the kernel can be written only.
        let mut hash = DefaultHasher::new();
        let bytes = fs::read(path).unwrap_or_default();
        bytes.hash(&mut hash);
        if name.starts_with("/proc") {
            String::from_utf8_lossy(&bytes).trim().into()
        } else {
            format!("{:016x}", hash.finish())
        }
    } else if kind.is_socket() || kind.is_fifo() {
        "socket or pipe".into()
    } else {
        String::new()
    };
    seen.insert(
        name,
        format!("{:o} {}:{} {content}", meta.mode(), meta.uid(), meta.gid()),
    );
    if kind.is_dir() {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).context(path.display().to_string()),
        };
        for entry in entries {
            walk(&entry?.path(), seen)?;
        }
    }
    Ok(())
}
