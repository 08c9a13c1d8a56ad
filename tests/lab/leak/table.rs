//! What a run says: as JSON for machines, as Markdown for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Backend, Cell, Plan, Reason, State, Stimulus, Verdict};
use crate::system;

/// All cells of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Table {
    pub seed: u64,
    pub backend: Backend,
    /// Whether the machine's clock jumped for it, as it may on one that is thrown away.
    pub clock_jumps: bool,
    pub seconds: u64,
    pub pass: usize,
    pub fail: usize,
    pub not_applicable: usize,
    pub shots: usize,
    pub cells: Vec<Cell>,
}

impl Table {
    pub(super) fn new(plan: &Plan, cells: Vec<Cell>, took: Duration) -> Self {
        let mut table = Self {
            seed: plan.seed,
            backend: plan.backend,
            clock_jumps: plan.states.contains(&State::F12) && system::is_throw_away(),
            seconds: took.as_secs(),
            pass: 0,
            fail: 0,
            not_applicable: 0,
            shots: 0,
            cells,
        };
        table.count();
        table
    }

    /// With the cells of another run with the same seed and backend.
    pub fn add(&mut self, other: Self) {
        self.cells.extend(other.cells);
        self.seconds += other.seconds;
        self.clock_jumps |= other.clock_jumps;
        self.count();
    }

    fn count(&mut self) {
        let cells = &self.cells;
        let count =
            |is: fn(&Verdict) -> bool| cells.iter().filter(|cell| is(&cell.verdict)).count();
        self.pass = count(|verdict| *verdict == Verdict::Pass);
        self.fail = count(|verdict| matches!(verdict, Verdict::Fail { .. }));
        self.not_applicable = count(|verdict| matches!(verdict, Verdict::NotApplicable { .. }));
        self.shots = cells.iter().map(|cell| cell.shots).sum();
    }

    /// Whether any cell of a state fails.
    pub fn fails_in(&self, state: State) -> bool {
        let fails =
            |cell: &Cell| cell.state == state && matches!(cell.verdict, Verdict::Fail { .. });
        self.cells.iter().any(fails)
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
            self.backend.word()
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
        for reason in Reason::ALL {
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
        let jumps = if self.clock_jumps {
            ""
        } else {
            "real jumps of the clock (they want a virtual machine) and "
        };
        let _ = writeln!(
            text,
            "\nNot in this table: {jumps}strict apps (not built yet)."
        );
        let failures = self.failures();
        if !failures.is_empty() {
            text += "\n## Failures\n\n";
            for line in failures {
                let _ = writeln!(text, "- {line}");
            }
        }
        text
    }

    /// Writes `BACKEND-SEED.json` and `.md` into a folder; where the latter is.
    ///
    /// # Errors
    /// It cannot.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}-{}", self.backend.word(), self.seed));
        fs::write(
            path.with_extension("json"),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        let path = path.with_extension("md");
        fs::write(&path, self.markdown())?;
        Ok(path)
    }
}
