//! What the packages say about the crates of others that the programs are linked with: their licences ask for it. Must never name fewer than are linked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::cargo::{self, cargo};

/// How files with a licence begin, in capitals.
const NAMES: &[&str] = &[
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

const HEAD: &str = "The programs of this package are linked with these crates of others. Their sources are at the addresses; their licences' texts, as the
crates hold them, are below. Where a crate holds none, who wrote it is said; the text of a licence of that name is at https://spdx.org/licenses/.
";

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
}

#[derive(Debug, Deserialize)]
struct Crate {
    name: String,
    version: String,
    /// None of the project's own.
    source: Option<String>,
    license: Option<String>,
    authors: Vec<String>,
    manifest_path: PathBuf,
}

/// Writes one list a package, `crates/PACKAGE.txt` beside the programs.
///
/// # Errors
/// cargo fails (it fetches what it lacks), or a crate has no licence.
pub fn build(folder: &Path, packages: &[(&str, &[&str])]) -> Result<()> {
    let host = cargo::host()?;
    let text = ask(cargo()
        .args(["metadata", "--format-version=1"])
        .args(["--filter-platform", &host]))?;
    let all: Metadata = serde_json::from_str(&text)?;
    let all: BTreeMap<_, _> = all
        .packages
        .into_iter()
        .map(|one| ((one.name.clone(), one.version.clone()), one))
        .collect();
    fs::create_dir_all(folder.join("crates"))?;
    for (package, programs) in packages {
        let mut linked = BTreeSet::new();
        for program in *programs {
            // What runs in the compiler only is not linked.
            let tree = ask(cargo()
                .args(["tree", "--package", program])
                .args(["--target", &host, "--edges", "normal,no-proc-macro"])
                .args(["--prefix", "none", "--format", "{p}"]))?;
            for line in tree.lines() {
                let mut words = line.split_whitespace();
                let name = words.next().context("an empty line")?;
                let version = words.next().and_then(|word| word.strip_prefix('v'));
                linked.insert((
                    name.to_owned(),
                    version.context(name.to_owned())?.to_owned(),
                ));
            }
        }
        let mut crates = Vec::new();
        for key in &linked {
            let one = all.get(key).with_context(|| format!("{key:?}"))?;
            if one.source.is_some() {
                crates.push(one);
            }
        }
        ensure!(!crates.is_empty(), "{package} is linked with nothing");
        fs::write(
            folder.join("crates").join(format!("{package}.txt")),
            list(&crates)?,
        )?;
    }
    Ok(())
}

fn list(crates: &[&Crate]) -> Result<String> {
    let mut said = HEAD.to_owned();
    // By the words alone: many differ in nothing but how their lines are broken.
    let mut texts: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for one in crates {
        let Crate { name, version, .. } = one;
        let licence = one
            .license
            .as_deref()
            .with_context(|| format!("{name} has no licence"))?;
        said.push_str(&format!(
            "\n{name} {version}: {licence}, https://crates.io/crates/{name}/{version}"
        ));
        let found = texts_of(&one.manifest_path)?;
        if found.is_empty() {
            said.push_str(&format!(", by {}", one.authors.join(", ")));
        }
        for (file, text) in found {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let (_, of) = texts.entry(words).or_insert((text, Vec::new()));
            of.push(format!("{name} {version} ({file})"));
        }
    }
    said.push('\n');
    let mut texts: Vec<_> = texts.into_values().collect();
    texts.sort_by(|(_, one), (_, two)| one.cmp(two));
    for (text, of) in texts {
        let text = text.replace('\r', "");
        said.push_str(&format!(
            "\n{}\n{}:\n\n{}\n",
            "-".repeat(80),
            of.join(", "),
            text.trim_matches('\n').trim_end()
        ));
    }
    Ok(said)
}

/// The licences that lie beside a crate's manifest, by name.
fn texts_of(manifest: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(manifest.parent().context("a manifest's folder")?)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let is_one = NAMES
            .iter()
            .any(|start| name.to_uppercase().starts_with(start));
        if is_one && path.is_file() {
            let text = fs::read(&path)?;
            found.push((name, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn ask(command: &mut Command) -> Result<String> {
    let out = command.output()?;
    ensure!(
        out.status.success(),
        "{}: {}\n{}",
        cargo::show(command),
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8(out.stdout)?)
}
