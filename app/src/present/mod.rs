//! Words, icons and colours for what the helper tells. Pure: what it says depends on its arguments and the language alone, and the
//! time is an argument.

pub mod app;
pub mod check;
pub mod connection;
pub mod diagnostics;
pub mod draft;
pub mod edit;
pub mod history;
pub mod launch;
pub mod name;
pub mod notice;
pub mod options;
pub mod problem;
pub mod reason;
pub mod service;
pub mod state;
pub mod time;
pub mod units;

/// Puts values in the places of a translated text that are named in braces: `{count}`.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = place(rest) {
        filled.push_str(before);
        match values.iter().find(|(key, _)| *key == name) {
            Some((_, value)) => filled.push_str(value),
            None => filled.extend(["{", name, "}"]),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// What stands before the first pair of braces, in it and after it.
fn place(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn values_go_where_their_names_are_and_are_not_looked_at_again() {
        for (text, expected) in [
            ("{name} added", "{b} added"),
            ("{b} and {name}", "2 and {b}"),
            ("{other}, {name", "{other}, {name"),
            ("", ""),
        ] {
            assert_eq!(fill(text, &[("name", "{b}"), ("b", "2")]), expected);
        }
    }
}
