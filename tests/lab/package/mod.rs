//! Packages of what `data/install.toml` lists, with what `data/packaging` says of them: `cargo xtask package` makes them of release builds,
//! the rings system and vm of what they test. The same programs give the same bytes, whenever and wherever. Must never take a file from the
//! machine that no list names.

pub mod changelog;
mod deb;
mod rpm;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::install::{self, Installed, Package};

pub use deb::deb;
pub use rpm::rpms;

/// What packages are made of.
#[derive(Debug, Clone)]
pub struct Order {
    pub project: PathBuf,
    /// Where the built programs are.
    pub programs: PathBuf,
    pub version: String,
    /// The time that everything in them gets, in seconds since 1970: reproducible-builds.org's SOURCE_DATE_EPOCH.
    pub epoch: u64,
    /// Whether to spend a minute on making them small.
    pub is_small: bool,
}

impl Order {
    /// Of the project as it is now.
    ///
    /// # Errors
    /// The time of it cannot be told.
    pub fn new(programs: PathBuf, is_small: bool) -> Result<Self> {
        let project = crate::programs::project();
        Ok(Self {
            epoch: epoch(&project)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            project,
            programs,
            is_small,
        })
    }

    fn files(&self, package: Package) -> Result<Vec<Installed>> {
        let mut files = install::list(&self.project)?;
        files.retain(|file| file.package == package);
        ensure!(!files.is_empty(), "{} holds nothing", package.name());
        Ok(files)
    }

    /// A file of `data/packaging`.
    fn read(&self, path: &str) -> Result<String> {
        let path = self.project.join("data/packaging").join(path);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Puts a package's files below a folder as they are to be installed, programs without symbols; answers where the programs are.
    ///
    /// # Errors
    /// One is not built.
    pub fn stage(&self, package: Package, root: &Path) -> Result<Vec<PathBuf>> {
        let mut programs = Vec::new();
        for file in self.files(package)? {
            let from = file.origin(&self.project, &self.programs)?;
            let to = root.join(file.destination.trim_start_matches('/'));
            let mode = u32::from_str_radix(&file.mode, 8).context(file.mode)?;
            folder(to.parent().context("absolute")?)?;
            fs::copy(&from, &to).with_context(|| from.display().to_string())?;
            fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
            if file.program.is_some() {
                run(Command::new("strip")
                    .args(["--remove-section=.comment", "--remove-section=.note"])
                    .arg(&to))?;
                programs.push(to);
            }
        }
        Ok(programs)
    }
}

/// When the project was last changed: `SOURCE_DATE_EPOCH`, else the last commit's time.
fn epoch(project: &Path) -> Result<u64> {
    if let Ok(value) = std::env::var("SOURCE_DATE_EPOCH") {
        return value.parse().context("SOURCE_DATE_EPOCH");
    }
    let text = run(Command::new("git").arg("-C").arg(project).args([
        "-c",
        "safe.directory=*",
        "log",
        "-1",
        "--format=%ct",
    ]))
    .context("neither SOURCE_DATE_EPOCH nor git tells the time of the sources")?;
    Ok(text.trim().parse()?)
}

/// Makes a folder and those above it as packages have them, whatever the umask.
fn folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    folder(path.parent().context("no folder")?)?;
    fs::create_dir(path).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Writes a file with a mode, and the folders above it.
fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    folder(path.parent().context("no folder")?)?;
    fs::write(path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// All files below a folder, from it, sorted.
fn listing(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(root)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Runs a tool in the packages' own language, and gives what it printed.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .env("LC_ALL", "C.UTF-8")
        .output()
        .with_context(|| name.clone())?;
    let told = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name}: {}\n{told}", out.status);
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
