//! What is told about the start of an app: why there was none, and where it went.

use gettextrs::gettext;
use lonewire_client::{
    desktop::{exec, find},
    launch::{self, program},
    text::cause,
};

use super::fill;
use crate::{apps::Problem, error::Error};

fn could_not(app: &str, body: String, code: &str) -> Error {
    let title = fill(&gettext("Could not run “{app}”"), &[("app", app)]);
    Error::message(title, body, code)
}

/// The service was not even asked.
pub fn not_planned(problem: &Problem, tunnel: &str) -> Error {
    match problem {
        Problem::Missing(find::Error::NoSuchApp(id)) => {
            could_not(id, gettext("It is not installed anymore."), "NoSuchApp")
        }
        Problem::Missing(find::Error::NotInstalled { id, program }) => {
            could_not(id, no_program(program), "NotInstalled")
        }
        Problem::Missing(find::Error::Unreadable { path, error }) => {
            could_not(&path.to_string_lossy(), cause(error), "Unreadable")
        }
        Problem::Entry { name, error } => {
            let body = match error {
                exec::Error::NoProgram => gettext("Its desktop entry names no program."),
                exec::Error::Quotes => gettext("The quotes in its desktop entry do not match."),
                exec::Error::NotAFile(uri) => {
                    fill(&gettext("It can not open “{uri}”."), &[("uri", uri)])
                }
            };
            could_not(name, body, "BadDesktopEntry")
        }
        Problem::Terminal { name, id } => Error::message(
            fill(&gettext("“{app}” needs a terminal"), &[("app", name)]),
            fill(
                // {command} is what to type.
                &gettext("Open a terminal and run this command there:\n\n{command}"),
                &[(
                    "command",
                    &format!("lonewire run -t {} --desktop-id {id}", quoted(tunnel)),
                )],
            ),
            "NeedsTerminal",
        ),
    }
}

/// A word of a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// It was not started, and the service did not say why.
pub fn not_started(app: &str, error: &launch::Error) -> Error {
    match error {
        launch::Error::Program(error) => could_not(app, program(error), "NoProgram"),
        launch::Error::System(error) => could_not(app, cause(error), "System"),
        launch::Error::Helper(error) => {
            Error::of_call(&fill(&gettext("run “{app}”"), &[("app", app)]), error)
        }
    }
}

fn no_program(name: &str) -> String {
    fill(
        &gettext("There is no program “{program}” on this computer."),
        &[("program", name)],
    )
}

/// What is wrong with a program's name, in a sentence.
pub fn program(error: &program::Error) -> String {
    match error {
        program::Error::NotExecutable(name) => fill(
            &gettext("“{program}” can not be executed."),
            &[("program", name)],
        ),
        program::Error::Snap(name) => fill(
            &gettext(
                "“{program}” is a snap, and snaps do not stay in a tunnel. Install it in another way.",
            ),
            &[("program", name)],
        ),
        program::Error::Empty => gettext("The name of the program is empty."),
        program::Error::NotInPath(name) | program::Error::NotThere { name, .. } => no_program(name),
    }
}

/// Code of [`Ending::Outside`], which is told in a way of its own.
pub const HANDED_OVER: &str = "HandedOver";

/// How the first seconds of an app went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing to tell.
    Fine,
    /// It ended well and the app runs elsewhere: its window opened there.
    Outside,
    /// It ended well and at once, and nobody can say where its window is.
    Unknown,
    /// It failed: its exit code, or the signal that ended it.
    Failed(i32),
    Killed(i32),
}

/// What is known when an app has ended at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// It is an installed app, which shows a window; a command may just be done.
    pub installed: bool,
    /// It runs outside of the tunnel.
    pub outside: bool,
    /// It runs in the tunnel, where it was started before.
    pub inside: bool,
    /// Nobody can say whether it runs outside.
    pub unknown: bool,
}

pub fn ending(ended: &Ended) -> Ending {
    match (ended.signal, ended.code) {
        (Some(signal), _) => Ending::Killed(signal),
        (None, Some(code)) if code != 0 => Ending::Failed(code),
        _ if ended.outside => Ending::Outside,
        _ if ended.installed && ended.unknown && !ended.inside => Ending::Unknown,
        _ => Ending::Fine,
    }
}

/// What is told of it.
pub fn told(app: &str, tunnel: &str, ending: Ending) -> Option<Error> {
    let named = |text: &str| fill(text, &[("app", app), ("tunnel", tunnel)]);
    let (title, body, code) = match ending {
        Ending::Fine => return None,
        Ending::Outside => (
            named(&gettext("“{app}” opened outside the tunnel")),
            named(&gettext(
                "It was running already, and the new window is part of that instance, which is not in “{tunnel}”. Close all of its windows and run it again, or use a separate profile where that is offered.",
            )),
            HANDED_OVER,
        ),
        Ending::Unknown => (
            named(&gettext("“{app}” ended at once")),
            named(&gettext(
                "If a window of it opened, that window is not in “{tunnel}”: it belongs to an instance that was running already. Close all of its windows and run it again.",
            )),
            "EndedAtOnce",
        ),
        Ending::Failed(code) => (
            named(&gettext("“{app}” ended at once")),
            fill(
                &gettext(
                    "It ended with the code {code}, which means that something went wrong. Run it in a terminal to see what it says.",
                ),
                &[("code", &code.to_string())],
            ),
            "Failed",
        ),
        Ending::Killed(signal) => (
            named(&gettext("“{app}” ended at once")),
            fill(
                &gettext("It was ended by the signal {signal}."),
                &[("signal", &signal.to_string())],
            ),
            "Killed",
        ),
    };
    Some(Error::message(title, body, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_ended_well_is_looked_for_outside() {
        let well = Ended {
            code: Some(0),
            installed: true,
            ..Ended::default()
        };
        for (ended, expected) in [
            (well, Ending::Fine),
            (
                Ended {
                    outside: true,
                    ..well
                },
                Ending::Outside,
            ),
            // A command that was handed over went out as well.
            (
                Ended {
                    outside: true,
                    installed: false,
                    ..well
                },
                Ending::Outside,
            ),
            (
                Ended {
                    unknown: true,
                    ..well
                },
                Ending::Unknown,
            ),
            (
                Ended {
                    unknown: true,
                    inside: true,
                    ..well
                },
                Ending::Fine,
            ),
            // `true` has nothing to show.
            (
                Ended {
                    unknown: true,
                    installed: false,
                    ..well
                },
                Ending::Fine,
            ),
            (
                Ended {
                    code: Some(1),
                    outside: true,
                    ..well
                },
                Ending::Failed(1),
            ),
            (
                Ended {
                    code: None,
                    signal: Some(9),
                    ..well
                },
                Ending::Killed(9),
            ),
        ] {
            assert_eq!(ending(&ended), expected, "{ended:?}");
        }
    }

    #[test]
    fn all_but_a_good_end_is_told_with_what_to_do() {
        for ending in [
            Ending::Outside,
            Ending::Unknown,
            Ending::Failed(2),
            Ending::Killed(11),
        ] {
            let Some(Error::Message(message)) = told("Files", "Home", ending) else {
                panic!("silent")
            };
            assert!(message.title.contains("Files") && message.body.ends_with('.'));
        }
        assert_eq!(told("Files", "Home", Ending::Fine), None);
    }

    #[test]
    fn a_command_to_type_is_one_for_a_shell() {
        assert_eq!(quoted("home-1"), "home-1");
        assert_eq!(quoted("Bob's home"), "'Bob'\\''s home'");
    }
}
