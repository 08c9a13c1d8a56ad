//! The helper's errors in the words of the command line: its codes, what to do, and the exit codes.

use lonewire_api::{ApiError, Code};
use lonewire_client::text::cause;
/// How the command line writes codes.
pub use lonewire_client::text::snake;
use rustix::io::Errno;

use crate::failure::{Exit, Failure};

/// What a call was about, for the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    Nothing,
    /// A tunnel's name.
    Tunnel(&'a str),
    /// The one that is meant where none is named, known by its id only.
    DefaultTunnel,
    /// An app's name.
    App(&'a str),
}

impl About<'_> {
    /// The thing as part of a sentence.
    pub fn words(self) -> String {
        match self {
            Self::Nothing => "it".to_owned(),
            Self::Tunnel(name) => format!("the tunnel “{name}”"),
            Self::DefaultTunnel => "the default tunnel".to_owned(),
            Self::App(name) => format!("the app “{name}”"),
        }
    }
}

/// A helper's error as a failure.
pub fn failure(error: &ApiError, about: About<'_>) -> Failure {
    let what = about.words();
    let reason = error.reason();
    let because = reason.as_deref().map(reason_words);
    let with_reason = |text: String| match because {
        Some(because) => format!("{text}: {because}"),
        None => text,
    };
    let new = |exit, message: String| Failure::new(exit, &snake(error.code.as_str()), message);
    let name = match about {
        About::Tunnel(name) => Some(name),
        _ => None,
    };
    let try_with = |verb: &str| match name {
        Some(name) => format!("Try: lonewire {verb} {}", quoted(name)),
        None => format!("Try: lonewire {verb}"),
    };
    match error.code {
        Code::AccessDenied if error.is_dismissed() => {
            let mut failure = new(Exit::NotAuthorized, "the request was dismissed".to_owned());
            "dismissed".clone_into(&mut failure.code);
            failure
        }
        Code::AccessDenied => new(Exit::NotAuthorized, sentence(&error.message))
            .hint("Without a desktop session polkit asks for your password; over ssh that needs pkttyagent and a terminal."),
        Code::InteractiveAuthorizationRequired => new(
            Exit::NotAuthorized,
            "this needs your password, and nobody could be asked".to_owned(),
        )
        .hint("Run it on a terminal and without --no-input."),
        Code::NotFound => match about {
            About::App(_) => new(Exit::NoSuch, format!("{what} is not running any more")),
            About::DefaultTunnel => new(Exit::NoSuch, format!("{what} does not exist any more"))
                .hint("Choose another: lonewire default NAME"),
            _ => new(Exit::NoSuch, format!("{what} does not exist")),
        },
        Code::InvalidConfiguration => configuration(error),
        Code::NameInUse => new(Exit::Failure, "another tunnel has that name".to_owned())
            .hint("Choose another name. See: lonewire list"),
        Code::KeyInUse => new(
            Exit::Failure,
            format!("a tunnel with the same key as {what} is up, and a key can be used once at a time"),
        )
        .hint("Take the other one down first: lonewire status"),
        Code::Busy => new(Exit::Failure, format!("{what} is not off")).hint(try_with("down")),
        Code::AppsRunning => new(
            Exit::Failure,
            match error.apps().len() {
                1 => format!("an app runs in {what}"),
                count => format!("{count} apps run in {what}"),
            },
        )
        .hint("See them: lonewire ps")
        .hint("--force takes it down all the same; the apps stay offline until they end."),
        Code::NotProtected => new(
            Exit::Timeout,
            with_reason(format!("{what} is not protected")),
        )
        .hint(try_with(if reason.as_deref() == Some("off") {
            "up"
        } else {
            "show"
        }))
        .hint("Nothing was started, and nothing went past the tunnel."),
        Code::ConnectFailed => new(
            Exit::Failure,
            with_reason(format!("{what} could not be brought up")),
        )
        .hint("See: lonewire doctor"),
        Code::Unsealed => new(
            Exit::Leak,
            format!("the namespace of {what} holds what does not belong there; nothing is started in it"),
        )
        .hint(try_with("check")),
        Code::LaunchFailed => launch(error),
        Code::LimitsExceeded => new(
            Exit::Failure,
            match error.limit() {
                Some(limit) => with_reason(format!("the limit is {limit}")),
                None => sentence(&error.message),
            },
        )
        .hint("Stop or remove what is not needed; the administrator sets the limits in /etc/lonewire/config.toml."),
        Code::ServiceMissing => new(
            Exit::NotRunning,
            "Lonewire's helper is not running and could not be started".to_owned(),
        )
        .hint("See: systemctl status lonewire-helper")
        .hint("See: lonewire doctor"),
        Code::BusMissing => new(
            Exit::NotRunning,
            "the system bus cannot be reached".to_owned(),
        )
        .hint("Is D-Bus running? See: systemctl status dbus"),
        Code::NoAnswer => new(Exit::NotRunning, "Lonewire's helper did not answer".to_owned())
            .hint("See: journalctl -u lonewire-helper"),
        Code::InvalidArgument => {
            new(Exit::Failure, with_reason(sentence(&error.message)))
        }
        _ => {
            let failure = new(Exit::Failure, with_reason(sentence(&error.message)));
            if error.code == Code::Failed {
                failure.hint("The cause is in the log: journalctl -u lonewire-helper")
            } else {
                failure
            }
        }
    }
}

fn configuration(error: &ApiError) -> Failure {
    let failure = Failure::new(
        Exit::Configuration,
        "invalid_configuration",
        sentence(&error.message),
    );
    match error.line() {
        Some(line) => failure.at_line(line),
        None => failure,
    }
}

/// Stage and errno of a launch. ENOENT of an interpreter and the like count as "cannot be executed": the client has seen the file.
fn launch(error: &ApiError) -> Failure {
    let stage = error.reason().unwrap_or_default();
    let why = error
        .errno()
        .filter(|errno| *errno != 0)
        .map(|errno| cause(std::io::Error::from_raw_os_error(errno)));
    if stage.eq_ignore_ascii_case("exec") {
        let cause = match error.errno() {
            // The client has seen the file.
            Some(errno) if errno == Errno::NOENT.raw_os_error() => {
                "the interpreter that it names does not exist".to_owned()
            }
            Some(errno) if errno == Errno::NOEXEC.raw_os_error() => {
                "it is no program for this machine".to_owned()
            }
            _ => why.unwrap_or_else(|| "unknown".to_owned()),
        };
        return Failure::new(
            Exit::CannotExecute,
            "cannot_execute",
            format!("the program cannot be executed: {cause}"),
        );
    }
    let mut message = "the program could not be started".to_owned();
    if !stage.is_empty() {
        message = format!("{message} (at the step {})", snake(&stage));
    }
    if let Some(cause) = why {
        message = format!("{message}: {cause}");
    }
    let failure = Failure::new(Exit::Own, "launch_failed", message);
    if stage.eq_ignore_ascii_case("stdio") {
        return failure.hint("Standard streams can be terminals, files, pipes and Unix sockets: a network socket would lead past the tunnel.");
    }
    failure.hint("The cause is in the log: journalctl -u lonewire-helper")
}

/// A reason's code in words. What is not known is shown as it came.
pub fn reason_words(code: &str) -> &str {
    match code {
        "no-handshake" => "the server does not answer",
        "unresolvable" => "the name of its server does not resolve",
        "no-data-plane" => "the WireGuard process is gone",
        "unsealed" => "its namespace holds what does not belong there",
        "no-uplink" => "this machine has no network",
        "needs-ipv4" => "its server has an IPv4 address, and this network has only IPv6",
        "needs-ipv6" => "its server has an IPv6 address, and this network has only IPv4",
        "captive-portal" => "this network wants you to log in first",
        "clock-behind" => {
            "this machine's clock is earlier than when the tunnel was last protected, and servers refuse what seems old"
        }
        "key-in-use" => "its key is in use by another tunnel",
        "not-supported" => "this machine supports no WireGuard",
        "system" => "the system refused something",
        other => other,
    }
}

/// A name as a shell takes it.
pub fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

/// A sentence without its full stop.
fn sentence(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code) -> ApiError {
        ApiError {
            code,
            name: code.name(),
            message: "A sentence.".to_owned(),
            details: lonewire_api::Dictionary::new(),
            source: None,
        }
    }

    #[test]
    fn every_error_of_the_helper_has_its_exit_code() {
        let expected = |code| match code {
            Code::AccessDenied | Code::InteractiveAuthorizationRequired => 4,
            Code::NotFound => 10,
            Code::InvalidConfiguration => 5,
            Code::NotProtected => 3,
            Code::Unsealed => 6,
            Code::LaunchFailed => 125,
            _ => 1,
        };
        for code in Code::OF_SERVICE {
            let failure = failure(&error(*code), About::Tunnel("home"));
            assert_eq!(failure.exit as u8, expected(*code), "{code}");
            assert!(!failure.message.ends_with('.'), "{code}");
            assert_eq!(failure.code, failure.code.to_lowercase(), "{code}");
        }
        for code in [Code::ServiceMissing, Code::BusMissing, Code::NoAnswer] {
            assert_eq!(failure(&error(code), About::Nothing).exit as u8, 8);
        }
    }

    #[test]
    fn run_keeps_only_126_and_127() {
        let of = |exit| Failure::new(exit, "x", "x").before_program().exit as u8;
        assert_eq!(of(Exit::Timeout), 125);
        assert_eq!(of(Exit::NotAuthorized), 125);
        assert_eq!(of(Exit::CannotExecute), 126);
        assert_eq!(of(Exit::NoSuchProgram), 127);
    }

    #[test]
    fn names_are_quoted_for_the_shell_only_where_needed() {
        assert_eq!(quoted("mullvad-se1"), "mullvad-se1");
        assert_eq!(quoted("it's here"), "'it'\\''s here'");
    }
}
