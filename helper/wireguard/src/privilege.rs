//! Giving up root, and making sure that there is none.

use anyhow::{Context as _, ensure};
use nix::{
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
    },
    unistd::{Gid, Uid, getresgid, getresuid, setgroups, setresgid, setresuid},
};

/// Becomes `uid` and `gid` for good: groups, gid, uid, read back, and no way to root again.
pub fn give_up(uid: u32, gid: u32) -> anyhow::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    ensure!(
        !uid.is_root() && gid.as_raw() != 0,
        "--uid and --gid must not be root's"
    );
    if Uid::effective().is_root() {
        setgroups(&[gid]).context("setgroups")?;
        setresgid(gid, gid, gid).context("setresgid")?;
        setresuid(uid, uid, uid).context("setresuid")?;
    }
    let (uids, gids) = (
        getresuid().context("getresuid")?,
        getresgid().context("getresgid")?,
    );
    ensure!(
        [uids.real, uids.effective, uids.saved]
            .iter()
            .all(|id| *id == uid),
        "still another user"
    );
    ensure!(
        [gids.real, gids.effective, gids.saved]
            .iter()
            .all(|id| *id == gid),
        "still in another group"
    );
    ensure!(
        setresuid(
            Uid::from_raw(u32::MAX),
            Uid::from_raw(0),
            Uid::from_raw(u32::MAX)
        )
        .is_err(),
        "root came back"
    );
    prctl::set_no_new_privs().context("no_new_privs")
}

/// Refuses to go on as root or with any capability.
pub fn have_none() -> anyhow::Result<()> {
    ensure!(
        !Uid::effective().is_root() && !Uid::current().is_root(),
        "must not run as root"
    );
    let held = rustix::thread::capabilities(None).context("capget")?;
    ensure!(
        held.permitted.is_empty() && held.effective.is_empty(),
        "must not hold capabilities"
    );
    Ok(())
}

/// No core file, and no reading of this memory by others of the same user.
pub fn hide_memory() -> anyhow::Result<()> {
    prctl::set_dumpable(false).context("PR_SET_DUMPABLE")?;
    if getrlimit(Resource::RLIMIT_CORE).context("getrlimit")? != (0, 0) {
        setrlimit(Resource::RLIMIT_CORE, 0, 0).context("setrlimit")?;
    }
    Ok(())
}
