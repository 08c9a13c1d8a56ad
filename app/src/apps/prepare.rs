//! What starting an app takes: its command line, and whether it runs already where a second start would be handed over to the first. All of
//! it reads files and the session bus and may wait for them: it is called on a thread of its own, never on the main loop.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use lonewire_client::{
    desktop::{Entry, entry, exec, find},
    outside::{self, Browser, Found},
    profile,
};

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// An installed app, by its id.
    Installed(String),
    /// Words of a command line.
    Command(Vec<OsString>),
}

/// Why it can not be started.
#[derive(Debug)]
pub enum Problem {
    Missing(find::Error),
    Entry {
        name: String,
        error: exec::Error,
    },
    /// It needs a terminal; its name.
    Terminal {
        name: String,
        id: String,
    },
}

/// How it is started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The app's id, if it is an installed one.
    pub id: Option<String>,
    /// For a person.
    pub name: String,
    /// What the service can call it.
    pub label: Option<String>,
    pub argv: Vec<OsString>,
    pub folder: Option<PathBuf>,
    /// Instances that run already.
    pub found: Found,
    entry: Entry,
}

impl Plan {
    fn program(&self) -> &Path {
        Path::new(
            self.argv
                .first()
                .map_or("".as_ref(), |word| word.as_os_str()),
        )
    }

    /// Whether it can be given a profile of its own, so that it hands nothing over.
    pub fn has_profiles(&self) -> bool {
        Browser::of_program(self.program()).is_some()
    }

    /// Gives it a profile of its own, which is the tunnel's and kept.
    ///
    /// # Errors
    /// The folder can not be made.
    pub fn separate(&mut self, tunnel: &str) -> io::Result<()> {
        profile::separate(&mut self.argv, tunnel).map(|_| ())
    }

    /// Looks again where it runs.
    pub fn look_again(&mut self) {
        self.found = zbus::block_on(outside::look(&self.entry, self.program()));
    }
}

/// For what a person chose.
///
/// # Errors
/// [`Problem`].
pub fn plan(program: Program) -> Result<Plan, Problem> {
    match program {
        Program::Installed(id) => installed(&id),
        Program::Command(argv) => Ok(command(argv)),
    }
}

fn installed(id: &str) -> Result<Plan, Problem> {
    let entry = find::app(id).map_err(Problem::Missing)?;
    let locale = entry::locale();
    let name = entry.name(&locale).unwrap_or_else(|| entry.id.clone());
    if entry.wants_terminal() {
        return Err(Problem::Terminal { name, id: entry.id });
    }
    let argv = argv(&entry, &locale).map_err(|error| Problem::Entry {
        name: name.clone(),
        error,
    })?;
    let mut plan = Plan {
        id: Some(entry.id.clone()),
        name,
        label: entry.label(&locale),
        argv,
        folder: entry.folder(),
        found: Found::default(),
        entry,
    };
    plan.look_again();
    Ok(plan)
}

fn command(argv: Vec<OsString>) -> Plan {
    let program = argv.first().cloned().unwrap_or_default();
    let path = Path::new(&program);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut plan = Plan {
        id: None,
        name: lonewire_client::text::printable(&name),
        label: None,
        folder: None,
        found: Found::default(),
        entry: Entry::parse(&name, path, ""),
        argv,
    };
    plan.look_again();
    plan
}

fn argv(entry: &Entry, locale: &str) -> Result<Vec<OsString>, exec::Error> {
    let line = entry.exec(None).ok_or(exec::Error::NoProgram)?;
    let mut lines = exec::command_lines(entry, &line, &[], locale)?;
    lines.pop().ok_or(exec::Error::NoProgram)
}

/// Which of these apps run already outside of the tunnel that the processes `inside` are in.
pub fn outside(ids: Vec<String>, inside: &[u32]) -> Vec<String> {
    let locale = entry::locale();
    let entries: Vec<(Entry, OsString)> = ids
        .iter()
        .filter_map(|id| {
            let entry = find::app(id).ok()?;
            let program = argv(&entry, &locale).ok()?.into_iter().next()?;
            Some((entry, program))
        })
        .collect();
    let found = zbus::block_on(outside::look_at_all(
        entries
            .iter()
            .map(|(entry, program)| (entry, Path::new(program))),
    ));
    entries
        .into_iter()
        .zip(found)
        .filter(|(_, found)| found.leads_out(inside))
        .map(|((entry, _), _)| entry.id)
        .collect()
}
