//! What a tunnel may be called, as a person types it.

use gettextrs::gettext;
use lonewire_core::name::{BadName, MAX_CHARS, TunnelName};

use super::fill;

/// What keeps a text from being a name that no other tunnel has.
///
/// # Errors
/// A whole sentence.
pub fn check(text: &str, taken: &[String]) -> Result<String, String> {
    let name = TunnelName::new(text).map_err(|error| match error {
        BadName::Empty => gettext("A tunnel needs a name."),
        BadName::TooLong => fill(
            &gettext("A name has at most {count} characters."),
            &[("count", &MAX_CHARS.to_string())],
        ),
        _ => gettext("A name has letters, numbers, punctuation and spaces only."),
    })?;
    let key = name.fold();
    if taken.iter().any(|one| fold(one) == key) {
        return Err(gettext("Another tunnel has this name."));
    }
    Ok(name.as_str().to_owned())
}

/// The name, or with a number behind it where it is taken; one of its own where it is empty.
pub fn free(name: &str, taken: &[String]) -> String {
    let taken: Vec<String> = taken.iter().map(|one| fold(one)).collect();
    let wanted = TunnelName::new(name)
        .or_else(|_| TunnelName::new(&gettext("Tunnel")))
        .unwrap_or_else(|_| TunnelName::from_file_name(name));
    wanted
        .made_unique(|key| taken.iter().any(|one| one == key))
        .as_str()
        .to_owned()
}

fn fold(name: &str) -> String {
    TunnelName::new(name).map_or_else(|_| name.to_owned(), |name| name.fold())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_what_it_lacks() {
        let taken = ["Home".to_owned()];
        assert_eq!(check(" work ", &taken).as_deref(), Ok("work"));
        for (text, word) in [
            ("", "needs"),
            ("HOME", "Another"),
            ("a\u{202e}b", "letters"),
            (&"x".repeat(65), "64"),
        ] {
            assert!(check(text, &taken).unwrap_err().contains(word), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let taken = ["se1".to_owned(), "SE1 2".to_owned()];
        assert_eq!(free("se1", &taken), "se1 3");
        assert_eq!(free("", &taken), "Tunnel");
    }
}
