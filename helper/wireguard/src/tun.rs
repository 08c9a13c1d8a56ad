//! The TUN as gotatun wants it: packets read in batches, so that one wake-up serves many.
//! Only the TUN's end is an error here: any other would make gotatun give up over one bad packet.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use gotatun::{
    packet::{Ip, Packet, PacketBufPool},
    tun::{IpRecv, IpSend, MtuWatcher},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{mpsc, watch},
};

use crate::offload;

/// Packets taken at one wake-up, and those of one large segment more.
const BATCH: usize = 64;
/// What goes before the packets of one write: the TUN's header, IPv6's and TCP's longest.
const HEAD: usize = offload::HEADER + 40 + 60;

/// One end for each direction, over one descriptor.
pub fn pair(tun: OwnedFd, mtu: watch::Receiver<u16>) -> io::Result<(Sender, Receiver, Watch)> {
    rustix::io::ioctl_fionbio(&tun, true)?;
    #[expect(
        unsafe_code,
        reason = "tokio leaves it to the caller that a descriptor stays the same one"
    )]
    // SAFETY: an `OwnedFd` owns its descriptor alone and closes it only when it is dropped, which the `AsyncFd` that it
    // moves into sees to.
    let tun = unsafe { AsyncFd::register(tun)? };
    let tun = Arc::new(tun);
    let (sender, packets) = mpsc::channel(BATCH);
    tokio::spawn(write(Arc::clone(&tun), packets));
    let receiver = Receiver {
        tun: Arc::clone(&tun),
        mtu,
        batch: Vec::with_capacity(BATCH),
        large: vec![0; offload::LARGEST],
    };
    Ok((Sender(sender), receiver, Watch(tun)))
}

/// Into the namespace. A task of its own writes what has gathered since its last write.
pub struct Sender(mpsc::Sender<Packet<Ip>>);

impl IpSend for Sender {
    async fn send(&mut self, packet: Packet<Ip>) -> io::Result<()> {
        let sent = self.0.send(packet).await;
        sent.map_err(|_| io::Error::from(Errno::BADFD))
    }
}

/// Writes until the TUN's end.
async fn write(tun: Arc<AsyncFd<OwnedFd>>, mut packets: mpsc::Receiver<Packet<Ip>>) {
    let (mut waiting, mut batch) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    let mut head = Vec::with_capacity(HEAD);
    while packets.recv_many(&mut waiting, BATCH).await > 0 {
        batch.extend(waiting.drain(..).map(Packet::into_bytes));
        let mut rest = batch.as_slice();
        while let Some((now, later)) = rest.split_at_checked(offload::together(rest).max(1)) {
            let skip = offload::head(now, &mut head);
            let mut parts = [IoSlice::new(&[]); BATCH + 1];
            parts[0] = IoSlice::new(&head);
            for (part, packet) in parts.iter_mut().skip(1).zip(now) {
                *part = IoSlice::new(packet.get(skip..).unwrap_or_default());
            }
            let parts = parts.get(..=now.len()).unwrap_or_default();
            let write = |tun: &OwnedFd| Ok(rustix::io::writev(tun, parts)?);
            match tun.async_io(Interest::WRITABLE, write).await {
                Err(error) if is_end(&error) => return,
                // A packet that the kernel refuses, or a link that is down: lost, as on any wire.
                _ => {}
            }
            rest = later;
        }
        batch.clear();
    }
}

/// Out of the namespace.
pub struct Receiver {
    tun: Arc<AsyncFd<OwnedFd>>,
    mtu: watch::Receiver<u16>,
    batch: Vec<Packet<Ip>>,
    /// What is read lies here until it is taken apart.
    large: Vec<u8>,
}

impl IpRecv for Receiver {
    async fn recv<'a>(
        &'a mut self,
        pool: &mut PacketBufPool,
    ) -> io::Result<impl Iterator<Item = Packet<Ip>> + Send + 'a> {
        let Self {
            tun, batch, large, ..
        } = self;
        while batch.is_empty() {
            let mut ready = tun.readable().await?;
            while batch.len() < BATCH {
                match ready.try_io(|tun| Ok(rustix::io::read(tun, large.as_mut_slice())?)) {
                    Ok(Ok(length)) => {
                        let mut take = |head: &[u8], tail: &[u8]| {
                            let mut packet = pool.get();
                            let bytes = packet.buf_mut();
                            bytes.clear();
                            bytes.extend_from_slice(head);
                            bytes.extend_from_slice(tail);
                            batch.extend(packet.try_into_ip());
                        };
                        // What makes no sense is lost, as on any wire.
                        let _ =
                            offload::split(large.get_mut(..length).unwrap_or_default(), &mut take);
                    }
                    Ok(Err(error)) if is_end(&error) => return Err(error),
                    Ok(Err(_)) | Err(_) => break,
                }
            }
        }
        Ok(self.batch.drain(..))
    }

    fn mtu(&self) -> MtuWatcher {
        self.mtu.clone().into()
    }
}

/// Tells whether the TUN is still there while nobody reads it.
pub struct Watch(Arc<AsyncFd<OwnedFd>>);

impl Watch {
    /// Answers when the TUN is gone, also while packets wait.
    pub async fn gone(&self) {
        // A descriptor that cannot be waited for is as good as gone.
        while let Ok(mut guard) = self.0.ready(Interest::ERROR).await {
            if self.is_gone() {
                return;
            }
            guard.clear_ready();
        }
    }

    /// poll(2) of a TUN whose link is gone says `POLLERR` at once.
    pub fn is_gone(&self) -> bool {
        let tun = self.0.as_fd();
        let mut fds = [PollFd::from_borrowed_fd(tun, PollFlags::empty())];
        match poll(
            &mut fds,
            Some(&rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        ) {
            Ok(_) => fds[0].revents().contains(PollFlags::ERR),
            Err(_) => false,
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::BADFD | Errno::NODEV | Errno::BADF)
    )
}
