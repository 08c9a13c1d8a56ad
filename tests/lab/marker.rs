//! Sixteen random bytes that a stimulus carries, and every form in which they could show up in a frame.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose};
use memchr::memmem;

/// What a stimulus carries, so that its bytes are known wherever they appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker([u8; 16]);

impl Marker {
    /// A fresh one.
    ///
    /// # Errors
    /// getrandom(2) fails.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 16];
        rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
            .context("getrandom")?;
        Ok(Self(bytes))
    }

    /// One of known bytes, to be looked for.
    pub fn of(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// 32 lower-case digits: a DNS label, a path, an argument.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What is looked for: the bytes themselves, and their text forms, which are compared without regard to case. Text may be cut
    /// into DNS labels or lines: each half alone is a find.
    fn patterns(&self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let raw = vec![self.0[..8].to_vec(), self.0[8..].to_vec()];
        let hex = self.hex();
        let mut text = vec![hex[..16].into(), hex[16..].into()];
        let base32 = base32(&self.0).to_ascii_lowercase();
        text.extend([base32[..12].into(), base32[13..25].into()]);
        // The first and last digits depend on what stands beside the marker: three alignments, inner digits only.
        for shift in 0..3 {
            let mut padded = vec![0; shift];
            padded.extend(self.0);
            for engine in [
                &general_purpose::STANDARD_NO_PAD,
                &general_purpose::URL_SAFE_NO_PAD,
            ] {
                let digits = engine.encode(&padded).to_ascii_lowercase();
                text.push(digits.as_bytes()[shift.div_ceil(3) * 2 + shift..][..18].to_vec());
            }
        }
        (raw, text)
    }
}

/// Searches frames for many markers at once.
#[derive(Debug)]
pub struct Finder {
    markers: Vec<(
        String,
        Vec<memmem::Finder<'static>>,
        Vec<memmem::Finder<'static>>,
    )>,
}

impl Finder {
    pub fn new(markers: &[Marker]) -> Self {
        let own = |patterns: Vec<Vec<u8>>| {
            patterns
                .iter()
                .map(|bytes| memmem::Finder::new(bytes).into_owned())
                .collect()
        };
        let markers = markers
            .iter()
            .map(|marker| {
                let (raw, text) = marker.patterns();
                (marker.hex(), own(raw), own(text))
            })
            .collect();
        Self { markers }
    }

    /// The first marker that is anywhere in `bytes`, in any form.
    pub fn find(&self, bytes: &[u8]) -> Option<&str> {
        let place = self.place(bytes)?;
        self.markers.get(place).map(|(name, ..)| name.as_str())
    }

    /// The places in the list of all that are anywhere in `bytes`.
    pub fn all(&self, bytes: &[u8]) -> Vec<usize> {
        let lower = bytes.to_ascii_lowercase();
        let is_there = |(_, raw, text): &(
            String,
            Vec<memmem::Finder<'static>>,
            Vec<memmem::Finder<'static>>,
        )| {
            raw.iter().any(|finder| finder.find(bytes).is_some())
                || text.iter().any(|finder| finder.find(&lower).is_some())
        };
        let found = self.markers.iter().enumerate();
        found
            .filter(|(_, marker)| is_there(marker))
            .map(|(at, _)| at)
            .collect()
    }

    /// The same by its place in the list.
    pub fn place(&self, bytes: &[u8]) -> Option<usize> {
        if self.markers.is_empty() {
            return None;
        }
        let lower = bytes.to_ascii_lowercase();
        self.markers.iter().position(|(_, raw, text)| {
            raw.iter().any(|finder| finder.find(bytes).is_some())
                || text.iter().any(|finder| finder.find(&lower).is_some())
        })
    }
}

/// RFC 4648, without padding.
fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[(held >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(DIGITS[(held << (5 - bits)) as usize & 31]));
    }
    text
}

/// `base32` for a test that plants a marker in that form.
pub fn base32_form(marker: &Marker) -> String {
    base32(marker.bytes())
}
