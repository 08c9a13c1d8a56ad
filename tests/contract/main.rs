//! Ring contract: what the project says about itself in files (XML, units, manifests, polkit) against what the code says. Needs no
//! privilege and no world, only the repository and cargo.

mod dbus;
mod desktop;
mod install;
mod layers;
mod lints;
mod packaging;
mod parser;
mod polkit;
mod repo;
mod setup;
mod supply;
mod units;
mod words;
