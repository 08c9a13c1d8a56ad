//! Which apps a search means, and which of them first. Pure.

/// What of an app is searched, in small letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    name: String,
    /// Keywords and the generic name ("Web Browser").
    keywords: Vec<String>,
    /// The file name of the program.
    program: String,
}

impl Text {
    pub fn new<'a>(name: &str, keywords: impl IntoIterator<Item = &'a str>, program: &str) -> Self {
        Self {
            name: name.to_lowercase(),
            keywords: keywords.into_iter().map(str::to_lowercase).collect(),
            program: program.to_lowercase(),
        }
    }

    /// How well a search fits, 0 the best; `None`: it does not. Each word of it has to be found; the one that fits worst counts.
    pub fn rank(&self, search: &str) -> Option<u32> {
        search
            .to_lowercase()
            .split_whitespace()
            .map(|word| self.rank_word(word))
            .try_fold(0, |worst, rank| Some(worst.max(rank?)))
    }

    fn rank_word(&self, word: &str) -> Option<u32> {
        let starts_a_word = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric())
                .any(|part| part.starts_with(word))
        };
        let ways: [&dyn Fn() -> bool; 6] = [
            &|| self.name.starts_with(word),
            &|| starts_a_word(&self.name),
            &|| self.name.contains(word),
            &|| self.keywords.iter().any(|keyword| starts_a_word(keyword)),
            &|| self.program.contains(word),
            &|| self.keywords.iter().any(|keyword| keyword.contains(word)),
        ];
        let way = ways.iter().position(|fits| fits())?;
        u32::try_from(way).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_before_keywords_and_keywords_before_programs() {
        let text = Text::new("GNOME Web", ["Internet", "Web Browser"], "epiphany");
        for (search, expected) in [
            ("", Some(0)),
            ("  ", Some(0)),
            ("gno", Some(0)),
            ("WEB", Some(1)),
            ("nome", Some(2)),
            ("inter", Some(3)),
            ("browser", Some(3)),
            ("epi", Some(4)),
            ("rowse", Some(5)),
            ("gnome internet", Some(3)),
            ("gnome mail", None),
            ("firefox", None),
        ] {
            assert_eq!(text.rank(search), expected, "{search}");
        }
    }

    #[test]
    fn letters_of_any_language_are_found_large_or_small() {
        let text = Text::new("Übersetzer", [], "uber");
        assert_eq!(text.rank("ÜBER"), Some(0));
        assert_eq!(text.rank("SETZ"), Some(2));
    }
}
