//! Wrong use of the command line, as clap tells it: for people in its own words, for programs as an object. Help and version come this
//! way too.

use std::{ffi::OsString, process::ExitCode};

use clap::error::ErrorKind;

use crate::failure::Failure;

/// Tells it; answers 2, for `run` and `shell` 125 as for all that keeps a program from starting, and 0 for help that was asked for.
pub fn refuse(error: &clap::Error) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !error.use_stderr() {
        // A reader who has gone needs no help.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let mut failure = Failure::usage(sentence(error));
    if verb(&words).is_some_and(|verb| verb == "run" || verb == "shell") {
        failure = failure.before_program();
    }
    let json = has_flag(&words, "--json");
    // clap repeats the words as they are.
    let is_clean = |word: &OsString| !word.to_string_lossy().contains(char::is_control);
    if json || !words.iter().all(is_clean) {
        failure.show(json);
    } else {
        let _ = error.print();
    }
    ExitCode::from(failure.exit as u8)
}

/// What clap says before it shows the usage, in one sentence.
fn sentence(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command was named; see: lonewire --help".to_owned();
    }
    let text = error.render().to_string();
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    paragraphs
        .join("; ")
        .replace("error: ", "")
        .replace("tip: ", "")
}

/// The first word that is no option: no global option takes its value as a word of its own but `--color`.
fn verb(words: &[OsString]) -> Option<&OsString> {
    let mut words = words.iter();
    loop {
        let word = words.next()?;
        if word == "--color" {
            words.next();
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            return Some(word);
        }
    }
}

/// What follows `--` is not ours.
fn has_flag(words: &[OsString], flag: &str) -> bool {
    words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == flag)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn of(words: &[&str]) -> String {
        let line = std::iter::once("lonewire").chain(words.iter().copied());
        sentence(
            &crate::Cli::command()
                .try_get_matches_from(line)
                .unwrap_err(),
        )
    }

    #[test]
    fn a_sentence_says_what_is_wrong_and_what_may_be_meant() {
        assert_eq!(of(&[]), "no command was named; see: lonewire --help");
        assert_eq!(
            of(&["lis"]),
            "unrecognized subcommand 'lis'; a similar subcommand exists: 'list'"
        );
        let missing = of(&["rename", "x"]);
        assert!(
            missing.contains("<NAME>") && !missing.contains("Usage"),
            "{missing}"
        );
    }

    #[test]
    fn options_of_the_program_are_not_ours() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(has_flag(&words("list --json"), "--json"));
        assert!(!has_flag(&words("run -- curl --json"), "--json"));
        assert_eq!(verb(&words("--color never run x")).unwrap(), "run");
        assert_eq!(verb(&words("--json")), None);
    }
}
