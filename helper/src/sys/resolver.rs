//! Names of endpoints, by the host's own libc on a thread of its own: that may take as long as it likes.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use super::{Sys, thread};
use crate::ports::{PortError, PortResult, Resolver};

const DEADLINE: Duration = Duration::from_secs(10);
const WHAT: &str = "the endpoint's address";

impl Resolver for Sys {
    async fn resolve(&self, host: &str, port: u16) -> PortResult<Vec<SocketAddr>> {
        let host = host.to_owned();
        thread::blocking(WHAT, DEADLINE, move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let found: Vec<_> = found.map(Iterator::collect).unwrap_or_default();
            if found.is_empty() {
                Err(PortError::NotFound { what: WHAT })
            } else {
                Ok(found)
            }
        })
        .await
    }
}
