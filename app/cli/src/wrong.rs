//! What the shared crate found wrong, as failures of the command line: exit codes and hints.

use lonewire_client::{
    config::{self, FileKind, Problem},
    desktop,
    launch::program,
    settings,
};

use crate::failure::{Exit, Failure};

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        use config::Error;
        let exit = match error {
            Error::Unreadable { .. } | Error::NotAFile { .. } | Error::Memory(_) => Exit::Failure,
            _ => Exit::Configuration,
        };
        let failure = Self::new(exit, &error.code(), error.to_string());
        let failure = match error.line() {
            Some(line) => failure.at_line(line),
            None => failure,
        };
        let hint = match &error {
            Error::NotAFile { kind, .. } => match kind {
                FileKind::Pipe => "To read from a pipe: … | lonewire import -",
                FileKind::Folder => "Name the files in it, such as *.conf.",
                _ => return failure,
            },
            Error::LargePicture { .. } | Error::SlowPicture { .. } => "Cut it to the QR code.",
            Error::NoQrCode { .. } => {
                "A sharp picture of the code alone, with its white edge, is read best."
            }
            Error::SeveralQrCodes { .. } => "Cut the picture to one of them.",
            Error::Empty { .. } => "A configuration begins with [Interface].",
            Error::Invalid { problems, .. } => return with_problems(failure, problems),
            _ => return failure,
        };
        failure.hint(hint)
    }
}

/// The message holds the first; each line that can be shown is shown with a mark below it.
fn with_problems(mut failure: Failure, problems: &[Problem]) -> Failure {
    for (index, Problem { error, excerpt }) in problems.iter().enumerate() {
        if index > 0 {
            failure = failure.hint(error.to_string());
        }
        let column = usize::try_from(error.column).unwrap_or(1).max(1) - 1;
        if let Some(line) = excerpt {
            failure = failure
                .hint(format!("{:>5} | {line}", error.line))
                .hint(format!("{:>5} | {:column$}^", "", ""));
        }
    }
    failure
}

impl From<settings::Error> for Failure {
    fn from(error: settings::Error) -> Self {
        let settings::Error::NotToml { error: cause, .. } = &error else {
            return Self::new(Exit::Failure, "system", error.to_string());
        };
        let cause = cause.to_string().trim_end().replace('\n', "\n  ");
        Self::new(Exit::Failure, "settings", error.to_string())
            .hint(cause)
            .hint("Correct or remove the file; only the default tunnel is kept in it.")
    }
}

impl From<program::Error> for Failure {
    fn from(error: program::Error) -> Self {
        use program::Error;
        let missing = || Self::new(Exit::NoSuchProgram, "no_such_program", error.to_string());
        match &error {
            Error::NotExecutable(_) => {
                Self::new(Exit::CannotExecute, "cannot_execute", error.to_string())
                    .hint("Is it a program, and may you execute it?")
            }
            Error::Empty => missing(),
            Error::Snap(_) => Self::new(Exit::Refused, "snap", error.to_string())
                .hint("Install it in another way: as a package, or from its makers."),
            Error::NotThere { place, .. } => {
                missing().hint(format!("It was looked for at {place}."))
            }
            Error::NotInPath(_) => missing().hint("Is it installed, and in a folder of PATH?"),
        }
    }
}

impl From<desktop::find::Error> for Failure {
    fn from(error: desktop::find::Error) -> Self {
        use desktop::find::Error;
        let message = error.to_string();
        match error {
            Error::NoSuchApp(_) => Self::new(Exit::NoSuchProgram, "no_such_app", message).hint(
                "An app's id is the name of its file in /usr/share/applications or the like.",
            ),
            Error::NotInstalled { .. } => Self::new(Exit::NoSuchProgram, "not_installed", message),
            Error::Unreadable { .. } => Self::new(Exit::Own, "unreadable", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use lonewire_client::config::check;

    use super::*;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    fn refused(text: &str) -> Failure {
        check::new("a.conf", text.as_bytes()).unwrap_err().into()
    }

    #[test]
    fn the_line_is_shown_with_a_mark() {
        let text = format!("[Interface]\nPrivateKey = {KEY}\nAddress = 10.0.0.300/32\n");
        let failure = refused(&text);
        assert_eq!((failure.exit as u8, failure.line), (5, Some(3)));
        assert_eq!(failure.code, "not_an_address");
        assert_eq!(
            failure.hints,
            ["    3 | Address = 10.0.0.300/32", "      |           ^"]
        );
    }

    #[test]
    fn every_error_is_told() {
        let failure = refused(&format!(
            "[Interface]\nPrivateKey = {KEY}\nMTU = 1\nAddress = x\n"
        ));
        let all = failure.hints.join("\n");
        assert!(
            failure.message.contains("Line 3") && all.contains("Line 4"),
            "{all}"
        );
    }

    #[test]
    fn missing_is_127_and_not_executable_is_126() {
        let of = |name: &str| Failure::from(program::find(name.as_ref()).unwrap_err()).exit;
        assert_eq!(of("no-such-program"), Exit::NoSuchProgram);
        assert_eq!(of(""), Exit::NoSuchProgram);
        assert_eq!(of("/etc/passwd"), Exit::CannotExecute);
    }
}
