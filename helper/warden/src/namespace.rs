//! Network namespaces: made, pinned for the whole host to see, looked at, given a TUN, unpinned. A namespace made here is sealed off before it has
//! a name.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{ErrorKind, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
            net::{UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
};

use lonewire_core::{
    launch::{CONTROL_DIR, Event, NETNS_DIR, Stage, Survey},
    name::LinkName,
    plan::SYSCTLS,
};
use rustix::{
    fs::{CWD, FlockOperation, Mode, OFlags},
    io::Errno,
    mount::{
        MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount,
    },
    thread::LinkNameSpaceType,
};

use crate::{
    failure::{At as _, Failure},
    mounts, raw,
};

type Answer = Result<(Event, Vec<OwnedFd>), Failure>;

const RUNTIME_DIR: &str = "/run/lonewire";
const OWN: &str = "/proc/self/ns/net";

/// Makes and pins one.
pub fn create(name: &LinkName) -> Answer {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).at(Stage::Namespace)?;
    let socket = UnixDatagram::unbound().at(Stage::Namespace)?;
    raw::raise(&socket.into(), "lo").at(Stage::Namespace)?;
    let sysctls = sysctls()?;
    for (key, value) in SYSCTLS {
        match sysctl(&sysctls, key, OFlags::WRONLY)? {
            Some(mut file) => file.write_all(value.as_bytes()).at(Stage::Namespace)?,
            // Those of IPv6 may be missing: then IPv6 is.
            None if key.starts_with("ipv6/") => {}
            None => return Err(Failure::new(Stage::Namespace, Errno::NOENT)),
        }
    }
    let namespace = File::open(OWN).at(Stage::Namespace)?;
    let inode = namespace.metadata().at(Stage::Namespace)?.ino();
    let survey = look(&sysctls, inode)?;
    pin(name)?;
    Ok((Event::Namespace(survey), vec![namespace.into()]))
}

/// Binds this process's namespace to a name that nobody has.
fn pin(name: &LinkName) -> Result<(), Failure> {
    share_folder()?;
    let path = path(name);
    OpenOptions::new().write(true).create_new(true).mode(0o000).open(&path).at(Stage::Namespace)?;
    let bound = mount_bind(OWN, &path).at(Stage::Namespace);
    if bound.is_err() {
        let _ = std::fs::remove_file(&path);
    }
    bound
}

/// Makes `/run/netns` a shared mount, once, as `ip netns add` does: a pin is then seen by every mount namespace that follows the host's.
/// Under a lock: two that do it at once would stack mounts, each doubling the next. It is on a folder of root's alone: whoever can open what is locked
/// can keep everybody waiting.
fn share_folder() -> Result<(), Failure> {
    make_folder(NETNS_DIR, 0o755).at(Stage::Namespace)?;
    make_folder(RUNTIME_DIR, 0o700).at(Stage::Namespace)?;
    let lock = File::open(RUNTIME_DIR).at(Stage::Namespace)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).at(Stage::Namespace)?;
    match mount_change(NETNS_DIR, MountPropagationFlags::SHARED) {
        // It is no mount of its own yet.
        Err(Errno::INVAL) => {
            let folder = mounts::copy(CWD, NETNS_DIR)?;
            // Where /run is shared its copy is of the same group: each pin would be mounted here and, out of sight, in the folder below. In a
            // group of its own before it is attached, it goes with its pins to all who follow /run, also to those who did before.
            raw::make_private(&folder).at(Stage::Namespace)?;
            mounts::attach(&folder, NETNS_DIR)?;
            mount_change(NETNS_DIR, MountPropagationFlags::SHARED).at(Stage::Namespace)
        }
        done => done.at(Stage::Namespace),
    }
}

/// Opens the TUN of a namespace and binds its control socket.
pub fn open_tun(namespace: &LinkName, link: &LinkName) -> Answer {
    enter(&open(namespace)?)?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let tun = rustix::fs::open("/dev/net/tun", flags, Mode::empty()).at(Stage::Tun)?;
    raw::attach_tun(&tun, link.as_str()).at(Stage::Tun)?;

    make_folder(CONTROL_DIR, 0o700).at(Stage::ControlSocket)?;
    let path = control_path(link);
    gone(std::fs::remove_file(&path)).at(Stage::ControlSocket)?;
    let control = UnixListener::bind(&path).at(Stage::ControlSocket)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).at(Stage::ControlSocket)?;
    Ok((Event::Tun, vec![tun, control.into()]))
}

/// Unpins one; what still runs in it keeps it until it ends.
pub fn remove(namespace: &LinkName) -> Answer {
    gone(std::fs::remove_file(control_path(namespace))).at(Stage::ControlSocket)?;
    let path = path(namespace);
    match unmount(&path, UnmountFlags::DETACH) {
        Err(Errno::INVAL | Errno::NOENT) => {}
        done => done.at(Stage::Namespace)?,
    }
    gone(std::fs::remove_file(path)).at(Stage::Namespace)?;
    Ok((Event::Done, Vec::new()))
}

/// Reads the sysctls of one.
pub fn survey(namespace: &LinkName) -> Answer {
    let inode = enter(&open(namespace)?)?;
    Ok((Event::Survey(look(&sysctls()?, inode)?), Vec::new()))
}

/// What is seen of this process's namespace in its `sys/net`.
fn look(folder: &OwnedFd, inode: u64) -> Result<Survey, Failure> {
    let mut sysctls = Vec::new();
    for (key, _) in SYSCTLS {
        if let Some(mut file) = sysctl(folder, key, OFlags::RDONLY)? {
            let mut text = String::new();
            file.read_to_string(&mut text).at(Stage::Namespace)?;
            sysctls.push(((*key).to_owned(), text.trim().to_owned()));
        }
    }
    Ok(Survey { inode, sysctls })
}

/// A pinned namespace.
pub fn open(name: &LinkName) -> Result<File, Failure> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path(name))
        .at(Stage::Namespace)
}

/// Moves this process into a network namespace that is not its own already, and gives its inode; a file that is none is refused by the kernel.
pub fn enter(namespace: &File) -> Result<u64, Failure> {
    let wanted = namespace.metadata().at(Stage::Namespace)?.ino();
    if wanted == own_inode()? {
        return Err(Failure::new(Stage::Namespace, Errno::EXIST));
    }
    let network = Some(LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), network).at(Stage::Namespace)?;
    if own_inode()? == wanted {
        Ok(wanted)
    } else {
        Err(Failure::new(Stage::Namespace, Errno::XDEV))
    }
}

/// Inode of the network namespace that this process is in.
pub fn own_inode() -> Result<u64, Failure> {
    Ok(std::fs::metadata(OWN).at(Stage::Namespace)?.ino())
}

fn path(name: &LinkName) -> PathBuf {
    Path::new(NETNS_DIR).join(name.as_str())
}

fn control_path(link: &LinkName) -> PathBuf {
    Path::new(CONTROL_DIR).join(format!("{link}.sock"))
}

/// Makes a folder of this mode, whatever the umask; one that is there stays as it is.
fn make_folder(path: &str, mode: u32) -> std::io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

/// That something is not there is as good as having removed it.
pub fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// A procfs of its own, whose `sys/net` is of this process's namespace: the host's may be mounted read-only.
fn sysctls() -> Result<OwnedFd, Failure> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mounts::new_filesystem("proc", &[], flags)
}

/// One of them; `None` where this kernel has no such sysctl.
fn sysctl(folder: &OwnedFd, key: &str, flags: OFlags) -> Result<Option<File>, Failure> {
    let path = format!("sys/net/{key}");
    match rustix::fs::openat(folder, path, flags | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Failure::new(Stage::Namespace, errno)),
    }
}
