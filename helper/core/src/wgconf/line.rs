// SPDX-License-Identifier: MIT OR Apache-2.0
//! A line of a configuration: a section, a setting or nothing. Knows no key.

use super::{MAX_LINE, Reason};

/// A piece of a line, and the byte at which it begins there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub text: &'a str,
    pub at: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Nothing,
    /// The name between the brackets; `at` is the bracket's.
    Section(Piece<'a>),
    Setting {
        key: Piece<'a>,
        value: Piece<'a>,
    },
}

impl<'a> Piece<'a> {
    /// Without white space around it.
    fn trimmed(self) -> Self {
        let start = self.text.trim_start();
        Self {
            text: start.trim_end(),
            at: self.at + self.text.len() - start.len(),
        }
    }

    /// The parts between separators, trimmed, without empty ones.
    pub fn split(self, is_separator: impl Fn(char) -> bool) -> impl Iterator<Item = Self> {
        let mut at = self.at;
        self.text
            .split_inclusive(is_separator)
            .map(move |part| {
                let piece = Self { text: part, at };
                at += part.len();
                piece
            })
            .map(|piece| {
                Self {
                    text: piece.text.trim_end_matches(','),
                    ..piece
                }
                .trimmed()
            })
            .filter(|piece| !piece.text.is_empty())
    }

    /// From 1, in characters.
    pub fn column(self, line: &str) -> u32 {
        let before = line.get(..self.at).unwrap_or(line);
        u32::try_from(before.chars().count())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }
}

/// Takes a line apart; `line` comes without its end.
pub(super) fn read(line: &str) -> Result<Line<'_>, (Reason, usize)> {
    if line.len() > MAX_LINE {
        return Err((Reason::LineTooLong, 0));
    }
    if let Some((at, _)) = line
        .char_indices()
        .find(|&(_, c)| c.is_control() && c != '\t')
    {
        return Err((Reason::ControlCharacter, at));
    }
    let code = line.split_once('#').map_or(line, |(code, _comment)| code);
    let code = Piece { text: code, at: 0 }.trimmed();
    if code.text.is_empty() {
        return Ok(Line::Nothing);
    }
    if let Some(inside) = code.text.strip_prefix('[') {
        return match inside.strip_suffix(']') {
            Some(name) => Ok(Line::Section(Piece {
                text: name.trim(),
                at: code.at,
            })),
            None => Err((Reason::NotASetting, code.at)),
        };
    }
    let Some((key, value)) = code.text.split_once('=') else {
        return Err((Reason::NotASetting, code.at));
    };
    Ok(Line::Setting {
        key: Piece {
            text: key,
            at: code.at,
        }
        .trimmed(),
        value: Piece {
            text: value,
            at: code.at + key.len() + 1,
        }
        .trimmed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting<'a>(key: (&'a str, usize), value: (&'a str, usize)) -> Line<'a> {
        Line::Setting {
            key: Piece {
                text: key.0,
                at: key.1,
            },
            value: Piece {
                text: value.0,
                at: value.1,
            },
        }
    }

    #[test]
    fn lines_are_taken_apart() {
        for (line, expected) in [
            ("", Line::Nothing),
            (" \t", Line::Nothing),
            ("# PrivateKey = x", Line::Nothing),
            (
                " [Peer] # one",
                Line::Section(Piece {
                    text: "Peer",
                    at: 1,
                }),
            ),
            (
                "[ Peer ]",
                Line::Section(Piece {
                    text: "Peer",
                    at: 0,
                }),
            ),
            ("MTU=1420", setting(("MTU", 0), ("1420", 4))),
            ("\tMTU  =  1420 \u{a0}#x", setting(("MTU", 1), ("1420", 9))),
            ("PublicKey=a=b=", setting(("PublicKey", 0), ("a=b=", 10))),
            ("MTU=", setting(("MTU", 0), ("", 4))),
            ("=5", setting(("", 0), ("5", 1))),
        ] {
            assert_eq!(read(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_line_says_where() {
        for (line, reason, at) in [
            ("hello", Reason::NotASetting, 0),
            ("  [Peer", Reason::NotASetting, 2),
            ("[Peer] x", Reason::NotASetting, 0),
            ("MTU\0=5", Reason::ControlCharacter, 3),
            ("MTU=5\r", Reason::ControlCharacter, 5),
            ("# \u{85}", Reason::ControlCharacter, 2),
        ] {
            assert_eq!(read(line), Err((reason, at)), "{line:?}");
        }
        assert!(read(&"#".repeat(MAX_LINE)).is_ok());
        assert_eq!(
            read(&"#".repeat(MAX_LINE + 1)),
            Err((Reason::LineTooLong, 0))
        );
    }

    #[test]
    fn lists_keep_the_place_of_each_part() {
        let value = Piece {
            text: "a, bc ,,d ",
            at: 10,
        };
        let parts: Vec<_> = value
            .split(|c| c == ',')
            .map(|part| (part.text, part.at))
            .collect();
        assert_eq!(parts, [("a", 10), ("bc", 13), ("d", 18)]);
        let parts: Vec<_> = value
            .split(|c| c == ',' || c.is_whitespace())
            .map(|part| (part.text, part.at))
            .collect();
        assert_eq!(parts, [("a", 10), ("bc", 13), ("d", 18)]);
    }

    #[test]
    fn columns_are_counted_in_characters() {
        let Ok(Line::Setting { value, .. }) = read("é = 5") else {
            panic!("a setting")
        };
        assert_eq!(value.column("é = 5"), 5);
    }
}
