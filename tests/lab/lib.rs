//! The worlds that Lonewire's tests run in.

pub mod system;
