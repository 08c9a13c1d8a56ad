//! Becoming the user: what the process that asked has of its login, groups, gid, uid, no capability; each read back, and the way back tried.

use std::{collections::BTreeSet, fs::File, io::Read as _};

use lonewire_core::{
    launch::{Launch, Stage, User},
    process,
};
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
    process::{Gid, Uid},
    thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets},
};

use crate::{
    failure::{At as _, Failure},
    raw,
};

/// Of a process that nobody has changed (prctl(2), PR_SET_TIMERSLACK), in nanoseconds.
const TIMER_SLACK: Option<std::num::NonZeroU64> = std::num::NonZeroU64::new(50_000);

/// What a program gets of the process that asked for it, and never more: what PAM gave that one at login, less what it gave up.
pub struct Caller {
    /// Resource limits, soft and hard, by number.
    limits: Vec<(u64, u64)>,
    /// 0 to 19.
    nice: i32,
    /// For `/proc/self/attr/exec`; `None` where it is this process's own, or no security module has labels.
    label: Option<String>,
}

impl Caller {
    /// Looks at it, if it is the user's.
    ///
    /// # Errors
    /// EPERM where any of the process's uids is another user's, ESRCH where it has gone.
    pub fn of(pid: i32, uid: u32) -> Result<Self, Failure> {
        let gone = Failure::new(Stage::Limits, Errno::SRCH);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty());
        let folder = folder.map_err(|_| gone)?;
        // One folder is of one process: once it has gone nothing can be read by it, whoever has its number now.
        let read = |name: &str| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(|_| gone)?;
            let mut text = Vec::new();
            File::from(file).read_to_end(&mut text).map_err(|_| gone)?;
            // A process's name is cut after 15 bytes, in the middle of a letter too.
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let status = read("status")?;
        if !process::is_of(&status, uid) {
            return Err(Failure::new(Stage::Limits, Errno::PERM));
        }
        let label = match std::fs::read_to_string("/proc/self/attr/current") {
            Ok(own) => process::label_at_exec(&own, &read("attr/current")?, has_apparmor()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => None,
            Err(error) => return Err(error).at(Stage::Privileges),
        };
        let nice: i32 = process::stat_field(&read("stat")?, 19).ok_or(gone)?;
        Ok(Self {
            limits: process::limits(&read("limits")?).ok_or(gone)?,
            nice: nice.clamp(0, 19),
            label,
        })
    }

    /// Takes it over, and leaves behind what no uid carries: root's session keyring, and whatever of this process's unit would stay with the program.
    fn take_over(&self) -> Result<(), Failure> {
        raw::new_session_keyring().at(Stage::Privileges)?;
        if let Some(label) = &self.label {
            std::fs::write("/proc/self/attr/exec", label).at(Stage::Privileges)?;
        }
        for (resource, &(soft, hard)) in (0..).zip(&self.limits) {
            match raw::limit(resource, Some((soft, hard))) {
                // Where this process may not raise a hard limit (a container without CAP_SYS_RESOURCE), its own one is the most there is.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    let (_, most) = raw::limit(resource, None).at(Stage::Limits)?;
                    raw::limit(resource, Some((soft.min(most), hard.min(most))))
                }
                done => done,
            }
            .at(Stage::Limits)?;
        }
        rustix::process::setpriority_process(None, self.nice).at(Stage::Limits)?;
        raw::default_disk_priority().at(Stage::Limits)?;
        nix::sys::personality::set(nix::sys::personality::Persona::empty()).at(Stage::Limits)?;
        rustix::thread::set_current_timer_slack(TIMER_SLACK).at(Stage::Limits)?;
        std::fs::write("/proc/self/oom_score_adj", "0").at(Stage::Limits)
    }
}

/// What a program gets of the caller and of the user, in the order in which each is still allowed.
pub fn become_caller(request: &Launch, caller: &Caller) -> Result<(), Failure> {
    caller.take_over()?;
    become_user(&request.user)?;
    settle(request)?;
    if !request.allow_new_privileges {
        rustix::thread::set_no_new_privs(true).at(Stage::Privileges)?;
    }
    Ok(())
}

/// Whether labels are AppArmor's: of the security modules that have any, one is active.
fn has_apparmor() -> bool {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|text| text.starts_with(b"Y"))
}

/// Becomes the user for good. The bounding set stays: without it programs with file capabilities (ping) would not start.
fn become_user(user: &User) -> Result<(), Failure> {
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
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, only(none)).at(Stage::Privileges)?;

    let ids = nix::unistd::getresuid().at(Stage::Privileges)?;
    let gids = nix::unistd::getresgid().at(Stage::Privileges)?;
    let set = |groups: &[Gid]| groups.iter().map(|gid| gid.as_raw()).collect::<BTreeSet<_>>();
    let has = rustix::process::getgroups().at(Stage::Privileges)?;
    let caps = rustix::thread::capabilities(None).at(Stage::Privileges)?;
    let all = [ids.real, ids.effective, ids.saved].map(|id| id.as_raw());
    let all_gids = [gids.real, gids.effective, gids.saved].map(|id| id.as_raw());
    let is_user = all == [user.uid; 3]
        && all_gids == [user.gid; 3]
        && set(&has) == set(&groups)
        && (caps.effective | caps.permitted | caps.inheritable).is_empty();
    let none = None::<Uid>;
    let way_back = rustix::thread::set_thread_res_uid(none, Some(Uid::ROOT), none).is_ok()
        || rustix::thread::set_thread_groups(&[]).is_ok();
    if is_user && !way_back { Ok(()) } else { Err(refused) }
}

/// What a keeper needs: to signal the user's processes and to see their namespaces. Nothing of it survives an execve, which it never does.
pub fn keep_only_keeping() -> Result<(), Failure> {
    rustix::thread::clear_ambient_capability_set().at(Stage::Privileges)?;
    let keep = CapabilitySet::KILL | CapabilitySet::SYS_PTRACE;
    rustix::thread::set_capabilities(None, only(keep)).at(Stage::Privileges)
}

fn only(kept: CapabilitySet) -> CapabilitySets {
    CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() }
}

/// umask and working folder, as the user: a path that he cannot enter ends in his home, then in `/`. No path leads by a link of proc's into
/// another process's mounts, or to what this process has open.
fn settle(request: &Launch) -> Result<(), Failure> {
    rustix::process::umask(Mode::from_raw_mode(request.umask & 0o777));
    let enter = |path: &[u8]| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_MAGICLINKS;
        let folder = rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)?;
        rustix::process::fchdir(folder)
    };
    enter(&request.cwd)
        .or_else(|_| enter(&request.user.home))
        .or_else(|_| enter(b"/"))
        .at(Stage::Privileges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_all_there_or_none() {
        let own = std::fs::read_to_string("/proc/self/limits").unwrap();
        let limits = process::limits(&own).unwrap();
        let (soft, hard) = raw::limit(libc::RLIMIT_NOFILE, None).unwrap();
        assert_eq!(limits[libc::RLIMIT_NOFILE as usize], (soft, hard));
        let cut = own.lines().take(16).collect::<Vec<_>>().join("\n");
        assert_eq!(process::limits(&cut), None);
        assert_eq!(process::limits(&own.replace("unlimited", "plenty")), None);
    }
}
