//! What is to be told of a configuration while it is typed.

use lonewire_client::config::{Error, check, key};
use lonewire_core::wgconf::Key;

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
    match parsed {
        Ok(parsed) => Verdict {
            public_key: match &parsed.config.interface.private_key {
                Key::Given(secret) => Some(key::public(secret).to_string()),
                Key::Unchanged => stored_key.map(str::to_owned),
            },
            ..Verdict::default()
        },
        Err(error) => Verdict {
            wrong: problem::refusal(&error),
            lines: lines(&error),
            public_key: None,
        },
    }
}

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
        assert_eq!(judge(kept, None).lines, [2]);
    }

    #[test]
    fn every_wrong_line_is_marked_until_it_is_right() {
        let text = format!("[Interface]\nPrivateKey = {PRIVATE}\nMTU = 1\nDNS = !\n");
        let verdict = judge(text.as_bytes(), None);
        assert_eq!(verdict.lines, [3, 4]);
        assert!(verdict.wrong.starts_with("Line 3:"), "{}", verdict.wrong);
        let right = text.replace("= 1\n", "= 1420\n").replace('!', "10.0.0.1");
        assert_eq!(judge(right.as_bytes(), None).wrong, "");
    }
}
