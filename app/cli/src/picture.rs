//! A picture of a QR code from a file, as pixels: PNG and JPEG. Nothing else of it is ours.

use std::io::Cursor;

use image::{ImageReader, Limits};
use lonewire_client::config::picture::Luma;

/// Bytes that decoding may take.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;

/// The pixels; `None` of a damaged picture.
pub fn decode(bytes: &[u8]) -> Option<Luma> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let picture = reader.decode().ok()?.into_luma8();
    let (width, height) = picture.dimensions();
    Luma::new(
        usize::try_from(width).ok()?,
        usize::try_from(height).ok()?,
        picture.into_raw(),
    )
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, ImageFormat, Luma};
    use lonewire_client::config::source;

    use super::*;

    fn picture(format: ImageFormat) -> Vec<u8> {
        let pixels = GrayImage::from_fn(64, 32, |x, _| Luma([if x < 32 { 0 } else { 255 }]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(pixels)
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    }

    fn code(bytes: Vec<u8>) -> String {
        let bytes = zeroize::Zeroizing::new(bytes);
        let mut sources = source::of_bytes("a", "", bytes, decode);
        sources.pop().unwrap().unwrap_err().code()
    }

    #[test]
    fn png_and_jpeg_become_pixels() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            assert!(decode(&picture(format)).is_some(), "{format:?}");
            assert_eq!(code(picture(format)), "no_qr_code");
        }
    }

    #[test]
    fn a_damaged_picture_is_refused() {
        let whole = picture(ImageFormat::Png);
        assert_eq!(code(whole[..whole.len() / 2].to_vec()), "bad_picture");
    }

    #[test]
    fn a_huge_picture_is_refused_by_its_header() {
        // A PNG of 60,000 times 60,000 pixels, as far as its header goes, with the sum that belongs to it.
        let mut bytes =
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0".to_vec();
        bytes.extend_from_slice(&0xa5b92a9e_u32.to_be_bytes());
        bytes.extend_from_slice(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        assert_eq!(code(bytes), "too_large");
    }
}
