//! The system-call filter of a unit, from its own directives and systemd's own groups, applied to this process.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use seccompiler::{BpfProgram, TargetArch, sock_filter};
use serde_json::{Value, json};

use crate::unit::Unit;

/// Filters in the order in which they are to be applied: the list of allowed calls comes last.
///
/// # Errors
/// A group or a directive that is not known.
pub fn filters(unit: &Unit) -> Result<Vec<BpfProgram>> {
    let mut all = Vec::new();
    if let Some(allowed) = unit.value("RestrictNamespaces") {
        all.push(namespaces(&allowed)?);
    }
    if unit.is_on("MemoryDenyWriteExecute") {
        // mmap(PROT_WRITE|PROT_EXEC), mprotect(PROT_EXEC), shmat(SHM_EXEC).
        let both = (libc::PROT_WRITE | libc::PROT_EXEC) as u64;
        all.push(denied(
            libc::EPERM,
            vec![
                rule("mmap", &[masked(2, both, both)]),
                rule(
                    "mprotect",
                    &[masked(2, libc::PROT_EXEC as u64, libc::PROT_EXEC as u64)],
                ),
                rule(
                    "pkey_mprotect",
                    &[masked(2, libc::PROT_EXEC as u64, libc::PROT_EXEC as u64)],
                ),
                rule(
                    "shmat",
                    &[masked(2, libc::SHM_EXEC as u64, libc::SHM_EXEC as u64)],
                ),
            ],
        )?);
    }
    if let Some(families) = unit.value("RestrictAddressFamilies") {
        let others = families
            .split_whitespace()
            .map(|name| Ok(compare(0, "ne", family(name)? as u64)))
            .collect::<Result<Vec<_>>>()?;
        all.push(denied(libc::EAFNOSUPPORT, vec![rule("socket", &others)])?);
    }
    if unit.is_on("RestrictRealtime") {
        let policies = [libc::SCHED_FIFO, libc::SCHED_RR];
        let rules =
            policies.map(|policy| rule("sched_setscheduler", &[compare(1, "eq", policy as u64)]));
        all.push(denied(libc::EPERM, rules.to_vec())?);
    }
    if unit.is_on("RestrictSUIDSGID") {
        let mut rules = Vec::new();
        for bit in [u64::from(libc::S_ISUID), u64::from(libc::S_ISGID)] {
            for (name, at) in [
                ("chmod", 1),
                ("fchmod", 1),
                ("fchmodat", 2),
                ("mkdir", 1),
                ("mkdirat", 2),
                ("mknod", 1),
                ("mknodat", 2),
            ] {
                rules.push(rule(name, &[masked(at, bit, bit)]));
            }
        }
        all.push(denied(libc::EPERM, rules)?);
    }
    if unit.is_on("LockPersonality") {
        all.push(denied(libc::EPERM, vec![rule("personality", &[])])?);
    }
    let lists = unit.values("SystemCallFilter");
    if !lists.is_empty() {
        all.push(allowed(&lists, unit)?);
    }
    Ok(all)
}

/// Keeps filters for [`read`].
///
/// # Errors
/// The file cannot be written.
pub fn write(filters: &[BpfProgram], file: &Path) -> Result<()> {
    let plain: Vec<Vec<_>> = filters
        .iter()
        .map(|filter| filter.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect())
        .collect();
    fs::write(file, serde_json::to_vec(&plain)?).with_context(|| file.display().to_string())
}

/// What [`write`] kept.
///
/// # Errors
/// The file is not there, or not one of those.
pub fn read(file: &Path) -> Result<Vec<BpfProgram>> {
    let text = fs::read(file).with_context(|| file.display().to_string())?;
    let plain: Vec<Vec<(u16, u8, u8, u32)>> = serde_json::from_slice(&text)?;
    let filter = |plain: Vec<_>| -> BpfProgram {
        plain
            .into_iter()
            .map(|(code, jt, jf, k)| sock_filter { code, jt, jf, k })
            .collect()
    };
    Ok(plain.into_iter().map(filter).collect())
}

/// `SystemCallFilter=`: the first list allows, those with `~` take away, others add.
fn allowed(lists: &[String], unit: &Unit) -> Result<BpfProgram> {
    let mut names = BTreeSet::new();
    for list in lists {
        let (remove, words) = list
            .strip_prefix('~')
            .map_or((false, list.as_str()), |rest| (true, rest));
        for word in words.split_whitespace() {
            for name in expand(word)? {
                if remove {
                    names.remove(&name)
                } else {
                    names.insert(name)
                };
            }
        }
    }
    // systemd adds these to every list of allowed calls: without them no program starts.
    names.extend(expand("@default")?);
    names.insert("execve".into());
    let action = match unit.value("SystemCallErrorNumber").as_deref() {
        Some("EPERM") => json!({ "errno": libc::EPERM }),
        Some(other) => bail!("SystemCallErrorNumber={other} is not known here"),
        None => json!("kill_process"),
    };
    let rules = names
        .iter()
        .filter(|name| exists(name))
        .map(|name| rule(name, &[]))
        .collect::<Vec<_>>();
    ensure!(
        rules.len() > 100,
        "only {} of {} calls are known",
        rules.len(),
        names.len()
    );
    compile(&action, &json!("allow"), &rules)
}

/// The calls of a group, or the one call.
fn expand(word: &str) -> Result<BTreeSet<String>> {
    if !word.starts_with('@') {
        return Ok([word.to_owned()].into());
    }
    let out = Command::new("systemd-analyze")
        .args(["--no-pager", "syscall-filter", word])
        .output()
        .context("systemd-analyze")?;
    ensure!(
        out.status.success(),
        "systemd-analyze syscall-filter {word}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut names = BTreeSet::new();
    for line in String::from_utf8(out.stdout)?
        .lines()
        .skip(1)
        .map(str::trim)
    {
        if line.starts_with('@') {
            names.extend(expand(line)?);
        } else if !line.is_empty() && !line.starts_with('#') {
            names.insert(line.to_owned());
        }
    }
    Ok(names)
}

/// `RestrictNamespaces=`: what is not listed can be neither made nor entered.
fn namespaces(value: &str) -> Result<BpfProgram> {
    let kinds = [
        ("cgroup", libc::CLONE_NEWCGROUP),
        ("ipc", libc::CLONE_NEWIPC),
        ("net", libc::CLONE_NEWNET),
        ("mnt", libc::CLONE_NEWNS),
        ("pid", libc::CLONE_NEWPID),
        ("user", libc::CLONE_NEWUSER),
        ("uts", libc::CLONE_NEWUTS),
    ];
    let listed: Vec<_> = if value == "yes" {
        Vec::new()
    } else {
        value.split_whitespace().collect()
    };
    let mut rules = Vec::new();
    for (name, flag) in kinds.iter().filter(|(name, _)| !listed.contains(name)) {
        let flag = u64::try_from(*flag).with_context(|| name.to_string())?;
        for (call, at) in [("unshare", 0), ("clone", 0), ("setns", 1)] {
            rules.push(rule(call, &[masked(at, flag, flag)]));
        }
    }
    // No kind given would mean any kind.
    rules.push(rule("setns", &[compare(1, "eq", 0)]));
    denied(libc::EPERM, rules)
}

fn family(name: &str) -> Result<i32> {
    Ok(match name {
        "AF_UNIX" => libc::AF_UNIX,
        "AF_NETLINK" => libc::AF_NETLINK,
        "AF_INET" => libc::AF_INET,
        "AF_INET6" => libc::AF_INET6,
        _ => bail!("address family {name} is not known here"),
    })
}

fn rule(call: &str, conditions: &[Value]) -> Value {
    if conditions.is_empty() {
        json!({ "syscall": call })
    } else {
        json!({ "syscall": call, "args": conditions })
    }
}

fn compare(index: u8, how: &str, value: u64) -> Value {
    json!({ "index": index, "type": "dword", "op": how, "val": value })
}

fn masked(index: u8, mask: u64, value: u64) -> Value {
    json!({ "index": index, "type": "dword", "op": { "masked_eq": mask }, "val": value })
}

/// A filter that refuses some calls and lets the others through.
fn denied(errno: i32, rules: Vec<Value>) -> Result<BpfProgram> {
    let known: Vec<_> = rules
        .into_iter()
        .filter(|rule| {
            rule.get("syscall")
                .and_then(Value::as_str)
                .is_some_and(exists)
        })
        .collect();
    compile(&json!("allow"), &json!({ "errno": errno }), &known)
}

fn compile(otherwise: &Value, matched: &Value, rules: &[Value]) -> Result<BpfProgram> {
    let text = json!({ "unit": { "mismatch_action": otherwise, "match_action": matched, "filter": rules } }).to_string();
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut map = seccompiler::compile_from_json(text.as_bytes(), arch)?;
    map.remove("unit").context("no filter")
}

/// Whether this architecture and the compiler know a call.
fn exists(name: &str) -> bool {
    compile(&json!("kill_process"), &json!("allow"), &[rule(name, &[])]).is_ok()
}
