//! A picture of a QR code, as providers show it to telephones. Decoding PNG and JPEG is the program's: the window has its toolkit for that.

use std::{sync::mpsc, thread, time::Duration};

use rqrr::PreparedImage;
use zeroize::Zeroizing;

use super::{Error, Result};

/// Pixels a picture may have.
pub const MAX_PIXELS: u64 = 20_000_000;

/// Pixels of a side that are searched quickly.
const QUICK_SIDE: usize = 1600;

/// A picture of noise can be searched for minutes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A decoded picture: one byte a pixel, 255 is white.
pub struct Luma {
    width: usize,
    height: usize,
    pixels: Zeroizing<Vec<u8>>,
}

impl Luma {
    /// Row by row, without gaps; `None` if there are not just as many pixels.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Option<Self> {
        let pixels = Zeroizing::new(pixels);
        (width.checked_mul(height)? == pixels.len()).then_some(Self {
            width,
            height,
            pixels,
        })
    }

    /// From what `gdk_texture_download` makes: blue, green, red, alpha (a little-endian `CAIRO_FORMAT_ARGB32`), colours multiplied by alpha, `stride` bytes a row.
    /// What is transparent is white. `None` if there are too few bytes.
    pub fn from_bgra(width: usize, height: usize, stride: usize, bytes: &[u8]) -> Option<Self> {
        let mut pixels = Vec::with_capacity(width.checked_mul(height)?);
        for row in 0..height {
            let start = row.checked_mul(stride)?;
            let end = start.checked_add(width.checked_mul(4)?)?;
            for pixel in bytes.get(start..end)?.as_chunks::<4>().0 {
                let [blue, green, red, alpha] = pixel.map(u32::from);
                // ITU-R BT.709, and the white behind it.
                let light = (red * 2126 + green * 7152 + blue * 722) / 10_000 + 255 - alpha;
                pixels.push(u8::try_from(light).unwrap_or(u8::MAX));
            }
        }
        Self::new(width, height, pixels)
    }

    fn at(&self, x: usize, y: usize) -> u8 {
        let place = y * self.width + x;
        self.pixels.get(place).copied().unwrap_or(u8::MAX)
    }

    /// Each pixel is the mean of those that it stands for.
    fn smaller(&self, longest: usize) -> Self {
        let longest_now = self.width.max(self.height).max(1);
        let scaled = |side: usize| (side * longest / longest_now).max(1);
        let (width, height) = (scaled(self.width), scaled(self.height));
        let mut pixels = Zeroizing::new(Vec::with_capacity(width * height));
        let range = |place: usize, new: usize, old: usize| {
            let start = place * old / new;
            start..((place + 1) * old / new).max(start + 1)
        };
        for y in 0..height {
            for x in 0..width {
                let (mut sum, mut count) = (0_usize, 0);
                for old_y in range(y, height, self.height) {
                    for old_x in range(x, width, self.width) {
                        sum += usize::from(self.at(old_x, old_y));
                        count += 1;
                    }
                }
                pixels.push(u8::try_from(sum / count).unwrap_or(u8::MAX));
            }
        }
        Self {
            width,
            height,
            pixels,
        }
    }
}

/// Width and height of a PNG or JPEG by its header, so that nothing huge is decoded; `None` for anything else.
pub fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let long = |at: usize| -> Option<u32> {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return (bytes.get(12..16)? == b"IHDR").then_some((long(16)?, long(20)?));
    }
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let short = |at: usize| -> Option<u32> {
        let bytes = bytes.get(at..at.checked_add(2)?)?;
        Some(u32::from(u16::from_be_bytes(bytes.try_into().ok()?)))
    };
    let mut place = 2;
    loop {
        if *bytes.get(place)? != 0xff {
            return None;
        }
        match *bytes.get(place + 1)? {
            // Filling before a marker.
            0xff => place += 1,
            // A frame: its length, its precision, its height and width (ITU-T T.81, B.2.2).
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((short(place + 7)?, short(place + 5)?));
            }
            // Markers without a length.
            0x01 | 0xd0..=0xd7 => place += 2,
            _ => place += 2 + usize::try_from(short(place + 2)?).ok()?,
        }
    }
}

/// The text in the one QR code of a picture. It can take 10 s: never on a main loop.
///
/// # Errors
/// There is no code in it, or several.
pub fn text(origin: &str, picture: Luma) -> Result<Zeroizing<Vec<u8>>> {
    let origin = || origin.to_owned();
    let mut texts = in_time(move || codes(&picture))
        .ok_or_else(|| Error::SlowPicture { origin: origin() })?
        .into_iter();
    match (texts.next(), texts.next()) {
        (Some(text), None) => Ok(text),
        (None, _) => Err(Error::NoQrCode { origin: origin() }),
        (Some(_), Some(_)) => Err(Error::SeveralQrCodes { origin: origin() }),
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
fn codes(picture: &Luma) -> Vec<Zeroizing<Vec<u8>>> {
    if picture.width.max(picture.height) > QUICK_SIDE {
        let found = codes_at_size(&picture.smaller(QUICK_SIDE));
        if !found.is_empty() {
            return found;
        }
    }
    codes_at_size(picture)
}

fn codes_at_size(picture: &Luma) -> Vec<Zeroizing<Vec<u8>>> {
    let (width, height) = (picture.width, picture.height);
    let mut prepared =
        PreparedImage::prepare_from_greyscale(width, height, |x, y| picture.at(x, y));
    let text = |grid: rqrr::Grid<_>| grid.decode().ok().map(|(_, text)| text.into_bytes());
    let grids = prepared.detect_grids();
    grids
        .into_iter()
        .filter_map(text)
        .map(Zeroizing::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 33;

    /// A code by its rows, the leftmost module in the highest bit. Its text is `TEXT`.
    #[rustfmt::skip]
    const ROWS: [u64; SIDE] = [
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
    fn picture(codes: usize, width: usize, height: usize) -> Luma {
        let cell = SIDE + 8;
        let mut pixels = vec![255; width * height];
        for (place, pixel) in pixels.iter_mut().enumerate() {
            let (x, y) = (place % width / 4, place / width / 4);
            let (x, y) = (x.wrapping_sub(4), y.wrapping_sub(4));
            let column = x % cell;
            let dark = x / cell < codes
                && column < SIDE
                && y < SIDE
                && ROWS[y] >> (SIDE - 1 - column) & 1 == 1;
            *pixel = if dark { 0 } else { 255 };
        }
        Luma::new(width, height, pixels).unwrap()
    }

    #[test]
    fn a_code_is_read() {
        let text = text("a", picture(1, 164, 164)).unwrap();
        assert_eq!(text.as_slice(), TEXT.as_bytes());
    }

    #[test]
    fn a_code_in_a_large_picture_is_found() {
        let large = picture(1, 3000, 2000);
        assert_eq!(codes(&large).len(), 1);
        assert_eq!(
            (large.smaller(1600).width, large.smaller(1600).height),
            (1600, 1066)
        );
    }

    #[test]
    fn no_code_and_several_are_refused() {
        let code = |picture| text("a", picture).unwrap_err().code();
        assert_eq!(code(picture(2, 328, 164)), "several_qr_codes");
        assert_eq!(code(picture(0, 50, 50)), "no_qr_code");
        assert_eq!(code(picture(0, 0, 0)), "no_qr_code");
    }

    #[test]
    fn a_texture_of_the_toolkit_is_read() {
        let plain = picture(1, 164, 164);
        // Rows with a gap; dark is black, light is transparent.
        let stride = 164 * 4 + 12;
        let mut bytes = vec![0; stride * 164];
        for y in 0..164 {
            for x in 0..164 {
                bytes[y * stride + x * 4 + 3] = 255 - plain.at(x, y);
            }
        }
        let picture = Luma::from_bgra(164, 164, stride, &bytes).unwrap();
        assert_eq!(text("a", picture).unwrap().as_slice(), TEXT.as_bytes());
        assert!(Luma::from_bgra(164, 165, stride, &bytes).is_none());
        let colours = [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 7, 7, 7, 255];
        let colours = Luma::from_bgra(4, 1, 16, &colours).unwrap();
        assert_eq!(colours.pixels.as_slice(), [18, 182, 54, 7]);
    }

    #[test]
    fn sizes_are_told_by_the_header() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\0\x07\x08\0\0\0\0";
        assert_eq!(dimensions(png), Some((60_000, 7)));
        assert_eq!(dimensions(&png[..22]), None);
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x11\x08\0\x10\x01\0\x03";
        assert_eq!(dimensions(jpeg), Some((256, 16)));
        for end in 0..jpeg.len() - 1 {
            assert_eq!(dimensions(&jpeg[..end]), None, "{end}");
        }
        assert_eq!(dimensions(b"GIF89a"), None);
    }
}
