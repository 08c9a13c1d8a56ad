//! `cargo xtask setup` knows every program that tests, worlds and the developer's commands start: else they pass only where somebody had installed it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};

use super::repo;

const LIST: &str = "tests/xtask/setup/packages.toml";

/// Comes with Rust or with the distribution, or setup could not run; or is not needed: where there is no Java, that part is left out and told.
const GIVEN: &[&str] = &[
    "apt-get", "cargo", "dnf", "dpkg-deb", "go", "javac", "pacman", "rustc", "rustup",
];

/// Words of messages and arguments that are programs somewhere.
const WORDS: &[&str] = &[
    "activate", "apt", "file", "idle", "link", "look", "modprobe", "passwd", "ps", "script",
    "service", "sudo", "sum", "systemd", "time", "users", "write", "yes",
];

/// What a file starts for certain, and what looks so: words where a command stands.
#[derive(Debug, Default, PartialEq, Eq)]
struct Started {
    surely: BTreeSet<String>,
    perhaps: BTreeSet<String>,
}

/// String literals of Rust, each with the code right before it.
fn literals(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut before = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => {
                rest.by_ref().find(|c| *c == '\n');
            }
            // The one character that would begin a literal.
            '\'' if rest.peek() == Some(&'"') => {
                rest.next();
            }
            '"' => {
                let end = before.rfind(|c| c != '#').map_or(0, |at| at + 1);
                let hashes = before.len() - end;
                let is_raw = before[..end].ends_with('r');
                let close = format!("\"{}", "#".repeat(if is_raw { hashes } else { 0 }));
                let mut literal = String::from('"');
                while !literal[1..].ends_with(&close) {
                    match rest.next() {
                        Some('\\') if !is_raw => match rest.next() {
                            Some('n') => literal.push('\n'),
                            Some('\n') => {}
                            // So that no quoted quote ends it.
                            Some(c) => literal.push(if c == '"' { '\'' } else { c }),
                            None => break,
                        },
                        Some(c) => literal.push(c),
                        None => break,
                    }
                }
                let inner = literal[1..].strip_suffix(&close).unwrap_or_default();
                found.push((std::mem::take(&mut before), inner.to_owned()));
            }
            c => before.push(c),
        }
    }
    found
}

/// Words of a shell script where a command stands.
fn commands(script: &str) -> BTreeSet<String> {
    let mut spaced = String::new();
    for c in script.chars() {
        match c {
            ';' | '|' | '&' | '(' | '{' | '\n' => spaced.push_str(" ; "),
            c => spaced.push(c),
        }
    }
    let mut found = BTreeSet::new();
    let mut is_command = true;
    for word in spaced.split_whitespace() {
        let is_name = word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        match word {
            ";" | "then" | "do" | "else" | "exec" | "if" | "while" | "!" => is_command = true,
            _ if is_command && is_name => {
                found.insert(word.to_owned());
                is_command = false;
            }
            // A variable before a command.
            _ => is_command &= word.contains('='),
        }
    }
    found
}

fn started(text: &str) -> Started {
    let mut found = Started::default();
    for (before, literal) in literals(text) {
        let before = before.trim_end();
        if literal.contains([';', '|', '&', '$', '\n']) || before.ends_with(".sh(") {
            found.perhaps.extend(commands(&literal));
        } else if before.ends_with("Command::new(") {
            found.surely.insert(literal);
        } else if before.ends_with('[') && !literal.contains(' ') {
            found.perhaps.insert(literal);
        }
    }
    found
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.any(|folder| Path::new(&folder).join(name).is_file())
}

/// The program's name alone.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[test]
fn setup_knows_every_program_that_is_started() {
    let known = listed().unwrap();
    let mut unknown = BTreeMap::<String, BTreeSet<String>>::new();
    for file in repo::files("tests").unwrap() {
        let text = match &*file {
            path if path.ends_with(".rs") && !path.starts_with("tests/contract/") => {
                started(&repo::read(path).unwrap())
            }
            path if path.ends_with(".sh") => Started {
                perhaps: commands(&repo::read(path).unwrap()),
                ..Started::default()
            },
            _ => continue,
        };
        let perhaps = text.perhaps.into_iter().filter(|word| is_program(word));
        for word in text.surely.into_iter().chain(perhaps) {
            let name = base(&word);
            if !known.contains(name) && !GIVEN.contains(&name) && !WORDS.contains(&name) {
                unknown
                    .entry(name.to_owned())
                    .or_default()
                    .insert(file.clone());
            }
        }
    }
    assert_eq!(unknown, BTreeMap::new(), "not in {LIST}");
}

fn listed() -> Result<BTreeSet<String>> {
    let list = repo::manifest(LIST)?;
    let mut known = BTreeSet::new();
    for need in list["need"].as_array().context("needs")? {
        for things in ["programs", "files"]
            .iter()
            .filter_map(|key| need.get(*key))
        {
            let names = things.as_array().into_iter().flatten();
            known.extend(names.filter_map(|name| Some(base(name.as_str()?).to_owned())));
        }
    }
    Ok(known)
}

#[test]
fn no_resolver_is_ever_installed() {
    let list = repo::manifest(LIST).unwrap();
    for need in list["need"].as_array().unwrap() {
        for distribution in ["debian", "fedora", "arch"] {
            let packages = need[distribution].as_array().unwrap();
            assert!(!packages.is_empty(), "{need}");
            for name in packages.iter().map(|name| name.as_str().unwrap()) {
                let is_resolver = ["resolve", "nscd", "avahi", "dnsmasq", "unbound"]
                    .iter()
                    .any(|part| name.contains(part));
                assert!(!is_resolver, "{name}");
            }
        }
    }
}

#[test]
fn what_is_fetched_for_overlays_is_never_installed() {
    let list = repo::manifest(LIST).unwrap();
    let fetched = list["overlay"].as_array().unwrap();
    assert!(fetched.iter().any(|name| name.as_str() == Some("nscd")));
    for need in list["need"].as_array().unwrap() {
        for name in need["debian"].as_array().unwrap() {
            assert!(!fetched.contains(name), "{name}");
        }
    }
    // The one command that names them fetches only.
    let install = repo::read("tests/xtask/setup/install.rs").unwrap();
    let fetch = install.split("\nfn fetch(").nth(1).unwrap();
    let fetch = fetch.split("\n}\n").next().unwrap();
    assert!(fetch.contains("\"--download-only\""));
    assert_eq!(install.matches("overlay)?").count(), 1);
}

#[test]
fn the_search_sees_what_is_started() {
    let text = r##"
        // Command::new("comment")
        let q = '"';
        Command::new("one").args(["--two", "three"]);
        world.run_in("host", &["four", "five"]);
        sh("A=1 six; if seven | eight \"; nine\" && ten\nexec eleven");
        let raw = r#"twelve "thirteen"; fourteen"#;
    "##;
    let found = started(text);
    assert_eq!(found.surely, BTreeSet::from(["one".to_owned()]));
    let words = [
        "eight", "eleven", "four", "fourteen", "seven", "six", "ten", "twelve",
    ];
    let mut perhaps = found.perhaps;
    // What cannot be told from a command is seen too, which does no harm: no program has such a name.
    perhaps.retain(|word| !["--two", "nine"].contains(&word.as_str()));
    assert_eq!(perhaps, words.map(str::to_owned).into());
}
