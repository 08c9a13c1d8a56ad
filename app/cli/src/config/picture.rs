//! A picture of a QR code, as providers show it to telephones.

use std::{io::Cursor, sync::mpsc, thread, time::Duration};

use image::{GrayImage, ImageReader, Limits, imageops};
use rqrr::PreparedImage;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Pixels a picture may have.
const MAX_PIXELS: u64 = 20_000_000;

/// Pixels of a side that are searched quickly.
const QUICK_SIDE: u32 = 1600;

/// A picture of noise can be searched for minutes.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let mut texts = in_time(move || codes(&picture))
        .ok_or_else(|| {
            refused(
                "no_qr_code",
                format!("{shown} took too long to search for a QR code"),
            )
            .hint("Cut it to the QR code.")
        })?
        .into_iter();
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

/// What `work` answers, if it does in time. What goes on after that ends with the program.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more where it took too long.
        let _ = sender.send(work());
    });
    receiver.recv_timeout(PATIENCE).ok()
}

/// The texts of all codes. A large picture is first looked at in a smaller size, which is quick and takes noise away.
fn codes(picture: &GrayImage) -> Vec<Zeroizing<Vec<u8>>> {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest > QUICK_SIDE {
        let scaled = |side: u32| (side * QUICK_SIDE / longest).max(1);
        let small = imageops::thumbnail(picture, scaled(width), scaled(height));
        let found = codes_at_size(&small);
        if !found.is_empty() {
            return found;
        }
    }
    codes_at_size(picture)
}

fn codes_at_size(picture: &GrayImage) -> Vec<Zeroizing<Vec<u8>>> {
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
    let text = |grid: rqrr::Grid<_>| grid.decode().ok().map(|(_, text)| text.into_bytes());
    let grids = prepared.detect_grids();
    grids
        .into_iter()
        .filter_map(text)
        .map(Zeroizing::new)
        .collect()
}

fn refused(code: &str, message: String) -> Failure {
    Failure::new(Exit::Configuration, code, message)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageFormat, Luma};

    use super::*;

    const SIDE: u32 = 33;

    /// A code by its rows, the leftmost module in the highest bit. Its text is `TEXT`.
    #[rustfmt::skip]
    const ROWS: [u64; SIDE as usize] = [
        0x0001_fd36_447f, 0x0001_04c5_7c41, 0x0001_7458_0d5d,
        0x0001_7411_f95d, 0x0001_74a5_a65d, 0x0001_0458_4e41,
        0x0001_fd55_557f, 0x0000_016c_2100, 0x0001_b4e5_b641,
        0x0001_7a94_a2bc, 0x0000_756b_5fc7, 0x0001_62f4_d344,
        0x0001_5dba_2b61, 0x0001_7b0d_d7a4, 0x0001_36f2_38a0,
        0x0001_5165_54dc, 0x0000_fedd_8cda, 0x0001_9b74_65f5,
        0x0000_9ff7_a379, 0x0001_419a_21cd, 0x0001_9556_2513,
        0x0001_d196_ef35, 0x0001_26fa_12f7, 0x0001_6113_d387,
        0x0001_dd1a_21fa, 0x0000_011e_0b15, 0x0001_fcc3_6b58,
        0x0001_0404_371c, 0x0001_758a_7ffb, 0x0001_751a_5994,
        0x0001_742b_7df5, 0x0001_0538_30af, 0x0001_fdb5_9b4c,
    ];

    const TEXT: &str = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n";

    /// A picture with `codes` codes side by side, each module four pixels wide.
    fn picture(codes: u32, format: ImageFormat) -> Vec<u8> {
        let cell = SIDE + 8;
        let pixels = GrayImage::from_fn(codes * cell * 4, cell * 4, |x, y| {
            let (x, y) = ((x / 4 % cell).wrapping_sub(4), (y / 4).wrapping_sub(4));
            let dark = x < SIDE && y < SIDE && ROWS[y as usize] >> (SIDE - 1 - x) & 1 == 1;
            Luma([if dark { 0 } else { 255 }])
        });
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(pixels)
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_code_is_read_from_png_and_jpeg() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let bytes = picture(1, format);
            assert_eq!(text("a", &bytes).unwrap().as_slice(), TEXT.as_bytes());
        }
    }

    #[test]
    fn a_code_in_a_large_picture_is_found() {
        let small = image::load_from_memory(&picture(1, ImageFormat::Png)).unwrap();
        let mut large = GrayImage::from_pixel(3000, 2000, Luma([255]));
        imageops::replace(&mut large, &small.into_luma8(), 2000, 900);
        assert_eq!(codes(&large).len(), 1);
    }

    #[test]
    fn no_code_and_several_are_refused() {
        let code = |bytes: &[u8]| text("a", bytes).unwrap_err().code;
        assert_eq!(code(&picture(2, ImageFormat::Png)), "several_qr_codes");
        let mut white = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(GrayImage::from_pixel(50, 50, Luma([255])))
            .write_to(&mut white, ImageFormat::Png)
            .unwrap();
        assert_eq!(code(&white.into_inner()), "no_qr_code");
        let cut = picture(1, ImageFormat::Png);
        assert_eq!(code(&cut[..cut.len() / 2]), "bad_picture");
    }

    #[test]
    fn a_huge_picture_is_refused_by_its_header() {
        // A PNG of 60,000 times 60,000 pixels, as far as its header goes, with the sum that belongs to it.
        let mut bytes =
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0".to_vec();
        bytes.extend_from_slice(&0xa5b92a9e_u32.to_be_bytes());
        bytes.extend_from_slice(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        assert_eq!(text("a", &bytes).unwrap_err().code, "too_large");
    }
}
