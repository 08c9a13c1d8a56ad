//! A thousand launches by two users under the machine's own systemd, through the shipped units: against a limit of time, not against another
//! program.

use std::path::Path;

use anyhow::Result;
use lab::{
    World,
    system::{System, crowd},
};

use super::{Limit, Row};

/// Half of them for each user.
const LAUNCHES: usize = 1000;

/// Once: it takes long enough by itself.
pub fn run(_: &mut World, folder: &Path, _: usize) -> Result<Vec<Row>> {
    let system = System::boot_with(folder)?;
    let users = crowd::two_users(&system)?;
    let taken = crowd::launch_many(&system, &users, LAUNCHES / users.len())?;
    Ok(vec![
        Row {
            work: "1,000 launches by two users under systemd",
            ours: format!("{:.1} s", taken.time.as_secs_f64()),
            theirs: String::new(),
            figure: taken.time.as_secs_f64(),
            limit: Limit::AtMost(20.0),
        },
        Row {
            work: "  the same, time of processors",
            ours: format!("{:.1} s", taken.processors.as_secs_f64()),
            theirs: String::new(),
            figure: taken.processors.as_secs_f64(),
            limit: Limit::None,
        },
    ])
}
