//! The one road from a failure to the person: what happened and what to do, or nothing, where the person chose to cancel.

use gettextrs::{gettext, ngettext};
use lonewire_api::{ApiError, Code};

use crate::present::{fill, reason};

/// What to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// They closed a prompt or a dialog: they know.
    UserCanceled,
    Message(Message),
}

/// What a person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// A sentence without a full stop.
    pub title: String,
    /// Why, and what to do; may be empty.
    pub body: String,
    /// Stable, for searches and reports.
    pub code: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure that is not of the service.
    pub fn message(title: String, body: String, code: &str) -> Self {
        Self::Message(Message {
            title,
            body,
            code: code.to_owned(),
        })
    }

    /// A call that failed. `action` is what the person wanted, in the infinitive: "turn on “Home”".
    pub fn of_call(action: &str, error: &ApiError) -> Self {
        if error.is_dismissed() {
            return Self::UserCanceled;
        }
        let title = match error.code {
            Code::AccessDenied | Code::InteractiveAuthorizationRequired => {
                gettext("You are not allowed to {action}")
            }
            _ => gettext("Could not {action}"),
        };
        Self::Message(Message {
            title: fill(&title, &[("action", action)]),
            body: body(error),
            code: error.code.as_str().to_owned(),
        })
    }
}

/// Why a call failed, and what to do.
fn body(error: &ApiError) -> String {
    let advice = || {
        let advice = reason::advice(error.reason().as_deref());
        format!("{} {}", advice.what, advice.to_do)
    };
    match error.code {
        Code::AccessDenied => {
            gettext("The system’s rules do not let your account do this. Ask an administrator.")
        }
        Code::InteractiveAuthorizationRequired => gettext(
            "The system could not ask for your password: no authentication agent runs in this session.",
        ),
        Code::NotFound => gettext("It is not there anymore."),
        Code::NameInUse => gettext("Another tunnel has this name. Choose a different one."),
        Code::KeyInUse => gettext("Another tunnel with the same key is on. Turn it off first."),
        Code::Busy => gettext("The tunnel is on. Turn it off first."),
        Code::AppsRunning => gettext("Apps run in this tunnel. Stop them first."),
        Code::LimitsExceeded => match error.limit() {
            Some(limit) => fill(
                &ngettext(
                    "The administrator allows {count} at most.",
                    "The administrator allows {count} at most.",
                    limit,
                ),
                &[("count", &limit.to_string())],
            ),
            None => gettext("There are too many already."),
        },
        Code::ConnectFailed | Code::NotProtected | Code::NotSupported => advice(),
        Code::Unsealed => reason_of("unsealed"),
        Code::InvalidConfiguration => gettext("The configuration is not valid."),
        Code::InvalidArgument => gettext("The service does not accept what was entered."),
        Code::LaunchFailed => gettext("The program could not be started."),
        Code::ServiceMissing => gettext("The Lonewire service is not running."),
        Code::BusMissing => gettext("The D-Bus system bus can not be reached."),
        Code::NoAnswer => gettext("The Lonewire service did not answer. Try again."),
        _ => gettext("The Lonewire service met an error. The details are in the system’s log."),
    }
}

fn reason_of(code: &str) -> String {
    let advice = reason::advice(Some(code));
    format!("{} {}", advice.what, advice.to_do)
}

#[cfg(test)]
mod tests {
    use lonewire_api::{Dictionary, Options};
    use zbus::Variant;

    use super::*;

    fn error(code: Code, reason: Option<&str>) -> ApiError {
        let details: Options<'_> = reason
            .map(|reason| ("reason", Variant::from(reason)))
            .into_iter()
            .collect();
        let details: Dictionary = details
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
            .collect();
        ApiError {
            code,
            name: code.name(),
            message: "The sentence of the service.".into(),
            details,
            source: None,
        }
    }

    #[test]
    fn a_dismissed_prompt_is_not_told_and_a_refusal_is_in_plain_words() {
        let dismissed = error(Code::AccessDenied, Some("dismissed"));
        assert_eq!(Error::of_call("rename", &dismissed), Error::UserCanceled);
        let Error::Message(message) =
            Error::of_call("rename “a”", &error(Code::AccessDenied, None))
        else {
            panic!("silent")
        };
        assert_eq!(message.title, "You are not allowed to rename “a”");
        assert_eq!(message.code, "AccessDenied");
    }

    #[test]
    fn every_code_of_the_service_says_why_in_words_of_the_window() {
        for code in Code::OF_SERVICE {
            let Error::Message(message) = Error::of_call("x", &error(*code, None)) else {
                panic!("silent")
            };
            assert!(message.body.ends_with('.'), "{code}");
            assert_ne!(message.body, "The sentence of the service.");
        }
    }
}
