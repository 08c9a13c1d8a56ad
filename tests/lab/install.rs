//! `data/install.toml`: what is installed where.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// A file to install.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// Path in the repository, or
    pub source: Option<String>,
    /// name of a built program.
    pub program: Option<String>,
    /// Path in the folder of the built programs, of what `cargo xtask build` makes beside them; of `source`, if that is said too.
    pub built: Option<String>,
    pub destination: String,
    /// Octal.
    pub mode: String,
    /// Which package it is in.
    #[serde(default)]
    pub package: Package,
}

/// What is installed together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Package {
    /// The command line and all that is privileged.
    #[default]
    #[serde(rename = "lonewire")]
    Main,
    /// The window.
    #[serde(rename = "lonewire-gtk")]
    Window,
}

impl Package {
    pub const ALL: [Self; 2] = [Self::Main, Self::Window];

    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "lonewire",
            Self::Window => "lonewire-gtk",
        }
    }
}

impl Installed {
    /// Where it comes from, with the project's folder and that of the programs.
    ///
    /// # Errors
    /// The list does not say.
    pub fn origin(&self, project: &Path, programs: &Path) -> Result<PathBuf> {
        match (&self.source, &self.program, &self.built) {
            (Some(source), None, None) => Ok(project.join(source)),
            (None, Some(name), None) | (_, None, Some(name)) => Ok(programs.join(name)),
            _ => bail!("{}: either a source or a program", self.destination),
        }
    }
}

/// All files, by the list of the project in a folder.
///
/// # Errors
/// The list is missing or is not what it should be.
pub fn list(project: &Path) -> Result<Vec<Installed>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        file: Vec<Installed>,
    }
    let path = project.join("data/install.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let list: List = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(list.file)
}
