//! `cargo xtask leak`: the whole leak matrix, or a part of it, and its table in the target folder.

use anyhow::{Context as _, Result, ensure};
use lab::{
    Baseline,
    dice::Dice,
    leak::{Backend, Plan, State, Stimulus, run as run_plan},
    programs,
};

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Choose uplinks as the run with this seed did
    #[arg(long)]
    seed: Option<u64>,
    /// Only these states: F00,F06
    #[arg(long, value_delimiter = ',', value_name = "STATE")]
    states: Vec<String>,
    /// Only these stimuli: S01,S13
    #[arg(long, value_delimiter = ',', value_name = "STIMULUS")]
    stimuli: Vec<String>,
    /// Worlds at once
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// The command.
///
/// # Errors
/// A cell fails, or the machine is not as it was.
pub fn run(arguments: &Arguments) -> Result<()> {
    let states = named(&arguments.states, &State::ALL)?;
    let stimuli = named(&arguments.stimuli, &Stimulus::ALL)?;
    setup::require()?;
    if std::env::var_os(programs::VARIABLE).is_none() {
        build::build(false)?;
    }
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => Dice::new("leak")?.seed(),
    };
    let before = Baseline::take()?;
    let plan = Plan {
        seed,
        backend: Backend::of_this_machine()?,
        states: states.into_iter().collect(),
        stimuli: stimuli.into_iter().collect(),
        workers: arguments.workers,
        plant: None,
    };
    let table = run_plan(&plan, &|line| println!("{line}"))?;
    let folder = programs::target()?.join("leak");
    let file = table.write(&folder)?;
    for line in table.failures() {
        println!("FAIL {line}");
    }
    println!("{}", table.summary());
    println!("{}", file.display());
    before.assert_same()?;
    ensure!(table.fail == 0, "{} cells fail", table.fail);
    Ok(())
}

/// Those that are named, or all.
fn named<T: Copy + std::fmt::Debug>(names: &[String], all: &[T]) -> Result<Vec<T>> {
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let found = all
                .iter()
                .find(|one| format!("{one:?}").eq_ignore_ascii_case(name));
            found
                .copied()
                .with_context(|| format!("there is no {name}"))
        })
        .collect()
}
