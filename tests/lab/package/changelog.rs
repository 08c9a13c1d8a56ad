//! `CHANGELOG.md` in the form that Debian reads.

use anyhow::{Context as _, Result};
use std::process::Command;

use super::run;

const MAINTAINER: &str = "The Lonewire contributors <lonewire@users.noreply.github.com>";

/// One entry a version. What is not released yet is of the version that is packaged, and of its time.
///
/// # Errors
/// No section, or a date that is none.
pub fn debian(markdown: &str, version: &str, epoch: u64) -> Result<String> {
    let mut entries = Vec::new();
    for section in markdown.split("\n## [").skip(1) {
        let (heading, body) = section.split_once('\n').context("a section")?;
        let (name, date) = heading.split_once(']').context("a version in brackets")?;
        let (name, date) = match name {
            "Unreleased" => (version, format!("@{epoch}")),
            _ => (name, date.trim_start_matches(" - ").trim().to_owned()),
        };
        let date = run(Command::new("date").args(["--utc", "--rfc-email", "--date", &date]))?;
        let items: Vec<_> = body
            .lines()
            .filter_map(|line| line.strip_prefix("- "))
            .map(wrap)
            .collect();
        if items.is_empty() {
            continue;
        }
        entries.push(format!(
            "lonewire ({name}) unstable; urgency=medium\n\n{}\n -- {MAINTAINER}  {}\n",
            items.concat(),
            date.trim()
        ));
    }
    (!entries.is_empty())
        .then(|| entries.join("\n"))
        .context("a changelog without sections")
}

/// An item in lines of at most 80 characters.
fn wrap(text: &str) -> String {
    let mut lines = vec!["  *".to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut();
        match line {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 80 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("    {word}")),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
