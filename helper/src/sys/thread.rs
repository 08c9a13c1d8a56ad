//! Threads that live for one question: what blocks, and what enters a namespace. A thread in a namespace ends there and is never used again.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use rustix::thread::LinkNameSpaceType;
use tokio::sync::oneshot;

use super::{errno, os};
use crate::ports::{Namespace, PortError, PortResult};

/// Runs something that may block, and waits for it until the deadline; then its thread is left to itself, and whatever it brings is dropped there.
pub async fn blocking<T: Send + 'static>(
    what: &'static str,
    deadline: Duration,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    let (answer, answered) = oneshot::channel();
    let run = move || {
        // Nobody may be waiting any more.
        let _ = answer.send(work());
    };
    std::thread::Builder::new()
        .name("ask".into())
        .spawn(run)
        .map_err(os("a thread"))?;
    match tokio::time::timeout(deadline, answered).await {
        Ok(Ok(result)) => result,
        // It panicked: its message is in the log.
        Ok(Err(_)) => Err(PortError::Os {
            what,
            errno: libc::EIO,
        }),
        Err(_) => Err(PortError::Deadline { what }),
    }
}

/// The same inside a network namespace.
pub async fn inside<T: Send + 'static>(
    namespace: &Namespace,
    what: &'static str,
    deadline: Duration,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    let namespace = namespace
        .fd
        .try_clone()
        .map_err(os("a namespace's descriptor"))?;
    blocking(what, deadline, move || {
        rustix::thread::move_into_link_name_space(
            namespace.as_fd(),
            Some(LinkNameSpaceType::Network),
        )
        .map_err(errno("setns"))?;
        drop(namespace);
        work()
    })
    .await
}

/// Closes descriptors that a client named: on a file system of its own making that can block for ever.
pub fn close_elsewhere(descriptors: Vec<OwnedFd>) {
    if descriptors.is_empty() {
        return;
    }
    let (give, take) = std::sync::mpsc::channel();
    let closer = std::thread::Builder::new()
        .name("close".into())
        .spawn(move || drop(take.recv()));
    match closer {
        // It waits for them: they are not handed back.
        Ok(_) => drop(give.send(descriptors)),
        // There is no thread, and this one must not wait: they stay open.
        Err(_) => std::mem::forget(descriptors),
    }
}
