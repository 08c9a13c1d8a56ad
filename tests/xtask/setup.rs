//! `cargo xtask setup`: lists what the machine lacks and installs it with the distribution's own tools. Must never install a resolver, nor
//! anything without having said so.

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    os::unix::fs::FileTypeExt as _,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::cargo::{cargo, find, run as call};

#[derive(Debug, Default, clap::Args)]
pub struct Arguments {
    /// Install without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// Also what `.ci/run` needs.
    #[arg(long)]
    pub ci: bool,
}

/// `packages.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    need: Vec<Need>,
    cargo: Vec<Tool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Need {
    any: Vec<String>,
    debian: Vec<String>,
    fedora: Vec<String>,
    arch: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    program: String,
    #[serde(default)]
    ci: bool,
}

#[derive(Debug, Clone, Copy)]
enum Distribution {
    Debian,
    Fedora,
    Arch,
}

/// What is missing.
#[derive(Debug, Default)]
struct Missing {
    packages: Vec<String>,
    tools: Vec<String>,
    /// What `setup` makes itself.
    tun: bool,
    /// What only the person can mend.
    beyond: Vec<String>,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.tools.is_empty() && !self.tun && self.beyond.is_empty()
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .packages
            .iter()
            .map(|name| format!("package {name}"))
            .collect();
        lines.extend(self.tools.iter().map(|name| format!("cargo tool {name}")));
        if self.tun {
            lines.push(format!("device {TUN}"));
        }
        lines.extend(self.beyond.iter().cloned());
        lines
    }
}

const TUN: &str = "/dev/net/tun";
/// Package lists older than this name files that mirrors have dropped.
const STALE: Duration = Duration::from_hours(24);

/// The command.
///
/// # Errors
/// Something is missing and was not installed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let missing = look(arguments.ci)?;
    if missing.is_empty() {
        println!("nothing is missing");
        return Ok(());
    }
    println!("missing:");
    for line in missing.lines() {
        println!("  {line}");
    }
    ensure!(
        missing.beyond.is_empty(),
        "setup cannot install everything that is missing"
    );
    if !arguments.yes {
        ensure!(
            std::io::stdin().is_terminal(),
            "nothing was installed: no terminal to ask on; cargo xtask setup --yes"
        );
        print!("Install? [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        ensure!(
            matches!(answer.trim(), "y" | "Y" | "yes"),
            "nothing was installed"
        );
    }
    install(&missing)?;
    let rest = look(arguments.ci)?;
    ensure!(
        rest.is_empty(),
        "still missing: {}",
        rest.lines().join(", ")
    );
    println!("nothing is missing any more");
    Ok(())
}

/// Says what to do where the machine is not set up.
///
/// # Errors
/// Something is missing.
pub fn require() -> Result<()> {
    let missing = look(false)?;
    ensure!(
        missing.is_empty(),
        "this machine lacks {}: cargo xtask setup",
        missing.lines().join(", ")
    );
    Ok(())
}

fn look(ci: bool) -> Result<Missing> {
    let list: List = toml::from_str(include_str!("packages.toml"))?;
    let unmet: Vec<_> = list
        .need
        .into_iter()
        .filter(|need| !need.any.iter().any(|thing| is_there(thing)))
        .collect();
    let mut missing = Missing::default();
    if !unmet.is_empty() {
        match distribution() {
            Some(distribution) => {
                for need in unmet {
                    missing.packages.extend(match distribution {
                        Distribution::Debian => need.debian,
                        Distribution::Fedora => need.fedora,
                        Distribution::Arch => need.arch,
                    });
                }
                missing.packages.sort();
                missing.packages.dedup();
            }
            None => missing.beyond.extend(unmet.iter().map(|need| {
                format!(
                    "{} (this distribution's package names are not known)",
                    need.any.join(" or ")
                )
            })),
        }
    }
    missing.tools = list
        .cargo
        .into_iter()
        .filter(|tool| (ci || !tool.ci) && !has_tool(&tool.program))
        .map(|tool| tool.program)
        .collect();
    missing.tun = !fs::metadata(TUN).is_ok_and(|meta| meta.file_type().is_char_device());
    kernel(&mut missing.beyond);
    Ok(missing)
}

fn is_there(thing: &str) -> bool {
    if thing.starts_with('/') {
        Path::new(thing).exists()
    } else {
        find(thing).is_some()
    }
}

/// Cargo looks for its tools in its own folder too.
fn has_tool(program: &str) -> bool {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        Into::into,
    );
    find(program).is_some() || home.join("bin").join(program).is_file()
}

/// What a package cannot bring.
fn kernel(beyond: &mut Vec<String>) {
    if !nix::unistd::geteuid().is_root() {
        beyond.push("root: worlds are made of namespaces that only root can join".into());
    }
    for kind in ["net", "mnt", "pid", "uts", "ipc", "user", "cgroup"] {
        if !Path::new("/proc/self/ns").join(kind).exists() {
            beyond.push(format!("namespaces of the kind {kind} in the kernel"));
        }
    }
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    for kind in ["overlay", "cgroup2", "tmpfs"] {
        if !filesystems
            .lines()
            .any(|line| line.split_whitespace().last() == Some(kind))
        {
            beyond.push(format!("the file system {kind} in the kernel (modprobe)"));
        }
    }
}

fn distribution() -> Option<Distribution> {
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

fn install(missing: &Missing) -> Result<()> {
    if !missing.packages.is_empty() {
        let mut command = match distribution() {
            Some(Distribution::Debian) => {
                if lists_are_stale() {
                    call(apt().args(["update", "--quiet"]))?;
                }
                let mut command = apt();
                command.args(["install", "--yes", "--quiet", "--no-install-recommends"]);
                command
            }
            Some(Distribution::Fedora) => {
                let mut command = Command::new("dnf");
                command.args(["install", "--assumeyes", "--setopt=install_weak_deps=False"]);
                command
            }
            Some(Distribution::Arch) => {
                let mut command = Command::new("pacman");
                command.args(["--sync", "--refresh", "--needed", "--noconfirm"]);
                command
            }
            None => bail!("this distribution's package names are not known"),
        };
        call(command.args(&missing.packages))?;
    }
    if missing.tun {
        fs::create_dir_all("/dev/net")?;
        call(Command::new("mknod").args(["-m", "0666", TUN, "c", "10", "200"]))?;
        fs::File::open(TUN).context("this kernel has no TUN (modprobe tun)")?;
    }
    for tool in &missing.tools {
        // In a folder of its own: tools share nothing with the project.
        call(
            cargo()
                .env_remove("CARGO_TARGET_DIR")
                .args(["install", "--locked", tool]),
        )?;
    }
    Ok(())
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether `apt-get update` is due: no lists, or nothing of them was renewed for long.
fn lists_are_stale() -> bool {
    let folder = Path::new("/var/lib/apt/lists");
    let has_lists = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().ends_with("Release"));
    let renewed = fs::metadata(folder).and_then(|meta| meta.modified());
    !has_lists
        || renewed.is_ok_and(|time| {
            SystemTime::now()
                .duration_since(time)
                .is_ok_and(|age| age > STALE)
        })
}
