//! Ring lab: the warden by itself. What goes wrong on a program's road keeps it from starting, and what it starts with is its user's alone. SECURITY §5 and
//! its threats are named at the tests.

mod keeper;
mod mounts;
mod pins;
mod program;
mod steps;
mod streams;

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use lab::warden::{Alone, Outcome};
use lonewire_core::launch::{Launch, Stage};

const PATIENCE: Duration = Duration::from_secs(10);

/// A program that leaves a trace where it starts.
const TRACE: &str = "/tmp/started";

/// Launches it, and sees that it has not started; where the warden said no.
fn refused(alone: &Alone, request: Launch) -> Result<Option<Stage>> {
    let outcome = alone.run(&alone.warden, request)?;
    ensure!(
        !alone.world.path(TRACE).exists(),
        "it has started: {outcome:?}"
    );
    match outcome {
        Outcome::Refused(stage, _) => Ok(Some(stage)),
        Outcome::HungUp => Ok(None),
        Outcome::Ran(..) => bail!("{outcome:?}"),
    }
}

fn trace(alone: &Alone) -> Launch {
    alone.request(&["/usr/bin/touch", TRACE])
}

/// The control: with nothing wrong the same program starts.
fn starts(alone: &Alone) -> Result<()> {
    assert_eq!(alone.output(trace(alone))?, "");
    fs::remove_file(alone.world.path(TRACE)).context("it has not started")
}

/// A process that ends with this value.
struct Other(std::process::Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
