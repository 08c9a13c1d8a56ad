//! Configurations on their way in and out, off the main loop: files, archives, pictures and what was pasted become drafts that a person can
//! look at, or refusals that say why. Widgets open no file: this does. Keys stay in memory that is wiped, and are never shown.

mod hidden;
mod picture;
mod read;
mod write;

pub use hidden::Hidden;
pub use read::{files, pasted, texture};
pub use write::{WriteError, exported, write};

use lonewire_client::config;
use lonewire_core::wgconf::Parsed;
use zeroize::Zeroizing;

/// A configuration's text. It holds keys.
pub type Text = Zeroizing<Vec<u8>>;

/// A configuration that can be added.
pub struct Draft {
    /// What the person knows it by: the file, and the name in an archive.
    pub origin: String,
    /// What it may be called; empty where nothing says so.
    pub name: String,
    /// File name of the archive that it came in; empty where it did not.
    pub archive: String,
    pub text: Text,
    pub parsed: Parsed,
}

/// Something that is no configuration.
pub struct Refused {
    pub origin: String,
    pub name: String,
    /// What can be edited, where there is a text.
    pub text: Option<Text>,
    pub error: config::Error,
}

/// All that was found.
#[derive(Default)]
pub struct Found {
    pub drafts: Vec<Draft>,
    pub refused: Vec<Refused>,
}

/// Looks at one text.
pub fn judge(origin: &str, name: &str, text: Text) -> Result<Draft, Box<Refused>> {
    match config::check::new(origin, &text) {
        Ok(parsed) => Ok(Draft {
            origin: origin.to_owned(),
            name: name.to_owned(),
            archive: String::new(),
            text,
            parsed,
        }),
        Err(error) => Err(Box::new(Refused {
            origin: origin.to_owned(),
            name: name.to_owned(),
            text: std::str::from_utf8(&text).is_ok().then_some(text),
            error,
        })),
    }
}
