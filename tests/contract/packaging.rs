//! What `data/packaging` says beside the list of files, against the units and the workspace.

use std::process::Command;

use super::repo;

const SCRIPTS: &[&str] = &[
    "data/packaging/deb/lonewire/config",
    "data/packaging/deb/lonewire/postinst",
    "data/packaging/deb/lonewire/prerm",
    "data/packaging/deb/lonewire/postrm",
    "data/packaging/lonewire.install",
    "data/packaging/PKGBUILD",
    "data/packaging/rpm/lonewire.spec",
];

/// Words of a text that name a unit of ours.
fn units(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"-.@*".contains(c))
        .filter(|word| {
            word.starts_with("lonewire")
                && (word.ends_with(".socket") || word.ends_with(".service"))
        })
        .map(|word| word.replace("@*", "@"))
        .collect()
}

#[test]
fn every_unit_that_a_script_names_is_one_of_ours() {
    let mut seen = 0;
    for script in SCRIPTS {
        for unit in units(&repo::read(script).unwrap()) {
            assert!(
                repo::top().join("data/systemd").join(&unit).is_file(),
                "{script} names {unit}"
            );
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn scripts_are_shell_and_stop_nothing_on_an_upgrade() {
    for script in SCRIPTS.iter().filter(|script| !script.ends_with(".spec")) {
        let shell = if script.contains("deb/") {
            "sh"
        } else {
            "bash"
        };
        let out = Command::new(shell)
            .arg("-n")
            .arg(repo::top().join(script))
            .output()
            .unwrap();
        assert!(out.status.success(), "{script}: {out:?}");
    }
    // An upgrade calls `prerm upgrade` and `postinst configure`.
    let prerm = repo::read("data/packaging/deb/lonewire/prerm").unwrap();
    let (before, _) = prerm.split_once("if [ \"$1\" = remove ]; then").unwrap();
    assert!(
        before
            .lines()
            .all(|line| line.starts_with('#') || line == "set -e" || line.is_empty())
    );
    let postinst = repo::read("data/packaging/deb/lonewire/postinst").unwrap();
    assert!(!postinst.contains("invoke stop") && !postinst.contains("systemctl stop"));
}

#[test]
fn keys_are_deleted_only_where_the_person_said_so() {
    let postrm = repo::read("data/packaging/deb/lonewire/postrm").unwrap();
    let (_, after) = postrm
        .split_once("if [ \"$delete\" = true ]; then")
        .unwrap();
    let deletes = "rm -rf /var/lib/lonewire";
    assert_eq!(postrm.matches(deletes).count(), 1);
    assert!(after.trim_start().starts_with(deletes), "{after}");
    let template = repo::read("data/packaging/deb/lonewire/templates").unwrap();
    assert!(template.contains("\nDefault: false\n"));
}

#[test]
fn recipes_are_of_this_version() {
    let workspace = repo::manifest("Cargo.toml").unwrap();
    let version = workspace["workspace"]["package"]["version"]
        .as_str()
        .unwrap();
    let line = format!("\npkgver={version}\n");
    assert!(
        repo::read("data/packaging/PKGBUILD")
            .unwrap()
            .contains(&line)
    );
    assert!(
        repo::read("README.md")
            .unwrap()
            .contains(&format!("lonewire_{version}_"))
    );
}
