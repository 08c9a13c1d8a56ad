//! Why something is no configuration. What it displays is plain English without hints; no key is ever in it.

use std::{fmt, io};

use lonewire_core::wgconf::ParseError;

use crate::text::cause;

pub type Result<T> = std::result::Result<T, Error>;

/// `origin` is what the person knows it by: a file's name, or "a.zip: b.conf".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{origin} cannot be read: {}", cause(error))]
    Unreadable { origin: String, error: io::Error },
    #[error("{origin} is {kind}, not a file")]
    NotAFile { origin: String, kind: FileKind },
    /// More than `limit` bytes.
    #[error("{origin} is larger than {}, and a configuration is not", size(*limit))]
    TooLarge { origin: String, limit: usize },
    #[error("{origin} is a damaged archive, or one of an unknown kind")]
    BadArchive { origin: String },
    /// `entry` is a name in the archive, or its number.
    #[error(
        "{} in {origin} cannot be read: it is damaged, encrypted or packed in an unknown way",
        entry_words(entry)
    )]
    BadEntry {
        origin: String,
        entry: std::result::Result<String, usize>,
    },
    #[error("{origin} is larger than {}", size(*limit))]
    LargeEntry { origin: String, limit: usize },
    #[error("{origin} has more than {limit} entries")]
    ManyEntries { origin: String, limit: usize },
    #[error("there is no .conf file in {origin}")]
    EmptyArchive { origin: String },
    #[error("the picture {origin} is damaged")]
    BadPicture { origin: String },
    #[error("the picture {origin} has more than 20 million pixels")]
    LargePicture { origin: String },
    #[error("no QR code could be read in {origin}")]
    NoQrCode { origin: String },
    #[error("{origin} took too long to search for a QR code")]
    SlowPicture { origin: String },
    #[error("there are several QR codes in {origin}")]
    SeveralQrCodes { origin: String },
    #[error("{origin} is empty")]
    Empty { origin: String },
    /// At least one problem, in the order of their lines.
    #[error("{}", invalid_words(origin, problems))]
    Invalid {
        origin: String,
        problems: Vec<Problem>,
    },
    #[error("memory for the configuration cannot be had: {}", cause(_0))]
    Memory(#[source] io::Error),
}

impl Error {
    /// A stable word in `snake_case`; once released it keeps its meaning.
    pub fn code(&self) -> String {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::NotAFile { .. } => "not_a_file",
            Self::TooLarge { .. } | Self::LargeEntry { .. } | Self::LargePicture { .. } => {
                "too_large"
            }
            Self::BadArchive { .. } | Self::BadEntry { .. } => "bad_archive",
            Self::ManyEntries { .. } => "too_many_entries",
            Self::EmptyArchive { .. } => "empty_archive",
            Self::BadPicture { .. } => "bad_picture",
            Self::NoQrCode { .. } | Self::SlowPicture { .. } => "no_qr_code",
            Self::SeveralQrCodes { .. } => "several_qr_codes",
            Self::Empty { .. } => "empty",
            Self::Invalid { problems, .. } => problems
                .first()
                .map_or("invalid_configuration", |problem| problem.error.code()),
            Self::Memory(_) => "system",
        }
        .replace('-', "_")
    }

    /// What the person knows it by; of an archive's entry too. Empty where it is about nothing of theirs.
    pub fn origin(&self) -> String {
        match self {
            Self::BadEntry { origin, entry } => format!("{origin}: {}", entry_words(entry)),
            Self::Unreadable { origin, .. }
            | Self::NotAFile { origin, .. }
            | Self::TooLarge { origin, .. }
            | Self::BadArchive { origin }
            | Self::LargeEntry { origin, .. }
            | Self::ManyEntries { origin, .. }
            | Self::EmptyArchive { origin }
            | Self::BadPicture { origin }
            | Self::LargePicture { origin }
            | Self::NoQrCode { origin }
            | Self::SlowPicture { origin }
            | Self::SeveralQrCodes { origin }
            | Self::Empty { origin }
            | Self::Invalid { origin, .. } => origin.clone(),
            Self::Memory(_) => String::new(),
        }
    }

    /// The line of a configuration that it is about first, from 1.
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::Invalid { problems, .. } => problems.first().map(|problem| problem.error.line),
            _ => None,
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub error: ParseError,
    /// The whole line, where it can be shown: it could not hold a key, and nothing in it turns a terminal or a label around.
    pub excerpt: Option<String>,
}

/// What stands where a file should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Folder,
    Pipe,
    Socket,
    Device,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// Bytes as the limits are told.
pub fn size(bytes: usize) -> String {
    match bytes / 1024 {
        kilo @ 0..1024 => format!("{kilo} KiB"),
        kilo => format!("{} MiB", kilo / 1024),
    }
}

fn entry_words(entry: &std::result::Result<String, usize>) -> String {
    match entry {
        Ok(name) => name.clone(),
        Err(number) => format!("entry {number}"),
    }
}

fn invalid_words(origin: &str, problems: &[Problem]) -> String {
    match problems.first() {
        Some(first) => {
            let sentence = first.error.to_string();
            format!("{origin}: {}", sentence.trim_end_matches('.'))
        }
        None => format!("{origin} is not a valid configuration"),
    }
}
