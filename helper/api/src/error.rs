// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors: the names the service answers with, and how a client reads them. An error's body is `(sa{sv})`: a fixed English
//! sentence and details.

use std::fmt;

use zbus::fdo;

use crate::{
    names::ERROR_PREFIX,
    value::{self, Dictionary},
};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What went wrong, as a stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
            /// The service is not on the bus and could not be started.
            ServiceMissing,
            /// The system bus could not be reached, or went away.
            BusMissing,
            /// The service went away, or did not answer in time.
            NoAnswer,
            /// An answer that is not of the API, or an error of another name.
            Unexpected,
        }

        impl Code {
            /// All that the service answers with.
            pub const OF_SERVICE: &[Self] = &[$(Self::$name),*];

            /// The last part of the error's name; for what only a client can meet, a word of the same kind.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::ServiceMissing => "ServiceMissing",
                    Self::BusMissing => "BusMissing",
                    Self::NoAnswer => "NoAnswer",
                    Self::Unexpected => "Unexpected",
                }
            }

            /// The code of an error's full D-Bus name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name.strip_prefix(ERROR_PREFIX)?.strip_prefix('.')? {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// polkit said no, could not be asked, or its prompt was dismissed (detail `reason` is then `dismissed`).
    AccessDenied,
    /// polkit would have to ask a person, and the call did not allow it.
    InteractiveAuthorizationRequired,
    /// Unknown, or another user's: no difference can be seen.
    NotFound,
    /// Details: `argument` s, `reason` s.
    InvalidArgument,
    /// Details: `line` u, `column` u, `key` s, `reason` s, `value` s (never of a key that holds a secret).
    InvalidConfiguration,
    NameInUse,
    KeyInUse,
    Busy,
    /// Detail: `apps` as.
    AppsRunning,
    /// Details: `limit` u, `reason` s (what there were too many of).
    LimitsExceeded,
    /// Detail: `reason` s, the state's.
    NotProtected,
    /// Detail: `reason` s.
    ConnectFailed,
    /// Detail: `found` as.
    Unsealed,
    /// Details: `reason` s (the stage), `errno` i.
    LaunchFailed,
    /// Detail: `reason` s.
    NotSupported,
    Failed,
}

impl Code {
    /// The full D-Bus name.
    #[must_use]
    pub fn name(self) -> String {
        format!("{ERROR_PREFIX}.{}", self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call that was refused or got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub code: Code,
    /// The error's D-Bus name; empty where none came over the bus.
    pub name: String,
    /// One English sentence, fixed for each kind.
    pub message: String,
    pub details: Dictionary,
    /// What zbus met, where it was not an answer of the service.
    #[source]
    pub source: Option<Box<zbus::Error>>,
}

impl ApiError {
    /// Line of a configuration, from 1.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        value::get(&self.details, "line")
    }

    /// Column, in characters from 1.
    #[must_use]
    pub fn column(&self) -> Option<u32> {
        value::get(&self.details, "column")
    }

    #[must_use]
    pub fn key(&self) -> Option<String> {
        value::get(&self.details, "key")
    }

    #[must_use]
    pub fn value(&self) -> Option<String> {
        value::get(&self.details, "value")
    }

    /// A code that says more.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        value::get(&self.details, "reason")
    }

    /// Ids of the apps that are in the way.
    #[must_use]
    pub fn apps(&self) -> Vec<String> {
        value::get(&self.details, "apps").unwrap_or_default()
    }

    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        value::get(&self.details, "limit")
    }

    /// errno(3) of a launch that failed.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        value::get(&self.details, "errno")
    }

    /// The person closed the prompt: nothing to tell them.
    #[must_use]
    pub fn is_dismissed(&self) -> bool {
        self.code == Code::AccessDenied && self.reason().as_deref() == Some("dismissed")
    }

    /// An error that stands in a result dictionary instead of a reply.
    pub(crate) fn from_result(result: &Dictionary) -> Option<Self> {
        let name: String = value::get(result, "error")?;
        let details = result
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.try_clone().ok()?)))
            .collect();
        Some(Self {
            code: Code::from_name(&name).unwrap_or(Code::Unexpected),
            message: value::get(result, "message").unwrap_or_default(),
            name,
            details,
            source: None,
        })
    }

    fn local(code: Code, message: &str, error: zbus::Error) -> Self {
        let name = match &error {
            zbus::Error::MethodError(name, ..) => name.to_string(),
            zbus::Error::FDO(error) => zbus::DBusError::name(error.as_ref()).to_string(),
            _ => String::new(),
        };
        Self {
            code,
            name,
            message: message.to_owned(),
            details: Dictionary::new(),
            source: Some(Box::new(error)),
        }
    }
}

impl From<zbus::Error> for ApiError {
    fn from(error: zbus::Error) -> Self {
        if let zbus::Error::MethodError(name, text, message) = &error {
            if let Some(code) = Code::from_name(name.as_str()) {
                let (sentence, details) = message
                    .body()
                    .deserialize::<(String, Dictionary)>()
                    .unwrap_or_else(|_| (text.clone().unwrap_or_default(), Dictionary::new()));
                return Self {
                    code,
                    name: name.to_string(),
                    message: sentence,
                    details,
                    source: None,
                };
            }
            // systemd and dbus-daemon have several names for a service that does not start.
            if name.starts_with("org.freedesktop.DBus.Error.Spawn.")
                || name.starts_with("org.freedesktop.systemd1.")
            {
                return Self::local(Code::ServiceMissing, MISSING, error);
            }
        }
        match &error {
            zbus::Error::FDO(inner) => match inner.as_ref() {
                fdo::Error::ServiceUnknown(_)
                | fdo::Error::NameHasNoOwner(_)
                | fdo::Error::SpawnExecFailed(_)
                | fdo::Error::SpawnServiceNotFound(_)
                | fdo::Error::SpawnChildExited(_)
                | fdo::Error::SpawnChildSignaled(_)
                | fdo::Error::SpawnFailed(_)
                | fdo::Error::SpawnFileInvalid(_)
                | fdo::Error::SpawnPermissionsInvalid(_) => {
                    Self::local(Code::ServiceMissing, MISSING, error)
                }
                fdo::Error::NoReply(_) | fdo::Error::Timeout(_) | fdo::Error::TimedOut(_) => {
                    Self::local(Code::NoAnswer, NO_ANSWER, error)
                }
                fdo::Error::AccessDenied(_) => Self::local(
                    Code::AccessDenied,
                    "The system bus does not let you use Lonewire's service.",
                    error,
                ),
                fdo::Error::Disconnected(_) | fdo::Error::NoServer(_) => {
                    Self::local(Code::BusMissing, NO_BUS, error)
                }
                fdo::Error::LimitsExceeded(_) => Self::local(
                    Code::LimitsExceeded,
                    "The system bus has too many calls of yours waiting.",
                    error,
                ),
                _ => Self::local(Code::Unexpected, UNEXPECTED, error),
            },
            zbus::Error::InputOutput(inner) if inner.kind() == std::io::ErrorKind::TimedOut => {
                Self::local(Code::NoAnswer, NO_ANSWER, error)
            }
            zbus::Error::InputOutput(_)
            | zbus::Error::Connection(..)
            | zbus::Error::Handshake(_)
            | zbus::Error::Address(_) => Self::local(Code::BusMissing, NO_BUS, error),
            _ => Self::local(Code::Unexpected, UNEXPECTED, error),
        }
    }
}

impl From<fdo::Error> for ApiError {
    fn from(error: fdo::Error) -> Self {
        Self::from(zbus::Error::FDO(Box::new(error)))
    }
}

const MISSING: &str = "Lonewire's service is not running and could not be started.";
const NO_ANSWER: &str = "Lonewire's service did not answer.";
const NO_BUS: &str = "The system bus cannot be reached.";
const UNEXPECTED: &str = "Lonewire's service answered in a way that is not understood.";

#[cfg(test)]
mod tests {
    use zbus::{Message, OwnedVariant};

    use super::*;

    fn reply(name: &str, body: &(impl serde::Serialize + zbus::DynamicType)) -> zbus::Error {
        let call = Message::method_call("/org/lonewire/Helper1", "Show")
            .interface("org.lonewire.Helper1.Tunnels")
            .build(&())
            .unwrap();
        let message = Message::error(&call.header(), name.to_owned())
            .build(body)
            .unwrap();
        zbus::Error::from(message)
    }

    #[test]
    fn an_error_of_the_service_keeps_code_sentence_and_details() {
        let details = Dictionary::from([
            ("line".to_owned(), OwnedVariant::from(7_u32)),
            (
                "key".to_owned(),
                OwnedVariant::from(zbus::Str::from("AllowedIPs")),
            ),
        ]);
        let error = ApiError::from(reply(
            "org.lonewire.Helper1.Error.InvalidConfiguration",
            &("Line 7.", details),
        ));
        assert_eq!(error.code, Code::InvalidConfiguration);
        assert_eq!(error.message, "Line 7.");
        assert_eq!(
            (error.line(), error.key().as_deref(), error.column()),
            (Some(7), Some("AllowedIPs"), None)
        );
    }

    #[test]
    fn an_unknown_error_is_unexpected_and_keeps_its_name() {
        let error = ApiError::from(reply("org.example.Error.Odd", &("text",)));
        assert_eq!(
            (error.code, error.name.as_str()),
            (Code::Unexpected, "org.example.Error.Odd")
        );
    }

    #[test]
    fn a_missing_service_is_told_apart() {
        let error = ApiError::from(reply(
            "org.freedesktop.DBus.Error.ServiceUnknown",
            &("text",),
        ));
        assert_eq!(error.code, Code::ServiceMissing);
        let error = ApiError::from(reply("org.freedesktop.systemd1.NoSuchUnit", &("text",)));
        assert_eq!(error.code, Code::ServiceMissing);
    }

    #[test]
    fn every_code_of_the_service_has_a_name_that_reads_back() {
        for code in Code::OF_SERVICE {
            assert_eq!(Code::from_name(&code.name()), Some(*code));
        }
        assert_eq!(
            Code::from_name("org.lonewire.Helper1.Error.ServiceMissing"),
            None
        );
    }
}
