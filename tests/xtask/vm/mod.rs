//! `cargo xtask vm`: the acceptance suite (`tests/vm`) on machines of their own, with the packages installed by apt, kernel WireGuard and everything that
//! a machine has and a namespace has not. Must never call a test passed that the machine did not report.

pub mod image;
pub mod leak;
pub mod machine;
mod mutate;

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    install::Package,
    package::{Order, deb},
    programs,
};
use serde::Deserialize;

use crate::{
    build,
    cargo::{self, cargo},
    setup,
};
use machine::Machine;
use mutate::Mutation;

/// What a release may take in emulation on two cores; half as much again ends it.
const BUDGET: Duration = Duration::from_mins(14);
/// The releases, the one that CI runs first.
pub const RELEASES: &[&str] = &["bookworm", "trixie"];

const RUN: &str = include_str!("run.sh");

/// What the first of these, before the reboot, leaves for the second to find: it comes along.
const LEFT: (&str, &str) = ("first::an_administrator", "second::a_what_starts");

/// In the names of tests that take too long for every run, in emulation.
const LONG: &[&str] = &["::window::", leak::PREFIX];

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only the tests whose names hold one of these
    names: Vec<String>,
    /// Debian 13 as well as Debian 12, the window, and the leak matrix in all states
    #[arg(long)]
    full: bool,
    /// The release that it runs on
    #[arg(long, default_value = RELEASES[0], value_parser = RELEASES.to_vec(), conflicts_with = "full")]
    release: String,
    /// Choose states and uplinks of the leak matrix as the run with this seed did
    #[arg(long)]
    seed: Option<u64>,
    /// Plant a leak first: the states of the matrix that are named (leak::F00) have to fail
    #[arg(long, value_name = "NAME", requires = "names", conflicts_with_all = ["full", "mutate", "shell"])]
    plant: Option<lab::leak::Plant>,
    /// Debug builds, for a developer in a hurry
    #[arg(long)]
    debug: bool,
    /// A root shell in the machine, with the packages installed, instead of the tests
    #[arg(long, conflicts_with_all = ["names", "mutate", "full"])]
    shell: bool,
    /// Break one thing first: the suite has to fail, and ends with the boot in which it does
    #[arg(long, value_name = "NAME", conflicts_with = "full")]
    mutate: Option<Mutation>,
}

/// The command.
///
/// # Errors
/// A test failed, or the machine.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::provide(setup::Purpose::Ci, false)?;
    build::build(!arguments.debug)?;
    let mut order = Order::new(programs::folder(!arguments.debug)?, false)?;
    Mutation::all_fit(&order.project)?;
    let changed = tempfile::tempdir()?;
    if let Some(mutation) = arguments.mutate {
        order = mutation.apply(&order, changed.path(), !arguments.debug)?;
        println!("changed: {}", mutation.told());
    }
    let suite = suite()?;
    let mut tests = tests(&suite)?;
    let matrix = leak::Matrix::new(arguments.seed, arguments.plant)?;
    tests.extend(leak::Matrix::tests());
    for name in &arguments.names {
        let is_one = tests.iter().any(|test| test.contains(name.as_str()));
        ensure!(is_one, "no test has {name} in its name");
    }
    if !arguments.names.is_empty() {
        let is_named = |test: &str| {
            arguments
                .names
                .iter()
                .any(|name| test.contains(name.as_str()))
        };
        let (before, after) = LEFT;
        let wants = tests
            .iter()
            .any(|test| test.starts_with(after) && is_named(test));
        tests.retain(|test| is_named(test) || wants && test.starts_with(before));
    } else if !arguments.full {
        let some = matrix.some();
        let is_long = |test: &str| LONG.iter().any(|part| test.contains(part));
        tests.retain(|test| some.contains(test) || !is_long(test));
    }
    let wanted = arguments.mutate.map(Mutation::noticed_by);
    if let Some(wanted) = wanted {
        ensure!(
            tests.iter().any(|test| test == wanted),
            "{wanted} has to run"
        );
    }
    let work = tempfile::tempdir()?;
    let payload = payload(
        work.path(),
        &order,
        &suite,
        &tests,
        &matrix,
        arguments.shell,
    )?;
    let (mut passed, mut failed, mut told) = (0, 0, BTreeSet::new());
    let one = [arguments.release.as_str()];
    let mut releases = one.to_vec();
    if arguments.full {
        releases = RELEASES.to_vec();
        // First the one that is met less often.
        releases.reverse();
    }
    for release in releases {
        let image = image::get(release)?;
        let disks = [&*payload, &*tape(work.path())?];
        if arguments.shell {
            return Machine::start(&image, disks, work.path(), true)?.wait();
        }
        let began = Instant::now();
        let mut machine = Machine::start(&image, disks, work.path(), false)?;
        println!("Debian {release}, by {}", machine.processor);
        let mut good = BTreeSet::new();
        let mut found = leak::Found::default();
        let mut within = BUDGET * 3 / 2;
        if arguments.full || !arguments.names.is_empty() {
            within += leak::time(&tests);
        }
        let ended = machine.listen(within, |line| {
            if found.take(line) {
                return ControlFlow::Continue(());
            }
            println!("{:4} s  {line}", began.elapsed().as_secs());
            // By then it has said why, too.
            if arguments.mutate.is_some() && line.starts_with("test result: FAILED") {
                return ControlFlow::Break(());
            }
            let Some((name, word)) = line
                .strip_prefix("test ")
                .and_then(|rest| rest.split_once(" ... "))
            else {
                return ControlFlow::Continue(());
            };
            match word {
                "ok" => _ = good.insert(name.to_owned()),
                "FAILED" => _ = told.insert(name.to_owned()),
                _ => {}
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = ended {
            // What does not end, or not well, has not passed.
            println!("{error:#}");
            failed += 1;
        }
        found.write(release)?;
        let brought = programs::target()?.join("vm").join(release);
        unwind(disks[1], &brought)?;
        for test in tests.iter().filter(|test| !good.contains(*test)) {
            println!("not passed: {test}");
        }
        let count = tests.iter().filter(|test| good.contains(*test)).count();
        passed += count;
        failed += tests.len() - count;
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        // The budget is of the suite.
        let of = if arguments.full {
            String::new()
        } else {
            format!(" of {}", BUDGET.as_secs() / 60)
        };
        println!("Debian {release}: {minutes:.1}{of} min");
    }
    println!("{passed} passed, {failed} failed");
    match (wanted, arguments.plant, failed) {
        (None, None, 0) => {}
        (None, None, _) => bail!("not all passed"),
        (_, _, 0) => bail!("the suite did not notice"),
        // A machine that did not start has noticed nothing.
        _ if told.is_empty() => bail!("no test said that it failed"),
        (Some(wanted), ..) if !told.contains(wanted) => bail!("{wanted} did not notice"),
        _ => println!("the suite noticed"),
    }
    Ok(())
}

/// Builds the suite, and gives its path.
fn suite() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let out = cargo()
        .args([
            "test",
            "--quiet",
            "--package",
            "lonewire-tests",
            "--test",
            "vm",
            "--no-run",
        ])
        .arg("--message-format=json")
        .arg("--target-dir")
        .arg(programs::target()?)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(out.status.success(), "cargo test --no-run: {}", out.status);
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vm-"))
        })
        .context("cargo names no suite")
}

fn tests(suite: &Path) -> Result<Vec<String>> {
    let out = Command::new(suite)
        .args(["--list", "--format", "terse"])
        .output()?;
    let tests: Vec<_> = String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| line.strip_suffix(": test").map(str::to_owned))
        .collect();
    ensure!(!tests.is_empty(), "an empty suite");
    Ok(tests)
}

/// The second disk: packages of this version and an older one, the suite, and what runs it.
fn payload(
    work: &Path,
    order: &Order,
    suite: &Path,
    tests: &[String],
    matrix: &leak::Matrix,
    shell: bool,
) -> Result<PathBuf> {
    let root = work.join("payload");
    pack(&root, order, RUN)?;
    let old = root.join("old");
    fs::create_dir(&old)?;
    let older = Order {
        version: "0.0.9".to_owned(),
        ..order.clone()
    };
    for package in Package::ALL {
        deb(&older, package, &old)?;
    }
    stripped(suite, &root.join("vm"))?;
    // What sends, records and judges frames is too slow as it is built for developers.
    if let Some(program) = leak::program(tests)? {
        stripped(&program, &root.join("xtask"))?;
        matrix.pack(order, &root.join("leak"))?;
    }
    fs::write(root.join("tests"), tests.join("\n") + "\n")?;
    if shell {
        fs::write(root.join("shell"), "")?;
    }
    let disk = work.join("payload.img");
    image::disk(&root, &disk, "512M")?;
    Ok(disk)
}

/// What every payload holds: the package, this program, and the script that the machine runs at each boot.
///
/// # Errors
/// A package cannot be made, or something cannot be copied.
pub fn pack(root: &Path, order: &Order, run: &str) -> Result<()> {
    let new = root.join("new");
    fs::create_dir_all(&new)?;
    for package in Package::ALL {
        deb(order, package, &new)?;
    }
    // Cargo may have built this very program anew meanwhile: its file is another then.
    stripped(Path::new("/proc/self/exe"), &root.join("xtask"))?;
    Ok(fs::write(root.join("run"), run)?)
}

fn stripped(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)?;
    cargo::run(Command::new("strip").arg(to))
}

/// The third disk, empty: the machine writes an archive onto it as onto a tape, of what people should look at.
///
/// # Errors
/// It cannot be made.
pub fn tape(work: &Path) -> Result<PathBuf> {
    let disk = work.join("tape.img");
    fs::File::create(&disk)?.set_len(64 << 20)?;
    Ok(disk)
}

/// Unpacks what is on it into a folder of its own.
fn unwind(tape: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    cargo::run(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(tape)
            .arg("--directory")
            .arg(folder)
            .arg("--no-same-owner"),
    )?;
    for entry in fs::read_dir(folder)?.flatten() {
        println!("to look at: {}", entry.path().display());
    }
    Ok(())
}
