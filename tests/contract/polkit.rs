//! The polkit policy against the table that the project promises (SECURITY §3.2), which this file holds itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use lonewire_api::names;
use roxmltree::{Document, ParsingOptions};

use super::repo;

/// Action, and what any, inactive and active callers get.
const TABLE: &[(&str, [&str; 3])] = &[
    ("import-own", ["auth_self_keep", "auth_self_keep", "yes"]),
    ("connect-own", ["auth_self_keep", "auth_self_keep", "yes"]),
    ("launch-own", ["auth_self_keep", "auth_self_keep", "yes"]),
    ("publish-own", ["auth_self_keep", "auth_self_keep", "yes"]),
    (
        "use-shared-tunnel",
        ["auth_admin", "auth_admin", "auth_admin_keep"],
    ),
    (
        "manage-shared-tunnels",
        ["auth_admin", "auth_admin", "auth_admin"],
    ),
    ("manage-others", ["auth_admin", "auth_admin", "auth_admin"]),
    ("weaken", ["auth_admin", "auth_admin", "auth_admin"]),
    (
        "install-autostart",
        ["auth_admin", "auth_admin", "auth_admin"],
    ),
];

type Defaults = BTreeMap<String, [String; 3]>;

fn expected() -> Defaults {
    TABLE
        .iter()
        .map(|(action, defaults)| ((*action).to_owned(), defaults.map(str::to_owned)))
        .collect()
}

fn policy() -> Result<String> {
    repo::read(&format!("polkit/{}.policy", names::ACTION_PREFIX))
}

#[test]
fn the_policy_has_exactly_the_promised_defaults_and_a_message_each() {
    let text = policy().unwrap();
    let document = Document::parse_with_options(
        &text,
        ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        },
    )
    .unwrap();
    let mut found = Defaults::new();
    for action in document
        .descendants()
        .filter(|node| node.has_tag_name("action"))
    {
        let id = action.attribute("id").unwrap();
        let name = id
            .strip_prefix(names::ACTION_PREFIX)
            .unwrap()
            .strip_prefix('.')
            .unwrap();
        let child = |tag: &str| {
            action
                .descendants()
                .find(|node| node.has_tag_name(tag))
                .and_then(|node| node.text())
                .unwrap_or_default()
                .to_owned()
        };
        let defaults = ["allow_any", "allow_inactive", "allow_active"].map(child);
        assert!(
            found.insert(name.to_owned(), defaults).is_none(),
            "{name} twice"
        );
        assert!(
            child("message").starts_with("Authentication is required to "),
            "{name}"
        );
        assert!(child("description").len() > 10, "{name}");
        // Annotations such as exec.path or imply would give more than the table says.
        assert!(
            !action
                .descendants()
                .any(|node| node.has_tag_name("annotate")),
            "{name}"
        );
    }
    assert_eq!(found, expected());
}

#[test]
fn the_readme_has_the_same_table() {
    let text = repo::read("polkit/README.md").unwrap();
    let found: Defaults = text
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, action, _, any, inactive, active, _] = cells.as_slice() else {
                return None;
            };
            let action = action.strip_prefix('`')?.strip_suffix('`')?;
            Some((
                action.to_owned(),
                [any, inactive, active].map(|cell| (*cell).to_owned()),
            ))
        })
        .collect();
    assert_eq!(found, expected());
}

#[test]
fn an_answer_is_remembered_only_where_details_do_not_matter() {
    // SECURITY T07. polkit does not compare details when it remembers.
    let kept: BTreeSet<_> = TABLE
        .iter()
        .filter(|(_, defaults)| defaults.iter().any(|value| value.ends_with("_keep")))
        .map(|(action, _)| *action)
        .collect();
    assert_eq!(
        kept,
        [
            "connect-own",
            "import-own",
            "launch-own",
            "publish-own",
            "use-shared-tunnel"
        ]
        .into()
    );
    // Nobody without a session is let in unasked.
    assert!(
        TABLE
            .iter()
            .all(|(_, [any, inactive, _])| any != &"yes" && inactive != &"yes")
    );
}
