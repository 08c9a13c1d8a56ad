//! Pictures as pixels, by the toolkit: PNG and JPEG. What is too large is never decoded.

use gtk::{gdk, glib, prelude::*};
use lonewire_client::config::picture::{Luma, MAX_PIXELS};
use zeroize::Zeroizing;

/// Bytes a pixel as the toolkit hands them out.
const DEPTH: usize = 4;

/// The pixels; `None` of a damaged picture.
pub fn decode(bytes: &[u8]) -> Option<Luma> {
    let texture = gdk::Texture::from_bytes(&glib::Bytes::from(bytes)).ok()?;
    pixels(&texture)
}

/// Whether somebody should look for a code in it.
pub fn is_reasonable(texture: &gdk::Texture) -> bool {
    let side = |length: i32| u64::try_from(length).unwrap_or_default();
    side(texture.width()) * side(texture.height()) <= MAX_PIXELS
}

/// The pixels of a texture of reasonable size.
pub fn pixels(texture: &gdk::Texture) -> Option<Luma> {
    let width = usize::try_from(texture.width()).ok()?;
    let height = usize::try_from(texture.height()).ok()?;
    let stride = width.checked_mul(DEPTH)?;
    // A code is a key.
    let mut bytes = Zeroizing::new(vec![0; stride.checked_mul(height)?]);
    texture.download(&mut bytes, stride);
    Luma::from_bgra(width, height, stride, &bytes)
}
