//! `cargo xtask build`: each program on its own, since a build of the workspace gives each the features of all, and into the folder
//! where worlds look for them; the manual, completions, translations and licences beside them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use lab::{programs, words};

use crate::{
    cargo::{self, cargo},
    crates,
};

/// Whether a program is linked without any library.
const PROGRAMS: &[(&str, bool)] = &[
    ("lonewire", false),
    ("lonewire-gtk", false),
    ("lonewire-helper", false),
    ("lonewire-warden", true),
    ("lonewire-wireguard", false),
];

/// Builds the programs.
///
/// # Errors
/// One does not build.
pub fn build(release: bool) -> Result<()> {
    let target = programs::target()?;
    let folder = programs::folder(release)?;
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let profile = if release { "release" } else { "debug" };
    let host = cargo::host()?;
    for (name, is_static) in PROGRAMS {
        let mut command = cargo();
        command
            .arg(if release { "rustc" } else { "build" })
            .args(["--quiet", "--package", name, "--bin", name])
            .arg("--target-dir")
            .arg(&target);
        cargo::flags(&mut command, release, *is_static);
        let mut made = target.clone();
        if *is_static {
            // With a target, the flags reach neither build scripts nor anything else that was built.
            command.args(["--target", &host]);
            made.push(&host);
        }
        if release {
            // Names of symbols, which are not in the package, depend on folders, and the linker's number on them.
            command.args(["--release", "--", "-Clink-arg=-Wl,--build-id=none"]);
        }
        cargo::run(&mut command)?;
        place(&made.join(profile).join(name), &folder.join(name))?;
    }
    words::build(&programs::project(), &folder)?;
    manual(&folder)?;
    completions(&folder)?;
    let of = |is_window: bool| -> Vec<&str> {
        let names = PROGRAMS.iter().map(|(name, _)| *name);
        names
            .filter(|name| (*name == "lonewire-gtk") == is_window)
            .collect()
    };
    let packages = [("lonewire", &*of(false)), ("lonewire-gtk", &*of(true))];
    crates::build(&folder, &packages)
}

/// The manual's pages, `man/man1/*.1` beside the programs: the command line writes them from its own definitions.
fn manual(folder: &Path) -> Result<()> {
    let pages = folder.join("man/man1");
    if pages.exists() {
        // Of a command that there is no more.
        fs::remove_dir_all(&pages)?;
    }
    let mut command = Command::new(folder.join("lonewire"));
    command.arg("--write-manual").arg(pages);
    cargo::run(&mut command)
}

/// What shells complete with, in `completions`, under the names that the shells look for.
fn completions(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("completions"))?;
    for (shell, name) in [
        ("bash", "lonewire"),
        ("zsh", "_lonewire"),
        ("fish", "lonewire.fish"),
    ] {
        let mut command = Command::new(folder.join("lonewire"));
        let out = command.args(["completions", shell]).output()?;
        ensure!(
            out.status.success(),
            "{}: {}",
            cargo::show(&command),
            out.status
        );
        fs::write(folder.join("completions").join(name), out.stdout)?;
    }
    Ok(())
}

/// Copies by rename: a world may be running what is there.
fn place(from: &Path, to: &Path) -> Result<()> {
    let fresh = to.with_extension("new");
    fs::copy(from, &fresh).with_context(|| from.display().to_string())?;
    fs::rename(&fresh, to).with_context(|| to.display().to_string())
}
