// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the helper and an instance of `lonewire-wireguard` say to each other on the connection over which the instance
//! is handed its TUN. Both are ours and of one version; no key ever passes here.
//!
//! A message is one byte of length and that many bytes of postcard. The helper begins with [`Order::Serve`], whose first
//! byte carries two descriptors: the TUN and the listening control socket. Once the instance answers on the control
//! socket it sends [`Serving`], whose first byte carries a pidfd of itself. The end of the connection on the helper's side
//! means nothing to the instance.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{launch, name::LinkName};

/// MTU an instance goes by until it is told another: the least that IPv6 allows.
pub const FIRST_MTU: u16 = 1280;

/// From the helper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// `mtu` in bytes: packets are padded up to it, and never above.
    Serve { link: LinkName, mtu: u16 },
    /// The link's MTU changed.
    Mtu(u16),
}

/// From the instance, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    pub pid: i32,
    /// Field 22 of its `/proc/<pid>/stat`.
    pub start: u64,
}

/// A message with its length before it.
///
/// # Errors
/// Where it would be longer than 255 bytes, which no message of ours is.
pub fn frame<T: Serialize>(message: &T) -> Result<Vec<u8>, postcard::Error> {
    let body = launch::encode(message)?;
    let length = u8::try_from(body.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
    Ok([&[length], body.as_slice()].concat())
}

/// What came after the length.
///
/// # Errors
/// Anything that [`frame`] does not write.
pub fn unframe<T: DeserializeOwned>(body: &[u8]) -> Result<T, postcard::Error> {
    launch::decode(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was_and_with_its_length() {
        let order = Order::Serve {
            link: LinkName::from_random([7; 6]),
            mtu: 1420,
        };
        let framed = frame(&order).unwrap();
        assert_eq!(usize::from(framed[0]), framed.len() - 1);
        assert_eq!(unframe::<Order>(&framed[1..]), Ok(order));
    }

    #[test]
    fn a_cut_or_lengthened_message_is_refused() {
        let framed = frame(&Serving {
            pid: 4711,
            start: 1 << 40,
        })
        .unwrap();
        assert!(unframe::<Serving>(&framed[1..framed.len() - 1]).is_err());
        assert!(unframe::<Serving>(&[&framed[1..], &[0]].concat()).is_err());
    }
}
