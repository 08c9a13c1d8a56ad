//! Why a request could not be done: where, and the kernel's number.

use std::fmt;

use lonewire_core::launch::Stage;
use rustix::io::Errno;

#[derive(Debug, Clone, Copy)]
pub struct Failure {
    pub stage: Stage,
    /// errno(3).
    pub errno: i32,
}

impl Failure {
    pub fn new(stage: Stage, errno: Errno) -> Self {
        Self { stage, errno: errno.raw_os_error() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "failed at {:?}: {cause}", self.stage)
    }
}

/// Names the stage of an error of the kernel's.
pub trait At<T> {
    fn at(self, stage: Stage) -> Result<T, Failure>;
}

impl<T, E: Into<std::io::Error>> At<T> for Result<T, E> {
    fn at(self, stage: Stage) -> Result<T, Failure> {
        self.map_err(|error| Failure { stage, errno: error.into().raw_os_error().unwrap_or(0) })
    }
}
