// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names, types, errors and client of Lonewire's D-Bus API: `data/dbus/*.xml` in Rust, for any app that wants it.

pub mod names;
