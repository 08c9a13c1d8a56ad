//! Where configurations come from: the words of `import` as texts with labels. One bad word does not spoil the others.

use std::{fmt, path::Path};

use lonewire_core::name::TunnelName;
use zeroize::Zeroizing;

use super::{archive, picture, read};
use crate::failure::Failure;

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

/// Everything a word of the command line means; `-` is standard input.
pub fn open(word: &Path) -> Vec<Result<Source, Failure>> {
    let is_stdin = word.as_os_str() == "-";
    let origin = if is_stdin {
        "standard input".to_owned()
    } else {
        read::printable(&word.to_string_lossy())
    };
    let label = match word.file_name() {
        Some(name) if !is_stdin => label(&name.to_string_lossy()),
        _ => String::new(),
    };
    let bytes = if is_stdin {
        read::stdin()
    } else {
        read::file(word)
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(failure) => return vec![Err(failure)],
    };
    if read::is_archive(&bytes) {
        return archive::sources(&origin, &bytes).unwrap_or_else(|failure| vec![Err(failure)]);
    }
    let text = if read::is_picture(&bytes) {
        picture::text(&origin, &bytes)
    } else {
        Ok(bytes)
    };
    vec![text.map(|text| Source {
        origin,
        label,
        text,
    })]
}
