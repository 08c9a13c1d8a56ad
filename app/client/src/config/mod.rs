//! Configurations on their way to the helper: read from files, archives and pictures within limits, told what is wrong with them,
//! and handed over in sealed memory. Keys stay in memory that is wiped and are never shown.

mod archive;
pub mod check;
mod error;
pub mod key;
pub mod memfd;
pub mod picture;
pub mod read;
pub mod source;

pub use error::{Error, FileKind, Problem, Result, size};
