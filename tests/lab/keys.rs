//! WireGuard keys for the worlds' servers and clients.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use x25519_dalek::{PublicKey, StaticSecret};

/// A key pair in wg(8)'s text form. These keys protect nothing: they live as long as a test.
#[derive(Debug, Clone)]
pub struct Pair {
    pub private: String,
    pub public: String,
}

impl Pair {
    /// # Errors
    /// getrandom(2) fails.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 32];
        rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
            .context("getrandom")?;
        Ok(Self::of(bytes))
    }

    /// The pair of a private key that was written down.
    ///
    /// # Errors
    /// It is none.
    pub fn read(private: &str) -> Result<Self> {
        let bytes = STANDARD.decode(private)?;
        let bytes: [u8; 32] = bytes.try_into().ok().context("a key of another length")?;
        Ok(Self::of(bytes))
    }

    fn of(bytes: [u8; 32]) -> Self {
        let secret = StaticSecret::from(bytes);
        Self {
            private: STANDARD.encode(secret.to_bytes()),
            public: STANDARD.encode(PublicKey::from(&secret).as_bytes()),
        }
    }
}
