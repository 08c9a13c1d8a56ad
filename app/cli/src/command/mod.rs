//! The verbs, one a file. Each has `Args`, what its words and options are, and `run`, which answers the program's exit code.

pub mod default;
pub mod down;
pub mod list;
pub mod remove;
pub mod rename;
pub mod run;
pub mod shell;
pub mod up;

use crate::failure::Failure;

/// The exit code of the whole program, or what went wrong.
pub type Outcome = Result<u8, Failure>;

/// All went well.
pub const DONE: Outcome = Ok(0);
