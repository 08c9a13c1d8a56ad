//! Finds known keys in any bytes, in any form in which a program might let one slip: the text forms of [`Marker`], bytes, and numbers in a list.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memmem;

use crate::marker::{Finder, Marker};

/// Keys that are to be nowhere.
#[derive(Debug)]
pub struct Secrets {
    /// Each half of a key for itself: a piece is a find too.
    finder: Finder,
    halves: Vec<(String, [u8; 16])>,
}

impl Secrets {
    /// Keys by what they are called in a report, in wg(8)'s text form.
    ///
    /// # Errors
    /// Not 32 bytes in base64.
    pub fn new(keys: &[(&str, &str)]) -> Result<Self> {
        let (mut markers, mut halves) = (Vec::new(), Vec::new());
        for (name, text) in keys {
            let bytes = STANDARD.decode(text)?;
            let (first, second) = bytes.split_first_chunk().context("too short a key")?;
            let second = second.try_into().context("not 32 bytes")?;
            for (half, part) in [(*first, "first"), (second, "second")] {
                markers.push(Marker::of(half));
                halves.push((format!("{name} key, {part} half"), half));
            }
        }
        Ok(Self {
            finder: Finder::new(&markers),
            halves,
        })
    }

    /// Which key is in `bytes`, by its name: the answer holds nothing of it.
    pub fn find(&self, bytes: &[u8]) -> Option<&str> {
        let as_lists = [numbers(bytes, 10), numbers(bytes, 16)];
        if let Some(place) = self.finder.place(bytes) {
            return self.halves.get(place).map(|(name, _)| name.as_str());
        }
        self.halves
            .iter()
            .find(|(_, half)| {
                half.chunks_exact(8).any(|piece| {
                    as_lists
                        .iter()
                        .any(|list| memmem::find(list, piece).is_some())
                })
            })
            .map(|(name, _)| name.as_str())
    }
}

/// The numbers below 256 in a text, as bytes, whatever stands between them: `[12, 34]`, `BYTE 12; BYTE 34`, `0x0c:0x22`, `0c 22`.
fn numbers(text: &[u8], base: u32) -> Vec<u8> {
    text.split(|byte| !byte.is_ascii_alphanumeric())
        .filter_map(|word| {
            let word = std::str::from_utf8(word).ok()?;
            let digits = word.strip_prefix("0x").unwrap_or(word);
            // In hexadecimal two digits are a byte, else words of letters would be numbers.
            (base == 10 || digits.len() == 2)
                .then(|| u8::from_str_radix(digits, base).ok())
                .flatten()
        })
        .collect()
}
