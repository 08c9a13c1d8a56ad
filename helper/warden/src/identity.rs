//! Becoming the user: the resource limits of the process that asked, groups, gid, uid, no capability; each read back, and the way back tried.

use std::{fs::File, io::Read as _};

use lonewire_core::launch::{Launch, Stage, User};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{Gid, Uid},
    thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets},
};

use crate::{
    failure::{At as _, Failure},
    raw,
};

/// The resource limits of a process, if it is the user's: soft and hard, by number.
pub struct Limits(Vec<(u64, u64)>);

impl Limits {
    /// Reads them. A program gets the limits of who asked for it: what PAM gave him at login and he may have lowered, and never more.
    ///
    /// # Errors
    /// EPERM where any of the process's uids is another user's, ESRCH where it has gone.
    pub fn of_caller(pid: i32, uid: u32) -> Result<Self, Failure> {
        let gone = Failure::new(Stage::Limits, Errno::SRCH);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder =
            rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).map_err(|_| gone)?;
        // One folder is of one process: once it has gone nothing can be read by it, whoever has its number now.
        let read = |name: &str| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(|_| gone)?;
            let mut text = String::new();
            File::from(file)
                .read_to_string(&mut text)
                .map_err(|_| gone)?;
            Ok(text)
        };
        let limits = parse_limits(&read("limits")?).ok_or(gone)?;
        let status = read("status")?;
        let uids = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .unwrap_or_default();
        let uids: Vec<Option<u32>> = uids
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect();
        if uids.len() != 4 || uids.iter().any(|found| *found != Some(uid)) {
            return Err(Failure::new(Stage::Limits, Errno::PERM));
        }
        Ok(Self(limits))
    }

    /// Sets them. Where this process may not raise a hard limit (a container without CAP_SYS_RESOURCE), its own one is the most there is.
    pub fn apply(&self) -> Result<(), Failure> {
        for (resource, &(soft, hard)) in (0..).zip(&self.0) {
            match raw::set_limit(resource, soft, hard) {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    let (_, most) = raw::limit(resource).at(Stage::Limits)?;
                    raw::set_limit(resource, soft.min(most), hard.min(most)).at(Stage::Limits)?;
                }
                done => done.at(Stage::Limits)?,
            }
        }
        Ok(())
    }
}

/// proc(5): `/proc/PID/limits` has a line a limit, in the order of their numbers; names are padded to 26 characters.
fn parse_limits(text: &str) -> Option<Vec<(u64, u64)>> {
    let value = |word: &str| {
        if word == "unlimited" {
            Some(u64::MAX)
        } else {
            word.parse().ok()
        }
    };
    let line = |line: &str| {
        let mut words = line.get(26..)?.split_whitespace();
        Some((value(words.next()?)?, value(words.next()?)?))
    };
    let limits: Vec<_> = text.lines().skip(1).map(line).collect::<Option<_>>()?;
    (limits.len() == 16).then_some(limits)
}

/// Root's traces that no uid carries: its session keyring and a score that would spare the program from the OOM killer.
pub fn leave_roots_session() -> Result<(), Failure> {
    raw::new_session_keyring().at(Stage::Privileges)?;
    std::fs::write("/proc/self/oom_score_adj", "0").at(Stage::Limits)
}

/// Becomes the user for good. The bounding set stays: without it programs with file capabilities (ping) would not start.
pub fn become_user(user: &User) -> Result<(), Failure> {
    let refused = Failure::new(Stage::Privileges, Errno::PERM);
    if user.uid == 0 || user.uid == u32::MAX || user.gid == u32::MAX {
        return Err(refused);
    }
    rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::empty())
        .at(Stage::Privileges)?;
    rustix::thread::set_keep_capabilities(false).at(Stage::Privileges)?;
    rustix::thread::clear_ambient_capability_set().at(Stage::Privileges)?;

    let uid = Uid::from_raw(user.uid);
    let gid = Gid::from_raw(user.gid);
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    rustix::thread::set_thread_groups(&groups).at(Stage::Privileges)?;
    rustix::thread::set_thread_res_gid(Some(gid), Some(gid), Some(gid)).at(Stage::Privileges)?;
    rustix::thread::set_thread_res_uid(Some(uid), Some(uid), Some(uid)).at(Stage::Privileges)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).at(Stage::Privileges)?;

    let ids = nix::unistd::getresuid().at(Stage::Privileges)?;
    let gids = nix::unistd::getresgid().at(Stage::Privileges)?;
    let mut has = rustix::process::getgroups().at(Stage::Privileges)?;
    let mut wanted = groups;
    has.sort_unstable_by_key(|group| group.as_raw());
    wanted.sort_unstable_by_key(|group| group.as_raw());
    let caps = rustix::thread::capabilities(None).at(Stage::Privileges)?;
    let is_user = [ids.real, ids.effective, ids.saved]
        .iter()
        .all(|id| id.as_raw() == user.uid)
        && [gids.real, gids.effective, gids.saved]
            .iter()
            .all(|id| id.as_raw() == user.gid)
        && has == wanted
        && (caps.effective | caps.permitted | caps.inheritable).is_empty();
    let way_back = rustix::thread::set_thread_res_uid(None::<Uid>, Some(Uid::ROOT), None::<Uid>)
        .is_ok()
        || rustix::thread::set_thread_groups(&[]).is_ok();
    if is_user && !way_back {
        Ok(())
    } else {
        Err(refused)
    }
}

/// What a keeper needs: to signal the user's processes and to see their namespaces. Nothing of it survives an execve, which it never does.
pub fn keep_only_keeping() -> Result<(), Failure> {
    rustix::thread::clear_ambient_capability_set().at(Stage::Privileges)?;
    let keep = CapabilitySet::KILL | CapabilitySet::SYS_PTRACE;
    let sets = CapabilitySets {
        effective: keep,
        permitted: keep,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).at(Stage::Privileges)
}

/// umask and working folder, as the user: a path that he cannot enter ends in his home, then in `/`.
pub fn settle(request: &Launch) -> Result<(), Failure> {
    rustix::process::umask(Mode::from_raw_mode(request.umask & 0o777));
    rustix::process::chdir(request.cwd.as_slice())
        .or_else(|_| rustix::process::chdir(request.user.home.as_slice()))
        .or_else(|_| rustix::process::chdir("/"))
        .at(Stage::Privileges)
}
