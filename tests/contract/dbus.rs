//! The D-Bus contract in `data/dbus/`: documented, well formed, and the same as the names and codes in the code. That the running
//! service has the same members is for the ring with a bus.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use lonewire_api::names;
use lonewire_core::wgconf::Warning;
use roxmltree::{Document, Node, ParsingOptions};
use zbus::Signature;

use super::repo;

const INTERFACES: [&str; 3] = [
    names::SERVICE_INTERFACE,
    names::TUNNELS_INTERFACE,
    names::APPS_INTERFACE,
];

fn text(interface: &str) -> Result<String> {
    repo::read(&format!("data/dbus/{interface}.xml"))
}

fn parse(text: &str) -> Result<Document<'_>> {
    // D-Bus files name the DTD of introspection.
    Ok(Document::parse_with_options(
        text,
        ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        },
    )?)
}

/// Methods, signals and properties.
fn members<'a>(document: &'a Document<'_>) -> Vec<Node<'a, 'a>> {
    document
        .descendants()
        .filter(|node| {
            node.parent_element()
                .is_some_and(|parent| parent.has_tag_name("interface"))
                && node.is_element()
        })
        .collect()
}

fn name<'a>(node: Node<'a, '_>) -> &'a str {
    node.attribute("name").unwrap_or_default()
}

/// The comment just before a member.
fn documentation(member: Node<'_, '_>) -> Option<String> {
    let before = member
        .prev_siblings()
        .skip(1)
        .find(|node| !node.is_text())?;
    before
        .is_comment()
        .then(|| before.text().unwrap_or_default().trim().to_owned())
}

#[test]
fn each_interface_has_its_file_and_its_name() {
    let files: BTreeSet<_> = repo::files("data/dbus")
        .unwrap()
        .into_iter()
        .filter(|file| file.ends_with(".xml"))
        .collect();
    assert_eq!(
        files,
        INTERFACES
            .iter()
            .map(|name| format!("data/dbus/{name}.xml"))
            .collect()
    );
    for interface in INTERFACES {
        let text = text(interface).unwrap();
        let document = parse(&text).unwrap();
        let found: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("interface"))
            .map(name)
            .collect();
        assert_eq!(found, [interface]);
        assert_eq!(
            document.root_element().attribute("name"),
            Some(names::OBJECT_PATH)
        );
        assert!(interface.starts_with(names::BUS_NAME));
        assert!(!members(&document).is_empty());
    }
}

#[test]
fn every_member_is_documented() {
    for interface in INTERFACES {
        let text = text(interface).unwrap();
        for member in members(&parse(&text).unwrap()) {
            let documentation = documentation(member)
                .with_context(|| format!("{interface}.{}", name(member)))
                .unwrap();
            let is_property = member.has_tag_name("property");
            let says = documentation
                .strip_prefix(&format!("{}: ", name(member)))
                .or(is_property.then_some(&documentation));
            assert!(
                says.is_some_and(|text| text.len() >= 8),
                "{interface}.{}: {documentation}",
                name(member)
            );
        }
    }
}

#[test]
fn types_are_valid_and_arguments_named() {
    for interface in INTERFACES {
        let text = text(interface).unwrap();
        for node in parse(&text)
            .unwrap()
            .descendants()
            .filter(|node| node.has_tag_name("arg") || node.has_tag_name("property"))
        {
            let kind = node.attribute("type").unwrap_or_default();
            assert!(
                Signature::try_from(kind).is_ok() && !kind.is_empty(),
                "{interface}: {} {kind:?}",
                name(node)
            );
            assert!(
                !name(node).is_empty(),
                "{interface}: an argument without a name"
            );
            if node
                .parent_element()
                .is_some_and(|parent| parent.has_tag_name("method"))
            {
                assert!(
                    ["in", "out"].contains(&node.attribute("direction").unwrap_or_default()),
                    "{interface}: {}",
                    name(node)
                );
            }
        }
    }
}

#[test]
fn names_of_members_are_used_once_in_an_interface() {
    for interface in INTERFACES {
        let text = text(interface).unwrap();
        let document = parse(&text).unwrap();
        let members = members(&document);
        let unique: BTreeSet<_> = members.iter().map(|member| name(*member)).collect();
        assert_eq!(unique.len(), members.len(), "{interface}");
    }
}

#[test]
fn no_method_takes_an_identity_or_a_path_and_no_property_can_be_written() {
    // SECURITY T10, T13, T18. `cwd` and `program` are opened by the user's own process, after all privileges are gone.
    const FORBIDDEN: [&str; 9] = [
        "uid", "gid", "pid", "user", "username", "owner", "path", "file", "filename",
    ];
    for interface in INTERFACES {
        let text = text(interface).unwrap();
        for node in parse(&text).unwrap().descendants() {
            if node.has_tag_name("property") {
                assert_eq!(
                    node.attribute("access"),
                    Some("read"),
                    "{interface}.{}",
                    name(node)
                );
            }
            if node.has_tag_name("arg") && node.attribute("direction") == Some("in") {
                assert!(
                    !FORBIDDEN.contains(&name(node)),
                    "{interface}: {}",
                    name(node)
                );
            }
        }
    }
}

#[test]
fn warnings_are_those_of_the_contract() {
    let text = text(names::TUNNELS_INTERFACE).unwrap();
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("\"warnings\" as  "))
        .unwrap();
    let (_, codes) = line.split_once("codes:").unwrap();
    let documented: BTreeSet<_> = codes.split('"').skip(1).step_by(2).collect();
    assert_eq!(
        documented,
        Warning::ALL.iter().map(|warning| warning.code()).collect()
    );
}
