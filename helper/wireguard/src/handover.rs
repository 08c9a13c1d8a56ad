//! The connection to the helper: what is handed over, and the answer. Its end is no reason to stop serving.

use std::{
    io::{IoSlice, IoSliceMut, Read as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use lonewire_core::dataplane::{Order, Serving, frame, unframe};
use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
    process::{PidfdFlags, getpid, pidfd_open},
};
use tokio::{io::AsyncReadExt as _, sync::watch};

/// How long the helper may take for its first message.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Handover {
    pub tun: OwnedFd,
    pub control: OwnedFd,
    pub mtu: u16,
}

/// Waits for the helper's first message.
pub fn receive(mut connection: &UnixStream) -> anyhow::Result<Handover> {
    connection
        .set_read_timeout(Some(PATIENCE))
        .context("read timeout")?;
    let mut length = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )
    .context("waiting for the helper")?;
    ensure!(got.bytes == 1, "the helper went away");
    let mut descriptors = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let (Some(tun), Some(control), None) =
        (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        bail!("expected a TUN and a control socket");
    };
    let mut body = vec![0; usize::from(length[0])];
    connection
        .read_exact(&mut body)
        .context("the helper's first message")?;
    match unframe(&body) {
        Ok(Order::Serve { mtu, .. }) => Ok(Handover { tun, control, mtu }),
        _ => bail!("the helper's first message makes no sense"),
    }
}

/// Says that this process serves now, and which process it is.
pub fn answer(connection: &UnixStream) -> anyhow::Result<()> {
    let pid = getpid();
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("pidfd_open")?;
    let message = frame(&Serving {
        pid: pid.as_raw_nonzero().get(),
        start: start_time()?,
    })?;
    let fds = [pidfd.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ensure!(
        ancillary.push(SendAncillaryMessage::ScmRights(&fds)),
        "no room for a descriptor"
    );
    let sent = sendmsg(
        connection,
        &[IoSlice::new(&message)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )
    .context("answering the helper")?;
    ensure!(sent == message.len(), "the answer was cut");
    Ok(())
}

/// Follows the helper's later messages until it goes; then waits for ever.
pub async fn follow(connection: UnixStream, mtu: watch::Sender<u16>) {
    if let Ok(mut connection) = tokio_stream(connection) {
        while let Some(Order::Mtu(bytes)) = next(&mut connection).await {
            mtu.send_replace(bytes);
        }
    }
    // The sender must live: a closed channel would mean that the MTU is no longer known.
    mtu.closed().await;
}

fn tokio_stream(connection: UnixStream) -> std::io::Result<tokio::net::UnixStream> {
    connection.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(connection)
}

async fn next(connection: &mut tokio::net::UnixStream) -> Option<Order> {
    let length = connection.read_u8().await.ok()?;
    let mut body = vec![0; usize::from(length)];
    connection.read_exact(&mut body).await.ok()?;
    unframe(&body).ok()
}

/// Field 22 of `/proc/self/stat`; the second field may hold spaces and brackets.
fn start_time() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let (_, tail) = stat.rsplit_once(')').context("/proc/self/stat")?;
    tail.split_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok())
        .context("/proc/self/stat")
}
