//! Who may import whom (ARCHITECTURE §4), program by program: a build of the whole workspace unifies features and would show tokio
//! everywhere.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::repo;

struct Rule {
    package: &'static str,
    /// Crates that may not be anywhere in the tree; a `*` at the end stands for anything.
    never: &'static [&'static str],
    /// The only crates that its own manifest may name, where the list is closed.
    only: Option<&'static [&'static str]>,
}

/// One a member.
const RULES: &[Rule] = &[
    Rule {
        package: "lonewire-core",
        never: &[
            "zbus*",
            "tokio*",
            "async-*",
            "nix",
            "rustix",
            "libc",
            "rtnetlink",
            "netlink-*",
            "gtk4*",
            "glib*",
            "gio*",
            "lonewire-*",
        ],
        only: Some(&[
            "base64",
            "ipnet",
            "postcard",
            "serde",
            "thiserror",
            "toml",
            "unicode-general-category",
            "unicode-normalization",
            "zeroize",
        ]),
    },
    Rule {
        package: "lonewire-api",
        never: &[
            "lonewire-core",
            "tokio*",
            "async-io",
            "nix",
            "rtnetlink",
            "netlink-*",
            "wireguard-control",
            "gtk4*",
            "glib*",
            "gio*",
        ],
        only: Some(&["futures-util", "serde", "thiserror", "zbus"]),
    },
    Rule {
        package: "lonewire-helper",
        // One runtime, and no second one through a feature.
        never: &[
            "gtk4*",
            "glib*",
            "gio*",
            "libadwaita*",
            "clap",
            "lonewire",
            "lonewire-gtk",
            "lonewire-warden",
            "gotatun",
            "async-io",
            "async-executor",
            "async-process",
        ],
        only: None,
    },
    Rule {
        package: "lonewire-warden",
        never: &[
            "zbus*",
            "tokio*",
            "async-*",
            "futures*",
            "mio",
            "rtnetlink",
            "netlink-*",
            "wireguard-control",
            "gtk4*",
            "glib*",
            "clap",
            "lonewire-api",
            "lonewire-helper",
        ],
        only: Some(&["libc", "lonewire-core", "nix", "rustix"]),
    },
    // Of core it takes what it and the helper say to each other.
    Rule {
        package: "lonewire-wireguard",
        never: &[
            "zbus*",
            "rtnetlink",
            "netlink-*",
            "wireguard-control",
            "gtk4*",
            "glib*",
            "clap",
            "lonewire-api",
            "lonewire-helper",
        ],
        only: None,
    },
    // What both programs of the user stand on: neither a toolkit nor a command line.
    Rule {
        package: "lonewire-client",
        never: &[
            "tokio*",
            "nix",
            "rtnetlink",
            "netlink-*",
            "wireguard-control",
            "gotatun",
            "zbus_polkit",
            "gtk4*",
            "glib*",
            "gio*",
            "gdk*",
            "libadwaita*",
            "clap*",
            "image",
            "lonewire",
            "lonewire-gtk",
            "lonewire-helper",
        ],
        only: Some(&[
            "lonewire-api",
            "lonewire-core",
            "rqrr",
            "rustix",
            "tempfile",
            "thiserror",
            "toml",
            "x25519-dalek",
            "zbus",
            "zeroize",
            "zip",
        ]),
    },
    Rule {
        package: "lonewire",
        never: &[
            "tokio*",
            "rtnetlink",
            "netlink-*",
            "wireguard-control",
            "gotatun",
            "zbus_polkit",
            "gtk4*",
            "glib*",
            "gio*",
            "lonewire-helper",
            "lonewire-gtk",
        ],
        only: None,
    },
    Rule {
        package: "lonewire-gtk",
        never: &[
            "tokio*",
            "nix",
            "rtnetlink",
            "netlink-*",
            "wireguard-control",
            "gotatun",
            "zbus_polkit",
            "clap",
            "lonewire",
            "lonewire-helper",
            "lonewire-warden",
        ],
        only: None,
    },
    Rule {
        package: "lonewire-tests",
        never: &["lonewire-gtk"],
        only: None,
    },
];

/// The normal dependencies of a package, with features as they are when it is built alone.
fn tree(package: &str, depth: Option<&str>) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut arguments = vec![
        "tree",
        "-p",
        package,
        "-e",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p} features={f}",
    ];
    arguments.extend(depth.map(|_| "--depth"));
    arguments.extend(depth);
    let mut crates = BTreeMap::<_, BTreeSet<_>>::new();
    for line in repo::cargo(&arguments)?.lines() {
        let (crate_, features) = line
            .split_once(" features=")
            .context("a line of cargo tree")?;
        let name = crate_.split(' ').next().context("a name")?;
        let features = features
            .trim_end_matches(" (*)")
            .split(',')
            .map(str::to_owned);
        crates.entry(name.to_owned()).or_default().extend(features);
    }
    anyhow::ensure!(
        crates.remove(package).is_some(),
        "{package} is not in its own tree"
    );
    Ok(crates)
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |start| name.starts_with(start))
}

#[test]
fn no_program_imports_what_its_layer_may_not() {
    let mut wrong = vec![];
    for rule in RULES {
        for name in tree(rule.package, None).unwrap().keys() {
            if rule.never.iter().any(|pattern| matches(pattern, name)) {
                wrong.push(format!("{} imports {name}", rule.package));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn small_layers_name_only_what_they_are_meant_to() {
    for rule in RULES {
        let Some(only) = rule.only else { continue };
        for name in tree(rule.package, Some("1")).unwrap().keys() {
            assert!(
                only.contains(&name.as_str()),
                "{} names {name}",
                rule.package
            );
        }
    }
}

#[test]
fn every_member_of_the_workspace_has_a_rule() {
    let packages: BTreeSet<_> = repo::members()
        .unwrap()
        .iter()
        .map(|member| {
            repo::manifest(&format!("{member}/Cargo.toml")).unwrap()["package"]["name"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.package.to_owned()).collect();
    assert_eq!(packages, rules);
}

#[test]
fn zbus_runs_on_tokio_in_the_helper_alone_and_never_with_an_object_manager() {
    for (package, runtime, other) in [
        ("lonewire-helper", "tokio", "default-rt"),
        ("lonewire", "default-rt", "tokio"),
        ("lonewire-client", "default-rt", "tokio"),
        ("lonewire-gtk", "default-rt", "tokio"),
    ] {
        let zbus = &tree(package, None).unwrap()["zbus"];
        assert!(
            zbus.contains(runtime) && !zbus.contains(other),
            "{package}: {zbus:?}"
        );
        // It shows every object to everybody (SECURITY §3.1, 20).
        assert!(!zbus.contains("object-manager"), "{package}");
    }
}

#[test]
fn the_rules_would_catch_what_they_forbid() {
    let helper = tree("lonewire-helper", None).unwrap();
    for name in [
        "zbus",
        "tokio",
        "nix",
        "rtnetlink",
        "lonewire-core",
        "netlink-packet-core",
    ] {
        assert!(
            helper.contains_key(name),
            "{name} is seen in a tree that has it"
        );
    }
    assert!(
        matches("gtk4*", "gtk4-sys")
            && matches("nix", "nix")
            && !matches("nix", "nixx")
            && !matches("lonewire", "lonewire-core")
    );
}

/// What `use crate::{…}` imports, each name with `crate::` before it.
fn grouped(text: &str) -> Vec<String> {
    let mut names = vec![];
    for list in text.split("use crate::{").skip(1) {
        let (mut depth, mut name) = (0, String::new());
        for c in list.chars() {
            match c {
                '}' if depth == 0 => break,
                ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                '{' => depth += 1,
                '}' => depth -= 1,
                other if depth == 0 => name.push(other),
                _ => {}
            }
        }
        names.push(name);
    }
    names.retain(|name| !name.trim().is_empty());
    let named = names.iter().map(|name| format!("crate::{}", name.trim()));
    named.collect()
}

#[test]
fn inside_the_helper_imports_go_downwards() {
    // Module, and the modules above it or beside it that it may not name.
    let rules: &[(&str, &[&str])] = &[
        (
            "helper/src/ports.rs",
            &[
                "crate::sys",
                "crate::engine",
                "crate::auth",
                "crate::bus",
                "crate::daemon",
            ],
        ),
        (
            "helper/src/sys/",
            &[
                "crate::engine",
                "crate::auth",
                "crate::bus",
                "crate::daemon",
                "lonewire_api",
                "zbus::",
            ],
        ),
        (
            "helper/src/engine/",
            &["crate::sys", "crate::bus", "crate::daemon", "zbus::"],
        ),
        (
            "helper/src/auth",
            &["crate::sys", "crate::bus", "crate::daemon", "crate::engine"],
        ),
        ("helper/src/bus/", &["crate::sys", "crate::daemon"]),
    ];
    let daemon = grouped(&repo::read("helper/src/daemon.rs").unwrap());
    assert!(daemon.iter().any(|name| name.starts_with("crate::sys")));
    let mut wrong = vec![];
    for file in repo::rust_files().unwrap() {
        let text = repo::read(&file).unwrap();
        for (_, never) in rules.iter().filter(|(start, _)| file.starts_with(start)) {
            for name in grouped(&text) {
                let is_wrong = never.iter().any(|never| name.starts_with(never));
                wrong.extend(is_wrong.then(|| format!("{file} names {name}")));
            }
            for (line, text) in (1..)
                .zip(text.lines())
                .filter(|(_, text)| !text.trim_start().starts_with("//"))
            {
                wrong.extend(
                    never
                        .iter()
                        .filter(|name| text.contains(**name))
                        .map(|name| format!("{file}:{line} names {name}")),
                );
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
