//! `data/install.toml`, the one list of what is installed where, against the files and programs that there are.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use lonewire_api::names;

use super::repo;

fn list() -> Result<Vec<lab::install::Installed>> {
    lab::install::list(repo::top())
}

/// Where files of a folder go.
const FOLDERS: &[(&str, &[&str])] = &[
    (
        "data/dbus/",
        &[
            "/usr/share/dbus-1/system.d/",
            "/usr/share/dbus-1/system-services/",
            "/usr/share/dbus-1/services/",
            "/usr/share/dbus-1/interfaces/",
        ],
    ),
    (
        "data/systemd/",
        &["/usr/lib/systemd/system/", "/usr/lib/systemd/user/"],
    ),
    ("data/sysusers.d/", &["/usr/lib/sysusers.d/"]),
    ("data/tmpfiles.d/", &["/usr/lib/tmpfiles.d/"]),
    ("data/applications/", &["/usr/share/applications/"]),
    ("data/metainfo/", &["/usr/share/metainfo/"]),
    ("data/icons/", &["/usr/share/icons/hicolor/"]),
    ("data/mime/", &["/usr/share/mime/packages/"]),
    ("data/man/", &["/usr/share/man/"]),
    (
        "data/completions/",
        &[
            "/usr/share/bash-completion/",
            "/usr/share/zsh/",
            "/usr/share/fish/",
        ],
    ),
    ("polkit/", &["/usr/share/polkit-1/actions/"]),
];

#[test]
fn everything_listed_exists_once_and_goes_where_its_folder_says() {
    let mut destinations = BTreeSet::new();
    for file in list().unwrap() {
        assert!(
            destinations.insert(file.destination.clone()),
            "{} twice",
            file.destination
        );
        assert!(
            file.destination.starts_with('/') && !file.destination.contains(".."),
            "{}",
            file.destination
        );
        assert_eq!(
            file.source.is_some() || file.built.is_some(),
            file.program.is_none(),
            "{}",
            file.destination
        );
        let Some(source) = file.source else { continue };
        assert!(repo::top().join(&source).is_file(), "{source}");
        assert_eq!(file.mode, "0644", "{source}");
        let (_, homes) = FOLDERS
            .iter()
            .find(|(folder, _)| source.starts_with(folder))
            .context(source.clone())
            .unwrap();
        assert!(
            homes.iter().any(|home| file.destination.starts_with(home)),
            "{source} goes to {}",
            file.destination
        );
        assert!(
            source.rsplit('/').next() == file.destination.rsplit('/').next(),
            "{source} changes its name"
        );
    }
}

#[test]
fn everything_that_is_there_is_listed() {
    let listed: BTreeSet<_> = list()
        .unwrap()
        .into_iter()
        .filter_map(|file| file.source)
        .collect();
    // Documentation, and what packages and translators read.
    let is_aside = |file: &String| {
        file.ends_with("README.md")
            || file == "data/install.toml"
            || file.starts_with("data/packaging/")
            || file.starts_with("data/pictures/")
            || file.starts_with("data/po/")
    };
    let there: BTreeSet<_> = [repo::files("data").unwrap(), repo::files("polkit").unwrap()]
        .concat()
        .into_iter()
        .filter(|file| !is_aside(file))
        .collect();
    assert_eq!(there, listed);
}

#[test]
fn programs_are_those_of_the_workspace_and_lie_where_the_units_start_them() {
    let programs: BTreeMap<_, _> = list()
        .unwrap()
        .into_iter()
        .filter_map(|file| Some((file.program?, (file.destination, file.mode))))
        .collect();
    let mut expected = BTreeMap::new();
    for member in repo::members()
        .unwrap()
        .iter()
        .filter(|member| *member != "tests")
    {
        let package = repo::manifest(&format!("{member}/Cargo.toml")).unwrap()["package"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        if repo::top().join(member).join("src/main.rs").exists() {
            let folder = if member.starts_with("app") {
                "/usr/bin"
            } else {
                names::LIBEXEC_DIR
            };
            expected.insert(
                package.clone(),
                (format!("{folder}/{package}"), "0755".to_owned()),
            );
        }
    }
    assert_eq!(programs, expected);
}

#[test]
fn no_polkit_rules_are_shipped() {
    // SECURITY T14.
    for file in list().unwrap() {
        assert!(
            !file.destination.contains("rules.d") && !file.destination.contains("localauthority"),
            "{}",
            file.destination
        );
    }
    assert!(
        !repo::files("polkit")
            .unwrap()
            .iter()
            .any(|file| file.ends_with(".rules") || file.ends_with(".pkla"))
    );
}

#[test]
fn every_language_is_installed() {
    let listed: BTreeSet<_> = list()
        .unwrap()
        .into_iter()
        .filter(|file| file.source.is_none())
        .filter_map(|file| Some((file.built?, file.destination)))
        .filter(|(built, _)| built.starts_with("locale/"))
        .collect();
    let expected: BTreeSet<_> = lab::words::languages(repo::top())
        .unwrap()
        .into_iter()
        .map(|language| {
            let path = format!("locale/{language}/LC_MESSAGES/{}.mo", lab::words::DOMAIN);
            (path.clone(), format!("/usr/share/{path}"))
        })
        .collect();
    assert_eq!(listed, expected);
}
