// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys. A secret has no `Display` and no `Serialize`, its `Debug` prints `<redacted>`, and its bytes are wiped when it goes.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// N secret bytes: a private key or a preshared key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Secret<N> {
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves: for the kernel and for the file they are kept in, nothing else.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Base64 as in wg(8).
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }
}

impl Secret<32> {
    /// A key as wg(8) writes it: 44 characters of base64. Nothing of a bad text is kept or told.
    pub fn from_base64(text: &str) -> Option<Self> {
        decode_key(text).map(Self)
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// A public key: no secret, and the name of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// A key as wg(8) writes it: 44 characters of base64.
    pub fn from_base64(text: &str) -> Option<Self> {
        decode_key(text).map(|bytes| Self(*bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decode_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    if text.len() != 44 {
        return None;
    }
    // 44 characters decode to at most 33 bytes; the buffer is wiped either way.
    let mut buffer = Zeroizing::new([0_u8; 33]);
    let length = STANDARD.decode_slice(text, buffer.as_mut_slice()).ok()?;
    let bytes = buffer.get(..length)?;
    let mut key = Zeroizing::new([0_u8; 32]);
    if bytes.len() != key.len() {
        return None;
    }
    key.copy_from_slice(bytes);
    Some(key)
}
