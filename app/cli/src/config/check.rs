//! What is wrong with a configuration, said before the helper sees it: every error with its line, where that cannot hold a key.

use lonewire_core::wgconf::{self, ParseError, Parsed};

use crate::failure::{Exit, Failure};

/// Characters of a line that are shown at most; longer ones are not.
const WIDTH: usize = 100;

/// A run of this many base64 digits may be a key in the wrong place.
const LOOKS_LIKE_A_KEY: usize = 32;

/// Reads a new configuration.
///
/// # Errors
/// Everything wrong with it, as one failure.
pub fn new(origin: &str, text: &[u8]) -> Result<Parsed, Failure> {
    wgconf::parse_new(text).map_err(|errors| failure(origin, text, &errors))
}

/// Reads a configuration that replaces a stored one.
///
/// # Errors
/// As [`new`].
pub fn replacing(origin: &str, text: &[u8]) -> Result<Parsed, Failure> {
    wgconf::parse(text).map_err(|errors| failure(origin, text, &errors))
}

fn failure(origin: &str, text: &[u8], errors: &[ParseError]) -> Failure {
    if text.trim_ascii().is_empty() {
        return Failure::new(Exit::Configuration, "empty", format!("{origin} is empty"))
            .hint("A configuration begins with [Interface].");
    }
    let Some(first) = errors.first() else {
        return Failure::new(
            Exit::Configuration,
            "invalid_configuration",
            format!("{origin} is not a valid configuration"),
        );
    };
    let sentence = first.to_string();
    let mut failure = Failure::new(
        Exit::Configuration,
        first.code(),
        format!("{origin}: {}", sentence.trim_end_matches('.')),
    )
    .at_line(first.line);
    for (index, error) in errors.iter().enumerate() {
        if index > 0 {
            failure = failure.hint(error.to_string());
        }
        for line in excerpt(text, error).into_iter().flatten() {
            failure = failure.hint(line);
        }
    }
    failure
}

/// The line and a mark below it; `None` where it could hold a key or something a terminal should not get.
fn excerpt(text: &[u8], error: &ParseError) -> Option<[String; 2]> {
    error.value.as_ref()?;
    let key = error.key.as_deref()?;
    if key.to_ascii_lowercase().contains("key") {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let number = usize::try_from(error.line).ok()?.checked_sub(1)?;
    let line = text.split('\n').nth(number)?.trim_end();
    let is_plain = |c: char| c == ' ' || c.is_ascii_graphic();
    let digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let could_be_key = line
        .split(|c| !digit(c))
        .any(|run| run.len() >= LOOKS_LIKE_A_KEY);
    let says_key = line.to_ascii_lowercase().contains("key");
    if line.len() > WIDTH || !line.chars().all(is_plain) || could_be_key || says_key {
        return None;
    }
    let head = format!("{:>5} | ", error.line);
    let column = usize::try_from(error.column).ok()?.checked_sub(1)?;
    let mark = format!("{:>5} | {:column$}^", "", "");
    Some([format!("{head}{line}"), mark])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    fn refused(text: &str) -> Failure {
        new("a.conf", text.as_bytes()).unwrap_err()
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
            let failure = refused(&format!("[Interface]\n{line}\n"));
            let shown = format!("{failure} {}", failure.hints.join("\n"));
            assert!(!shown.contains(&KEY[..8]), "{line}: {shown}");
        }
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
}
