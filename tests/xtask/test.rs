//! `cargo xtask test`: builds the programs, runs the rings, looks whether the machine is as it was, and ends with one line of numbers.
//! Must never call a run passed whose numbers it does not know.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use lab::{Baseline, programs};

use crate::{
    build,
    cargo::{self, cargo},
    setup,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which rings: all, if none is named.
    #[arg(value_enum)]
    rings: Vec<Ring>,
    /// For `cargo nextest run`: names of tests and more.
    #[arg(last = true)]
    nextest: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ring {
    /// The crates' own tests.
    Unit,
    /// What files and programs promise each other.
    Contract,
    /// Worlds made of namespaces; root.
    Lab,
    /// What could leak, in the states of every test run; root.
    Leak,
    /// The shipped units under a whole systemd; root.
    System,
    /// The window on desktops of worlds; root.
    Window,
}

impl Ring {
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Contract => "contract",
            Self::Lab => "lab",
            Self::Leak => "leak",
            Self::System => "system",
            Self::Window => "window",
        }
    }

    /// What it may take on two cores; half as much again fails it.
    fn budget(self) -> Duration {
        Duration::from_mins(match self {
            Self::Unit | Self::Contract => 2,
            Self::Lab => 12,
            Self::Leak => 8,
            Self::System | Self::Window => 6,
        })
    }

    fn is_privileged(self) -> bool {
        matches!(self, Self::Lab | Self::Leak | Self::System | Self::Window)
    }

    /// The same packages for all rings of `lonewire-tests`: their dependencies are built once.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Unit => &["--workspace", "--exclude", "lonewire-tests"],
            Self::Contract | Self::Lab | Self::Leak | Self::System | Self::Window => {
                &["--package", "lonewire-tests"]
            }
        }
    }

    fn filter(self) -> &'static str {
        match self {
            Self::Unit => "all()",
            Self::Contract => "binary(/^contract/)",
            Self::Lab => "binary(/^lab/)",
            Self::Leak => "binary(/^leak/)",
            Self::System => "binary(/^system/)",
            Self::Window => "binary(/^window/)",
        }
    }
}

/// What came of one ring or all.
#[derive(Debug, Default, Clone, Copy)]
struct Numbers {
    passed: usize,
    failed: usize,
}

/// The command.
///
/// # Errors
/// Anything failed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let rings = if arguments.rings.is_empty() {
        Ring::value_variants()
    } else {
        &arguments.rings
    };
    let mut all = Numbers::default();
    let mut told = Vec::new();
    let built = prepare(rings).inspect_err(|error| eprintln!("{error:#}"));
    for ring in rings {
        let began = Instant::now();
        let mut numbers = Numbers::default();
        let mut wrong = Vec::new();
        if built.is_err() {
            wrong.push("was not built".to_owned());
        } else if ring.is_privileged() && !nix::unistd::geteuid().is_root() {
            wrong.push("needs root".to_owned());
        } else {
            numbers = one(*ring, &arguments.nextest, &mut wrong)?;
        }
        let took = began.elapsed();
        if took > ring.budget() * 3 / 2 {
            wrong.push("took more than half as long again as it may".into());
        }
        numbers.failed += wrong.len();
        told.push(format!(
            "{}: {} passed, {} failed in {:.1} of {} min{}",
            ring.name(),
            numbers.passed,
            numbers.failed,
            took.as_secs_f64() / 60.0,
            ring.budget().as_secs() / 60,
            wrong
                .iter()
                .map(|text| format!("\n  {text}"))
                .collect::<String>()
        ));
        all.passed += numbers.passed;
        all.failed += numbers.failed;
    }
    println!("{}", told.join("\n"));
    println!("{} passed, {} failed", all.passed, all.failed);
    if all.failed > 0 || all.passed == 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// Builds all, so that a ring's minutes are its own.
fn prepare(rings: &[Ring]) -> Result<()> {
    if rings.iter().any(|ring| ring.is_privileged()) {
        setup::require()?;
        build::build(false)?;
    }
    let mut packages: Vec<_> = rings.iter().map(|ring| ring.packages()).collect();
    packages.dedup();
    for packages in packages {
        cargo::run(
            cargo()
                .args(["nextest", "run", "--no-run", "--cargo-quiet"])
                .args(packages),
        )?;
    }
    Ok(())
}

fn one(ring: Ring, more: &[String], wrong: &mut Vec<String>) -> Result<Numbers> {
    println!("ring {}", ring.name());
    // nextest's store: in the project, wherever cargo's target folder is.
    let report = programs::project().join("target/nextest/ci/junit.xml");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let before = ring.is_privileged().then(Baseline::take).transpose()?;
    let status = cargo()
        .args(["nextest", "run", "--profile", "ci", "--cargo-quiet"])
        .args(ring.packages())
        .args(["--filterset", ring.filter()])
        .args(more)
        .status()
        .context("cargo nextest")?;
    if let Some(before) = before {
        let differences = before.differences(&Baseline::take()?);
        wrong.extend(
            differences
                .iter()
                .map(|line| format!("the machine is not as it was: {line}")),
        );
    }
    match count(&report) {
        Ok(numbers) => {
            if !status.success() && numbers.failed == 0 {
                wrong.push(format!("cargo nextest: {status}"));
            }
            Ok(numbers)
        }
        Err(error) => {
            wrong.push(format!("cargo nextest: {status}; {error:#}"));
            Ok(Numbers::default())
        }
    }
}

/// Reads the numbers of nextest's report: attributes of its root.
fn count(report: &Path) -> Result<Numbers> {
    let text = fs::read_to_string(report).context("no report")?;
    let root = text
        .split_once("<testsuites ")
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(attributes, _)| attributes)
        .context("a report without a root")?;
    let number = |name: &str| -> Result<usize> {
        let value = root
            .split_once(&format!(" {name}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .with_context(|| format!("a report without {name}"))?;
        Ok(value.0.parse()?)
    };
    let tests = number("tests")?;
    let failed = number("failures")? + number("errors")?;
    if failed > tests {
        bail!("a report of {tests} tests where {failed} failed");
    }
    Ok(Numbers {
        passed: tests - failed,
        failed,
    })
}
