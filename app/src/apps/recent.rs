//! Which apps were run lately, by their ids: a line each in `$XDG_STATE_HOME/lonewire/recent-apps`, the last one first.

use std::{fs, path::PathBuf};

use crate::places;

/// More than anybody runs in turns.
const MOST: usize = 30;

fn file() -> PathBuf {
    places::state().join("recent-apps")
}

/// The ids, the last one that was run first.
pub(super) fn read() -> Vec<String> {
    parse(&fs::read_to_string(file()).unwrap_or_default())
}

/// Notes that an app was run.
pub fn note(id: &str) {
    let text = with(&read(), id).join("\n");
    let file = file();
    if let Some(folder) = file.parent() {
        let _ = fs::create_dir_all(folder);
    }
    let _ = fs::write(file, format!("{text}\n"));
}

fn parse(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .take(MOST)
        .map(str::to_owned)
        .collect()
}

fn with(before: &[String], id: &str) -> Vec<String> {
    let others = before.iter().filter(|other| *other != id);
    std::iter::once(id.to_owned())
        .chain(others.cloned())
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_first_and_each_is_there_once() {
        let list = parse("a\n\n  b \nc\n");
        assert_eq!(list, ["a", "b", "c"]);
        assert_eq!(with(&list, "c"), ["c", "a", "b"]);
        assert_eq!(with(&list, "d"), ["d", "a", "b", "c"]);
        assert_eq!(with(&[], "a"), ["a"]);
    }

    #[test]
    fn the_list_does_not_grow_without_end() {
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(with(&many, "new").len(), MOST);
        assert_eq!(parse(&many.join("\n")).len(), MOST);
    }
}
