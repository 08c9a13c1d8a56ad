//! Ring window: every page, dialog and menu, in a language that nobody speaks, from left to right and from right to left: all that can have the focus
//! has a name, all words passed gettext, and every template of the project was shown.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use lab::{
    desktop::{Look, State, Tree, Window, look::PSEUDO, tour},
    programs::project,
    words::catalogue::{outside, pseudo},
};

/// Templates without a text for translators, and what is to be read where they are shown.
const SILENT: [(&str, &str); 2] = [("excerpt.ui", tour::WRONG), ("tunnel_row.ui", "Sweden, ")];

/// What is told to nobody over the accessibility bus: of a label's tooltip.
const UNHEARD: [&str; 1] = ["It has a launcher that runs it in a tunnel"];

/// What the walk has read and found wrong.
#[derive(Default)]
struct Found {
    read: BTreeSet<String>,
    wrong: BTreeSet<String>,
    shown: Vec<String>,
    data: Data,
}

impl Found {
    fn look_at(&mut self, page: &str, window: &Window<'_>) -> Result<()> {
        let tree = window.tree()?;
        for at in (0..tree.nodes.len()).filter(|at| tree.is_visible(*at)) {
            self.judge(page, &tree, at);
        }
        self.shown.push(page.to_owned());
        Ok(())
    }

    fn judge(&mut self, page: &str, tree: &Tree, at: usize) {
        let node = &tree.nodes[at];
        // GTK names what has no name by its type.
        let is_nameless = node.name.is_empty()
            || ["Gtk", "Adw", "Lonewire"].iter().any(|start| {
                let rest = node.name.strip_prefix(start);
                rest.is_some_and(|rest| rest.starts_with(|one: char| one.is_ascii_uppercase()))
            });
        // Of a list to choose from GTK makes the rows: what is in one is read.
        let is_choice = node.role == "list item" && tree.is_in(at, "combo box");
        if is_nameless && !is_choice && node.is(State::Focusable) && node.is(State::Sensitive) {
            let below = tree.below(&node.place).find(|below| !below.name.is_empty());
            let below = below.map(ToString::to_string);
            let (mut path, mut next) = (format!(" with {below:?}"), node.parent);
            while let Some(parent) = next.and_then(|at| tree.nodes.get(at)) {
                path.push_str(&format!(" in {} “{}”", parent.role, parent.name));
                next = parent.parent;
            }
            self.wrong.insert(format!("{page}: no name: {node}{path}"));
        }
        for text in [&node.name, &node.description] {
            if text.is_empty() || (is_nameless && text == &node.name) {
                continue;
            }
            self.read.insert(text.clone());
            let left = self.data.without(&outside(text));
            if left.chars().any(char::is_alphabetic) {
                self.wrong.insert(format!(
                    "{page}: not translated: {} “{text}”: {left}",
                    node.role
                ));
            }
        }
    }
}

/// What is no text of the program: names, addresses, keys.
#[derive(Default)]
struct Data {
    /// The longest first: one may hold another.
    names: Vec<String>,
}

impl Data {
    /// What a world's tunnels, apps and files are called.
    fn of(tour: &tour::Tour) -> Result<Self> {
        let mut names: Vec<String> = tour::TUNNELS.map(str::to_owned).into();
        names.extend(tour::OTHERS.map(str::to_owned));
        for (name, comment, _) in tour::APPS {
            names.extend([name.to_owned(), comment.to_owned()]);
        }
        for entry in fs::read_dir(tour.world.path("/usr/share/applications"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "desktop") {
                let text = fs::read_to_string(path)?;
                let of = |line: &str| {
                    ["Name=", "Comment=", "X-GNOME-FullName="]
                        .iter()
                        .find_map(|key| Some(line.strip_prefix(key)?.to_owned()))
                };
                names.extend(text.lines().filter_map(of).filter(|name| !name.is_empty()));
            }
        }
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Ok(Self { names })
    }

    /// A text without it.
    fn without(&self, text: &str) -> String {
        let mut left = text.to_owned();
        for name in &self.names {
            left = left.replace(name.as_str(), "");
        }
        let words = left.split(|letter: char| letter.is_whitespace() || letter == ',');
        words
            .filter(|word| !is_address(word) && !is_key(word))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Days and months as the C library has them in no language.
const DATES: [&str; 19] = [
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// An address, a link, a public key, a date.
fn is_address(word: &str) -> bool {
    let is_number = |letter: char| letter.is_ascii_hexdigit() || ".:/%".contains(letter);
    (word.contains(|letter: char| letter.is_ascii_digit()) && word.chars().all(is_number))
        || word == "lo"
        || word.starts_with("lw-")
        || DATES.contains(&word)
        || word.starts_with("https://")
        || (word.len() == 44 && word.ends_with('='))
}

/// One to press, where more than letters are called by a word: "+E", "F10".
fn is_key(word: &str) -> bool {
    let key = word.trim_start_matches('+');
    key.len() == 1 || (key.starts_with('F') && key[1..].parse::<u8>().is_ok())
}

/// The texts for translators of a template, as they are shown: without the mark of a key to press.
fn texts(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    let document = roxmltree::Document::parse(&text)?;
    Ok(document
        .descendants()
        .filter(|node| node.attribute("translatable") == Some("yes"))
        .filter_map(|node| Some(node.text()?.replacen('_', "", 1)))
        .collect())
}

/// Every template of the project, and what of it was not shown.
fn not_shown(read: &BTreeSet<String>) -> Result<Vec<String>> {
    let folder = project().join("app/src/widget");
    let mut missing = vec![];
    let mut count = 0;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "ui") {
            continue;
        }
        count += 1;
        let name = path.file_name().context("a name")?.to_string_lossy();
        let texts = texts(&path)?;
        let was_read = |wanted: &str| {
            read.iter()
                .any(|text| text.replace('_', "").contains(wanted))
        };
        match SILENT.iter().find(|(file, _)| *file == name) {
            Some((_, sign)) => {
                ensure!(texts.is_empty(), "{name} has texts now");
                if !was_read(sign) {
                    missing.push(format!("{name}: {sign}"));
                }
            }
            None => {
                ensure!(!texts.is_empty(), "{name} has no text: how is it known?");
                let unread = texts
                    .iter()
                    .filter(|text| !UNHEARD.contains(&text.as_str()))
                    .filter(|text| !was_read(&pseudo(text)));
                missing.extend(unread.map(|text| format!("{name}: {text}")));
            }
        }
    }
    ensure!(count > 15, "{count} templates in {}", folder.display());
    Ok(missing)
}

fn walk(look: &Look) -> Result<()> {
    let tour = tour::Tour::new(look)?;
    let mut found = Found {
        data: Data::of(&tour)?,
        ..Found::default()
    };
    let mut left = None;
    tour.walk(&mut |page, window| {
        if page == "protected" {
            left = Some(window.place("list", &pseudo("Tunnels"))?.0);
        }
        found.look_at(page, window)
    })?;
    // The sidebar is where reading begins.
    assert_eq!(left.map(|left| left > 300), Some(look.mirrored), "{left:?}");
    let wrong: Vec<_> = found.wrong.into_iter().collect();
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
    let missing = not_shown(&found.read)?;
    assert_eq!(missing, [""; 0], "{}", missing.join("\n"));
    assert!(found.shown.len() > 30, "{:?}", found.shown);
    Ok(())
}

#[test]
fn all_that_is_shown_has_a_name_and_passed_gettext() -> Result<()> {
    walk(&Look::speaking(PSEUDO))
}

#[test]
fn the_same_from_right_to_left() -> Result<()> {
    walk(&Look {
        mirrored: true,
        ..Look::speaking(PSEUDO)
    })
}
