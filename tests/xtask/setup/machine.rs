//! What is on this machine: programs, files, and what its kernel can do. Each is tried where that leaves nothing behind; must change nothing.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lab::world::PATH;

use crate::cargo::cargo;

/// What userspace WireGuard works on.
pub const TUN: &str = "/dev/net/tun";

#[derive(Debug, Clone, Copy)]
pub enum Distribution {
    Debian,
    Fedora,
    Arch,
}

/// By os-release(5).
pub fn distribution() -> Option<Distribution> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let values: Vec<_> = ["ID=", "ID_LIKE="]
        .iter()
        .filter_map(|key| text.lines().find_map(|line| line.strip_prefix(key)))
        .map(|value| value.trim_matches('"').to_owned())
        .collect();
    values
        .iter()
        .flat_map(|value| value.split(' '))
        .find_map(|id| match id {
            "debian" | "ubuntu" => Some(Distribution::Debian),
            "fedora" | "rhel" => Some(Distribution::Fedora),
            "arch" => Some(Distribution::Arch),
            _ => None,
        })
}

/// Where a program is, by `PATH` and the folders of administrators, which a user's `PATH` lacks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| {
            fs::metadata(path)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// Whether a file is there; a `*` stands for one folder.
pub fn has_file(pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once("/*/") else {
        return Path::new(pattern).exists();
    };
    let folders = fs::read_dir(before).into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join(after))
        .any(|path| path.exists())
}

/// Whether a folder holds a package's file.
pub fn has_package(folder: &Path, name: &str) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let start = format!("{name}_");
    files
        .filter_map(|file| file.file_name().into_string().ok())
        .any(|file| file.starts_with(&start) && file.ends_with(".deb"))
}

/// Whether cargo has a subcommand. One of rustup's is there as a file even where its component is not: it is run.
pub fn has_tool(name: &str) -> bool {
    let mut command = cargo();
    command.args([name, "--version"]);
    works(&mut command)
}

pub fn has_tun() -> bool {
    fs::metadata(TUN).is_ok_and(|meta| meta.file_type().is_char_device())
}

/// What of the kernel is needed, and what tries it, in namespaces that end with it.
const KERNEL: &[(&str, &str)] = &[
    ("namespaces of every kind", "true"),
    ("veth links", "ip link add one type veth peer name two"),
    ("bridges", "ip link add one type bridge"),
    (
        "macvlan links",
        "ip link add one type veth peer name two && ip link add link one name three type macvlan",
    ),
    ("TUN links", "ip tuntap add dev one mode tun"),
    (
        "nftables with NAT",
        "nft 'add table ip a; add chain ip a b { type nat hook postrouting priority 100; }; add rule ip a b masquerade'",
    ),
    (
        "overlays on a tmpfs",
        "mount -t tmpfs a /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work a /etc",
    ),
];

/// What no package can bring.
pub fn kernel_lacks() -> Vec<String> {
    let mut lacks = Vec::new();
    for (what, script) in KERNEL {
        // What a missing program cannot try is tried once it is installed.
        let program = script.split(' ').next().unwrap_or_default();
        if find("unshare").is_none() || find(program).is_none() {
            continue;
        }
        if *what == "TUN links" && !has_tun() {
            continue;
        }
        let mut command = Command::new("unshare");
        command.args([
            "--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork",
        ]);
        command.args(["--propagation", "private", "sh", "-ec", script]);
        if !works(command.env("PATH", PATH)) {
            lacks.push(format!(
                "{what} in the kernel (modprobe?), or the right to them"
            ));
        }
    }
    if lab::system::cgroup2().is_err() {
        lacks.push("cgroup2, mounted".into());
    }
    lacks
}

fn works(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
