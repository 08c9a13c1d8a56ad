//! What a run says: as JSON for machines, as Markdown for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    time::Duration,
};

use anyhow::Result;
use serde::Serialize;

use super::{Cell, Plan, Reason, State, Stimulus, Verdict};

/// All cells of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    pub seed: u64,
    /// Which WireGuard.
    pub backend: &'static str,
    pub seconds: u64,
    pub pass: usize,
    pub fail: usize,
    pub not_applicable: usize,
    pub shots: usize,
    pub cells: Vec<Cell>,
}

impl Table {
    pub(super) fn new(plan: &Plan, cells: Vec<Cell>, took: Duration) -> Self {
        let count =
            |is: fn(&Verdict) -> bool| cells.iter().filter(|cell| is(&cell.verdict)).count();
        Self {
            seed: plan.seed,
            backend: "userspace",
            seconds: took.as_secs(),
            pass: count(|verdict| *verdict == Verdict::Pass),
            fail: count(|verdict| matches!(verdict, Verdict::Fail { .. })),
            not_applicable: count(|verdict| matches!(verdict, Verdict::NotApplicable { .. })),
            shots: cells.iter().map(|cell| cell.shots).sum(),
            cells,
        }
    }

    /// In one line.
    pub fn summary(&self) -> String {
        format!(
            "{} cells pass, {} fail, {} not applicable; {} shots in {} s, seed {}",
            self.pass, self.fail, self.not_applicable, self.shots, self.seconds, self.seed
        )
    }

    /// Each failure in a line; what is the same for many cells of a state is told once.
    pub fn failures(&self) -> Vec<String> {
        let mut by: BTreeMap<(State, &str), Vec<Stimulus>> = BTreeMap::new();
        for cell in &self.cells {
            if let Verdict::Fail { why } = &cell.verdict {
                for why in why {
                    let stimuli = by.entry((cell.state, why.as_str())).or_default();
                    stimuli.push(cell.stimulus);
                }
            }
        }
        by.iter()
            .map(|((state, why), stimuli)| format!("{state:?} {stimuli:?}: {why}"))
            .collect()
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let states: BTreeSet<State> = self.cells.iter().map(|cell| cell.state).collect();
        let stimuli: BTreeSet<Stimulus> = self.cells.iter().map(|cell| cell.stimulus).collect();
        let mut text = format!(
            "# Leak matrix\n\n{}. WireGuard: {}.\n\n| |",
            self.summary(),
            self.backend
        );
        for state in &states {
            let _ = write!(text, " {state:?} |");
        }
        text += "\n|---|";
        text += &"---|".repeat(states.len());
        let by: BTreeMap<_, _> = self
            .cells
            .iter()
            .map(|cell| ((cell.stimulus, cell.state), cell))
            .collect();
        for stimulus in &stimuli {
            let _ = write!(text, "\n| {stimulus:?} |");
            for state in &states {
                let mark = match by.get(&(*stimulus, *state)).map(|cell| &cell.verdict) {
                    Some(Verdict::Pass) => "pass",
                    Some(Verdict::Fail { .. }) => "**FAIL**",
                    Some(Verdict::NotApplicable { .. }) => "n/a",
                    None => "",
                };
                let _ = write!(text, " {mark} |");
            }
        }
        text += "\n\n## What is tried\n\n";
        for stimulus in &stimuli {
            let _ = writeln!(text, "- {stimulus:?}: {}", stimulus.words());
        }
        text += "\n## States\n\n";
        for state in &states {
            let places = self.cells.iter().find(|cell| cell.state == *state);
            let mut places: Vec<String> = places
                .into_iter()
                .flat_map(|cell| cell.uplinks.clone())
                .collect();
            places.dedup();
            let _ = writeln!(
                text,
                "- {state:?}: {}; on {}",
                state.words(),
                places.join(" and ")
            );
        }
        text += "\n## Not applicable\n\n";
        for reason in [Reason::WaitsForApps, Reason::NothingStarts] {
            let cells: Vec<_> = self
                .cells
                .iter()
                .filter(|cell| cell.verdict == Verdict::NotApplicable { reason })
                .map(|cell| format!("{:?}-{:?}", cell.stimulus, cell.state))
                .collect();
            if !cells.is_empty() {
                let _ = writeln!(text, "- {}: {}", reason.words(), cells.join(", "));
            }
        }
        text += "\nNot in this table: real jumps of the clock (they want a virtual machine) and strict apps (not built yet).\n";
        let failures = self.failures();
        if !failures.is_empty() {
            text += "\n## Failures\n\n";
            for line in failures {
                let _ = writeln!(text, "- {line}");
            }
        }
        text
    }

    /// Writes `leak-SEED.json` and `.md` into a folder.
    ///
    /// # Errors
    /// It cannot.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("leak-{}", self.seed));
        fs::write(
            path.with_extension("json"),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        Ok(fs::write(path.with_extension("md"), self.markdown())?)
    }
}
