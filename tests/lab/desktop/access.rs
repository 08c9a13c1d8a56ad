//! What assistive programs see, over the accessibility bus: nodes with roles, names, states and actions. A client of our own, in the
//! few calls that tests need. A [`Tree`] is a picture of one moment: whoever waits takes another.
//! Interfaces as in at-spi2-core's `xml/` folder; states by the numbers of its `atspi-constants.h`.

use std::{collections::HashMap, fmt};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, join3};
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant};

const REGISTRY: &str = "org.a11y.atspi.Registry";
const ROOT: &str = "/org/a11y/atspi/accessible/root";
const ACCESSIBLE: &str = "org.a11y.atspi.Accessible";
const ACTION: &str = "org.a11y.atspi.Action";
const SELECTION: &str = "org.a11y.atspi.Selection";
const EDITABLE: &str = "org.a11y.atspi.EditableText";
const TEXT: &str = "org.a11y.atspi.Text";
const COMPONENT: &str = "org.a11y.atspi.Component";

/// Bits of a node's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Checked = 4,
    Editable = 7,
    Enabled = 8,
    Expanded = 10,
    Focusable = 11,
    Focused = 12,
    Modal = 16,
    Pressed = 20,
    Selectable = 22,
    Selected = 23,
    Sensitive = 24,
    Showing = 25,
    Visible = 30,
}

/// Roles by the numbers of `atspi-constants.h`: GTK says their names in the person's language.
const ROLES: &[(u32, &str)] = &[
    (2, "alert"),
    (7, "check box"),
    (8, "check menu item"),
    (11, "combo box"),
    (16, "dialog"),
    (20, "widget"),
    (23, "window"),
    (27, "image"),
    (29, "label"),
    (31, "list"),
    (32, "list item"),
    (33, "menu"),
    (34, "menu bar"),
    (35, "menu item"),
    (37, "tab"),
    (38, "tab list"),
    (39, "group"),
    (40, "password"),
    (42, "progress bar"),
    (43, "button"),
    (44, "radio"),
    (48, "scroll bar"),
    (49, "scrolled"),
    (50, "separator"),
    (51, "slider"),
    (52, "spin button"),
    (61, "text box"),
    (62, "toggle button"),
    (75, "application"),
    (79, "search box"),
    (87, "search"),
    (88, "link"),
    (101, "notification"),
    (103, "meter"),
];

fn role_name(number: u32) -> String {
    ROLES
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// Where a node is: its program's name on the bus, and its path there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub program: String,
    pub path: String,
}

/// A node as it was when it was asked.
#[derive(Debug, Clone)]
pub struct Node {
    pub place: Place,
    /// `button`, `label`, `list item`… as GTK names them in English; one that is not in the table: its number.
    pub role: String,
    pub name: String,
    pub description: String,
    states: u64,
    /// Index in the tree.
    pub parent: Option<usize>,
    /// Which child of its parent it is.
    pub index: i32,
    pub depth: usize,
}

impl Node {
    pub fn is(&self, state: State) -> bool {
        self.states & (1 << (state as u8)) != 0
    }

    /// Whether its role is `role` and its name is `name`; a `*` at an end of `name` stands for anything. GTK 4.8 names a button
    /// with a mnemonic by its label twice, the first time with the mark: once without it is the name here.
    pub fn matches(&self, role: &str, name: &str) -> bool {
        let plain = self.name.replacen('_', "", 1);
        let half = plain.len() / 2;
        let twice = plain
            .split_at_checked(half)
            .is_some_and(|(one, other)| other.strip_prefix(' ') == Some(one));
        let plain = if twice { &plain[..half] } else { &plain };
        self.role == role && fits(plain, name)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} “{}”", self.role, self.name)?;
        if !self.description.is_empty() {
            write!(out, " ({})", self.description)?;
        }
        for (state, word) in [
            (State::Checked, "checked"),
            (State::Selected, "selected"),
            (State::Expanded, "expanded"),
            (State::Focused, "focused"),
            (State::Pressed, "pressed"),
        ] {
            if self.is(state) {
                write!(out, " {word}")?;
            }
        }
        for (state, word) in [
            (State::Sensitive, "insensitive"),
            (State::Visible, "invisible"),
        ] {
            if !self.is(state) {
                write!(out, " {word}")?;
            }
        }
        Ok(())
    }
}

/// Whether a text is as wanted; a `*` at an end of `wanted` stands for anything.
pub fn fits(text: &str, wanted: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (None, None) => text == wanted,
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (Some(_), Some(_)) => text.contains(wanted.trim_matches('*')),
    }
}

/// All nodes of a program, parents before children, in the order of the screen.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub nodes: Vec<Node>,
}

impl Tree {
    /// The tree of the program with this name on the bus.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn of(bus: &Connection, program: &str) -> Result<Self> {
        let root = Place {
            program: program.to_owned(),
            path: ROOT.to_owned(),
        };
        let mut levels = zbus::block_on(walk(bus, root))?;
        // Level by level is how it is asked; from the top down is how it is read.
        let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
        for (at, node) in levels.iter().enumerate() {
            children.entry(node.parent).or_default().push(at);
        }
        let mut nodes = Vec::with_capacity(levels.len());
        let mut stack = vec![(0, None, 0)];
        while let Some((at, parent, depth)) = stack.pop() {
            let Some(node) = levels.get_mut(at) else {
                break;
            };
            node.parent = parent;
            node.depth = depth;
            let here = nodes.len();
            nodes.push(node.clone());
            for child in children.get(&Some(at)).into_iter().flatten().rev() {
                stack.push((*child, Some(here), depth + 1));
            }
        }
        Ok(Self { nodes })
    }

    /// The first one that matches and a person could see and use.
    pub fn find<'a>(&'a self, role: &'a str, name: &'a str) -> Option<&'a Node> {
        self.all(role, name).next()
    }

    /// All that match and are visible with all that they are in.
    pub fn all<'a>(&'a self, role: &'a str, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.nodes
            .iter()
            .enumerate()
            .filter(move |(at, node)| node.matches(role, name) && self.is_visible(*at))
            .map(|(_, node)| node)
    }

    /// Whether a node and all that it is in are visible. The program itself is not, as GTK tells it.
    pub fn is_visible(&self, at: usize) -> bool {
        let mut next = self.nodes.get(at);
        while let Some(node) = next {
            if node.depth > 0 && !node.is(State::Visible) {
                return false;
            }
            next = node.parent.and_then(|parent| self.nodes.get(parent));
        }
        true
    }

    /// Whether a node is in one of a role.
    pub fn is_in(&self, at: usize, role: &str) -> bool {
        let mut next = self.nodes.get(at);
        while let Some(node) = next {
            next = node.parent.and_then(|parent| self.nodes.get(parent));
            if next.is_some_and(|parent| parent.role == role) {
                return true;
            }
        }
        false
    }

    /// What is below a node.
    pub fn below(&self, place: &Place) -> impl Iterator<Item = &Node> {
        let top = self.nodes.iter().position(|node| node.place == *place);
        let (start, depth) = top.map_or((self.nodes.len(), 0), |at| (at + 1, self.nodes[at].depth));
        self.nodes
            .iter()
            .skip(start)
            .take_while(move |node| node.depth > depth)
    }

    /// Its names, of all nodes that are visible: what a person can read.
    pub fn words(&self) -> Vec<&str> {
        (0..self.nodes.len())
            .filter(|at| self.is_visible(*at) && !self.nodes[*at].name.is_empty())
            .map(|at| self.nodes[at].name.as_str())
            .collect()
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            writeln!(out, "{:1$}{node}", "", node.depth * 2)?;
        }
        Ok(())
    }
}

/// The programs that the registry knows: their names on the bus.
///
/// # Errors
/// The registry does not answer.
pub fn programs(bus: &Connection) -> Result<Vec<String>> {
    let root = Place {
        program: REGISTRY.into(),
        path: ROOT.into(),
    };
    let found = zbus::block_on(children(bus, &root))?;
    Ok(found.into_iter().map(|place| place.program).collect())
}

/// The pid, as the world sees it, of a program on the bus.
///
/// # Errors
/// It is gone.
pub fn pid(bus: &Connection, program: &str) -> Result<u32> {
    let reply = zbus::block_on(bus.call_method(
        Some("org.freedesktop.DBus"),
        "/org/freedesktop/DBus",
        Some("org.freedesktop.DBus"),
        "GetConnectionUnixProcessID",
        &(program),
    ))?;
    Ok(reply.body().deserialize()?)
}

/// Does what a node is for: a button's or a switch's action, or that of the first thing in it that has one; a row of a list is selected. Whether it
/// is for anything.
///
/// # Errors
/// It is gone, or does not answer.
pub fn click(bus: &Connection, tree: &Tree, node: &Node) -> Result<bool> {
    if act(bus, &node.place)? {
        return Ok(true);
    }
    let list = node.parent.and_then(|at| tree.nodes.get(at));
    if node.role == "list item"
        && let Some(list) = list
        && select(bus, &list.place, node.index)?
    {
        return Ok(true);
    }
    for inner in tree.below(&node.place) {
        if act(bus, &inner.place)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does a node's first action; whether it has one.
///
/// # Errors
/// It is gone, or does not answer.
pub fn act(bus: &Connection, place: &Place) -> Result<bool> {
    let interfaces: Vec<String> = ask(bus, place, ACCESSIBLE, "GetInterfaces", &())?;
    if !interfaces.iter().any(|name| name == ACTION) {
        return Ok(false);
    }
    let count: i32 = property(bus, place, ACTION, "NActions")?;
    if count == 0 {
        return Ok(false);
    }
    ask(bus, place, ACTION, "DoAction", &(0_i32))
}

/// Selects a child of a list.
///
/// # Errors
/// It is no list, or it does not answer.
pub fn select(bus: &Connection, list: &Place, child: i32) -> Result<bool> {
    ask(bus, list, SELECTION, "SelectChild", &(child))
}

/// Replaces the text of an entry.
///
/// # Errors
/// It is no entry, or it does not answer.
pub fn write(bus: &Connection, entry: &Place, text: &str) -> Result<()> {
    let done: bool = ask(bus, entry, EDITABLE, "SetTextContents", &(text))?;
    ensure!(done, "the entry does not take a text");
    Ok(())
}

/// The text of an entry or a text view.
///
/// # Errors
/// It has none, or it does not answer.
pub fn read(bus: &Connection, entry: &Place) -> Result<String> {
    ask(bus, entry, TEXT, "GetText", &(0_i32, -1_i32))
}

/// Where a node is in its window: left, top, width, height.
///
/// # Errors
/// It is gone.
pub fn extents(bus: &Connection, place: &Place) -> Result<(i32, i32, i32, i32)> {
    // 1: as its window sees it.
    let (extents,): ((i32, i32, i32, i32),) = ask(bus, place, COMPONENT, "GetExtents", &(1_u32))?;
    Ok(extents)
}

/// A call with an answer of one type.
fn ask<B, R>(bus: &Connection, place: &Place, interface: &str, method: &str, body: &B) -> Result<R>
where
    B: serde::Serialize + zbus::DynamicType,
    R: serde::de::DeserializeOwned + zbus::Type,
{
    let reply = zbus::block_on(call(bus, place, interface, method, body))
        .with_context(|| format!("{method} of {}", place.path))?;
    Ok(reply.body().deserialize_ignore_signature()?)
}

fn property<R>(bus: &Connection, place: &Place, interface: &str, name: &str) -> Result<R>
where
    R: TryFrom<OwnedVariant>,
    R::Error: std::error::Error + Send + Sync + 'static,
{
    let value: OwnedVariant = ask(
        bus,
        place,
        "org.freedesktop.DBus.Properties",
        "Get",
        &(interface, name),
    )?;
    Ok(R::try_from(value)?)
}

async fn call<B>(
    bus: &Connection,
    place: &Place,
    interface: &str,
    method: &str,
    body: &B,
) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::DynamicType,
{
    bus.call_method(
        Some(place.program.as_str()),
        place.path.as_str(),
        Some(interface),
        method,
        body,
    )
    .await
}

async fn children(bus: &Connection, place: &Place) -> zbus::Result<Vec<Place>> {
    let reply = call(bus, place, ACCESSIBLE, "GetChildren", &()).await?;
    let found: Vec<(String, OwnedObjectPath)> = reply.body().deserialize()?;
    Ok(found
        .into_iter()
        .map(|(program, path)| Place {
            program,
            path: path.to_string(),
        })
        .collect())
}

/// All nodes, level by level: a whole level is asked at once. What has gone since its parent named it is left out.
async fn walk(bus: &Connection, root: Place) -> Result<Vec<Node>> {
    let mut all: Vec<Node> = Vec::new();
    let first = look(bus, root, None, 0).await?;
    let mut level = vec![first];
    while !level.is_empty() {
        let start = all.len();
        all.append(&mut level);
        let families = join_all(
            all[start..]
                .iter()
                .map(|node| async { children(bus, &node.place).await.unwrap_or_default() }),
        )
        .await;
        let mut asked = Vec::new();
        for (at, family) in families.into_iter().enumerate() {
            for (index, place) in (0..).zip(family) {
                // GTK names what is not there by the null path.
                if !place.path.ends_with("/null") {
                    asked.push(look(bus, place, Some(start + at), index));
                }
            }
        }
        level = join_all(asked).await.into_iter().flatten().collect();
        ensure!(all.len() < 20_000, "the tree has no end");
    }
    Ok(all)
}

async fn look(
    bus: &Connection,
    place: Place,
    parent: Option<usize>,
    index: i32,
) -> zbus::Result<Node> {
    let (role, state, words) = join3(
        call(bus, &place, ACCESSIBLE, "GetRole", &()),
        call(bus, &place, ACCESSIBLE, "GetState", &()),
        call(
            bus,
            &place,
            "org.freedesktop.DBus.Properties",
            "GetAll",
            &(ACCESSIBLE),
        ),
    )
    .await;
    let state: Vec<u32> = state?.body().deserialize()?;
    let words = words?;
    let body = words.body();
    let mut words: HashMap<String, OwnedVariant> = body.deserialize()?;
    let mut word = |name: &str| {
        words
            .remove(name)
            .and_then(|value| String::try_from(value).ok())
            .unwrap_or_default()
    };
    Ok(Node {
        role: role_name(role?.body().deserialize()?),
        name: word("Name"),
        description: word("Description"),
        states: u64::from(state.first().copied().unwrap_or_default())
            | u64::from(state.get(1).copied().unwrap_or_default()) << 32,
        parent,
        index,
        depth: 0,
        place,
    })
}
