//! Whether what is to run would be, or was, handed over to an instance of it that is not in the tunnel: then its window is there too. Nothing is
//! asked of that instance, and nothing is done to it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lonewire_client::{
    desktop::Entry,
    outside::{self, Browser},
};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    helper_error::About,
    print,
};

/// What ends within this did not open a window of its own.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What is looked at.
#[derive(Debug)]
pub struct Watch {
    entry: Entry,
    program: PathBuf,
    /// An installed app, as a menu starts it: nobody reads a warning of it.
    installed: bool,
}

impl Watch {
    /// For an installed app and the program of its command line.
    pub fn of_app(entry: Entry, program: &Path) -> Self {
        Self {
            entry,
            program: program.to_owned(),
            installed: true,
        }
    }

    /// For a command; `None` where it is no browser: nothing is known of others.
    pub fn of_command(program: &Path) -> Option<Self> {
        Browser::of_program(program)?;
        let name = program.file_name()?.to_string_lossy();
        Some(Self {
            entry: Entry::parse(&name, program, ""),
            program: program.to_owned(),
            installed: false,
        })
    }

    /// Refuses to start an installed app that would be handed over; a command gets a warning, since it may say itself that it is not.
    ///
    /// # Errors
    /// [`Exit::HandedOver`].
    pub fn before(&self, context: &Context, tunnel: &str) -> Result<(), Failure> {
        if !self.leads_out(context, tunnel)? {
            return Ok(());
        }
        if self.installed {
            return Err(self.failure(&format!(
                "{} runs outside of the tunnel already, and a new window would open there; nothing was started",
                self.name()
            )));
        }
        print::note(&format!(
            "lonewire: {} runs outside of the tunnel already; unless it has another profile, the new window is part of that instance",
            self.name()
        ));
        Ok(())
    }

    /// Tells of one that ended well and at once, while an instance of it runs elsewhere. `lasted`: since its start.
    ///
    /// # Errors
    /// [`Exit::HandedOver`].
    pub fn after(&self, context: &Context, tunnel: &str, lasted: Duration) -> Result<(), Failure> {
        if lasted > AT_ONCE || !self.leads_out(context, tunnel)? {
            return Ok(());
        }
        Err(self.failure(&format!(
            "{} was handed over to an instance outside of the tunnel, and what it opened is there",
            self.name()
        )))
    }

    fn failure(&self, message: &str) -> Failure {
        let failure = Failure::new(Exit::HandedOver, "handed_over", message)
            .hint("Close all of its windows, then try again.");
        match Browser::of_program(&self.program) {
            Some(_) => failure.hint("Or run it with --separate-profile."),
            None => failure,
        }
    }

    fn name(&self) -> String {
        let name = self.entry.name(&lonewire_client::desktop::entry::locale());
        name.unwrap_or_else(|| self.entry.id.clone())
    }

    fn leads_out(&self, context: &Context, tunnel: &str) -> Result<bool, Failure> {
        let found = zbus::block_on(outside::look(&self.entry, &self.program));
        if found.instances.is_empty() {
            return Ok(false);
        }
        let apps = context.call(About::Nothing, async |client| client.apps().await)?;
        let inside: Vec<u32> = apps
            .into_iter()
            .filter(|(_, app)| app.tunnel == tunnel)
            .map(|(_, app)| app.pid)
            .collect();
        Ok(found.leads_out(&inside))
    }
}
