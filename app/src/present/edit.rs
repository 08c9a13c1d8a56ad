//! What is to be told of a configuration while it is typed.

use lonewire_client::config::{Error, check, key};
use lonewire_core::secret::Secret;

use super::problem;

/// What the editor shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Sentences, one a line; empty: it can be saved.
    pub wrong: String,
    /// Lines that are wrong, from 1.
    pub lines: Vec<u32>,
    /// Of the key that it would have.
    pub public_key: Option<String>,
}

/// `stored_key` is the public key of the configuration that this one replaces, if it replaces one.
pub fn judge(text: &[u8], stored_key: Option<&str>) -> Verdict {
    let parsed = match stored_key {
        Some(_) => check::replacing("", text),
        None => check::new("", text),
    };
    let public_key = public_key(text, stored_key);
    match parsed {
        Ok(_) => Verdict {
            public_key,
            ..Verdict::default()
        },
        Err(error) => Verdict {
            wrong: problem::refusal(&error),
            lines: lines(&error),
            public_key,
        },
    }
}

/// Of the first private key in a text, whatever else is wrong with it.
fn public_key(text: &[u8], stored_key: Option<&str>) -> Option<String> {
    let value = std::str::from_utf8(text).ok()?.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let is_private = name.trim().eq_ignore_ascii_case("PrivateKey");
        let value = value.split('#').next().unwrap_or_default();
        is_private.then_some(value.trim())
    })?;
    match Secret::from_base64(value) {
        Some(secret) => Some(key::public(&secret).to_string()),
        None if value == UNCHANGED => stored_key.map(str::to_owned),
        None => None,
    }
}

/// Stands for a key that is stored.
const UNCHANGED: &str = "(unchanged)";

fn lines(error: &Error) -> Vec<u32> {
    match error {
        Error::Invalid { problems, .. } => {
            problems.iter().map(|problem| problem.error.line).collect()
        }
        _ => Vec::new(),
    }
}

/// The text of a tunnel that has only keys, with what a person adds next.
pub fn with_template(config: &str, template: &str) -> String {
    let config = config.trim_end();
    format!("{config}\n{template}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    #[test]
    fn the_public_key_follows_what_is_typed() {
        let typed = format!("[Interface]\nPrivateKey = {PRIVATE}\n");
        assert_eq!(
            judge(typed.as_bytes(), None).public_key.as_deref(),
            Some(PUBLIC)
        );
        let kept = b"[Interface]\nPrivateKey = (unchanged)\n";
        assert_eq!(
            judge(kept, Some("stored")).public_key.as_deref(),
            Some("stored")
        );
        let new = judge(kept, None);
        assert_eq!((new.lines, new.public_key), (vec![2], None));
        let halfway = &typed.replace("X08F", "");
        assert_eq!(judge(halfway.as_bytes(), None).public_key, None);
    }

    #[test]
    fn every_wrong_line_is_marked_until_it_is_right() {
        let text = format!("[Interface]\nPrivateKey = {PRIVATE}\nMTU = 1\nDNS = !\n");
        let verdict = judge(text.as_bytes(), None);
        assert_eq!(verdict.lines, [3, 4]);
        assert!(verdict.wrong.starts_with("Line 3:"), "{}", verdict.wrong);
        assert_eq!(verdict.public_key.as_deref(), Some(PUBLIC));
        let right = text.replace("= 1\n", "= 1420\n").replace('!', "10.0.0.1");
        assert_eq!(judge(right.as_bytes(), None).wrong, "");
    }
}
