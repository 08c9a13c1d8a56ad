//! Writing to standard output: tables for people, tab-separated lines for scripts, one JSON object for programs; and to standard
//! error. Nothing else in this program writes, so that a reader who has gone never makes it panic. What others named is never let
//! through as a control sequence.

use std::{
    fmt::Write as _,
    io::{ErrorKind, IsTerminal as _, Write as _},
};

use crate::{
    context::{Context, Format},
    failure::Failure,
};

/// Whole lines; a full stop for the command where nobody reads them any more.
///
/// # Errors
/// `output_closed`, which is shown to nobody; `system`.
pub fn text(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::output_closed(),
            _ => Failure::system("standard output cannot be written to", error),
        })
}

/// Lines on standard error, for a person. Where nobody reads them the command goes on all the same.
pub fn note(text: &str) {
    let mut out = anstream::stderr().lock();
    let _ = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
}

/// One line of JSON.
///
/// # Errors
/// As [`text`].
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    text(&format!("{value}\n"))
}

/// Rows in columns on a terminal, else with tabs between.
///
/// # Errors
/// As [`text`].
pub fn table(context: &Context, headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    text(&match context.format {
        Format::Human if std::io::stdout().is_terminal() => columns(headings, rows),
        _ => tabbed(rows),
    })
}

/// Rows with tabs between, without headings.
pub fn tabbed(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| clean(cell)).collect();
        let _ = writeln!(text, "{}", cells.join("\t"));
    }
    text
}

/// Rows in columns under their headings; nothing where there are none.
pub fn columns(headings: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = headings.iter().map(|&word| word.to_owned()).collect();
    let body = rows
        .iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect());
    let all: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    if rows.is_empty() {
        return String::new();
    }
    let width = |column: usize| {
        all.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Control characters as U+FFFD: a name moves no cursor and makes no columns.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The same for text of several lines.
pub fn clean_lines(text: &str) -> String {
    let clean = |c: char| c.is_control() && c != '\n';
    text.replace(clean, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        vec![
            vec!["curl".to_owned(), "1".to_owned()],
            vec!["a\t\x1b[2Jb".to_owned(), String::new()],
        ]
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(
            columns(&["NAME", "PID"], &rows()),
            "NAME     PID\ncurl     1\na\u{fffd}\u{fffd}[2Jb\n"
        );
        assert_eq!(columns(&["NAME"], &[]), "");
    }

    #[test]
    fn a_name_makes_no_columns() {
        assert_eq!(tabbed(&rows()), "curl\t1\na\u{fffd}\u{fffd}[2Jb\t\n");
    }
}
