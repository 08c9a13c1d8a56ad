//! Installing, by the distribution's package manager, rustup and cargo. Must never be called before the person has agreed.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Missing, Source,
    machine::{self, Distribution, TUN},
};
use crate::cargo::{cargo, run as call};

/// Package lists older than this name files that mirrors have dropped.
const STALE: Duration = Duration::from_hours(24);

/// Installs all of it.
///
/// # Errors
/// The first tool that fails.
pub fn install(missing: &Missing) -> Result<()> {
    let packages: Vec<_> = missing.packages.iter().map(|(name, _)| name).collect();
    if !packages.is_empty() {
        let mut command = match machine::distribution() {
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
        call(command.args(&packages))?;
    }
    if !missing.overlay.is_empty() {
        fetch(&missing.overlay)?;
    }
    if missing.tun {
        fs::create_dir_all("/dev/net")?;
        call(Command::new("mknod").args(["-m", "0666", TUN, "c", "10", "200"]))?;
        fs::File::open(TUN).context("this kernel has no TUN (modprobe tun)")?;
    }
    for tool in &missing.tools {
        match &tool.source {
            // In a folder of its own: tools share nothing with the project.
            Source::Crate(name) => call(
                cargo()
                    .env_remove("CARGO_TARGET_DIR")
                    .args(["install", "--locked", name]),
            )?,
            Source::Component(name) => {
                call(Command::new("rustup").args(["component", "add", name]))
                    .with_context(|| format!("Rust came without {name}, and not by rustup"))?;
            }
        }
    }
    Ok(())
}

/// Fetches packages and what they need beyond what is installed: files in a folder, nothing more.
fn fetch(names: &[String]) -> Result<()> {
    let folder = lab::programs::overlay()?;
    // All of one day: what was fetched before may be older than what it is laid over.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("partial"))?;
    if lists_are_stale() {
        call(apt().args(["update", "--quiet"]))?;
    }
    let archives = format!("Dir::Cache::archives={}", folder.display());
    // The folder may be one that apt's own user does not reach.
    call(
        apt()
            .args(["install", "--download-only", "--yes", "--quiet"])
            .args(["--no-install-recommends", "-o", &archives])
            .args(["-o", "APT::Sandbox::User=root"])
            .args(names),
    )
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Another one may be at work just now.
        .args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}

/// Whether `apt-get update` is due: no lists, or nothing of them was renewed for long.
fn lists_are_stale() -> bool {
    let folder = Path::new("/var/lib/apt/lists");
    let has_lists = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
    let renewed = fs::metadata(folder).and_then(|meta| meta.modified());
    !has_lists
        || renewed.is_ok_and(|time| {
            SystemTime::now()
                .duration_since(time)
                .is_ok_and(|age| age > STALE)
        })
}
