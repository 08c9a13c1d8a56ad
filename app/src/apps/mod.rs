//! The apps that are installed: which there are, which of them a search means, which were run lately, and what starting one takes. Reads
//! desktop entries and a file of its own in the state folder; never starts anything.

mod icons;
mod installed;
mod prepare;
mod recent;
mod search;

pub use icons::{icon, shown};
pub use installed::{Installed, InstalledApp};
pub use prepare::{Plan, Problem, Program, outside, plan};
pub use recent::note;
