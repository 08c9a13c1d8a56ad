//! A catalogue's messages: read, looked up by what they say in English, and made for a language that nobody speaks. In that one every text that
//! passed gettext stands in brackets: what does not is found at a glance.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::{Context as _, Result};

use super::{FOLDER, TEMPLATE, read, run};

const OPEN: char = '⟦';
const CLOSE: char = '⟧';

/// Texts of GTK that are orders to itself, and of which it takes no other form.
const ORDERS: [&str; 2] = ["default:", "calendar:"];

/// A message but for its context and text. Texts as a catalogue writes them, with `\"` and `\n`.
#[derive(Debug, Default)]
pub struct Message {
    pub plural: Option<String>,
    pub said: Vec<String>,
}

/// The messages of a catalogue by context and text, without its head.
///
/// # Errors
/// It is not written as a catalogue is.
pub fn messages(text: &str) -> Result<BTreeMap<(String, String), Message>> {
    let mut found = BTreeMap::new();
    for block in text.split("\n\n") {
        let mut fields: Vec<(&str, String)> = Vec::new();
        let lines = block.lines();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (field, quoted) = line.split_once('"').context(line.to_owned())?;
            let words = quoted.strip_suffix('"').context(line.to_owned())?;
            match fields.last_mut() {
                Some((_, text)) if field.is_empty() => text.push_str(words),
                _ => fields.push((field.trim(), words.to_owned())),
            }
        }
        let take = |name: &str| {
            let field = fields.iter().find(|(field, _)| *field == name);
            field.map(|(_, text)| text.clone())
        };
        let id = take("msgid").with_context(|| block.to_owned())?;
        if id.is_empty() {
            continue;
        }
        let message = Message {
            plural: take("msgid_plural"),
            said: fields
                .iter()
                .filter(|(field, _)| field.starts_with("msgstr"))
                .map(|(_, text)| text.clone())
                .collect(),
        };
        found.insert((take("msgctxt").unwrap_or_default(), id), message);
    }
    Ok(found)
}

/// The catalogue of the language that nobody speaks, for the messages of another.
///
/// # Errors
/// As [`messages`].
pub fn pseudo_catalogue(text: &str) -> Result<String> {
    let mut out = String::new();
    for ((context, id), message) in messages(text)? {
        if ORDERS.iter().any(|order| id.starts_with(order)) || context.starts_with(ORDERS[1]) {
            continue;
        }
        if !context.is_empty() {
            out.push_str(&format!("msgctxt \"{context}\"\n"));
        }
        out.push_str(&format!("msgid \"{id}\"\n"));
        match &message.plural {
            Some(plural) => out.push_str(&format!(
                "msgid_plural \"{plural}\"\nmsgstr[0] \"{}\"\nmsgstr[1] \"{}\"\n\n",
                pseudo(&id),
                pseudo(plural)
            )),
            None => out.push_str(&format!("msgstr \"{}\"\n\n", pseudo(&id))),
        }
    }
    Ok(out)
}

/// A text in the language that nobody speaks. msgfmt(1) asks for the same line breaks at the ends.
pub fn pseudo(text: &str) -> String {
    let (start, rest) = match text.strip_prefix("\\n") {
        Some(rest) => ("\\n", rest),
        None => ("", text),
    };
    match rest.strip_suffix("\\n") {
        Some(rest) => format!("{start}{OPEN}{rest}{CLOSE}\\n"),
        None => format!("{start}{OPEN}{rest}{CLOSE}"),
    }
}

/// What of a shown text did not pass gettext: all that stands in no brackets.
pub fn outside(text: &str) -> String {
    let mut depth = 0_usize;
    let mut left = String::new();
    for letter in text.chars() {
        match letter {
            OPEN => depth += 1,
            CLOSE => depth = depth.saturating_sub(1),
            _ if depth == 0 => left.push(letter),
            _ => {}
        }
    }
    left
}

/// The messages of a domain that the machine has a catalogue of: those of its German one.
///
/// # Errors
/// There is none.
pub fn of_toolkit(domain: &str) -> Result<String> {
    let path = format!("/usr/share/locale/de/LC_MESSAGES/{domain}.mo");
    run(std::process::Command::new("msgunfmt").arg(&path)).context(path)
}

/// What the window says in a language, by what it says in English. Keys to press are left out of both.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// As the catalogue has them.
    known: HashMap<String, String>,
    /// Those with a key to press, by the text without it.
    with_key: HashMap<String, String>,
    is_pseudo: bool,
}

impl Words {
    /// Of the language that nobody speaks.
    pub fn pseudo() -> Self {
        Self {
            is_pseudo: true,
            ..Self::default()
        }
    }

    /// Of a language that there is a catalogue of.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(project: &Path, language: &str) -> Result<Self> {
        let text = read(project, &format!("{FOLDER}/{language}.po"))?;
        let mut words = Self::default();
        for ((_, id), message) in messages(&text)? {
            let Some(said) = message.said.first() else {
                continue;
            };
            let list = if id.contains('_') {
                &mut words.with_key
            } else {
                &mut words.known
            };
            list.insert(plain(&id), plain(said));
        }
        Ok(words)
    }

    /// What it says for an English text, on a button if there is one of that text; that itself where nothing is known of it.
    pub fn say(&self, text: &str) -> String {
        match self.with_key.get(text) {
            Some(said) => said.clone(),
            None => self.say_plain(text),
        }
    }

    /// What it says where no key is to be pressed.
    pub fn say_plain(&self, text: &str) -> String {
        if self.is_pseudo {
            return pseudo(text);
        }
        let known = self.known.get(text).cloned();
        known.unwrap_or_else(|| text.to_owned())
    }

    /// The same with the names in braces replaced.
    pub fn fill(&self, text: &str, values: &[(&str, &str)]) -> String {
        let mut text = self.say(text);
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }
}

/// A catalogue's text as it is shown.
fn plain(text: &str) -> String {
    text.replacen('_', "", 1)
        .replace("\\n", "\n")
        .replace("\\\"", "\"")
}

/// The messages of the window, for [`pseudo_catalogue`].
///
/// # Errors
/// The template cannot be read.
pub fn of_window(project: &Path) -> Result<String> {
    read(project, TEMPLATE)
}
