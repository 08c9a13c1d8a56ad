//! Starts a program as its systemd unit would: mounts, limits, capabilities, user, no_new_privs and system-call filter. So every lab runs Lonewire
//! within the walls that it is shipped with. What is left out (resource control, user namespaces, keyrings) the system ring covers.

use std::{
    fs,
    os::{
        fd::AsFd as _,
        unix::{fs::DirBuilderExt as _, net::UnixListener, process::CommandExt as _},
    },
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{User, setgroups, setresgid, setresuid},
};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::{
    init::{LAB, ROLES},
    syscalls,
    unit::Unit,
};

/// The role: becomes the unit's program.
///
/// # Errors
/// Anything of the unit that cannot be applied.
pub fn run(
    path: &Path,
    filters: Option<&Path>,
    connection: bool,
    command: &[String],
) -> Result<()> {
    let unit = Unit::read(path)?;
    let filters = match filters {
        Some(file) => syscalls::read(file)?,
        None => syscalls::filters(&unit)?,
    };
    let is_own = command.is_empty();
    let mut program = if is_own {
        let line = unit.value("ExecStart").context("no ExecStart")?;
        line.split_whitespace().map(str::to_owned).collect()
    } else {
        command.to_vec()
    };
    ensure!(!program.is_empty(), "no program");
    let mut command = Command::new(program.remove(0));
    command
        .args(program)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        .env("LANG", "C.UTF-8");
    if let Some(level) = std::env::var_os("RUST_LOG") {
        command.env("RUST_LOG", level);
    }
    // Another program finds it on its standard input.
    if connection && is_own {
        hand_over(&mut command)?;
    }
    let user = match unit.value("User") {
        Some(name) => Some(User::from_name(&name)?.with_context(|| format!("no user {name}"))?),
        None => None,
    };
    mounts(&unit)?;
    limits(&unit)?;
    if let Some(list) = unit.value("CapabilityBoundingSet") {
        bounding_set(&list)?;
    }
    if let Some(user) = user {
        setgroups(&[])?;
        setresgid(user.gid, user.gid, user.gid)?;
        setresuid(user.uid, user.uid, user.uid)?;
    }
    if unit.is_on("NoNewPrivileges") {
        rustix::thread::set_no_new_privs(true)?;
    }
    for filter in &filters {
        seccompiler::apply_filter(filter)?;
    }
    Err(command.exec()).context("exec")
}

/// The connection on standard input becomes descriptor 3, as sd_listen_fds(3) has it.
fn hand_over(command: &mut Command) -> Result<()> {
    let moved = rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 3)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&moved);
    ensure!(number == 3, "descriptor 3 is taken");
    rustix::io::fcntl_setfd(&moved, rustix::io::FdFlags::empty())?;
    std::mem::forget(moved);
    command
        .stdin(Stdio::null())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "connection")
        .env("LISTEN_PID", std::process::id().to_string());
    Ok(())
}

fn limits(unit: &Unit) -> Result<()> {
    for (key, resource) in [
        ("LimitCORE", Resource::RLIMIT_CORE),
        ("LimitNOFILE", Resource::RLIMIT_NOFILE),
    ] {
        if let Some(value) = unit.value(key) {
            let value: u64 = value.parse().with_context(|| key.to_owned())?;
            // Root in a container may not raise a limit: what it has must do.
            let value = value.min(getrlimit(resource)?.1);
            setrlimit(resource, value, value).with_context(|| key.to_owned())?;
        }
    }
    let mask = unit.value("UMask").unwrap_or_else(|| "0022".into());
    umask(Mode::from_bits_truncate(u32::from_str_radix(&mask, 8)?));
    Ok(())
}

/// Takes every capability that is not in the list out of the bounding set: exec of a root program then cannot gain it.
fn bounding_set(list: &str) -> Result<()> {
    let mut kept = CapabilitySet::empty();
    for name in list.split_whitespace() {
        kept |= match name {
            "CAP_NET_ADMIN" => CapabilitySet::NET_ADMIN,
            "CAP_SYS_ADMIN" => CapabilitySet::SYS_ADMIN,
            _ => bail!("capability {name} is not known here"),
        };
    }
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // Newer than this kernel.
            Err(rustix::io::Errno::INVAL) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

const NONE: Option<&str> = None;

/// The mounts that matter to what Lonewire does: read-only system, private `/tmp` and `/dev`, hidden homes, `/proc` of processes only.
fn mounts(unit: &Unit) -> Result<()> {
    if unit.value("ProtectSystem").is_none() && !unit.is_on("PrivateTmp") {
        return Ok(());
    }
    let mut writable = Vec::new();
    for (key, base) in [("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")] {
        if let Some(name) = unit.value(key) {
            let path = Path::new(base).join(name);
            if !path.exists() {
                fs::DirBuilder::new().mode(0o700).create(&path)?;
            }
            writable.push(path);
        }
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    // What is pinned later outside is seen here; what is mounted here is seen nowhere else.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
    for path in &writable {
        mount(
            Some(path),
            path,
            NONE,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            NONE,
        )?;
    }
    if unit.is_on("PrivateDevices") {
        devices()?;
    }
    if unit.is_on("PrivateTmp") {
        for path in ["/tmp", "/var/tmp"] {
            mount(
                Some("tmp"),
                path,
                Some("tmpfs"),
                MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
                Some("mode=1777"),
            )?;
        }
        writable.extend(["/tmp".into(), "/var/tmp".into()]);
    }
    if unit.is_on("ProtectHome") {
        for path in ["/home", "/root", "/run/user"] {
            mount(
                Some("home"),
                path,
                Some("tmpfs"),
                MsFlags::MS_RDONLY,
                Some("mode=0"),
            )?;
        }
    }
    if unit.value("ProcSubset").as_deref() == Some("pid") {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(
            Some("proc"),
            "/proc",
            Some("proc"),
            flags,
            Some("hidepid=invisible,subset=pid"),
        )?;
    }
    if unit.value("ProtectSystem").as_deref() == Some("strict") {
        read_only(&writable)?;
    }
    Ok(())
}

fn devices() -> Result<()> {
    let (kept, dev) = ("/mnt/dev", "/dev");
    fs::create_dir_all(kept)?;
    mount(
        Some(dev),
        kept,
        NONE,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        NONE,
    )?;
    mount(
        Some("dev"),
        dev,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some("mode=0755"),
    )?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let target = format!("{dev}/{name}");
        fs::write(&target, "")?;
        mount(
            Some(format!("{kept}/{name}").as_str()),
            target.as_str(),
            NONE,
            MsFlags::MS_BIND,
            NONE,
        )?;
    }
    umount2(kept, MntFlags::MNT_DETACH)?;
    Ok(())
}

/// Every mount but those of the kernel and those in `writable`.
fn read_only(writable: &[std::path::PathBuf]) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    for line in table.lines() {
        let mut fields = line.split(' ').skip(4);
        let (Some(path), Some(options)) = (fields.next(), fields.next()) else {
            continue;
        };
        let path = path.replace("\\040", " ");
        let below = |top: &str| Path::new(&path).starts_with(top);
        if below("/proc")
            || below("/sys")
            || below("/dev")
            || writable.iter().any(|top| Path::new(&path).starts_with(top))
        {
            continue;
        }
        let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        for option in options.split(',') {
            flags |= match option {
                "nosuid" => MsFlags::MS_NOSUID,
                "nodev" => MsFlags::MS_NODEV,
                "noexec" => MsFlags::MS_NOEXEC,
                "noatime" => MsFlags::MS_NOATIME,
                "relatime" => MsFlags::MS_RELATIME,
                _ => MsFlags::empty(),
            };
        }
        match mount(NONE, path.as_str(), NONE, flags, NONE) {
            // Hidden below another mount, or one that cannot be written anyway (a pinned namespace).
            Ok(())
            | Err(
                nix::Error::ENOENT | nix::Error::EINVAL | nix::Error::ENOTDIR | nix::Error::EACCES,
            ) => {}
            Err(error) => return Err(error).context(path),
        }
    }
    Ok(())
}

/// The role: a socket unit with `Accept=yes`; each connection gets a process of its own. Prints a line once it listens.
///
/// # Errors
/// The socket cannot be made.
pub fn activate(socket: &Path, unit: &Path, command: &[String]) -> Result<()> {
    // Making them takes longer than an instance does: once is enough.
    let filters = Path::new(LAB).join(format!(
        "{}.filters",
        unit.file_stem().unwrap_or_default().display()
    ));
    syscalls::write(&syscalls::filters(&Unit::read(unit)?)?, &filters)?;
    let old = umask(Mode::from_bits_truncate(0o177));
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).with_context(|| socket.display().to_string())?;
    umask(old);
    println!("listening");
    // Instances are orphans: the world's first process buries them, and the end of this one does not end them.
    for connection in listener.incoming() {
        let connection = std::os::fd::OwnedFd::from(connection?);
        let mut instance = Command::new(ROLES);
        instance
            .args(["role", "sandbox", "--connection", "--filters"])
            .args([&filters, unit]);
        if !command.is_empty() {
            instance.arg("--").args(command);
        }
        let child = instance.stdin(connection).stdout(Stdio::null()).spawn()?;
        std::thread::spawn(move || {
            drop({
                let mut child = child;
                child.wait()
            })
        });
    }
    Ok(())
}
