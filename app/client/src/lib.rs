//! What the command line and the window share: everything that is done as the user and needs neither a terminal nor a toolkit. It says what happened
//! in types, each with a stable code; the words for a person are each program's own. It must never print, ask, block a main loop without saying so in its
//! documentation, or hold a key in memory that is not wiped.

pub mod bus;
pub mod config;
pub mod desktop;
pub mod launch;
pub mod outside;
pub mod profile;
pub mod settings;
pub mod text;
