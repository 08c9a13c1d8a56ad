//! The D-Bus contract in `data/dbus/`: documented, well formed, and the same as the names and codes in the code. That the running
//! service has the same members is for the ring with a bus.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use lonewire_api::{
    error::Code,
    info::{AppState, TunnelState},
    names,
};
use lonewire_core::{state::Reason, wgconf::Warning};
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

/// The quoted words of a documentation from the first mention of `from` up to `to`.
fn quoted(text: &str, from: &str, to: &str) -> Result<BTreeSet<String>> {
    let (_, rest) = text
        .split_once(from)
        .with_context(|| format!("{from} is not documented"))?;
    let (list, _) = rest
        .split_once(to)
        .with_context(|| format!("no {to:?} after {from}"))?;
    Ok(list
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect())
}

fn words<'a>(codes: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    codes.into_iter().map(str::to_owned).collect()
}

#[test]
fn warnings_and_reasons_are_those_of_the_contract() {
    let text = text(names::TUNNELS_INTERFACE).unwrap();
    let documented = quoted(&text, "\"warnings\" as        codes:", "\n").unwrap();
    assert_eq!(
        documented,
        words(Warning::ALL.iter().map(|warning| warning.code()))
    );
    let documented = quoted(
        &text,
        "why it is blocked or failed, a code:",
        "; else absent",
    )
    .unwrap();
    assert_eq!(
        documented,
        words(Reason::ALL.iter().map(|reason| reason.code()))
    );
}

/// The numbers and words of "State, an enum of type u: 0 unknown, 1 off, …".
fn states(interface: &str) -> Result<Vec<(u32, String)>> {
    let text = text(interface)?;
    let (_, list) = text
        .split_once("State, an enum of type u: ")
        .context("the states are documented")?;
    let (list, _) = list.split_once(".\n").context("a full stop")?;
    let mut states = vec![];
    let mut inside = false;
    // What stands in parentheses explains.
    let list: String = list
        .chars()
        .filter(|c| {
            inside = (inside || *c == '(') && *c != ')';
            !inside && *c != ')'
        })
        .collect();
    for entry in list.split(',') {
        let (number, word) = entry
            .trim()
            .split_once(' ')
            .context("a number and a word")?;
        states.push((number.parse()?, word.trim().to_owned()));
    }
    Ok(states)
}

#[test]
fn states_have_the_numbers_of_the_contract() {
    let tunnels = states(names::TUNNELS_INTERFACE).unwrap();
    assert_eq!(tunnels.len(), 6);
    for (number, word) in tunnels {
        assert_eq!(TunnelState::from(number).as_str(), word);
        assert_eq!(TunnelState::from(number) as u32, number);
    }
    let apps = states(names::APPS_INTERFACE).unwrap();
    assert_eq!(apps.len(), 4);
    for (number, word) in apps {
        assert_eq!(AppState::from(number).as_str(), word);
        assert_eq!(AppState::from(number) as u32, number);
    }
}

#[test]
fn errors_that_the_contract_names_are_those_of_the_code() {
    let known: BTreeSet<_> = Code::OF_SERVICE.iter().map(|code| code.as_str()).collect();
    let mut named = 0;
    for interface in INTERFACES {
        for rest in text(interface)
            .unwrap()
            .split("Error.")
            .skip(1)
            .filter(|rest| !rest.starts_with('*'))
        {
            let name = rest
                .split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap();
            assert!(known.contains(name), "{interface}: {name}");
            named += 1;
        }
    }
    assert!(named > 5);
}

#[test]
fn what_the_client_reads_is_documented() {
    let contract: String = INTERFACES
        .iter()
        .map(|interface| text(interface).unwrap())
        .collect();
    let mut read = 0;
    for file in ["helper/api/src/info.rs", "helper/api/src/error.rs"] {
        let code = repo::read(file).unwrap();
        for call in [
            "(dictionary, \"",
            "(changes, \"",
            "(&self.details, \"",
            "(result, \"",
            "put(\"",
            "put(\n            \"",
        ] {
            for key in code
                .split(call)
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
            {
                assert!(
                    contract.contains(&format!("\"{key}\"")),
                    "{file} reads {key:?}"
                );
                read += 1;
            }
        }
    }
    assert!(read > 30, "{read}");
}
