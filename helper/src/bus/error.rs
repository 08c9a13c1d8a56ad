//! The only error mapping: each error of engine and bouncer becomes one name, one fixed sentence and details. Causes go to
//! the log, never to the caller.

use lonewire_api::Code;
use lonewire_core::launch::Stage;
use zbus::{DBusError, Message, Variant, message::Header, names::ErrorName};

use super::dict::Dict;
use crate::{auth::Denied, engine::Error};

/// An error as it goes out: body `(sa{sv})`.
#[derive(Debug)]
pub struct Refusal {
    code: Code,
    name: String,
    text: &'static str,
    details: Dict,
}

pub type Answer<T> = Result<T, Refusal>;

impl Refusal {
    fn new(code: Code, text: &'static str) -> Self {
        Self {
            code,
            name: code.name(),
            text,
            details: Dict::new(),
        }
    }

    fn with(mut self, key: &'static str, value: impl Into<Variant<'static>>) -> Self {
        self.details.insert(key, value.into());
        self
    }

    /// An argument that is not what the contract asks for.
    pub fn argument(argument: &'static str, problem: &'static str) -> Self {
        Error::InvalidArgument { argument, problem }.into()
    }

    pub fn failed() -> Self {
        Self::new(
            Code::Failed,
            "The service could not do it; its log says why.",
        )
    }

    pub fn denied(reason: &'static str) -> Self {
        Denied::No(reason).into()
    }

    /// As an entry of an import's results.
    pub fn into_result(self) -> Dict {
        let mut result = self.details;
        result.insert("error", Variant::from(self.name));
        result.insert("message", Variant::from(self.text));
        result
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Error::NotFound.into(),
            Denied::No(reason) => {
                let refusal = Self::new(Code::AccessDenied, "You are not allowed to do this.");
                // The caller learns whether it was the person who closed the prompt, and else nothing.
                if reason == "dismissed" {
                    refusal.with("reason", reason)
                } else {
                    refusal
                }
            }
            Denied::NeedsPrompt => Self::new(
                Code::InteractiveAuthorizationRequired,
                "Somebody would have to be asked for a password, and the call does not allow it.",
            ),
            Denied::TooMany { limit } => {
                Self::new(Code::LimitsExceeded, "There is too much of it.")
                    .with("limit", limit)
                    .with("reason", "prompts")
            }
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::NotAuthorised => Denied::No("not-authorized").into(),
            Error::NotFound => Self::new(Code::NotFound, "There is no such tunnel or app."),
            Error::InvalidArgument { argument, problem } => {
                Self::new(Code::InvalidArgument, "An argument is not valid.")
                    .with("argument", argument)
                    .with("reason", problem)
            }
            Error::InvalidConfiguration {
                line,
                column,
                key,
                value,
                reason,
            } => {
                let refusal = Self::new(
                    Code::InvalidConfiguration,
                    "The configuration is not valid.",
                )
                .with("line", line)
                .with("column", column)
                .with("key", key)
                .with("reason", reason);
                if value.is_empty() {
                    refusal
                } else {
                    refusal.with("value", value)
                }
            }
            Error::NameInUse => Self::new(Code::NameInUse, "Another tunnel has that name."),
            Error::KeyInUse => Self::new(Code::KeyInUse, "A tunnel with the same key is up."),
            Error::Busy => Self::new(Code::Busy, "The tunnel is not off."),
            Error::AppsRunning(apps) => {
                let apps: Vec<String> = apps.into_iter().map(String::from).collect();
                Self::new(Code::AppsRunning, "Apps run in the tunnel.").with("apps", apps)
            }
            Error::LimitsExceeded { what, limit } => {
                Self::new(Code::LimitsExceeded, "There is too much of it.")
                    .with("limit", limit)
                    .with("reason", what)
            }
            Error::NotProtected { reason } => {
                Self::new(Code::NotProtected, "The tunnel is not protected.").with("reason", reason)
            }
            Error::ConnectFailed { reason, source } => {
                if let Some(cause) = source {
                    tracing::warn!(%cause, reason, "connecting failed");
                }
                Self::new(Code::ConnectFailed, "The tunnel could not be connected.")
                    .with("reason", reason)
            }
            Error::Unsealed(found) => Self::new(
                Code::Unsealed,
                "The namespace holds what does not belong there: nothing is started in it.",
            )
            .with("found", found),
            Error::LaunchFailed { stage, errno } => {
                Self::new(Code::LaunchFailed, "The program could not be started.")
                    .with("reason", stage_code(stage))
                    .with("errno", errno)
            }
            Error::NotSupported { what } => {
                Self::new(Code::NotSupported, "This is not supported.").with("reason", what)
            }
            Error::Failed(cause) => {
                tracing::error!(%cause, "a call failed");
                Self::failed()
            }
        }
    }
}

/// Where a launch failed, as a code.
fn stage_code(stage: Stage) -> &'static str {
    match stage {
        Stage::Request => "request",
        Stage::Descriptors => "descriptors",
        Stage::Namespace => "namespace",
        Stage::Tun => "tun",
        Stage::ControlSocket => "control-socket",
        Stage::Stdio => "stdio",
        Stage::Mounts => "mounts",
        Stage::Etc => "etc",
        Stage::Verify => "verify",
        Stage::Limits => "limits",
        Stage::Terminal => "terminal",
        Stage::Privileges => "privileges",
        Stage::Exec => "exec",
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&(self.text, &self.details))
    }

    fn name(&self) -> ErrorName<'_> {
        // Made of a constant and an enum's words.
        ErrorName::from_str_unchecked(&self.name)
    }

    fn description(&self) -> Option<&str> {
        Some(self.text)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}
