//! `cargo xtask i18n`: takes the window's words out of its sources, for translators.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use lab::{programs, words};

use crate::cargo;

/// Writes the template and the list of its sources, and brings the catalogues up to it.
///
/// # Errors
/// A text cannot be taken out.
pub fn run() -> Result<()> {
    let project = programs::project();
    let template = project.join(words::TEMPLATE);
    fs::create_dir_all(project.join(words::FOLDER))?;
    fs::write(&template, words::template(&project)?).context("the template")?;
    let list = words::sources(&project)?.join("\n") + "\n";
    fs::write(project.join(words::FOLDER).join("POTFILES"), list)?;
    for language in words::languages(&project)? {
        let catalogue = project.join(format!("{}/{language}.po", words::FOLDER));
        cargo::run(
            Command::new("msgmerge")
                .args(["--quiet", "--update", "--backup=off", "--no-wrap"])
                .args(["--no-fuzzy-matching"])
                .arg(&catalogue)
                .arg(&template),
        )?;
        cargo::run(
            Command::new("msgattrib")
                .args(["--no-obsolete", "--no-wrap", "--output-file"])
                .arg(&catalogue)
                .arg(&catalogue),
        )?;
    }
    Ok(())
}
