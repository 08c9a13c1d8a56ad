//! What a program sees of the file system: the host's, but for `/sys`, `/run` and `/etc`. By these a name could be looked up by a service of the host,
//! or the host's links be seen. Whole folders are replaced, never single files: a mount on a file vanishes when the host renames that file.

use std::{
    ffi::OsStr,
    fs::File,
    io::{ErrorKind, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{chown, symlink},
        },
    },
    path::Path,
};

use lonewire_core::{
    bus::SOCKET,
    inside::{As, FORBIDDEN, RUN, mounts_below},
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

/// Where things are put together before they have their place: a folder of every host, and the last to be replaced.
const STAGE: &str = "/sys";

/// Puts this process into a mount namespace of its own, made up for the launch. It is in the tunnel's network namespace already: the new `/sys` shows that one.
/// The socket of the host's bus, which nothing inside has a name for, goes to `on_bus` as soon as `/run` is the program's; what that answers is the answer.
pub fn make<T>(
    request: &Launch,
    on_bus: impl FnOnce(&OwnedFd) -> Option<T>,
) -> Result<Option<T>, Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).at(Stage::Mounts)?;
    // Drives plugged in later still appear; nothing goes back to the host.
    let propagation = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", propagation).at(Stage::Mounts)?;
    // All that is made from here on lies on the new mounts, for the user to read.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let host = replace_run(request)?.filter(|_| !request.bus.is_empty());
    let bus = host.as_ref().and_then(on_bus);
    replace_etc()?;
    replace_sys()?;
    verify(request)?;
    Ok(bus)
}

/// A fresh `/run` with what a program gets of the host's.
fn replace_run(request: &Launch) -> Result<Option<OwnedFd>, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = rustix::fs::open("/run", flags, Mode::empty()).at(Stage::Mounts)?;
    let new = small_tmpfs("16m")?;
    attach(&new, STAGE)?;
    let own = format!("user/{}", request.user.uid);
    for (path, how) in std::iter::once((own.as_str(), As::Is)).chain(RUN.iter().copied()) {
        if let Some(source) = open_below(&old, path)? {
            bring(&source, &Path::new(STAGE).join(path), how)?;
        }
    }
    let dns = format!("{}/{}", below_run(DNS_DIR), request.namespace);
    let dns = open_below(&old, &dns)?.ok_or(Failure::new(Stage::Etc, Errno::NOENT))?;
    bring(&dns, &Path::new(STAGE).join(below_run(DNS_INSIDE)), As::ReadOnly)?;
    // The proxy binds its socket as the user.
    let (uid, gid) = (request.user.uid, request.user.gid);
    let folder = Path::new(STAGE).join(SOCKET).with_file_name("");
    std::fs::create_dir_all(&folder).at(Stage::Mounts)?;
    chown(&folder, Some(uid), Some(gid)).at(Stage::Mounts)?;
    // sd_booted(3) looks whether it is there.
    std::fs::create_dir_all(Path::new(STAGE).join("systemd/system")).at(Stage::Mounts)?;
    detach("/run")?;
    attach(&new, "/run")?;
    if std::fs::symlink_metadata("/var/run").is_ok_and(|found| found.is_dir()) {
        mount_bind_recursive("/run", "/var/run").at(Stage::Mounts)?;
    }
    open_below(&old, SOCKET)
}

fn below_run(path: &str) -> &str {
    path.trim_start_matches("/run/")
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

/// Brings a part of the host's `/run`, with the mounts below it; a link is made again.
fn bring(source: &OwnedFd, to: &Path, how: As) -> Result<(), Failure> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).at(Stage::Mounts)?;
    }
    let stat = rustix::fs::fstat(source).at(Stage::Mounts)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(source, "", Vec::new()).at(Stage::Mounts)?;
            return symlink(OsStr::from_bytes(target.as_bytes()), to).at(Stage::Mounts);
        }
        FileType::Directory => std::fs::create_dir_all(to).at(Stage::Mounts)?,
        _ => drop(File::create_new(to).at(Stage::Mounts)?),
    }
    attach(&copy(source, "")?, to)?;
    if how == As::ReadOnly { read_only(to) } else { Ok(()) }
}

/// An overlay on `/etc` whose resolver files are the tunnel's. Its upper layer lies on a tmpfs that is gone from sight afterwards.
fn replace_etc() -> Result<(), Failure> {
    attach(&small_tmpfs("1m")?, STAGE)?;
    // The mode of the upper folder is that of /etc.
    for name in ["upper", "work"] {
        std::fs::create_dir(Path::new(STAGE).join(name)).at(Stage::Etc)?;
    }
    let upper = Path::new(STAGE).join("upper");
    for name in ["resolv.conf", "hosts"] {
        symlink(format!("{DNS_INSIDE}/{name}"), upper.join(name)).at(Stage::Etc)?;
    }
    let there = match std::fs::read("/etc/nsswitch.conf") {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.at(Stage::Etc)?,
    };
    let switch = nsswitch(&String::from_utf8_lossy(&there));
    let mut file = File::create_new(upper.join("nsswitch.conf")).at(Stage::Etc)?;
    file.write_all(switch.as_bytes()).at(Stage::Etc)?;
    let options = format!("lowerdir=/etc,upperdir={STAGE}/upper,workdir={STAGE}/work");
    let options = std::ffi::CString::new(options).at(Stage::Etc)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("lonewire", "/etc", "overlay", flags, Some(options.as_c_str())).at(Stage::Etc)?;
    detach(STAGE)?;
    read_only(Path::new("/etc"))
}

/// A `/sys` that shows this network namespace, with the mounts that were below the old one.
fn replace_sys() -> Result<(), Failure> {
    let table = std::fs::read("/proc/self/mountinfo").at(Stage::Mounts)?;
    let below: Vec<_> = mounts_below(&table, "/sys").map(|path| (copy(CWD, path), path)).collect();
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let sys = new_filesystem("sysfs", &[], flags)?;
    detach("/sys")?;
    attach(&sys, "/sys")?;
    for (tree, path) in below {
        match tree.and_then(|tree| attach(&tree, path)) {
            // It was hidden by another mount, or this namespace's sysfs has no such folder.
            Err(failure) if failure.errno == libc::ENOENT => {}
            done => done?,
        }
    }
    Ok(())
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
    for name in FORBIDDEN {
        for path in [format!("/run/{name}"), format!("/var/run/{name}")] {
            if rustix::fs::lstat(path).err() != Some(Errno::NOENT) {
                return broken(Errno::EXIST);
            }
        }
    }
    let mut links = Vec::new();
    for entry in std::fs::read_dir("/sys/class/net").at(Stage::Verify)? {
        links.push(entry.at(Stage::Verify)?.file_name().to_string_lossy().into_owned());
    }
    links.retain(|link| !is_fallback(link));
    links.sort_unstable();
    let mut wanted = ["lo", request.link.as_str()];
    wanted.sort_unstable();
    if links == wanted { Ok(()) } else { broken(Errno::NODEV) }
}

/// A new file system that is mounted nowhere yet.
pub fn new_filesystem(
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

fn small_tmpfs(size: &str) -> Result<OwnedFd, Failure> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    new_filesystem("tmpfs", &[("mode", "0755"), ("size", size)], flags)
}

/// A copy of a mount with those below it, in no place yet: at a path below a folder, or at an open file where the path is empty.
pub fn copy(from: impl AsFd, path: impl AsRef<Path>) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(from, path.as_ref(), flags).at(Stage::Mounts)
}

pub fn attach(tree: &OwnedFd, path: impl AsRef<Path>) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, "", CWD, path.as_ref(), flags).at(Stage::Mounts)
}

fn read_only(path: &Path) -> Result<(), Failure> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount(path, flags, "").at(Stage::Mounts)
}

/// Takes a mount and those below it away; a folder that is no mount point is no error.
fn detach(path: &str) -> Result<(), Failure> {
    match unmount(path, UnmountFlags::DETACH) {
        Err(Errno::INVAL) => Ok(()),
        done => done.at(Stage::Mounts),
    }
}
