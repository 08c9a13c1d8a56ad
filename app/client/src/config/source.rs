//! Where configurations come from: files and bytes as texts with labels. One bad one does not spoil the others.

use std::{fmt, path::Path};

use lonewire_core::name::TunnelName;
use zeroize::Zeroizing;

use super::{
    Error, Result, archive,
    picture::{self, Luma},
    read,
};
use crate::text::printable;

/// A configuration's text before anybody has looked at it. It holds keys.
pub struct Source {
    /// What the person knows it by: the file, and the name in the archive.
    pub origin: String,
    /// Empty: the helper makes one.
    pub label: String,
    pub text: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("origin", &self.origin)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// A file's name as a label.
pub fn label(file_name: &str) -> String {
    TunnelName::from_file_name(file_name).as_str().to_owned()
}

/// Everything in a file: itself, or what is in it if it is an archive, or in its QR code if it is a picture. It reads and searches: never on a main loop.
/// `decode` makes pixels of a PNG or JPEG, `None` of a damaged one; it is asked for none of more than 20 million pixels.
pub fn open(path: &Path, decode: impl Fn(&[u8]) -> Option<Luma>) -> Vec<Result<Source>> {
    let origin = printable(&path.to_string_lossy());
    let label = path
        .file_name()
        .map(|name| label(&name.to_string_lossy()))
        .unwrap_or_default();
    match read::file(path) {
        Ok(bytes) => of_bytes(&origin, &label, bytes, decode),
        Err(error) => vec![Err(error)],
    }
}

/// The same of bytes that are there already: a stream, the clipboard, something dropped. At most [`read::MAX_BINARY`] of them.
pub fn of_bytes(
    origin: &str,
    label: &str,
    bytes: Zeroizing<Vec<u8>>,
    decode: impl Fn(&[u8]) -> Option<Luma>,
) -> Vec<Result<Source>> {
    if read::is_archive(&bytes) {
        return archive::sources(origin, &bytes).unwrap_or_else(|error| vec![Err(error)]);
    }
    let text = if read::is_picture(&bytes) {
        pixels(origin, &bytes, decode).and_then(|picture| picture::text(origin, picture))
    } else {
        Ok(bytes)
    };
    vec![text.map(|text| Source {
        origin: origin.to_owned(),
        label: label.to_owned(),
        text,
    })]
}

fn pixels(origin: &str, bytes: &[u8], decode: impl Fn(&[u8]) -> Option<Luma>) -> Result<Luma> {
    let damaged = || Error::BadPicture {
        origin: origin.to_owned(),
    };
    let (width, height) = picture::dimensions(bytes).ok_or_else(damaged)?;
    if u64::from(width) * u64::from(height) > picture::MAX_PIXELS {
        return Err(Error::LargePicture {
            origin: origin.to_owned(),
        });
    }
    decode(bytes).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_source_and_a_missing_one_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Home Office.conf");
        std::fs::write(&path, "[Interface]\n").unwrap();
        let none = |_: &[u8]| None;
        let source = open(&path, none).pop().unwrap().unwrap();
        assert_eq!((&*source.label, source.text.len()), ("Home Office", 12));
        let missing = open(&folder.path().join("x"), none).pop().unwrap();
        assert_eq!(missing.unwrap_err().code(), "unreadable");
    }

    #[test]
    fn a_huge_picture_is_never_decoded() {
        let bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0".to_vec();
        let asked = |_: &[u8]| panic!("it was decoded");
        let refused = of_bytes("a", "", Zeroizing::new(bytes), asked).pop();
        assert_eq!(refused.unwrap().unwrap_err().code(), "too_large");
    }
}
