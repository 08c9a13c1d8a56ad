//! What every command gets: how to print, whether it may ask, and the connection to the helper, made when it is first wanted.

use std::{cell::OnceCell, io::IsTerminal as _};

use lonewire_api::{ApiError, Client, Code};
use lonewire_client::settings::Settings;

use crate::{
    agent::Agent,
    failure::Failure,
    helper_error::{self, About},
    wait::Waiting,
};

/// How standard output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tables and sentences.
    Human,
    /// Tab-separated, without headings: the same columns for ever, new ones at the end.
    Terse,
    /// One object, `"schema":1`.
    Json,
}

/// A command's surroundings.
#[derive(Debug)]
pub struct Context {
    pub format: Format,
    /// Nobody is asked anything.
    pub no_input: bool,
    client: OnceCell<Client>,
    agent: OnceCell<Option<Agent>>,
}

impl Context {
    pub fn new(format: Format, no_input: bool) -> Self {
        Self {
            format,
            no_input,
            client: OnceCell::new(),
            agent: OnceCell::new(),
        }
    }

    pub fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person can be asked on the terminal.
    pub fn can_ask(&self) -> bool {
        !self.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    pub fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings::load()?)
    }

    /// The connection to the helper.
    ///
    /// # Errors
    /// There is no system bus.
    pub fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = zbus::block_on(lonewire_client::bus::client())
            .map_err(|error| helper_error::failure(&error, About::Nothing))?;
        Ok(self
            .client
            .get_or_init(|| client.interactive(!self.no_input)))
    }

    /// Makes one call. Where nobody can be asked for a password although a person sits at the terminal, polkit's text agent is
    /// started and the call made once more.
    ///
    /// # Errors
    /// The helper's, in our words; `about` names the thing.
    pub fn call<T>(
        &self,
        about: About<'_>,
        call: impl AsyncFn(Client) -> Result<T, ApiError>,
    ) -> Result<T, Failure> {
        self.call_waiting(None, about, call)
    }

    /// The same with a line that says what takes so long. It is not there while a password is asked for on the terminal.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn call_waiting<T>(
        &self,
        what: Option<String>,
        about: About<'_>,
        call: impl AsyncFn(Client) -> Result<T, ApiError>,
    ) -> Result<T, Failure> {
        let client = self.client()?;
        let waiting = what
            .filter(|_| self.format == Format::Human && !self.no_input)
            .and_then(Waiting::start);
        let mut result = zbus::block_on(call(client.clone()));
        drop(waiting);
        if let Err(error) = &result
            && self.wants_agent(error)
        {
            result = zbus::block_on(call(client.clone()));
        }
        result.map_err(|error| helper_error::failure(&error, about))
    }

    /// Whether a call that failed like this is worth a second try, now that there is an agent.
    pub fn wants_agent(&self, error: &ApiError) -> bool {
        matches!(
            error.code,
            Code::AccessDenied | Code::InteractiveAuthorizationRequired
        ) && !error.is_dismissed()
            && self.can_ask()
            && self.agent.get().is_none()
            && self.agent.get_or_init(Agent::start).is_some()
    }
}
