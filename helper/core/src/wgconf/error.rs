// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a configuration's text, and where. No error ever holds what could be a key.

use std::fmt;

use unicode_general_category::{GeneralCategory as Category, get_general_category};

/// Characters of a value that are told.
const MAX_SHOWN: usize = 80;

/// A run of this many base64 digits may be a key, or most of one, in the wrong place.
const LOOKS_LIKE_A_KEY: usize = 32;

/// One thing wrong. Its `Display` is a whole sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Line {line}: {}.", Sentence(self))]
pub struct ParseError {
    /// From 1. What is wrong with the text as a whole is told at line 1, column 1.
    pub line: u32,
    /// From 1, in characters: where the offending value begins, or the key or section if that is what is wrong.
    pub column: u32,
    /// In its usual spelling; an unknown one only where it cannot be part of a key that was pasted into the wrong place.
    pub key: Option<String>,
    /// What was found, cut to 80 characters; never of a line that could hold a private, preshared or public key.
    pub value: Option<String>,
    pub reason: Reason,
}

impl ParseError {
    /// A stable word for programs: that of [`Reason::code`].
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $code:literal $text:literal,)*) => {
        /// Why a text was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// A stable word for programs; once released it keeps its meaning.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The sentence, less its end; `KEY` stands for the quoted key.
            fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    // The text as a whole.
    TooLarge "too-large" "the configuration is larger than 64 KiB",
    NotUtf8 "not-utf-8" "this is not UTF-8 text",
    NoInterface "no-interface" "there is no [Interface] section",
    // Its lines.
    ControlCharacter "control-character" "there is a control character in this line",
    LineTooLong "line-too-long" "the line is longer than 16 KiB",
    NotASetting "not-a-setting" "this is neither a section nor “Key = value”",
    OutsideSection "outside-section" "there is a setting before the first section",
    UnknownSection "unknown-section" "the only sections are [Interface] and [Peer]",
    // Keys.
    UnknownKey "unknown-key" "KEY is not a known setting",
    AmneziaWg "amneziawg" "KEY is a setting of AmneziaWG, which is not supported",
    WrongSection "wrong-section" "KEY does not belong in this section",
    DuplicateKey "duplicate-key" "KEY is given twice",
    MissingPrivateKey "missing-private-key" "the [Interface] section has no “PrivateKey”",
    MissingPublicKey "missing-public-key" "this [Peer] section has no “PublicKey”",
    // Values.
    EmptyValue "empty-value" "KEY has no value",
    KeyLength "key-must-be-44-characters" "KEY must be 44 characters of base64",
    KeyEncoding "not-base64" "KEY is not 32 bytes in base64",
    KeyZero "key-is-zero" "KEY is all zeros",
    /// Only where nothing is stored that could be kept.
    NothingStored "nothing-stored" "KEY cannot be (unchanged) in a new tunnel",
    NotAnAddressRange "not-an-address-range" "KEY is not a valid address range",
    NotAnAddress "not-an-address" "KEY is not a valid address",
    UnusableAddress "unusable-address" "KEY is an address that a link cannot have",
    NotADnsServer "not-a-dns-server" "KEY is neither an address nor a search domain",
    UnusableDnsServer "unusable-dns-server" "KEY is an address that no server can have",
    NotANumber "not-a-number" "KEY is not a number",
    PortOutOfRange "listen-port-out-of-range" "KEY must be 0, or 1024 to 65535",
    MtuOutOfRange "mtu-out-of-range" "KEY must be 576 to 65535",
    MtuTooSmallForIpv6 "mtu-too-small-for-ipv6" "KEY must be at least 1280 for IPv6",
    KeepaliveOutOfRange "keepalive-out-of-range" "KEY must be “off”, or 0 to 65535 seconds",
    NotAnEndpoint "not-an-endpoint" "KEY is not a valid address or name with a port",
    MissingPort "missing-port" "KEY has no port",
    BadPort "endpoint-port-out-of-range" "KEY must have a port of 1 to 65535",
    Ipv6NeedsBrackets "ipv6-needs-brackets" "KEY needs brackets around its IPv6 address",
    UnusableEndpoint "unusable-endpoint" "KEY is an address that no peer can have",
    LinkLocalEndpoint "link-local-endpoint" "KEY is a link-local address, which is not supported",
    // Numbers of things.
    TooManyPeers "too-many-peers" "there are more than 64 peers",
    TooManyAllowedIps "too-many-allowed-ips" "this peer has more than 256 address ranges",
    TooManyAddresses "too-many-addresses" "there are more than 64 addresses",
    TooManyDns "too-many-dns" "there are more than 8 DNS servers or search domains",
}

struct Sentence<'a>(&'a ParseError);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParseError {
            key, value, reason, ..
        } = self.0;
        match (reason.text().strip_prefix("KEY"), key) {
            (Some(rest), Some(key)) => write!(f, "“{key}”{rest}")?,
            (Some(rest), None) => write!(f, "this{rest}")?,
            (None, _) => f.write_str(reason.text())?,
        }
        match value {
            Some(value) => write!(f, ": “{value}”"),
            None => Ok(()),
        }
    }
}

/// A value as it may be told: cut, without what is invisible or turns the writing direction; `None` if it could be a key.
pub(super) fn shown(value: &str) -> Option<String> {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    if value
        .split(|c| !is_digit(c))
        .any(|run| run.len() >= LOOKS_LIKE_A_KEY)
    {
        return None;
    }
    let mut text: String = value
        .chars()
        .take(MAX_SHOWN)
        .map(|c| match get_general_category(c) {
            Category::Control
            | Category::Format
            | Category::PrivateUse
            | Category::Unassigned
            | Category::LineSeparator
            | Category::ParagraphSeparator => char::REPLACEMENT_CHARACTER,
            _ => c,
        })
        .collect();
    if value.chars().nth(MAX_SHOWN).is_some() {
        text.push('…');
    }
    Some(text)
}

/// A word that somebody took for a key or a section, if it can be told: the end of a broken line is part of a secret.
pub(super) fn shown_word(word: &str) -> Option<String> {
    let is_word = word.len() < LOOKS_LIKE_A_KEY
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_kebab_case_and_all_different() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|code| {
            code.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        }));
    }

    #[test]
    fn sentences_do_not_end_twice() {
        assert!(
            Reason::ALL
                .iter()
                .all(|reason| !reason.text().ends_with('.'))
        );
    }

    #[test]
    fn a_value_that_could_be_a_key_is_not_shown() {
        assert_eq!(shown("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="), None);
        assert_eq!(shown(&"0f".repeat(32)), None);
        assert_eq!(shown("x yAnz5TF+lXXJte14tji3zlMNq+hd2rYU"), None);
        assert_eq!(
            shown("2001:db8:1111:2222:3333:4444:5555:6666/129").as_deref(),
            Some("2001:db8:1111:2222:3333:4444:5555:6666/129")
        );
    }

    #[test]
    fn a_shown_value_is_short_and_harmless() {
        assert_eq!(
            shown("a\u{202e}b\u{1b}c").as_deref(),
            Some("a\u{fffd}b\u{fffd}c")
        );
        assert_eq!(shown(&"ä ".repeat(100)), Some("ä ".repeat(40) + "…"));
    }
}
