//! `cargo xtask setup`: lists what the machine lacks and installs it with the distribution's own tools. Must never install a resolver, nor
//! anything without having said so.

mod install;
mod machine;

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Result, ensure};
use serde::Deserialize;

use machine::Distribution;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Install without asking
    #[arg(long, short)]
    yes: bool,
    /// Also what `.ci/run` needs
    #[arg(long)]
    ci: bool,
}

/// What a machine is to be fit for; each needs what those before it need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Worlds: the demonstration.
    #[default]
    Worlds,
    Tests,
    Ci,
}

/// `packages.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    need: Vec<Need>,
    /// Debian's packages that are fetched, and never installed on this machine: tests lay them over a system of their own.
    overlay: Vec<String>,
    tool: Vec<Tool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Need {
    #[serde(default)]
    programs: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    purpose: Purpose,
    debian: Vec<String>,
    fedora: Vec<String>,
    arch: Vec<String>,
}

impl Need {
    /// What of it is not there.
    fn lacks(&self) -> Vec<String> {
        let mut lacks: Vec<_> = self
            .programs
            .iter()
            .filter(|name| machine::find(name).is_none())
            .cloned()
            .collect();
        if !self.files.iter().any(|path| machine::has_file(path)) {
            // The others are where it is elsewhere.
            lacks.extend(self.files.first().cloned());
        }
        lacks
    }

    fn packages(&self, distribution: Distribution) -> &[String] {
        match distribution {
            Distribution::Debian => &self.debian,
            Distribution::Fedora => &self.fedora,
            Distribution::Arch => &self.arch,
        }
    }
}

/// A subcommand of cargo.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    name: String,
    purpose: Purpose,
    #[serde(flatten)]
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Crate(String),
    /// Of rustup.
    Component(String),
}

/// What is missing.
#[derive(Debug, Default)]
struct Missing {
    /// Packages, and what is wanted of each.
    packages: Vec<(String, Vec<String>)>,
    tools: Vec<Tool>,
    /// Packages to fetch only.
    overlay: Vec<String>,
    /// What `setup` makes itself.
    tun: bool,
    /// What only the person can mend.
    beyond: Vec<String>,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.packages.is_empty()
            && self.tools.is_empty()
            && self.overlay.is_empty()
            && !self.tun
            && self.beyond.is_empty()
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .packages
            .iter()
            .map(|(name, wanted)| format!("package {name} (for {})", wanted.join(", ")))
            .collect();
        lines.extend(self.tools.iter().map(|tool| match &tool.source {
            Source::Crate(name) => format!("crate {name} (for cargo {}; built here)", tool.name),
            Source::Component(name) => format!("rustup component {name} (for cargo {})", tool.name),
        }));
        let fetched = self.overlay.iter();
        lines.extend(fetched.map(|name| {
            format!("package {name} (fetched for systems that tests make; not installed here)")
        }));
        if self.tun {
            lines.push(format!("device {}", machine::TUN));
        }
        lines.extend(self.beyond.iter().cloned());
        lines
    }
}

/// The command.
///
/// # Errors
/// Something is missing and was not installed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let purpose = if arguments.ci {
        Purpose::Ci
    } else {
        Purpose::Tests
    };
    if !provide(purpose, arguments.yes)? {
        println!("nothing is missing");
    }
    Ok(())
}

/// What the other commands begin with, where nothing was said about installing.
///
/// # Errors
/// As [`provide`].
pub fn require() -> Result<()> {
    provide(Purpose::Tests, false).map(drop)
}

/// Installs what is missing, once the person agrees; whether anything was.
///
/// # Errors
/// Something is missing and was not installed.
pub fn provide(purpose: Purpose, yes: bool) -> Result<bool> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "worlds are made of namespaces, which root alone can do: sudo --preserve-env=PATH,HOME cargo xtask …"
    );
    let missing = look(purpose)?;
    if missing.is_empty() {
        return Ok(false);
    }
    println!("this machine lacks:");
    for line in missing.lines() {
        println!("  {line}");
    }
    ensure!(
        missing.beyond.is_empty(),
        "not all of it can be installed by setup"
    );
    ensure!(
        yes || agreed()?,
        "nothing was installed; `cargo xtask setup --yes` does without asking"
    );
    install::install(&missing)?;
    let rest = look(purpose)?;
    ensure!(
        rest.is_empty(),
        "still missing: {}",
        rest.lines().join(", ")
    );
    println!("installed: nothing is missing any more");
    Ok(true)
}

/// Whether a program is there.
pub fn has(program: &str) -> bool {
    machine::find(program).is_some()
}

/// Asks, where there is somebody to ask.
fn agreed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    print!("Install? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn look(purpose: Purpose) -> Result<Missing> {
    let list: List = toml::from_str(include_str!("packages.toml"))?;
    let mut missing = Missing::default();
    let distribution = machine::distribution();
    for need in list.need.into_iter().filter(|need| need.purpose <= purpose) {
        let lacks = need.lacks();
        let Some(distribution) = distribution else {
            let unknown = "(this distribution's package names are not known)";
            missing
                .beyond
                .extend(lacks.iter().map(|thing| format!("{thing} {unknown}")));
            continue;
        };
        if lacks.is_empty() {
            continue;
        }
        for name in need.packages(distribution) {
            match missing.packages.iter_mut().find(|(known, _)| known == name) {
                Some((_, wanted)) => wanted.extend(lacks.clone()),
                None => missing.packages.push((name.clone(), lacks.clone())),
            }
        }
    }
    missing.tools = list
        .tool
        .into_iter()
        .filter(|tool| tool.purpose <= purpose && !machine::has_tool(&tool.name))
        .collect();
    if purpose >= Purpose::Tests && matches!(distribution, Some(Distribution::Debian)) {
        let folder = lab::programs::overlay()?;
        missing.overlay = list.overlay;
        missing
            .overlay
            .retain(|name| !machine::has_package(&folder, name));
    }
    missing.tun = !machine::has_tun();
    missing.beyond.extend(machine::kernel_lacks());
    Ok(missing)
}
