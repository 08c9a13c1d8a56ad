//! Network namespaces: made, pinned for the whole host to see, looked at, given a TUN, unpinned. A namespace made here is sealed off before it has
//! a name.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
            net::UnixListener,
        },
    },
    path::PathBuf,
};

use lonewire_core::{
    launch::{CONTROL_DIR, Event, NETNS_DIR, Stage, Survey},
    name::LinkName,
    plan::SYSCTLS,
};
use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, UnmountFlags,
        fsconfig_create, fsmount, fsopen, mount_bind, mount_change, unmount,
    },
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
    thread::LinkNameSpaceType,
};

use crate::{
    failure::{At as _, Failure},
    raw,
};

type Answer = Result<(Event, Vec<OwnedFd>), Failure>;

const OWN: &str = "/proc/self/ns/net";

/// Makes and pins one.
pub fn create(name: &LinkName) -> Answer {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).at(Stage::Namespace)?;
    raise_loopback().at(Stage::Namespace)?;
    let sysctls = Sysctls::open()?;
    for (key, value) in SYSCTLS {
        sysctls.set(key, value)?;
    }
    let namespace = File::open(OWN).at(Stage::Namespace)?;
    let inode = namespace.metadata().at(Stage::Namespace)?.ino();
    pin(name)?;
    Ok((Event::Namespace { inode }, vec![namespace.into()]))
}

/// Binds this process's namespace to a name that nobody has.
fn pin(name: &LinkName) -> Result<(), Failure> {
    share_folder()?;
    let path = path(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o000)
        .open(&path)
        .at(Stage::Namespace)?;
    let bound = mount_bind(OWN, &path).at(Stage::Namespace);
    if bound.is_err() {
        let _ = std::fs::remove_file(&path);
    }
    bound
}

/// Makes `/run/netns` a shared mount, once, as `ip netns add` does: a pin is then seen by every mount namespace that follows the host's.
/// Under a lock: two that do it at once would stack mounts, each doubling the next.
fn share_folder() -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(NETNS_DIR)
        .at(Stage::Namespace)?;
    let lock = rustix::fs::open(
        NETNS_DIR,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Stage::Namespace)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).at(Stage::Namespace)?;
    match mount_change(NETNS_DIR, MountPropagationFlags::SHARED) {
        // It is no mount of its own yet.
        Err(Errno::INVAL) => {
            mount_bind(NETNS_DIR, NETNS_DIR).at(Stage::Namespace)?;
            mount_change(NETNS_DIR, MountPropagationFlags::SHARED).at(Stage::Namespace)
        }
        done => done.at(Stage::Namespace),
    }
}

/// Opens the TUN of a namespace and binds its control socket.
pub fn open_tun(namespace: &LinkName, link: &LinkName) -> Answer {
    enter(&open(namespace)?)?;
    let tun = rustix::fs::open(
        "/dev/net/tun",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Stage::Tun)?;
    raw::attach_tun(&tun, link.as_str()).at(Stage::Tun)?;

    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(CONTROL_DIR)
        .at(Stage::ControlSocket)?;
    let path = control_path(link);
    gone(std::fs::remove_file(&path)).at(Stage::ControlSocket)?;
    let control = UnixListener::bind(&path).at(Stage::ControlSocket)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .at(Stage::ControlSocket)?;
    Ok((Event::Tun, vec![tun, control.into()]))
}

/// Unpins one; what still runs in it keeps it until it ends.
pub fn remove(namespace: &LinkName) -> Answer {
    gone(std::fs::remove_file(control_path(namespace))).at(Stage::ControlSocket)?;
    let path = path(namespace);
    match unmount(&path, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(errno) => return Err(Failure::new(Stage::Namespace, errno)),
    }
    gone(std::fs::remove_file(path)).at(Stage::Namespace)?;
    Ok((Event::Done, Vec::new()))
}

/// Reads the sysctls of one.
pub fn survey(namespace: &LinkName) -> Answer {
    let file = open(namespace)?;
    let inode = file.metadata().at(Stage::Namespace)?.ino();
    enter(&file)?;
    let open = Sysctls::open()?;
    let mut sysctls = Vec::new();
    for (key, _) in SYSCTLS {
        if let Some(value) = open.get(key)? {
            sysctls.push(((*key).to_owned(), value));
        }
    }
    Ok((Event::Survey(Survey { inode, sysctls }), Vec::new()))
}

/// A pinned namespace.
pub fn open(name: &LinkName) -> Result<File, Failure> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path(name))
        .at(Stage::Namespace)
}

/// Moves this process into a network namespace that is not its own already; a file that is none is refused by the kernel.
pub fn enter(namespace: &File) -> Result<(), Failure> {
    let wanted = namespace.metadata().at(Stage::Namespace)?.ino();
    if wanted == own_inode()? {
        return Err(Failure::new(Stage::Namespace, Errno::EXIST));
    }
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(namespace),
        Some(LinkNameSpaceType::Network),
    )
    .at(Stage::Namespace)?;
    if own_inode()? == wanted {
        Ok(())
    } else {
        Err(Failure::new(Stage::Namespace, Errno::XDEV))
    }
}

/// Inode of the network namespace that this process is in.
pub fn own_inode() -> Result<u64, Failure> {
    Ok(std::fs::metadata(OWN).at(Stage::Namespace)?.ino())
}

fn path(name: &LinkName) -> PathBuf {
    PathBuf::from(format!("{NETNS_DIR}/{name}"))
}

fn control_path(link: &LinkName) -> PathBuf {
    PathBuf::from(format!("{CONTROL_DIR}/{link}.sock"))
}

/// That something is not there is as good as having removed it.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Sets `lo` up: it is link 1 of every namespace. rtnetlink(7), RTM_NEWLINK with the flag alone.
fn raise_loopback() -> rustix::io::Result<()> {
    const NEWLINK: u16 = libc::RTM_NEWLINK;
    const REQUEST_ACK: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    const UP: u32 = libc::IFF_UP as u32;
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(NEWLINK.to_ne_bytes());
    message.extend(REQUEST_ACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(1_u32.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // nlmsgerr: 16 bytes of header, then the negative errno.
    match answer.get(..length).and_then(|answer| answer.get(16..20)) {
        Some([0, 0, 0, 0]) => Ok(()),
        Some(&[a, b, c, d]) => Err(Errno::from_raw_os_error(-i32::from_ne_bytes([a, b, c, d]))),
        _ => Err(Errno::PROTO),
    }
}

/// `/proc/sys/net` of this process's namespace, by a procfs of its own: the host's may be mounted read-only.
struct Sysctls(OwnedFd);

impl Sysctls {
    fn open() -> Result<Self, Failure> {
        let proc = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).at(Stage::Namespace)?;
        fsconfig_create(&proc).at(Stage::Namespace)?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, flags)
            .at(Stage::Namespace)
            .map(Self)
    }

    /// `None` where this kernel has no such sysctl.
    fn file(&self, key: &str, flags: OFlags) -> Result<Option<File>, Failure> {
        let path = format!("sys/net/{key}");
        match rustix::fs::openat(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Failure::new(Stage::Namespace, errno)),
        }
    }

    fn get(&self, key: &str) -> Result<Option<String>, Failure> {
        let Some(mut file) = self.file(key, OFlags::RDONLY)? else {
            return Ok(None);
        };
        let mut text = String::new();
        file.read_to_string(&mut text).at(Stage::Namespace)?;
        Ok(Some(text.trim().to_owned()))
    }

    /// Sets one and reads it back. Those of IPv6 may be missing: then IPv6 is.
    fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        match self.file(key, OFlags::WRONLY)? {
            Some(mut file) => file.write_all(value.as_bytes()).at(Stage::Namespace)?,
            None if key.starts_with("ipv6/") => return Ok(()),
            None => return Err(Failure::new(Stage::Namespace, Errno::NOENT)),
        }
        let there = self.get(key)?.unwrap_or_default();
        if there.split_whitespace().eq(value.split_whitespace()) {
            Ok(())
        } else {
            Err(Failure::new(Stage::Namespace, Errno::PROTO))
        }
    }
}
