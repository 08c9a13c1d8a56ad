// SPDX-License-Identifier: MIT OR Apache-2.0
//! The user's label for a tunnel. It is shown and compared, nothing else: it never becomes a path, the name of a link or part of a command.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_general_category::{GeneralCategory as Category, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

use super::BadName;

/// Characters a label may have, counted in NFC.
pub const MAX_CHARS: usize = 64;

/// What a label is called that has nothing else to be called by.
const FALLBACK: &str = "Tunnel";

/// Endings of files that hold a configuration: no part of the label.
const SUFFIXES: [&str; 6] = [".conf", ".txt", ".zip", ".png", ".jpg", ".jpeg"];

/// A label: 1 to 64 characters of Unicode letters, marks, numbers, punctuation, symbols and U+0020; in NFC, without spaces
/// at its ends, without a mark at its start. Nothing in it is invisible, moves the cursor or turns the writing direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TunnelName(String);

impl TunnelName {
    /// A label from what somebody typed: composed (NFC), spaces at its ends taken off.
    ///
    /// # Errors
    /// [`BadName::Empty`], [`BadName::TooLong`] or [`BadName::Character`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        // What is far too long is not even composed.
        if text.len() > 4096 {
            return Err(BadName::TooLong);
        }
        let name: String = text.trim_matches(' ').nfc().collect();
        let Some(first) = name.chars().next() else {
            return Err(BadName::Empty);
        };
        if let Some(bad) = name.chars().find(|&c| !is_allowed(c)) {
            return Err(BadName::Character(bad));
        }
        if is_mark(first) {
            return Err(BadName::Character(first));
        }
        if name.chars().count() > MAX_CHARS {
            return Err(BadName::TooLong);
        }
        Ok(Self(name))
    }

    /// A label out of a file's name, whatever it is: folders and the ending `.conf` are left out, what a label may not hold becomes a
    /// space, the rest is cut.
    pub fn from_file_name(file_name: &str) -> Self {
        let base = file_name.rsplit('/').next().unwrap_or(file_name);
        let stem = SUFFIXES
            .iter()
            .find_map(|suffix| strip_suffix_ignoring_case(base, suffix))
            .unwrap_or(base);
        let mut label = String::new();
        let mut length = 0;
        for c in stem.chars().take(4096).nfc() {
            let c = if is_allowed(c) { c } else { ' ' };
            // No space and no mark in front, no two spaces in a row.
            let after_space = label.is_empty() || label.ends_with(' ');
            if (c == ' ' && after_space) || (label.is_empty() && is_mark(c)) {
                continue;
            }
            label.push(c);
            length += 1;
            if length == MAX_CHARS {
                break;
            }
        }
        Self::new(&label).unwrap_or_else(|_| Self(FALLBACK.to_owned()))
    }

    /// This label, or with the first of " 2", " 3", … behind it that is not taken. `taken` is asked about a [`Self::fold`] key.
    #[must_use]
    pub fn made_unique(self, taken: impl Fn(&str) -> bool) -> Self {
        if !taken(&self.fold()) {
            return self;
        }
        (2_u64..)
            .map(|number| self.numbered(number))
            .find(|name| !taken(&name.fold()))
            .unwrap_or(self)
    }

    fn numbered(&self, number: u64) -> Self {
        let tail = format!(" {number}");
        let kept: String = self.0.chars().take(MAX_CHARS - tail.len()).collect();
        Self(format!("{}{tail}", kept.trim_end_matches(' ')))
    }

    /// Two labels with one key are one label to a person: equal but for case, compatibility forms ("ﬁ", "①") and the choice of a glyph's
    /// variant. For comparing only, never shown.
    pub fn fold(&self) -> String {
        // Down, up and down again: the lower case of a capital is unique where a small letter's variants ("ς", "ſ") are not.
        self.0
            .nfkd()
            .filter(|&c| !is_variation_selector(c))
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .nfkc()
            .collect()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TunnelName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        Self::new(&text)
    }
}

impl std::str::FromStr for TunnelName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::new(text)
    }
}

impl From<TunnelName> for String {
    fn from(name: TunnelName) -> Self {
        name.0
    }
}

impl fmt::Display for TunnelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_mark(c: char) -> bool {
    use Category::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(
        get_general_category(c),
        NonspacingMark | SpacingMark | EnclosingMark
    )
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

fn is_allowed(c: char) -> bool {
    if c == ' ' {
        return true;
    }
    // Letters, marks and symbols by category, but without a glyph: joiners, fillers, the empty Braille pattern.
    if matches!(
        c,
        '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'
            ..='\u{180F}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}'
    ) {
        return false;
    }
    !matches!(
        get_general_category(c),
        Category::Control
            | Category::Format
            | Category::Surrogate
            | Category::PrivateUse
            | Category::Unassigned
            | Category::LineSeparator
            | Category::ParagraphSeparator
            | Category::SpaceSeparator
    )
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (stem, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(stem)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> TunnelName {
        TunnelName::new(text).unwrap()
    }

    #[test]
    fn labels_of_every_script_and_with_punctuation_are_kept() {
        for text in [
            "us-ny#42",
            "Zürich",
            "東京",
            "a",
            "Büro (2) / Nord",
            "❤️ home",
            "½ ② Ⅳ",
            "नमस्ते",
            "مكتب",
            "%n $(id) ;",
            "🇨🇭",
        ] {
            assert_eq!(name(text).as_str(), text);
        }
    }

    #[test]
    fn labels_are_composed_and_trimmed() {
        assert_eq!(name("  Zu\u{308}rich ").as_str(), "Zürich");
        assert_eq!(name(&"e\u{301}".repeat(64)).as_str().chars().count(), 64);
    }

    #[test]
    fn what_is_invisible_or_moves_the_cursor_is_refused() {
        for bad in [
            '\0',
            '\n',
            '\r',
            '\t',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{a0}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{2066}',
            '\u{3000}',
            '\u{feff}',
            '\u{e000}',
            '\u{ffff}',
            '\u{e0001}',
            '\u{3164}',
            '\u{2800}',
            '\u{34f}',
        ] {
            assert_eq!(
                TunnelName::new(&format!("a{bad}b")),
                Err(BadName::Character(bad))
            );
        }
        assert_eq!(
            TunnelName::new("\u{301}a"),
            Err(BadName::Character('\u{301}'))
        );
    }

    #[test]
    fn the_length_is_one_to_sixty_four_characters() {
        assert_eq!(TunnelName::new(""), Err(BadName::Empty));
        assert_eq!(TunnelName::new("   "), Err(BadName::Empty));
        assert!(TunnelName::new(&"東".repeat(64)).is_ok());
        assert_eq!(TunnelName::new(&"東".repeat(65)), Err(BadName::TooLong));
        assert_eq!(TunnelName::new(&"a".repeat(1 << 20)), Err(BadName::TooLong));
    }

    #[test]
    fn a_refusal_never_shows_the_character_itself() {
        assert_eq!(
            BadName::Character('\u{1b}').to_string(),
            "the character U+001B cannot be in a name"
        );
    }

    #[test]
    fn labels_that_look_alike_have_one_key() {
        for (one, other) in [
            ("Home", "hOME"),
            ("STRASSE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ", "οδοσ"),
            ("ﬁn", "FIN"),
            ("ſ", "S"),
            ("❤️", "❤"),
            ("İ", "i\u{307}"),
        ] {
            assert_eq!(name(one).fold(), name(other).fold(), "{one} {other}");
        }
        assert_ne!(name("us 1").fold(), name("us 2").fold());
        assert_ne!(name("Zürich").fold(), name("Zurich").fold());
    }

    #[test]
    fn a_taken_label_gets_the_first_free_number() {
        let taken = |names: &'static [&str]| move |key: &str| names.contains(&key);
        assert_eq!(name("Home").made_unique(taken(&[])).as_str(), "Home");
        assert_eq!(
            name("Home").made_unique(taken(&["home"])).as_str(),
            "Home 2"
        );
        assert_eq!(
            name("Home")
                .made_unique(taken(&["home", "home 2", "home 4"]))
                .as_str(),
            "Home 3"
        );
        let long = name(&"x".repeat(64));
        let first = long.fold();
        let unique = long.made_unique(|key| key == first);
        assert_eq!(unique.as_str(), format!("{} 2", "x".repeat(62)));
    }

    #[test]
    fn a_file_name_always_gives_a_label() {
        for (file, label) in [
            ("mullvad-se1.conf", "mullvad-se1"),
            ("/home/u/us-ny#42.CONF", "us-ny#42"),
            ("a.b.conf", "a.b"),
            ("qr.png", "qr"),
            ("wg0", "wg0"),
            (".conf", "Tunnel"),
            ("", "Tunnel"),
            ("/", "Tunnel"),
            ("\u{1b}[31mred\u{202e}.conf", "[31mred"),
            ("a\n\n b.conf", "a b"),
            ("Zu\u{308}rich.conf", "Zürich"),
            ("\u{301}\u{301}", "Tunnel"),
            (" \u{301}a", "a"),
            ("é.conf", "é"),
        ] {
            assert_eq!(TunnelName::from_file_name(file).as_str(), label, "{file:?}");
        }
        assert_eq!(
            TunnelName::from_file_name(&"x".repeat(300)).as_str(),
            "x".repeat(64)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_text_is_refused_or_stays_as_it_is(text in "\\PC{0,70}|.{0,70}") {
            if let Ok(name) = TunnelName::new(&text) {
                prop_assert!(name.as_str().chars().all(|c| c == ' ' || !c.is_control() && !c.is_whitespace()));
                prop_assert_eq!(&TunnelName::new(name.as_str()), &Ok(name.clone()));
                prop_assert_eq!(name.as_str().nfc().collect::<String>(), name.as_str());
                prop_assert!((1..=MAX_CHARS).contains(&name.as_str().chars().count()));
            }
        }

        #[test]
        fn any_file_name_gives_a_valid_label(text in ".{0,300}") {
            let name = TunnelName::from_file_name(&text);
            prop_assert_eq!(&TunnelName::new(name.as_str()), &Ok(name.clone()));
        }

        #[test]
        fn a_unique_label_is_valid_and_free(text in "\\PC{1,64}", taken in 0_usize..5) {
            if let Ok(name) = TunnelName::new(&text) {
                let mut keys = vec![];
                for _ in 0..taken {
                    let next = name.clone().made_unique(|key| keys.iter().any(|k| k == key));
                    prop_assert_eq!(&TunnelName::new(next.as_str()), &Ok(next.clone()));
                    prop_assert!(!keys.contains(&next.fold()));
                    keys.push(next.fold());
                }
            }
        }
    }
}
