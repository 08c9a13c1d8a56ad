//! A picture of a QR code, as providers show it to telephones.

use std::io::Cursor;

use image::{ImageReader, Limits};
use rqrr::PreparedImage;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Pixels a picture may have.
const MAX_PIXELS: u64 = 20_000_000;

/// Bytes that decoding may take.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;

/// The text in the one QR code of a picture.
///
/// # Errors
/// It is damaged or too large, or there is no code in it, or several.
pub fn text(shown: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let damaged = || refused("bad_picture", format!("the picture {shown} is damaged"));
    let reader = || {
        ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|_| damaged())
    };
    let (width, height) = reader()?.into_dimensions().map_err(|_| damaged())?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(refused(
            "too_large",
            format!("the picture {shown} has more than 20 million pixels"),
        )
        .hint("Cut it to the QR code."));
    }
    let mut reader = reader()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let picture = reader.decode().map_err(|_| damaged())?.into_luma8();
    let mut prepared = PreparedImage::prepare_from_greyscale(
        picture.width() as usize,
        picture.height() as usize,
        |x, y| {
            let at = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
            picture
                .get_pixel_checked(at(x), at(y))
                .map_or(255, |pixel| pixel.0[0])
        },
    );
    let mut texts = prepared.detect_grids().into_iter().filter_map(|grid| {
        let (_, text) = grid.decode().ok()?;
        Some(Zeroizing::new(text.into_bytes()))
    });
    match (texts.next(), texts.next()) {
        (Some(text), None) => Ok(text),
        (None, _) => Err(
            refused("no_qr_code", format!("no QR code could be read in {shown}"))
                .hint("A sharp picture of the code alone, with its white edge, is read best."),
        ),
        (Some(_), Some(_)) => Err(refused(
            "several_qr_codes",
            format!("there are several QR codes in {shown}"),
        )
        .hint("Cut the picture to one of them.")),
    }
}

fn refused(code: &str, message: String) -> Failure {
    Failure::new(Exit::Configuration, code, message)
}
