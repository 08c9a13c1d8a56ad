//! `cargo xtask bench`: how fast Lonewire is against the shortest thing that does the same, in one world, interleaved. Must never print a
//! ratio of figures that were not measured in the same run.

mod crowd;
mod launches;
mod rows;
mod stopwatch;
mod system;
pub mod vm;
mod window;

pub use stopwatch::stopwatch;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, Baseline, Spec, World, programs};

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Exit with 1 over a limit.
    #[arg(long)]
    check: bool,
    /// Pairs a row: 30, in a virtual machine 10; fewer do not count as a measurement.
    #[arg(long)]
    pairs: Option<usize>,
    /// Only rows whose name holds this; `vm`: against others, in a virtual machine.
    row: Option<String>,
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    work: &'static str,
    ours: String,
    theirs: String,
    /// What `limit` is of: a ratio, or our own figure.
    figure: f64,
    limit: Limit,
}

/// What the figure is held to.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// Told only.
    None,
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
            Self::None => true,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(limit) => format!("at most {limit}"),
            Self::AtLeast(limit) => format!("at least {limit}"),
            Self::None => String::new(),
        }
    }
}

/// Pairs of every row, if none are named.
const PAIRS: usize = 30;
/// Name of the tunnel in every row.
pub const TUNNEL: &str = "bench";

type Measure = fn(&mut World, &Path, usize) -> Result<Vec<Row>>;

/// All rows, in the order in which they are measured: each leaves the tunnel up.
const ROWS: &[(&str, Measure)] = &[
    ("run", rows::run),
    ("run-systemd", system::run),
    ("up", rows::up),
    ("tcp", rows::tcp),
    ("idle", rows::idle),
    ("crowd", crowd::run),
    ("launches", launches::run),
    ("window", window::run),
];

/// The command.
///
/// # Errors
/// Something could not be measured, or with `--check` is over its limit.
pub fn run(arguments: &Arguments) -> Result<()> {
    let is_vm = arguments.row.as_deref() == Some("vm");
    let enough = if is_vm { vm::PAIRS } else { PAIRS };
    let pairs = arguments.pairs.unwrap_or(enough);
    ensure!(pairs > 0, "no pairs");
    let over = if is_vm {
        vm::run(pairs)?
    } else {
        in_world(arguments, pairs)?
    };
    if arguments.check {
        ensure!(
            pairs >= enough,
            "{pairs} pairs are not enough to check by: {enough}"
        );
        ensure!(over == 0, "{over} over the limit");
    }
    Ok(())
}

/// All rows but those of a virtual machine; how many are over their limit.
fn in_world(arguments: &Arguments, pairs: usize) -> Result<usize> {
    setup::require()?;
    let folder = match std::env::var_os(programs::VARIABLE) {
        Some(folder) => folder.into(),
        None => {
            build::build(true)?;
            programs::folder(true)?
        }
    };
    println!("{}", machine()?);
    let before = Baseline::take()?;
    let mut world = World::with_programs(Spec::bench(), &folder)?;
    world.import(&ALICE, TUNNEL, 0)?;
    world.cli(&ALICE, &["up", TUNNEL])?.ok()?;
    let mut over = 0;
    head();
    for (name, measure) in ROWS {
        if arguments
            .row
            .as_ref()
            .is_some_and(|wanted| !name.contains(wanted.as_str()))
        {
            continue;
        }
        over += tell(&measure(&mut world, &folder, pairs).context(*name)?);
    }
    drop(world);
    before.assert_same()?;
    Ok(over)
}

fn head() {
    println!(
        "{:<44} {:>12} {:>12} {:>9}  limit",
        "work", "ours", "theirs", "figure"
    );
}

/// Prints rows; how many are over their limit.
fn tell(rows: &[Row]) -> usize {
    let mut over = 0;
    for row in rows {
        let holds = row.limit.holds(row.figure);
        println!(
            "{:<44} {:>12} {:>12} {:>9.2}  {}{}",
            row.work,
            row.ours,
            row.theirs,
            row.figure,
            row.limit.text(),
            if holds { "" } else { "  OVER" }
        );
        over += usize::from(!holds);
    }
    over
}

/// Kernel, processor, and how many of it.
fn machine() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([':', ' ', '\t'])
        });
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(format!(
        "Linux {}, {} × {model}, load {}",
        kernel.trim(),
        std::thread::available_parallelism()?,
        load.split(' ').next().unwrap_or_default()
    ))
}

/// # Errors
/// No values.
fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len() / 2)
        .copied()
        .context("nothing was measured")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
