//! A text whose secret keys stay out of sight while a person puts the rest of it right: each reads `(hidden)`, and is back in what comes out.

use zeroize::Zeroizing;

use super::Text;

/// Settings whose values are secret.
const SECRET: [&str; 2] = ["PrivateKey", "PresharedKey"];
/// The one setting that has a key which anybody may see.
const PUBLIC: &str = "PublicKey";
/// A run of this many base64 digits may be a key in the wrong place.
const LOOKS_LIKE_A_KEY: usize = 32;

/// What was hidden, in the order of the text.
#[derive(Default)]
pub struct Hidden(Vec<Zeroizing<String>>);

impl Hidden {
    /// A text without its keys, and the keys.
    pub fn of(text: &str) -> (String, Self) {
        let mut hidden = Self::default();
        let lines: Vec<String> = text.split('\n').map(|line| hidden.line(line)).collect();
        (lines.join("\n"), hidden)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with its keys, wherever their words are now.
    pub fn restore(&self, shown: &str) -> Text {
        let mut text = Zeroizing::new(shown.to_owned());
        for (number, key) in (1..).zip(&self.0) {
            text = Zeroizing::new(text.replace(&word(number), key));
        }
        Zeroizing::new(text.as_bytes().to_vec())
    }

    fn line(&mut self, line: &str) -> String {
        let name = line.split_once('=').map(|(name, _)| name.trim());
        let is = |known: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(known));
        if is(PUBLIC) {
            return line.to_owned();
        }
        if SECRET.iter().any(|known| is(known)) {
            let (before, after) = line.split_once('=').unwrap_or_default();
            let value = after.split('#').next().unwrap_or_default().trim();
            if value.is_empty() {
                return line.to_owned();
            }
            // Whatever it is: half a key is a secret too.
            let word = self.hide(value);
            return format!("{before}={}", after.replacen(value, &word, 1));
        }
        let digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let parts = line.split_inclusive(|c| !digit(c));
        parts
            .map(|part| {
                let run = part.trim_end_matches(|c| !digit(c));
                if run.len() < LOOKS_LIKE_A_KEY {
                    return part.to_owned();
                }
                format!("{}{}", self.hide(run), &part[run.len()..])
            })
            .collect()
    }

    fn hide(&mut self, key: &str) -> String {
        self.0.push(Zeroizing::new(key.to_owned()));
        word(self.0.len())
    }
}

/// What stands for a key.
fn word(number: usize) -> String {
    match number {
        1 => "(hidden)".to_owned(),
        _ => format!("(hidden {number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    const PEER: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    #[test]
    fn keys_are_out_of_sight_and_come_back() {
        let text = format!(
            "[Interface]\nprivatekey={KEY} # mine\nMTU = x\n# {KEY}\n[Peer]\nPublicKey = {PEER}\nPresharedKey = short\nAllowedIPs = 0.0.0.0/0\n"
        );
        let (shown, hidden) = Hidden::of(&text);
        assert_eq!(
            shown,
            format!(
                "[Interface]\nprivatekey=(hidden) # mine\nMTU = x\n# (hidden 2)\n[Peer]\nPublicKey = {PEER}\nPresharedKey = (hidden 3)\nAllowedIPs = 0.0.0.0/0\n"
            )
        );
        assert_eq!(*hidden.restore(&shown), text.as_bytes());
        // What is changed beside them is changed, and a key that was replaced is.
        let edited = shown
            .replace("MTU = x", "MTU = 1400")
            .replace("(hidden 3)", "");
        let edited = String::from_utf8(hidden.restore(&edited).to_vec()).unwrap();
        assert!(edited.contains(KEY) && edited.contains("1400") && !edited.contains("short"));
    }

    #[test]
    fn a_text_without_keys_is_left_alone() {
        let text = "[Interface]\r\nPrivateKey =\r\nAddress = 10.0.0.2/32\r\n";
        let (shown, hidden) = Hidden::of(text);
        assert_eq!(shown, text);
        assert!(hidden.is_empty());
    }
}
