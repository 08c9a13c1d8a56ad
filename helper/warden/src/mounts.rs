//! What a program sees of the file system: the host's, but for `/sys`, `/run` and `/etc`. By these a name could be looked up by a service of the host,
//! or the host's links be seen. Whole folders are replaced, never single files: a mount on a file vanishes when the host renames that file.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write as _,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
        },
    },
    path::{Path, PathBuf},
};

use lonewire_core::{
    launch::{DNS_DIR, DNS_INSIDE, Launch, Stage},
    resolv::nsswitch,
    seal::is_fallback,
};
use nix::sched::CloneFlags;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags,
        MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount,
        fsopen, mount, mount_bind_recursive, mount_change, mount_remount, move_mount, open_tree,
        unmount,
    },
};

use crate::failure::{At as _, Failure};

/// How a part of the host's `/run` comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Is,
    ReadOnly,
}

/// All of the host's `/run` that a program gets, below it; the user's own folder comes with its number. What is not there on the host is left out.
/// `dbus` is the folder of the system bus: a filtered one goes in its place when there is one.
const RUN: &[(&str, As)] = &[
    ("media", As::Is),
    ("dbus", As::Is),
    ("udev", As::ReadOnly),
    ("systemd/seats", As::ReadOnly),
    ("systemd/sessions", As::ReadOnly),
    ("systemd/users", As::ReadOnly),
    ("systemd/userdb", As::ReadOnly),
    ("systemd/journal/dev-log", As::Is),
    ("systemd/journal/socket", As::Is),
    ("systemd/journal/stdout", As::Is),
    ("lock", As::Is),
    ("utmp", As::ReadOnly),
    ("cups", As::Is),
    ("pcscd", As::Is),
    // NixOS.
    ("opengl-driver", As::ReadOnly),
    ("opengl-driver-32", As::ReadOnly),
    ("current-system", As::ReadOnly),
    ("booted-system", As::ReadOnly),
    ("wrappers", As::Is),
];

/// What must not be there in the end: by these libc asks a service of the host.
const FORBIDDEN: &[&str] = &["nscd", "systemd/resolve", "avahi-daemon"];

/// Puts this process into a mount namespace of its own, made up for the launch. It is in the tunnel's network namespace already: the new `/sys` shows that one.
pub fn make(request: &Launch) -> Result<(), Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).at(Stage::Mounts)?;
    // Drives plugged in later still appear; nothing goes back to the host.
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .at(Stage::Mounts)?;
    replace_sys()?;
    let kept = keep_of_run(request)?;
    replace_etc()?;
    replace_run(kept)?;
    verify(request)
}

/// A `/sys` that shows this network namespace, with the mounts that were below the old one.
fn replace_sys() -> Result<(), Failure> {
    let mut below = Vec::new();
    for path in mounts_below("/sys")? {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        match open_tree(CWD, &path, flags) {
            Ok(tree) => below.push((path, tree)),
            // Another mount hides it.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Failure::new(Stage::Mounts, errno)),
        }
    }
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let sys = new_filesystem("sysfs", &[], flags)?;
    detach("/sys")?;
    attach(&sys, "/sys")?;
    for (path, tree) in below {
        match attach(&tree, &path) {
            // A folder that this namespace's sysfs does not have.
            Err(failure) if failure.errno == libc::ENOENT => {}
            done => done?,
        }
    }
    Ok(())
}

/// Mount points right below a folder, without those below another of them.
fn mounts_below(folder: &str) -> Result<Vec<PathBuf>, Failure> {
    let text = std::fs::read("/proc/self/mountinfo").at(Stage::Mounts)?;
    let mut found: Vec<PathBuf> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        // proc(5): the fifth field is the mount point; below /sys none has an escaped character.
        let Some(point) = line.split(|byte| *byte == b' ').nth(4) else {
            continue;
        };
        let point = Path::new(std::ffi::OsStr::from_bytes(point));
        let inner = point != Path::new(folder) && point.starts_with(folder);
        if inner && !found.iter().any(|outer| point.starts_with(outer)) {
            found.push(point.to_owned());
        }
    }
    Ok(found)
}

/// A part of the host's `/run`.
enum Kept {
    /// Its path below `/run`, a mount of it, whether it is a folder, and how it comes back.
    Mount(PathBuf, OwnedFd, bool, As),
    Link(PathBuf, PathBuf),
}

/// Holds on to what a program gets of `/run`, before it is replaced.
fn keep_of_run(request: &Launch) -> Result<Vec<Kept>, Failure> {
    let run = rustix::fs::open(
        "/run",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Stage::Mounts)?;
    let mut kept = Vec::new();
    let own = format!("user/{}", request.user.uid);
    let wanted = std::iter::once((own.as_str(), As::Is)).chain(RUN.iter().copied());
    for (path, how) in wanted {
        let Some(source) = open_below(&run, path)? else {
            continue;
        };
        let stat = rustix::fs::fstat(&source).at(Stage::Mounts)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&source, "", Vec::new()).at(Stage::Mounts)?;
                let target = PathBuf::from(std::ffi::OsStr::from_bytes(target.as_bytes()));
                kept.push(Kept::Link(path.into(), target));
            }
            kind => kept.push(Kept::Mount(path.into(), tree(&source)?, kind.is_dir(), how)),
        }
    }
    let dns = Path::new(DNS_DIR).join(request.namespace.as_str());
    let dns = rustix::fs::open(
        &dns,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Stage::Etc)?;
    let inside = Path::new(DNS_INSIDE)
        .strip_prefix("/run")
        .unwrap_or(Path::new("lonewire/dns"));
    kept.push(Kept::Mount(inside.into(), tree(&dns)?, true, As::ReadOnly));
    Ok(kept)
}

/// Opens what a path below a folder names, not following a link at its end nor one of proc's; `None` where nothing is.
fn open_below(folder: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, Failure> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => Ok(None),
        Err(errno) => Err(Failure::new(Stage::Mounts, errno)),
    }
}

/// A copy of the mount at an open file or folder, with those below it.
fn tree(source: &OwnedFd) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(source, "", flags).at(Stage::Mounts)
}

/// An overlay on `/etc` whose resolver files are the tunnel's. Its upper layer lives on a tmpfs that is gone from sight afterwards.
fn replace_etc() -> Result<(), Failure> {
    let upper = new_filesystem(
        "tmpfs",
        &[("mode", "0700"), ("size", "1m")],
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )?;
    // It needs a name while the overlay is made; `/run` is about to be replaced anyway.
    attach(&upper, "/run")?;
    let made = make_upper().and_then(|()| {
        let options = c"lowerdir=/etc,upperdir=/run/upper,workdir=/run/work";
        mount(
            "lonewire",
            "/etc",
            "overlay",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(options),
        )
        .at(Stage::Etc)
    });
    detach("/run")?;
    made?;
    let read_only = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount("/etc", read_only, "").at(Stage::Etc)
}

fn make_upper() -> Result<(), Failure> {
    // The mode of the upper folder is that of /etc.
    make_folder(Path::new("/run/upper"), 0o755)?;
    make_folder(Path::new("/run/work"), 0o700)?;
    for name in ["resolv.conf", "hosts"] {
        symlink(format!("{DNS_INSIDE}/{name}"), format!("/run/upper/{name}")).at(Stage::Etc)?;
    }
    let there = match std::fs::read("/etc/nsswitch.conf") {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).at(Stage::Etc),
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open("/run/upper/nsswitch.conf")
        .at(Stage::Etc)?;
    file.write_all(nsswitch(&there).as_bytes()).at(Stage::Etc)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
        .at(Stage::Etc)
}

/// A fresh `/run` with what was kept.
fn replace_run(kept: Vec<Kept>) -> Result<(), Failure> {
    let run = new_filesystem(
        "tmpfs",
        &[("mode", "0755"), ("size", "16m")],
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )?;
    detach("/run")?;
    attach(&run, "/run")?;
    // sd_booted(3) looks whether it is there.
    make_folder(Path::new("/run/systemd/system"), 0o755)?;
    for part in kept {
        match part {
            Kept::Link(path, target) => {
                symlink(target, parent_made(&path)?).at(Stage::Mounts)?;
            }
            Kept::Mount(path, tree, is_folder, how) => {
                let to = parent_made(&path)?;
                if is_folder {
                    make_folder(&to, 0o755)?;
                } else {
                    OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .mode(0o600)
                        .open(&to)
                        .at(Stage::Mounts)?;
                }
                attach(&tree, &to)?;
                if how == As::ReadOnly {
                    let flags = MountFlags::BIND
                        | MountFlags::RDONLY
                        | MountFlags::NOSUID
                        | MountFlags::NODEV;
                    mount_remount(&to, flags, "").at(Stage::Mounts)?;
                }
            }
        }
    }
    let var_run = std::fs::symlink_metadata("/var/run");
    if var_run.is_ok_and(|found| found.is_dir()) {
        mount_bind_recursive("/run", "/var/run").at(Stage::Mounts)?;
    }
    Ok(())
}

/// The full path of a part of `/run`, its parent folder made.
fn parent_made(path: &Path) -> Result<PathBuf, Failure> {
    let full = Path::new("/run").join(path);
    if let Some(parent) = full.parent() {
        make_folder(parent, 0o755)?;
    }
    Ok(full)
}

/// Makes a folder and those above it, whatever the umask; one that is there stays.
fn make_folder(path: &Path, mode: u32) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent, 0o755)?;
    }
    DirBuilder::new()
        .mode(mode)
        .create(path)
        .at(Stage::Mounts)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).at(Stage::Mounts)
}

/// Looks at the result as the program will.
fn verify(request: &Launch) -> Result<(), Failure> {
    let broken = |errno| Err(Failure::new(Stage::Verify, errno));
    for name in ["resolv.conf", "hosts"] {
        let ours = std::fs::read(format!("{DNS_INSIDE}/{name}")).at(Stage::Verify)?;
        if ours.is_empty() || std::fs::read(format!("/etc/{name}")).at(Stage::Verify)? != ours {
            return broken(Errno::STALE);
        }
    }
    let switch = std::fs::read_to_string("/etc/nsswitch.conf").at(Stage::Verify)?;
    if nsswitch(&switch) != switch {
        return broken(Errno::STALE);
    }
    for run in ["/run", "/var/run"] {
        for name in FORBIDDEN {
            match std::fs::symlink_metadata(format!("{run}/{name}")) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).at(Stage::Verify),
                Ok(_) => return broken(Errno::EXIST),
            }
        }
    }
    let mut links = (false, false);
    for entry in std::fs::read_dir("/sys/class/net").at(Stage::Verify)? {
        match entry.at(Stage::Verify)?.file_name().to_str() {
            Some("lo") => links.0 = true,
            Some(name) if name == request.link.as_str() => links.1 = true,
            Some(name) if is_fallback(name) => {}
            _ => return broken(Errno::EXIST),
        }
    }
    if links == (true, true) {
        Ok(())
    } else {
        broken(Errno::NODEV)
    }
}

/// A new file system that is mounted nowhere yet.
fn new_filesystem(
    kind: &str,
    options: &[(&str, &str)],
    flags: MountAttrFlags,
) -> Result<OwnedFd, Failure> {
    let made = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).at(Stage::Mounts)?;
    for (key, value) in options {
        fsconfig_set_string(made.as_fd(), *key, *value).at(Stage::Mounts)?;
    }
    fsconfig_create(made.as_fd()).at(Stage::Mounts)?;
    fsmount(made.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags).at(Stage::Mounts)
}

fn attach(tree: &OwnedFd, path: impl AsRef<Path>) -> Result<(), Failure> {
    move_mount(
        tree,
        "",
        CWD,
        path.as_ref(),
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .at(Stage::Mounts)
}

/// Takes a mount and those below it away; a folder that is no mount point is no error.
fn detach(path: &str) -> Result<(), Failure> {
    match unmount(path, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(Failure::new(Stage::Mounts, errno)),
    }
}
