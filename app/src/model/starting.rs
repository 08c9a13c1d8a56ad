//! Apps that wait for a tunnel, while they do.

use futures_util::future::AbortHandle;

use super::Tunnel;

/// An app that waits for a tunnel, as the tunnel has it.
#[derive(Debug)]
pub struct Waiting {
    pub number: u32,
    pub name: String,
    /// Ends the wait.
    pub handle: AbortHandle,
}

/// An app waits for a tunnel until this is dropped.
#[derive(Debug)]
pub struct Starting {
    pub(super) tunnel: Tunnel,
    pub(super) number: u32,
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.tunnel.end_start(self.number);
    }
}
