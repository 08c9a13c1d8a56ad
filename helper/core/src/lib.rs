// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lonewire's pure decisions: what a configuration says, what a plan does, when a namespace is sealed, which state follows.
//! No I/O, no clock, no environment in here: everything comes in as an argument.

pub mod bus;
pub mod check;
pub mod dataplane;
pub mod inside;
pub mod launch;
pub mod name;
pub mod plan;
pub mod process;
pub mod resolv;
pub mod seal;
pub mod secret;
pub mod state;
pub mod tunnel;
pub mod wgconf;
