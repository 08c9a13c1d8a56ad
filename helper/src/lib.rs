//! Lonewire's D-Bus service. Downwards only: main -> daemon -> bus -> auth + engine -> ports; `sys` implements `ports` and
//! imports core alone. `points` is for tests that kill it.

pub mod auth;
pub mod bus;
pub mod daemon;
pub mod engine;
mod points;
pub mod ports;
pub mod presence;
pub mod sys;
