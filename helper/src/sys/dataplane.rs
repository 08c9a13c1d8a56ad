//! Instances of `lonewire-wireguard`: handed a TUN and its control socket, watched by a pidfd, known again by who answers on that socket.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use lonewire_core::{
    dataplane::{Order, Serving, frame, unframe},
    launch::CONTROL_DIR,
    name::LinkName,
};
use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
    process::{Pid, PidfdFlags},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{Sys, errno, os, thread};
use crate::ports::{DataPlane, Instance, PortError, PortResult, ProcessId, Tun};

const DEADLINE: Duration = Duration::from_secs(10);
const WHAT: &str = "userspace WireGuard";

/// A process that is not ours, and the notice of its end.
#[derive(Debug)]
pub struct Process {
    id: ProcessId,
    pidfd: AsyncFd<OwnedFd>,
    /// Kept open for what it is told later; its other end tells us nothing that the pidfd does not.
    connection: Option<UnixStream>,
}

impl Instance for Process {
    fn process(&self) -> ProcessId {
        self.id
    }

    async fn set_mtu(&self, mtu: u32) -> PortResult<()> {
        let connection = self.connection.as_ref().ok_or(PortError::Unsupported {
            what: "another MTU for a data plane that was found running",
        })?;
        let order = Order::Mtu(u16::try_from(mtu).unwrap_or(u16::MAX));
        let text = frame(&order).map_err(|_| PortError::NotFound { what: WHAT })?;
        // A few bytes on a connection that is read: there is room.
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::net::send(connection, &text, flags)
            .map(drop)
            .map_err(errno(WHAT))
    }

    async fn died(&self) {
        // A pidfd can be read from once its process has ended; a descriptor that cannot be waited for is as good as dead.
        let _ = self.pidfd.readable().await;
    }
}

impl DataPlane for Sys {
    type Instance = Process;

    async fn start(&self, link: &LinkName, mtu: u32, tun: Tun) -> PortResult<Process> {
        let path = self.paths.wireguard.clone();
        let order = Order::Serve {
            link: link.clone(),
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
        };
        let (connection, serving, pidfd) = thread::blocking(WHAT, DEADLINE, move || {
            let connection = UnixStream::connect(path).map_err(os(WHAT))?;
            connection
                .set_read_timeout(Some(DEADLINE))
                .map_err(os(WHAT))?;
            hand_over(&connection, &order, &tun).map_err(os(WHAT))?;
            let (serving, pidfd) = await_serving(&connection).map_err(os(WHAT))?;
            Ok((connection, serving, pidfd))
        })
        .await?;
        let id = ProcessId {
            pid: serving.pid,
            start: serving.start,
        };
        watch(id, pidfd, Some(connection))
    }

    async fn adopt(&self, link: &LinkName, process: ProcessId) -> PortResult<Process> {
        const GONE: PortError = PortError::NotFound { what: WHAT };
        let socket = Path::new(CONTROL_DIR).join(format!("{link}.sock"));
        // Where a full backlog blocks, it is one that hangs.
        let pidfd = thread::blocking(WHAT, DEADLINE, move || {
            let pid = Pid::from_raw(process.pid).ok_or(GONE)?;
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|_| GONE)?;
            // The number may have gone to another process meanwhile, and the unit's ProtectProc hides when it began. But the control socket
            // tells who listens on it, and nobody does once that process has ended: so it lives now, and lived when the pidfd was opened.
            let connection = UnixStream::connect(socket).map_err(|_| GONE)?;
            let answers = rustix::net::sockopt::socket_peercred(&connection);
            let is_it = answers.is_ok_and(|answers| answers.pid == pid);
            is_it.then_some(pidfd).ok_or(GONE)
        });
        watch(process, pidfd.await?, None)
    }
}

fn watch(id: ProcessId, pidfd: OwnedFd, connection: Option<UnixStream>) -> PortResult<Process> {
    #[expect(unsafe_code, reason = "tokio's way to wait for a descriptor")]
    // SAFETY: an `OwnedFd` names one descriptor, which stays open as long as it lives.
    let registered = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    let pidfd = registered.map_err(|error| os("a pidfd")(error.into()))?;
    Ok(Process {
        id,
        pidfd,
        connection,
    })
}

fn hand_over(connection: &UnixStream, order: &Order, tun: &Tun) -> io::Result<()> {
    let text = frame(order).map_err(|_| io::ErrorKind::InvalidInput)?;
    let rights = [tun.tun.as_fd(), tun.control.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = rustix::net::sendmsg(
        connection,
        &[IoSlice::new(&text)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    // A fresh connection has room for so little.
    if sent == text.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// The one answer, and the pidfd that comes with its first byte.
fn await_serving(mut connection: &UnixStream) -> io::Result<(Serving, OwnedFd)> {
    let mut length = [0_u8; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let pidfd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let pidfd = pidfd
        .filter(|_| received.bytes == 1)
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = vec![0; usize::from(length[0])];
    connection.read_exact(&mut body)?;
    let serving = unframe(&body).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok((serving, pidfd))
}
