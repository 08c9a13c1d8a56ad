//! The engine owns every tunnel and app. It decides by `core`, acts by `ports`, and undoes in reverse what it could not finish.
//! It never authorises: a [`crate::auth::Grant`] is taken by value by whatever changes something.

pub mod error;
pub mod handle;
pub mod view;

pub use error::Error;
pub use handle::{Commands, Handle};

use crate::ports::Ports;

/// The engine: loads, adopts what runs, then answers its handles until all of them are dropped.
///
/// Its future is not `Send`: run it on a thread with a tokio current-thread runtime, inside a [`tokio::task::LocalSet`] (it spawns
/// local tasks): `LocalSet::new().run_until(engine::run(ports, commands))`, or `spawn_local` beside the bus on the same set.
///
/// # Errors
/// What is saved could not be loaded.
pub async fn run<P: Ports>(ports: P, commands: Commands) -> Result<(), Error> {
    drop((ports, commands));
    Ok(())
}
