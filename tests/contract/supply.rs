//! What Lonewire is built of, as `Cargo.lock` has it: this much holds even where cargo-deny is not installed. Licences are
//! cargo-deny's (`.cargo/deny.toml`).

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::repo;

#[derive(Debug)]
struct Locked {
    version: String,
    /// `None` for our own.
    source: Option<String>,
}

/// The versions in use, by crate.
fn locked() -> Result<BTreeMap<String, Vec<Locked>>> {
    let mut crates = BTreeMap::<_, Vec<_>>::new();
    let lock = repo::manifest("Cargo.lock")?;
    for package in lock["package"].as_array().context("packages")? {
        let text = |key: &str| {
            package
                .get(key)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        };
        let version = text("version").context("a version")?;
        let source = text("source");
        crates
            .entry(text("name").context("a name")?)
            .or_default()
            .push(Locked { version, source });
    }
    Ok(crates)
}

#[test]
fn every_crate_is_ours_or_from_crates_io() {
    for (name, versions) in locked().unwrap() {
        for Locked { version, source } in versions {
            match source {
                Some(source) => assert_eq!(
                    source, "registry+https://github.com/rust-lang/crates.io-index",
                    "{name} {version}"
                ),
                None => assert!(
                    name == "lonewire" || name.starts_with("lonewire-"),
                    "{name} {version}"
                ),
            }
        }
    }
}

#[test]
fn crates_whose_types_meet_have_one_version() {
    let locked = locked().unwrap();
    // Keys go from gotatun's x25519-dalek to ours, messages from zbus to zbus_polkit, requests from helper to warden.
    for name in [
        "zbus",
        "zbus_polkit",
        "x25519-dalek",
        "tokio",
        "rtnetlink",
        "ipnet",
        "postcard",
        "wireguard-control",
        "gotatun",
    ] {
        let versions = locked
            .get(name)
            .with_context(|| format!("{name} is in use"))
            .unwrap();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

#[test]
fn polkit_is_asked_by_a_library_that_types_its_details_right() {
    // CVE-2026-78422, SECURITY T02.
    let version = &locked().unwrap()["zbus_polkit"][0].version;
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    assert!(major >= 6, "{version}");
}

#[test]
fn cargo_deny_is_told_what_must_not_come_in() {
    let deny = repo::manifest(".cargo/deny.toml").unwrap();
    let banned: Vec<_> = deny["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["crate"].as_str())
        .collect();
    assert!(banned.contains(&"zbus_polkit@<=5"), "{banned:?}");
    let features = deny["bans"]["features"].as_array().unwrap();
    assert!(
        features
            .iter()
            .any(|entry| entry["crate"].as_str() == Some("zbus")
                && entry["deny"][0].as_str() == Some("object-manager"))
    );
    for kind in ["unknown-registry", "unknown-git"] {
        assert_eq!(deny["sources"][kind].as_str(), Some("deny"));
    }
    // Copyleft without "or later" or another network's terms would need a thought first.
    let allowed: Vec<_> = deny["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    assert!(
        allowed
            .iter()
            .all(|licence| !licence.contains("GPL") || *licence == "LGPL-2.1-or-later"),
        "{allowed:?}"
    );
}
