//! What is wrong with a configuration, said before the helper sees it: every error with its line, where that cannot hold a key.

use lonewire_core::wgconf::{self, ParseError, Parsed};

use super::{Error, Problem, Result};

/// Characters of a line that are shown at most; longer ones are not.
const WIDTH: usize = 100;

/// A run of this many base64 digits may be a key in the wrong place.
const LOOKS_LIKE_A_KEY: usize = 32;

/// Reads a new configuration.
///
/// # Errors
/// Everything wrong with it, as one error.
pub fn new(origin: &str, text: &[u8]) -> Result<Parsed> {
    wgconf::parse_new(text).map_err(|errors| refused(origin, text, errors))
}

/// Reads a configuration that replaces a stored one.
///
/// # Errors
/// As [`new`].
pub fn replacing(origin: &str, text: &[u8]) -> Result<Parsed> {
    wgconf::parse(text).map_err(|errors| refused(origin, text, errors))
}

fn refused(origin: &str, text: &[u8], errors: Vec<ParseError>) -> Error {
    let origin = origin.to_owned();
    if text.trim_ascii().is_empty() {
        return Error::Empty { origin };
    }
    let problem = |error: ParseError| Problem {
        excerpt: excerpt(text, &error),
        error,
    };
    Error::Invalid {
        origin,
        problems: errors.into_iter().map(problem).collect(),
    }
}

/// The line of an error; `None` where it could hold a key or something a terminal should not get.
fn excerpt(text: &[u8], error: &ParseError) -> Option<String> {
    error.value.as_ref()?;
    let key = error.key.as_deref()?;
    if key.to_ascii_lowercase().contains("key") {
        return None;
    }
    line(text, error.line).map(str::to_owned)
}

/// A line of a configuration that can be shown, by its number from 1; `None` where there is none, or it could hold a key.
pub fn line(text: &[u8], number: u32) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let number = usize::try_from(number).ok()?.checked_sub(1)?;
    let line = text.split('\n').nth(number)?.trim_end();
    let is_plain = |c: char| c == ' ' || c.is_ascii_graphic();
    let digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let could_be_key = line
        .split(|c| !digit(c))
        .any(|run| run.len() >= LOOKS_LIKE_A_KEY);
    let says_key = line.to_ascii_lowercase().contains("key");
    let hidden = line.len() > WIDTH || !line.chars().all(is_plain) || could_be_key || says_key;
    (!hidden).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    fn problems(text: &str) -> Vec<Problem> {
        match new("a.conf", text.as_bytes()).unwrap_err() {
            Error::Invalid { problems, .. } => problems,
            error => panic!("{error}"),
        }
    }

    #[test]
    fn the_line_is_shown() {
        let text = format!("[Interface]\nPrivateKey = {KEY}\nAddress = 10.0.0.300/32\n");
        let error = new("a.conf", text.as_bytes()).unwrap_err();
        assert_eq!(
            (error.code(), error.line()),
            ("not_an_address".to_owned(), Some(3))
        );
        let problem = problems(&text).remove(0);
        assert_eq!(problem.excerpt.as_deref(), Some("Address = 10.0.0.300/32"));
        assert_eq!(problem.error.column, 11);
    }

    #[test]
    fn nothing_of_a_key_is_shown_wherever_it_stands() {
        let half = &KEY[..20];
        for line in [
            format!("PrivateKey = {half}"),
            format!("PrivateKey {KEY}"),
            format!("Address = {KEY}"),
            format!("Adress = {KEY}"),
            format!("PublicKey = {KEY}"),
            format!("MTU = x # PrivateKey = {half}"),
            KEY.to_owned(),
        ] {
            let error = new("a.conf", format!("[Interface]\n{line}\n").as_bytes()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(&KEY[..8]), "{line}: {shown}");
        }
    }

    #[test]
    fn every_error_is_told() {
        let text = format!("[Interface]\nPrivateKey = {KEY}\nMTU = 1\nAddress = x\n");
        let lines: Vec<u32> = problems(&text).iter().map(|p| p.error.line).collect();
        assert!(lines.starts_with(&[3, 4]), "{lines:?}");
    }

    #[test]
    fn an_empty_text_is_told_as_that() {
        assert_eq!(new("a", b" \n\t").unwrap_err().code(), "empty");
    }
}
