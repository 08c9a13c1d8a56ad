//! Small things about text that both programs show.

use std::fmt;

/// A name from outside, fit for a terminal or a label: it moves no cursor and turns no writing direction. At most 1000 characters.
pub fn printable(name: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars()
        .take(1000)
        .map(|c| {
            if c.is_control() || turns(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// The text of a system's error without the number that the standard library adds.
pub fn cause(error: impl fmt::Display) -> String {
    let mut text = error.to_string();
    if let Some(place) = text.find(" (os error ") {
        text.truncate(place);
    }
    text
}

/// `NotFound` and `not-found` as `not_found`: how the programs write codes.
pub fn snake(word: &str) -> String {
    let mut text = String::with_capacity(word.len() + 4);
    for c in word.chars() {
        if c.is_ascii_uppercase() {
            if !text.is_empty() {
                text.push('_');
            }
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(if c == '-' || c == ' ' { '_' } else { c });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_nothing_to_a_terminal() {
        assert_eq!(
            printable("a\x1b[31m\n\u{202e}ä.conf"),
            "a\u{fffd}[31m\u{fffd}\u{fffd}ä.conf"
        );
    }

    #[test]
    fn a_cause_has_no_number() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(cause(error), "No such file or directory");
    }

    #[test]
    fn codes_are_in_snake_case() {
        assert_eq!(snake("KeyInUse"), "key_in_use");
        assert_eq!(snake("no-handshake"), "no_handshake");
    }
}
