//! First process of a world: hides the machine's files behind private ones, then reaps orphans until its standard input ends.
//! Runs in mount, PID, network, UTS and IPC namespaces that `unshare` has just made; must never run outside of them.

use std::{
    fs::{self, DirBuilder},
    io::{BufRead as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{DirBuilderExt as _, chown, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    mount::{MsFlags, mount},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        stat::{Mode, SFlag, makedev, mknod},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
};
use serde::{Deserialize, Serialize};

use crate::{install, net::Spec, users};

/// What the first process is told, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub spec: Spec,
    /// The binary that has the roles.
    pub roles: PathBuf,
    /// The project, for `data/` and `polkit/`.
    pub project: PathBuf,
    /// Where the built programs are; none: a world without the product.
    pub programs: Option<PathBuf>,
}

/// Where a world keeps what the lab itself needs: logs, captures. Root's only.
pub const LAB: &str = "/run/lab";
/// The role binary inside a world or a system, for every user.
pub const ROLES: &str = "/usr/libexec/lonewire-lab/roles";
/// The systemd units inside a world.
pub const UNITS: &str = "/usr/lib/systemd/system";
/// Sources that lie below what gets hidden.
const KEPT: &str = "/mnt/kept";

/// The role. Prints `ready`, or what went wrong.
///
/// # Errors
/// Not in a world of its own, or a mount fails.
pub fn init() -> Result<()> {
    ensure!(
        std::process::id() == 1,
        "not the first process of a PID namespace"
    );
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match serde_json::from_str(&line)
        .map_err(Into::into)
        .and_then(|order| prepare(&order))
    {
        Ok(()) => println!("ready"),
        Err(error) => {
            println!("{error:#}");
            bail!("no world");
        }
    }
    std::io::stdout().flush()?;
    reap()
}

fn prepare(order: &Order) -> Result<()> {
    // What is needed from below /tmp, /root or /home is bound away first.
    tmpfs("/mnt", "0755")?;
    fs::create_dir(KEPT)?;
    let project = keep(&order.project, "project")?;
    let roles = keep(&order.roles, "roles")?;
    let programs = order
        .programs
        .as_deref()
        .map(|path| keep(path, "programs"))
        .transpose()?;
    let groups = keep(Path::new("/sys/fs/cgroup"), "cgroup")?;

    run("cp", &["-a", "/etc", "/mnt/etc"])?;
    bind(Path::new("/mnt/etc"), Path::new("/etc"))?;
    overlay("/usr")?;
    overlay("/var")?;
    for (path, mode) in [
        ("/run", "0755"),
        ("/tmp", "1777"),
        ("/dev/shm", "1777"),
        ("/home", "0755"),
        ("/root", "0700"),
    ] {
        tmpfs(path, mode)?;
    }
    // What a test takes away here is the world's, never the machine's.
    tmpfs("/dev/net", "0755")?;
    let tun = makedev(10, 200);
    mknod(
        "/dev/net/tun",
        SFlag::S_IFCHR,
        Mode::from_bits_truncate(0o666),
        tun,
    )
    .context("/dev/net/tun")?;
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::empty(),
        None::<&str>,
    )
    .context("/proc")?;
    // Of this network: the machine's interfaces are not in it.
    mount(
        Some("sysfs"),
        "/sys",
        Some("sysfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .context("/sys")?;
    mount(
        Some(&groups),
        "/sys/fs/cgroup",
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )?;

    for path in [
        "/run/netns",
        "/run/dbus",
        "/run/user",
        "/run/systemd/journal",
        "/run/lock",
        "/usr/libexec/lonewire-lab",
    ] {
        fs::create_dir_all(path)?;
    }
    DirBuilder::new().mode(0o700).create(LAB)?;
    if Path::new("/var/run").read_link().is_err() {
        bind(Path::new("/run"), Path::new("/var/run"))?;
    }
    place(&roles, Path::new(ROLES))?;
    people()?;
    names(&order.spec)?;
    if let Some(programs) = programs {
        install(&project, &programs)?;
    }
    // A pin made anywhere in the world is to be seen by units that have mounts of their own.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SHARED,
        None::<&str>,
    )?;
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["netns", "attach", "host", "1"])?;
    std::env::set_current_dir("/")?;
    Ok(())
}

/// Binds something to a place that stays visible.
fn keep(source: &Path, name: &str) -> Result<PathBuf> {
    let target = Path::new(KEPT).join(name);
    if source.is_dir() {
        fs::create_dir(&target)?;
    } else {
        fs::write(&target, "")?;
    }
    bind(source, &target)?;
    Ok(target)
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(
        Some(source),
        target,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )
    .with_context(|| format!("bind {} to {}", source.display(), target.display()))
}

/// Puts one file where the world's programs look for it.
fn place(source: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target.parent().context("no folder")?)?;
    fs::write(target, "")?;
    bind(source, target)
}

fn tmpfs(path: &str, mode: &str) -> Result<()> {
    mount(
        Some("lab"),
        path,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(format!("mode={mode}").as_str()),
    )
    .with_context(|| format!("tmpfs on {path}"))
}

/// Writes below `path` go to memory.
fn overlay(path: &str) -> Result<()> {
    let (upper, work) = (format!("/mnt/upper{path}"), format!("/mnt/work{path}"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let options = format!("lowerdir={path},upperdir={upper},workdir={work}");
    mount(
        Some("lab"),
        path,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .with_context(|| format!("overlay on {path}"))
}

fn people() -> Result<()> {
    let (mut passwd, mut group, mut shadow) = (String::new(), String::new(), String::new());
    let mut extra: Vec<(&str, u32, Vec<&str>)> = Vec::new();
    let all: Vec<_> = users::ALL.iter().chain([&users::DATA_PLANE]).collect();
    for person in &all {
        passwd += &format!(
            "{}:x:{}:{}:{}:{}:{}\n",
            person.name, person.uid, person.gid, person.name, person.home, person.shell
        );
        group += &format!("{}:x:{}:\n", person.name, person.gid);
        shadow += &format!("{}:*:19000:0:99999:7:::\n", person.name);
        for (name, number) in person.groups {
            match extra.iter_mut().find(|(known, ..)| known == name) {
                Some((.., members)) => members.push(person.name),
                None => extra.push((name, *number, vec![person.name])),
            }
        }
    }
    for (name, number, members) in extra {
        group += &format!("{name}:x:{number}:{}\n", members.join(","));
    }
    for (file, text) in [("passwd", passwd), ("group", group), ("shadow", shadow)] {
        // The machine may have a `lonewire-wg` of its own, and people with the numbers of the world's: these replace them.
        let path = format!("/etc/{file}");
        let old = fs::read_to_string(&path)?;
        let is_replaced = |line: &&str| {
            let mut fields = line.split(':');
            let (name, number) = (fields.next(), fields.nth(1));
            let number = number.and_then(|number| number.parse().ok());
            all.iter()
                .any(|person| name == Some(person.name) || number == Some(person.uid))
        };
        let kept: String = old
            .lines()
            .filter(|line| !is_replaced(line))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(&path, kept + &text)?;
    }
    for person in users::ALL
        .iter()
        .filter(|person| person.home.starts_with("/home/"))
    {
        for (path, mode) in [
            (person.home.to_owned(), 0o755),
            (format!("/run/user/{}", person.uid), 0o700),
        ] {
            DirBuilder::new().mode(mode).create(&path)?;
            chown(&path, Some(person.uid), Some(person.gid))?;
        }
    }
    Ok(())
}

/// The host's own look-ups.
fn names(spec: &Spec) -> Result<()> {
    nix::unistd::sethostname("worldhost")?;
    // Where the machine has a symbolic link here, into its own /run, the world has a file.
    fs::remove_file("/etc/resolv.conf").or_else(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    fs::write(
        "/etc/resolv.conf",
        format!(
            "nameserver {}\noptions timeout:2 attempts:1\n",
            spec.host_dns()
        ),
    )?;
    fs::write(
        "/etc/hosts",
        "127.0.0.1 localhost worldhost\n::1 localhost\n",
    )?;
    fs::write("/etc/hostname", "worldhost\n")?;
    let text = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("hosts:"))
        .collect();
    lines.push("hosts: files dns");
    fs::write("/etc/nsswitch.conf", lines.join("\n") + "\n")?;
    Ok(())
}

/// Everything that `data/install.toml` lists, where it says.
fn install(project: &Path, programs: &Path) -> Result<()> {
    for file in install::list(project)? {
        let source = file.origin(project, programs)?;
        place(&source, Path::new(&file.destination))
            .with_context(|| source.display().to_string())?;
    }
    fs::create_dir_all("/etc/polkit-1/rules.d")?;
    fs::write("/etc/polkit-1/rules.d/10-lab.rules", GRANTS)?;
    // What tmpfiles.d does on a real machine.
    for path in [
        "/var/lib/lonewire",
        "/run/lonewire",
        "/run/wireguard",
        "/etc/lonewire/tunnels.d",
    ] {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    }
    let _ = symlink("/usr/share/zoneinfo/UTC", "/etc/localtime");
    Ok(())
}

/// A caller without a session counts as `any` with polkit: alice and bob get what an active session would.
const GRANTS: &str = r#"polkit.addRule(function(action, subject) {
    if (/^org\.lonewire\.helper1\.[a-z]+-own$/.test(action.id) && (subject.user == "alice" || subject.user == "bob")) {
        return polkit.Result.YES;
    }
});
"#;

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let out = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| program.to_owned())?;
    ensure!(
        out.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    Ok(())
}

/// Buries orphans until standard input ends; then this process ends, and the kernel ends all others.
fn reap() -> Result<()> {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block()?;
    let signals = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let stdin = std::io::stdin();
    loop {
        while !matches!(
            waitpid(None, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive) | Err(_)
        ) {}
        let mut waited = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waited, PollTimeout::NONE) {
            Err(nix::Error::EINTR) => continue,
            other => other?,
        };
        if waited[1].any() == Some(true) {
            return Ok(());
        }
        while let Ok(Some(_)) = signals.read_signal() {}
    }
}
