//! The public key of a private one that a person is typing. It keeps nothing.

use lonewire_core::secret::{PublicKey, Secret};
use x25519_dalek::StaticSecret;

/// What the other side has to know.
pub fn public(private: &Secret<32>) -> PublicKey {
    let secret = StaticSecret::from(*private.expose());
    PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748, section 6.1: Alice's keys.
    #[test]
    fn a_public_key_is_that_of_the_private_one() {
        let private = Secret::from_base64("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=").unwrap();
        assert_eq!(
            public(&private).to_string(),
            "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
        );
    }
}
