//! Rules about the source text that no lint knows: where `unsafe` may be, licences, what must not be named.

use std::collections::BTreeMap;

use anyhow::Result;

use super::repo;

/// The only folders with `unsafe` (ARCHITECTURE §3, SECURITY T27).
const UNSAFE: &[&str] = &["helper/src/sys/", "helper/warden/"];

/// The only files with `unsafe` outside of them, and how many blocks each: what no safe wrapper has. To be made shorter, not longer.
const UNSAFE_ELSEWHERE: &[(&str, usize)] = &[
    // Accessible names, whose binding asks for a newer GTK.
    ("app/src/a11y.rs", 2),
    // Owning the descriptor that systemd passes.
    ("helper/wireguard/src/main.rs", 1),
    // tokio's promise about a descriptor.
    ("helper/wireguard/src/tun.rs", 1),
    // A test's socket option.
    ("helper/wireguard/src/udp.rs", 1),
    // A packet socket's address and counters, and a TUN.
    ("tests/lab/packet.rs", 6),
    // Keys pushed into a terminal.
    ("tests/lab/tty.rs", 1),
    // What a test has open stays out of its world.
    ("tests/lab/world.rs", 1),
];

/// Code of a file, line by line: what is left without comments and the contents of plain strings.
fn code(text: &str) -> Vec<(usize, String)> {
    let strip = |line: &str| {
        let (mut code, mut quoted, mut escaped) = (String::new(), false, false);
        for (at, c) in line.char_indices() {
            if !quoted && line[at..].starts_with("//") {
                break;
            }
            match c {
                '"' if !escaped => quoted = !quoted,
                _ if !quoted => code.push(c),
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        code
    };
    (1..)
        .zip(text.lines())
        .map(|(number, line)| (number, strip(line)))
        .collect()
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|part| part == word)
}

/// Lines of code with what is looked for, by file.
fn lines(is_found: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for file in repo::rust_files()? {
        for (number, line) in code(&repo::read(&file)?) {
            if is_found(&line) {
                found
                    .entry(file.clone())
                    .or_default()
                    .push(format!("{number}: {}", line.trim()));
            }
        }
    }
    Ok(found)
}

#[test]
fn unsafe_is_in_its_folders_only() {
    let mut found = lines(|line| has_word(line, "unsafe")).unwrap();
    found.retain(|file, _| !UNSAFE.iter().any(|folder| file.starts_with(folder)));
    for (file, count) in UNSAFE_ELSEWHERE {
        let lines = found.remove(*file).unwrap_or_default();
        assert_eq!(lines.len(), *count, "{file}: {lines:?}");
    }
    assert_eq!(found, BTreeMap::new());
}

#[test]
fn the_search_for_unsafe_sees_code_and_not_words() {
    let text = "// unsafe\nlet a = \"unsafe \\\" unsafe\"; // unsafe\nunsafe { b() }\nunsafe fn c() {}\nunsafely()\n";
    let found: Vec<_> = code(text)
        .into_iter()
        .filter(|(_, line)| has_word(line, "unsafe"))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(found, [3, 4]);
}

#[test]
fn exceptions_from_lints_give_their_reason() {
    let found = lines(|line| line.contains("#[allow(") || line.contains("#![allow(")).unwrap();
    assert_eq!(found, BTreeMap::new());
    // The lint that demands the reason, and those that nobody may switch off quietly.
    let root = repo::manifest("Cargo.toml").unwrap();
    let lints = &root["workspace"]["lints"];
    for (group, name, level) in [
        ("rust", "unsafe_code", "deny"),
        ("rust", "unsafe_op_in_unsafe_fn", "deny"),
        ("rust", "non_ascii_idents", "forbid"),
        ("clippy", "undocumented_unsafe_blocks", "deny"),
        ("clippy", "unwrap_used", "deny"),
        ("clippy", "expect_used", "deny"),
        ("clippy", "panic", "deny"),
        ("clippy", "dbg_macro", "deny"),
        ("clippy", "todo", "deny"),
        ("clippy", "unimplemented", "deny"),
        ("clippy", "allow_attributes", "warn"),
    ] {
        assert_eq!(lints[group][name].as_str(), Some(level), "{group}::{name}");
    }
}

#[test]
fn every_member_takes_the_workspaces_lints() {
    for member in repo::members().unwrap() {
        let manifest = repo::manifest(&format!("{member}/Cargo.toml")).unwrap();
        assert_eq!(
            manifest["lints"]["workspace"].as_bool(),
            Some(true),
            "{member}"
        );
    }
}

#[test]
fn what_others_may_use_freely_says_so_in_every_file() {
    const LINE: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";
    let free: Vec<_> = repo::rust_files()
        .unwrap()
        .into_iter()
        .filter(|file| file.starts_with("helper/api/") || file.starts_with("helper/core/"))
        .collect();
    assert!(free.len() > 10);
    for file in free {
        assert_eq!(
            repo::read(&file).unwrap().lines().next(),
            Some(&*format!("// {LINE}")),
            "{file}"
        );
    }
    for name in ["Service", "Tunnels", "Apps"] {
        let file = format!("data/dbus/org.lonewire.Helper1.{name}.xml");
        assert!(repo::read(&file).unwrap().contains(LINE), "{file}");
    }
}

#[test]
fn manifests_and_licence_texts_agree() {
    for member in repo::members().unwrap() {
        let package = repo::manifest(&format!("{member}/Cargo.toml")).unwrap()["package"].clone();
        let free = ["helper/api", "helper/core"].contains(&&*member);
        if free {
            assert_eq!(
                package["license"].as_str(),
                Some("MIT OR Apache-2.0"),
                "{member}"
            );
        } else {
            assert_eq!(
                package["license"]["workspace"].as_bool(),
                Some(true),
                "{member}"
            );
        }
    }
    assert_eq!(
        repo::manifest("Cargo.toml").unwrap()["workspace"]["package"]["license"].as_str(),
        Some("GPL-3.0-or-later")
    );
    for (file, words) in [
        ("LICENSE-GPL-3.0", "GNU GENERAL PUBLIC LICENSE"),
        (
            "LICENSE-MIT",
            "Permission is hereby granted, free of charge",
        ),
        ("LICENSE-APACHE-2.0", "Apache License"),
    ] {
        assert!(repo::read(file).unwrap().contains(words), "{file}");
    }
}

#[test]
fn nobody_is_authorised_by_a_process_id() {
    // SECURITY T01. Put together here, or this file would be found.
    let words = [
        concat!("unix-", "process"),
        concat!("new_for_", "owner"),
        concat!("unix_", "process"),
    ];
    for file in repo::rust_files().unwrap() {
        let text = repo::read(&file).unwrap();
        for word in words {
            // The tests' polkit may know the word to refuse it.
            assert!(
                file.starts_with("tests/") || !text.contains(word),
                "{file} names {word}"
            );
        }
    }
}

#[test]
fn the_top_level_is_what_it_is() {
    const KNOWN: &[&str] = &[
        "Cargo.toml",
        "Cargo.lock",
        "CHANGELOG.md",
        "README.md",
        "app",
        "helper",
        "polkit",
        "data",
        "tests",
        "target",
    ];
    for entry in std::fs::read_dir(repo::top()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            KNOWN.contains(&&*name) || name.starts_with('.') || name.starts_with("LICENSE"),
            "{name}"
        );
    }
}

/// SECURITY: what is privileged is small. Lines of a file that are neither blank nor comment nor test.
fn lines_of_code(text: &str) -> usize {
    let code = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    code.lines().map(str::trim).filter(is_code).count()
}

#[test]
fn the_warden_stays_small() {
    const MOST: usize = 1_500;
    let files = repo::rust_files().unwrap();
    let own = files
        .iter()
        .filter(|file| file.starts_with("helper/warden/src/"));
    let all: Vec<_> = own
        .map(|file| (lines_of_code(&repo::read(file).unwrap()), file))
        .collect();
    assert!(all.len() > 5, "{all:?}");
    let sum: usize = all.iter().map(|(lines, _)| lines).sum();
    assert!(sum < MOST, "{sum} lines: {all:?}");
}

#[test]
fn lines_of_code_are_counted_without_comments_blanks_and_tests() {
    let text =
        "//! a\n\nfn a() {\n    // b\n    b() // c\n}\n\n#[cfg(test)]\nmod tests {\n    c();\n}\n";
    assert_eq!(lines_of_code(text), 3);
}

/// Where the helper kills itself for a test: no build that is shipped has it.
#[test]
fn points_to_be_killed_at_are_in_debug_builds_only() {
    let gate = repo::read("helper/src/points.rs").unwrap();
    let gated: Vec<_> = gate
        .lines()
        .zip(gate.lines().skip(1))
        .filter(|(_, line)| line.contains("debug::") || line.contains("mod debug"))
        .collect();
    assert_eq!(gated.len(), 2, "{gated:?}");
    for (before, line) in gated {
        assert_eq!(before, "#[cfg(debug_assertions)]", "{line}");
    }
    // Nobody else reads the order, or has a way to kill.
    let mut does = Vec::new();
    for file in repo::rust_files().unwrap() {
        let text = repo::read(&file).unwrap();
        let has = text.contains("/points\"") || text.contains("Signal::KILL");
        if file.starts_with("helper/src/") && has {
            does.push(file);
        }
    }
    assert_eq!(does, ["helper/src/points/debug.rs"]);
    let workspace = repo::manifest("Cargo.toml").unwrap();
    for (name, profile) in workspace["profile"].as_table().unwrap() {
        assert!(
            profile.get("debug-assertions").is_none(),
            "profile.{name} decides it another way"
        );
    }
    let release = &workspace["profile"]["release"];
    assert!(release.get("inherits").is_none());
}
