//! `cargo xtask package`: the packages of release builds, and what judges them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    install::{self, Package},
    package::{Order, deb, rpms},
    programs,
};

use crate::{build, cargo, setup};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Put the files of one package of programs that were built below a folder instead, for other distributions' own tools
    #[arg(long, value_name = "FOLDER", requires = "package")]
    stage: Option<PathBuf>,
    /// Which: lonewire or lonewire-gtk
    #[arg(requires = "stage")]
    package: Option<String>,
    /// Make all twice and compare, and have lintian judge; what it needs is installed
    #[arg(long)]
    check: bool,
    /// Of debug builds, for a developer in a hurry
    #[arg(long)]
    debug: bool,
}

/// The command.
///
/// # Errors
/// Something does not build, or is judged to be wrong.
pub fn run(arguments: &Arguments) -> Result<()> {
    let order = Order::new(programs::folder(!arguments.debug)?, !arguments.debug)?;
    if let (Some(root), Some(name)) = (&arguments.stage, &arguments.package) {
        let package = Package::ALL
            .into_iter()
            .find(|package| package.name() == name)
            .with_context(|| format!("there is no package {name}"))?;
        return order.stage(package, root).map(drop);
    }
    if arguments.check {
        setup::provide(setup::Purpose::Ci, false)?;
    }
    build::build(!arguments.debug)?;
    let folder = programs::target()?.join("packages");
    let made = all(&order, &folder)?;
    if arguments.check {
        same_again(&order, &made)?;
        inspect(&order, &made)?;
        let debs = made
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "deb"));
        cargo::run(
            Command::new("lintian")
                // A distribution's own packages only: these come from upstream and close no bugs.
                .args(["--allow-root", "--fail-on", "error,warning"])
                .args(debs),
        )?;
    }
    for path in &made {
        println!(
            "{} ({} KiB)",
            path.display(),
            fs::metadata(path)?.len() / 1024
        );
    }
    Ok(())
}

/// All packages, in a fresh folder. Where there is no rpmbuild there are no `.rpm` files, and that is said.
fn all(order: &Order, folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut made = Vec::new();
    for package in Package::ALL {
        made.push(deb(order, package, folder)?);
    }
    if setup::has("rpmbuild") {
        made.extend(rpms(order, folder)?);
    } else {
        println!("no .rpm files: rpmbuild is missing");
    }
    Ok(made)
}

/// That the `.rpm` files hold what the list says, with its modes: where nobody installs them, this much is known.
fn inspect(order: &Order, made: &[PathBuf]) -> Result<()> {
    for package in Package::ALL {
        let start = format!("{}-{}", package.name(), order.version);
        let is_it = |path: &&PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&start))
        };
        let path = made
            .iter()
            .find(is_it)
            .with_context(|| format!("no {start}….rpm"))?;
        let mut query = Command::new("rpm");
        query
            .args([
                "--query",
                "--package",
                "--queryformat",
                "[%{FILENAMES} %{FILEMODES:octal}\n]",
            ])
            .arg(path);
        let out = query.output()?;
        ensure!(
            out.status.success(),
            "{}: {}",
            cargo::show(&query),
            out.status
        );
        let mut found: BTreeSet<_> = String::from_utf8_lossy(&out.stdout)
            .lines()
            // Folders of its own, and licences.
            .filter(|line| line.contains(" 100") && !line.contains("/licenses/"))
            .map(str::to_owned)
            .collect();
        for file in install::list(&order.project)? {
            let mut path = file
                .destination
                .replace("/vendor-completions/", "/site-functions/");
            if path.contains("/man/") {
                path += ".gz";
            }
            let line = format!("{path} 10{}", file.mode);
            ensure!(
                found.remove(&line) == (file.package == package),
                "{}: {line}",
                package.name()
            );
        }
        ensure!(
            found.is_empty(),
            "{} holds more than it should: {found:?}",
            package.name()
        );
    }
    println!("both .rpm files hold what the list says");
    Ok(())
}

fn same_again(order: &Order, made: &[PathBuf]) -> Result<()> {
    let work = tempfile::tempdir()?;
    for (one, two) in made.iter().zip(all(order, &work.path().join("again"))?) {
        ensure!(
            one.file_name() == two.file_name() && fs::read(one)? == fs::read(&two)?,
            "{} differs when it is made again",
            one.display()
        );
    }
    println!("made twice, with the same bytes");
    Ok(())
}
