//! The leak matrix of the kernel backend: run in the virtual machine, in worlds made there, by this same program, and its table brought out over the
//! serial line. A test a state. Must never count a state whose tunnel was not the kernel's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{
    Baseline,
    dice::Dice,
    install,
    leak::{Backend, Plan, Plant, State, Stimulus, Table, run},
    package::Order,
    programs,
};

use super::image;
use crate::cargo;

/// What a state may take in emulation on two cores, the longest.
const STATE: Duration = Duration::from_mins(6);
/// States at once, two worlds each.
const AT_ONCE: usize = 2;
/// States of a run that is not of all.
const SOME: usize = 2;
/// Before a test's cells, as JSON, on the serial line.
const TABLE: &str = "leak table ";
pub const PREFIX: &str = "leak::";

const RUN: &str = include_str!("leak.sh");

/// What is run of it.
#[derive(Debug)]
pub struct Matrix {
    seed: u64,
    plant: Option<Plant>,
}

impl Matrix {
    /// # Errors
    /// No chance to be had.
    pub fn new(seed: Option<u64>, plant: Option<Plant>) -> Result<Self> {
        let seed = match seed {
            Some(seed) => seed,
            None => Dice::new("leak")?.seed(),
        };
        Ok(Self { seed, plant })
    }

    /// A test a state that there is of the kernel's WireGuard.
    pub fn tests() -> Vec<String> {
        states().map(test).collect()
    }

    /// Those for which every run has time, chosen by the seed.
    pub fn some(&self) -> Vec<String> {
        let mut states: Vec<_> = states().collect();
        let mut dice = Dice::of(self.seed);
        let mut some = Vec::new();
        while some.len() < SOME && !states.is_empty() {
            let chosen = usize::try_from(dice.below(states.len() as u64)).unwrap_or(0);
            some.push(test(states.swap_remove(chosen)));
        }
        some
    }

    /// What the machine needs for it, into a folder of the payload.
    ///
    /// # Errors
    /// Something is not built.
    pub fn pack(&self, order: &Order, folder: &Path) -> Result<()> {
        let (project, programs) = (folder.join("project"), folder.join("programs"));
        let list = "data/install.toml";
        fs::create_dir_all(project.join("data"))?;
        fs::copy(order.project.join(list), project.join(list))?;
        for file in install::list(&order.project)? {
            let to = file.origin(&project, &programs)?;
            fs::create_dir_all(to.parent().context("no folder")?)?;
            let from = file.origin(&order.project, &order.programs)?;
            fs::copy(&from, &to).with_context(|| from.display().to_string())?;
            if file.program.is_some() {
                cargo::run(Command::new("strip").arg(to))?;
            }
        }
        let mut arguments = format!("--seed={}", self.seed);
        if let Some(plant) = self.plant {
            let name = clap::ValueEnum::to_possible_value(&plant).context("a hidden one")?;
            arguments += &format!(" --plant={}", name.get_name());
        }
        fs::write(folder.join("arguments"), arguments)?;
        fs::write(folder.join("packages"), image::FOR_WORLDS.join(" "))?;
        fs::write(folder.join("run"), RUN)?;
        Ok(())
    }
}

fn states() -> impl Iterator<Item = State> {
    let is_of = |state: &State| state.is_of(Backend::Kernel);
    State::ALL.into_iter().filter(is_of)
}

fn test(state: State) -> String {
    format!("{PREFIX}{state:?}")
}

/// This program as a release build, where the matrix is run: what sends, records and judges thousands of frames is slow enough on an emulated processor.
///
/// # Errors
/// It does not build.
pub fn program(tests: &[String]) -> Result<Option<PathBuf>> {
    if !tests.iter().any(|test| test.starts_with(PREFIX)) {
        return Ok(None);
    }
    let target = programs::target()?;
    let mut command = cargo::cargo();
    command
        .args(["build", "--quiet", "--release", "--package"])
        .args(["lonewire-tests", "--bin", "xtask", "--target-dir"])
        .arg(&target);
    cargo::run(&mut command)?;
    Ok(Some(target.join("release/xtask")))
}

/// What a machine may take for it beside the suite.
pub fn time(tests: &[String]) -> Duration {
    let count = tests.iter().filter(|test| test.starts_with(PREFIX)).count();
    STATE * u32::try_from(count).unwrap_or(u32::MAX)
}

/// What came out of the machine.
#[derive(Debug, Default)]
pub struct Found(Option<Table>);

impl Found {
    /// Whether a line is for it.
    pub fn take(&mut self, line: &str) -> bool {
        let Some(text) = line.strip_prefix(TABLE) else {
            return false;
        };
        match (serde_json::from_str::<Table>(text), &mut self.0) {
            (Ok(table), Some(before)) => before.add(table),
            (Ok(table), none) => *none = Some(table),
            (Err(error), _) => println!("not a table: {error}"),
        }
        true
    }

    /// Writes the table of all, where there is any.
    ///
    /// # Errors
    /// It cannot.
    pub fn write(&self, release: &str) -> Result<()> {
        if let Some(table) = &self.0 {
            let folder = programs::target()?.join("leak").join(release);
            println!("{}", table.summary());
            println!("{}", table.write(&folder)?.display());
        }
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub struct Inside {
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    plant: Option<Plant>,
    tests: Vec<String>,
}

/// The command in the machine: says of each test what libtest would say.
///
/// # Errors
/// There is no such test. A failure is said, and no error.
pub fn inside(arguments: &Inside) -> Result<()> {
    let states: Vec<State> = arguments
        .tests
        .iter()
        .map(|name| {
            let state = states().find(|state| test(*state) == *name);
            state.with_context(|| format!("no test {name}"))
        })
        .collect::<Result<_>>()?;
    // Its clock is every world's.
    let (alone, rest): (Vec<_>, Vec<_>) = states.into_iter().partition(|one| *one == State::F12);
    for some in rest.chunks(AT_ONCE).chain(alone.chunks(1)) {
        let bad = match cells(arguments, some) {
            Ok(table) => some
                .iter()
                .copied()
                .filter(|state| table.fails_in(*state))
                .collect(),
            Err(error) => {
                println!("{error:#}");
                some.to_vec()
            }
        };
        for state in some {
            let word = if bad.contains(state) { "FAILED" } else { "ok" };
            println!("test {} ... {word}", test(*state));
        }
    }
    Ok(())
}

fn cells(arguments: &Inside, states: &[State]) -> Result<Table> {
    let before = Baseline::take()?;
    let plan = Plan {
        seed: arguments.seed,
        backend: Backend::Kernel,
        states: states.iter().copied().collect(),
        stimuli: Stimulus::ALL.into(),
        workers: 2 * AT_ONCE,
        plant: arguments.plant,
    };
    let table = run(&plan, &|line| println!("{line}"))?;
    println!("{TABLE}{}", serde_json::to_string(&table)?);
    for line in table.failures() {
        println!("FAIL {line}");
    }
    before.assert_same()?;
    Ok(table)
}
