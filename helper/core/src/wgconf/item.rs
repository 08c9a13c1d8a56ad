// SPDX-License-Identifier: MIT OR Apache-2.0
//! One setting's value into its place in a draft, or a refusal that says where. What could be a key is never told.

use super::{
    Key, MAX_ERRORS, ParseError, Reason,
    draft::{Once, Place},
    error,
    line::Piece,
    value,
};
use crate::secret::PublicKey;

/// wg-quick(8) takes both between addresses, wg(8) takes a comma only.
pub(super) fn is_comma_or_blank(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// One setting with its value, about to be read.
pub(super) struct Item<'a> {
    pub number: u32,
    pub line: &'a str,
    pub name: &'static str,
    pub key: Place,
    pub value: Piece<'a>,
    /// There is a stored key that `(unchanged)` means.
    pub may_keep: bool,
    pub errors: &'a mut Vec<ParseError>,
}

impl Item<'_> {
    fn place(&self, piece: Piece<'_>) -> Place {
        Place {
            line: self.number,
            column: piece.column(self.line),
        }
    }

    fn refuse(&mut self, place: Place, value: Option<String>, reason: Reason) {
        let Place { line, column } = place;
        self.errors.push(ParseError {
            line,
            column,
            key: Some(self.name.to_owned()),
            value,
            reason,
        });
    }

    /// A value that may be told.
    pub fn once<T>(&mut self, slot: &mut Once<T>, read: impl Fn(&str) -> Result<T, Reason>) {
        let shown = error::shown(self.value.text);
        self.fill(slot, read, shown);
    }

    pub fn public(&mut self, slot: &mut Once<PublicKey>) {
        self.fill(slot, value::public_key, None);
    }

    pub fn private(&mut self, slot: &mut Once<Key>) {
        let may_keep = self.may_keep;
        let read = |text: &str| match value::private_key(text)? {
            Key::Unchanged if !may_keep => Err(Reason::NothingStored),
            key => Ok(key),
        };
        self.fill(slot, read, None);
    }

    pub fn preshared(&mut self, slot: &mut Once<Option<Key>>) {
        let may_keep = self.may_keep;
        let read = |text: &str| match value::preshared_key(text)? {
            Some(Key::Unchanged) if !may_keep => Err(Reason::NothingStored),
            key => Ok(key),
        };
        self.fill(slot, read, None);
    }

    fn fill<T>(
        &mut self,
        slot: &mut Once<T>,
        read: impl Fn(&str) -> Result<T, Reason>,
        shown: Option<String>,
    ) {
        if slot.is_some() {
            return self.refuse(self.key, None, Reason::DuplicateKey);
        }
        if self.value.text.is_empty() {
            *slot = Some((self.key, None));
            return self.refuse(self.key, None, Reason::EmptyValue);
        }
        let place = self.place(self.value);
        let value = match read(self.value.text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.refuse(place, shown, reason);
                None
            }
        };
        *slot = Some((place, value));
    }

    /// Hands over each item until `add` says that there are too many.
    pub fn list<T>(
        &mut self,
        is_separator: impl Fn(char) -> bool,
        read: impl Fn(&str) -> Result<T, Reason>,
        mut add: impl FnMut(T) -> bool,
        too_many: Reason,
    ) {
        for piece in self.value.split(is_separator) {
            if self.errors.len() >= MAX_ERRORS {
                return;
            }
            match read(piece.text) {
                Ok(value) => {
                    if !add(value) {
                        return self.refuse(self.place(piece), None, too_many);
                    }
                }
                Err(reason) => self.refuse(self.place(piece), error::shown(piece.text), reason),
            }
        }
    }
}
