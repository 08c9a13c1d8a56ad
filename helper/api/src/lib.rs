// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names, types, errors and client of Lonewire's D-Bus API: `data/dbus/*.xml` in Rust, for any app that wants it.
//!
//! The runtime is the application's choice: zbus' `default-rt` (with `zbus::block_on`) or `tokio`. Nothing here asks for one.

pub mod client;
pub mod error;
pub mod events;
pub mod info;
pub mod names;
pub mod proxy;
pub mod value;

pub use client::{CALL_TIMEOUT, Client, Launch};
pub use error::{ApiError, Code};
pub use events::{Event, Events};
pub use info::{
    AppInfo, AppState, Backend, ImportRefusal, ImportResult, Imported, Limits, LogEntry,
    OptionsChange, Peer, Probe, Replaced, Start, TunnelDetail, TunnelInfo, TunnelOptions,
    TunnelState,
};
pub use value::{Dictionary, Options};
