//! The contract in `data/dbus/` against what the running service says of itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use lab::{caller::Caller, programs::project};
use lonewire_api::names::{
    APPS_INTERFACE, BUS_NAME, OBJECT_PATH, SERVICE_INTERFACE, TUNNELS_INTERFACE,
};
use roxmltree::{Document, Node, ParsingOptions};
use zbus::{Message, Variant, message::Flags};

use super::scene::Scene;

fn parse(text: &str) -> Result<Document<'_>> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Ok(Document::parse_with_options(text, options)?)
}

/// What the service says of an object.
///
/// # Errors
/// It does not answer.
pub fn introspect(caller: &Caller, path: &str) -> Result<String> {
    let message = Message::method_call(path, "Introspect")
        .destination(BUS_NAME)
        .interface("org.freedesktop.DBus.Introspectable")
        .build(&())?;
    caller.ask(&message)?.read()
}

/// Kind (`method`, `property`, `signal`) and full name of every member.
///
/// # Errors
/// No XML.
pub fn members(text: &str) -> Result<Vec<(String, String)>> {
    let document = parse(text)?;
    let names = elements(&document, "interface").flat_map(|interface| {
        interface
            .children()
            .filter(|node| ["method", "property", "signal"].contains(&node.tag_name().name()))
            .map(move |member| {
                let name = format!("{}.{}", name(interface), name(member));
                (member.tag_name().name().to_owned(), name)
            })
    });
    Ok(names.collect())
}

fn elements<'a>(document: &'a Document<'a>, tag: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    document
        .descendants()
        .filter(move |node| node.has_tag_name(tag))
}

fn name<'a>(node: Node<'a, '_>) -> &'a str {
    node.attribute("name").unwrap_or_default()
}

/// Everything about an interface that a caller depends on: each member with its attributes, its arguments in order, and its annotations.
fn shape(interface: Node<'_, '_>) -> BTreeMap<String, Vec<String>> {
    let attributes = |node: Node<'_, '_>| -> String {
        let mut all: Vec<_> = node
            .attributes()
            .filter(|attribute| {
                // What a signal's argument is anyway.
                !(attribute.name() == "direction"
                    && node
                        .parent_element()
                        .is_some_and(|parent| parent.has_tag_name("signal")))
            })
            .map(|attribute| format!("{}={}", attribute.name(), attribute.value()))
            .collect();
        all.sort();
        format!("{} {}", node.tag_name().name(), all.join(" "))
    };
    interface
        .children()
        .filter(Node::is_element)
        .map(|member| {
            let parts = member.children().filter(Node::is_element).map(attributes);
            let of = |tag: &str| -> Vec<String> {
                parts.clone().filter(|part| part.starts_with(tag)).collect()
            };
            let mut annotations = of("annotation");
            annotations.sort();
            // In and out arguments are told apart by their direction, and each list has its order.
            let arguments = of("arg");
            let (mut into, out): (Vec<_>, Vec<_>) = arguments
                .into_iter()
                .partition(|argument| !argument.contains("direction=out"));
            into.extend(out);
            into.extend(annotations);
            (attributes(member), into)
        })
        .collect()
}

fn interfaces<'a>(document: &'a Document<'a>) -> BTreeSet<&'a str> {
    elements(document, "interface").map(name).collect()
}

#[test]
fn the_running_service_is_the_contracts_to_the_letter() -> Result<()> {
    let scene = Scene::new()?;
    let text = introspect(&scene.alice, OBJECT_PATH)?;
    let running = parse(&text)?;
    let mut compared = 0;
    for interface in [SERVICE_INTERFACE, TUNNELS_INTERFACE, APPS_INTERFACE] {
        let file = project().join(format!("data/dbus/{interface}.xml"));
        let file = std::fs::read_to_string(file)?;
        let file = parse(&file)?;
        let find = |document| {
            elements(document, "interface")
                .find(|node| name(*node) == interface)
                .map(shape)
        };
        let (wanted, found) = (find(&file), find(&running));
        let wanted = wanted.context("not in its file")?;
        assert_eq!(found.as_ref(), Some(&wanted), "{interface}");
        compared += wanted.len();
    }
    assert!(compared > 25, "{compared}");
    // And nothing beside it: no ObjectManager, which shows everything to everybody.
    let standard =
        ["Introspectable", "Peer", "Properties"].map(|name| format!("org.freedesktop.DBus.{name}"));
    assert_eq!(
        interfaces(&running),
        standard
            .iter()
            .map(String::as_str)
            .chain([SERVICE_INTERFACE, TUNNELS_INTERFACE, APPS_INTERFACE])
            .collect()
    );
    // One object, whatever there is: tunnels and apps are no objects.
    assert_eq!(elements(&running, "node").count(), 1);
    for (path, child) in [
        ("/", "org"),
        ("/org", "lonewire"),
        ("/org/lonewire", "Helper1"),
    ] {
        let text = introspect(&scene.bob, path)?;
        let above = parse(&text)?;
        let below: Vec<_> = above
            .root_element()
            .children()
            .filter(|node| node.has_tag_name("node"))
            .map(name)
            .collect();
        assert_eq!(below, [child], "{text}");
        let own = |node: &Node<'_, '_>| node.has_tag_name("interface");
        assert!(
            above
                .root_element()
                .children()
                .filter(own)
                .all(|node| name(node).starts_with("org.freedesktop.DBus.")),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn no_property_can_be_written_and_the_name_is_roots() -> Result<()> {
    let scene = Scene::new()?;
    let text = introspect(&scene.alice, OBJECT_PATH)?;
    let running = parse(&text)?;
    let before = scene.traces()?;
    let mut tried = 0;
    for property in elements(&running, "property") {
        assert_eq!(
            property.attribute("access"),
            Some("read"),
            "{}",
            name(property)
        );
        let interface = property.parent_element().map(name).unwrap_or_default();
        for value in [Variant::from("x"), Variant::from(vec!["x"])] {
            let message = Message::method_call(OBJECT_PATH, "Set")
                .destination(BUS_NAME)
                .interface("org.freedesktop.DBus.Properties")
                .with_flags(Flags::ALLOW_INTERACTIVE_AUTH)
                .build(&(interface, name(property), value))?;
            assert_ne!(scene.alice.ask(&message)?.error(), "");
            tried += 1;
        }
    }
    assert_eq!(tried, 6);
    // T08: not to be taken over, not even queued for.
    for flags in [0_u32, 2, 7] {
        let message = Message::method_call("/org/freedesktop/DBus", "RequestName")
            .destination("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .build(&(BUS_NAME, flags))?;
        let reply = scene.alice.ask(&message)?;
        assert_eq!(reply.error(), "org.freedesktop.DBus.Error.AccessDenied");
    }
    assert_eq!(scene.asked(&scene.alice), []);
    super::scene::assert_no_trace(&before, &scene.traces()?, "properties");
    Ok(())
}
