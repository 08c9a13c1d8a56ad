//! Who a process is, as far as the kernel tells it: what a program in a tunnel and one of the same person's login must have in common.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Fields of `/proc/self/status` that are part of it; the others are about memory and scheduling.
const STATUS: &[&str] = &[
    "Umask",
    "Uid",
    "Gid",
    "Groups",
    "NSpid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "SigBlk",
    "SigIgn",
    "Cpus_allowed",
    "Mems_allowed",
];

/// Everything about this process, by name.
///
/// # Errors
/// `/proc` cannot be read.
pub fn own() -> Result<Value> {
    let mut all = BTreeMap::new();
    for line in fs::read_to_string("/proc/self/status")?.lines() {
        if let Some((key, value)) = line.split_once(':')
            && STATUS.contains(&key)
        {
            let words = value.split_whitespace().collect::<Vec<_>>();
            // libc has posix_spawn(3) ignore its own two signals, 32 and 33: that tells of whoever started the test.
            let value = if key == "SigIgn" {
                let set = u64::from_str_radix(value.trim(), 16)?;
                format!("{:016x}", set & !(0b11 << 31))
            // The number of its process is its own affair; how many namespaces see it is not.
            } else if key == "NSpid" {
                words.len().to_string()
            } else {
                words.join(" ")
            };
            all.insert(key.to_owned(), value);
        }
    }
    for line in fs::read_to_string("/proc/self/limits")?.lines().skip(1) {
        let (name, value) = line.split_at_checked(26).context("limits")?;
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        all.insert(format!("limit {}", name.trim()), value);
    }
    for (name, value) in std::env::vars_os() {
        all.insert(
            format!("env {}", name.to_string_lossy()),
            value.to_string_lossy().into(),
        );
    }
    let seen = fs::read_dir("/proc/self/fd")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    // Reading the folder took one more, which is gone by now.
    let own = seen
        .into_iter()
        .filter(|name| fs::read_link(format!("/proc/self/fd/{name}")).is_ok())
        .collect::<Vec<_>>();
    all.insert("descriptors".into(), own.join(" "));
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let link = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        all.insert(format!("namespace {kind}"), link.to_string_lossy().into());
    }
    for file in [
        "oom_score_adj",
        "personality",
        "loginuid",
        "coredump_filter",
        "cgroup",
        "timerslack_ns",
        "attr/current",
        "attr/exec",
    ] {
        // A kernel without one has it for nobody.
        if let Ok(text) = fs::read_to_string(format!("/proc/self/{file}")) {
            all.insert(file.into(), text.trim().into());
        }
    }
    all.insert(
        "cwd".into(),
        std::env::current_dir()?.to_string_lossy().into(),
    );
    all.insert(
        "nice".into(),
        rustix::process::getpriority_process(None)?.to_string(),
    );
    // These have no file. What a program of theirs has is what this one has: it passes on to those that it starts.
    for (name, line) in [
        ("ioprio", ["ionice"].as_slice()),
        ("keyring", &["keyctl", "rdescribe", "@s"]),
        ("keyring of the user", &["keyctl", "rdescribe", "@u"]),
        (
            "scheduling",
            &["sh", "-c", "chrt --pid $$ | sed 's/.*current//'"],
        ),
    ] {
        all.insert(name.into(), said(line)?);
    }
    Ok(json!(all))
}

/// What a program writes.
fn said(line: &[&str]) -> Result<String> {
    let (program, arguments) = line.split_first().context("no program")?;
    let mut command = std::process::Command::new(program);
    let out = command.args(arguments).stdin(std::process::Stdio::null());
    let out = out.output().with_context(|| (*program).to_owned())?;
    let text = [out.stdout, out.stderr].concat();
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// What differs, but for what `allowed` names; a name that ends in `*` stands for all that begin so.
pub fn differences(inside: &Value, outside: &Value, allowed: &[&str]) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (inside, outside) = (
        inside.as_object().unwrap_or(&empty),
        outside.as_object().unwrap_or(&empty),
    );
    let mut keys: Vec<_> = inside.keys().chain(outside.keys()).collect();
    keys.sort();
    keys.dedup();
    let is_allowed = |key: &str| {
        allowed
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => key.starts_with(start),
                None => key == *pattern,
            })
    };
    let shown = |value: Option<&Value>| {
        value.map_or("nothing".to_owned(), |value| {
            value.as_str().unwrap_or_default().to_owned()
        })
    };
    keys.into_iter()
        .filter(|key| inside.get(*key) != outside.get(*key) && !is_allowed(key))
        .map(|key| {
            format!(
                "{key}: {} instead of {}",
                shown(inside.get(key)),
                shown(outside.get(key))
            )
        })
        .collect()
}

/// What a program in a tunnel may have different from one of its person's login. The parent, which may differ too, is not looked at.
pub const ALLOWED: &[&str] = &[
    "NoNewPrivs",
    "cgroup",
    "keyring",
    "namespace mnt",
    "namespace net",
    "env LONEWIRE_*",
];
