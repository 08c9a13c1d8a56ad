//! The window's size, kept over runs in the user's state folder. Losing it is no error.

use std::{fs, path::PathBuf};

use gtk::prelude::*;

use super::Window;
use crate::places;

const DEFAULT: (i32, i32) = (900, 700);
const LEAST: (i32, i32) = (360, 294);

/// `$XDG_STATE_HOME/lonewire/window`: width, height, and `maximized` where it is.
fn file() -> PathBuf {
    places::state().join("window")
}

/// Reads "900 700 maximized"; what makes no sense is as if it were not there.
fn parse(text: &str) -> Option<(i32, i32, bool)> {
    let mut words = text.split_whitespace();
    let width: i32 = words.next()?.parse().ok()?;
    let height: i32 = words.next()?.parse().ok()?;
    let most = 20_000;
    ((LEAST.0..most).contains(&width) && (LEAST.1..most).contains(&height))
        .then(|| (width, height, words.next() == Some("maximized")))
}

impl Window {
    pub(super) fn restore_size(&self) {
        let saved = fs::read_to_string(file())
            .ok()
            .and_then(|text| parse(&text));
        let (width, height, maximized) = saved.unwrap_or((DEFAULT.0, DEFAULT.1, false));
        self.set_default_size(width, height);
        if maximized {
            self.maximize();
        }
    }

    pub(super) fn save_size(&self) {
        let (width, height) = self.default_size();
        let maximized = if self.is_maximized() {
            " maximized"
        } else {
            ""
        };
        let file = file();
        if let Some(folder) = file.parent() {
            let _ = fs::create_dir_all(folder);
        }
        let _ = fs::write(file, format!("{width} {height}{maximized}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_size_that_makes_no_sense_is_not_taken() {
        for (text, expected) in [
            ("900 700\n", Some((900, 700, false))),
            ("900 700 maximized\n", Some((900, 700, true))),
            ("10 10", None),
            ("900", None),
            ("99999 700", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected);
        }
    }
}
