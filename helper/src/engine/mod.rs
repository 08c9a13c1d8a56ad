//! The engine owns every tunnel and app. It decides by `core`, acts by `ports`, and undoes in reverse what it could not finish.
//! It never authorises: a [`crate::auth::Grant`] is taken by value by whatever changes something.

pub mod error;
pub mod handle;
pub mod view;

pub use error::Error;
pub use handle::Handle;
