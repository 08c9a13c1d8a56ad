//! The UDP socket as gotatun wants it: packets of one size to one peer go out in one call, which the kernel or the network card takes apart
//! (UDP_SEGMENT, udp(7)). Where that is not to be had, one by one as ever.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gotatun::{
    packet::Packet,
    udp::{
        UdpSend, UdpTransportFactory, UdpTransportFactoryParams,
        socket::{UdpSocket, UdpSocketFactory},
    },
};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use tokio::{io::Interest, sync::Mutex};

/// The kernel takes no more in one call (UDP_MAX_SEGMENTS of linux/udp.h, in older kernels).
const SEGMENTS: usize = 64;
/// Bytes of one call: what fits into an IP packet.
const BYTES: usize = 65_000;

/// Binds sockets. One that was bound is used again, by the next device too: the peers of now find nobody else under its port, and those of before no closed one.
#[derive(Clone)]
pub struct Factory {
    sockets: Arc<UdpSocketFactory>,
    bound: Arc<Mutex<Option<(u16, Sender, UdpSocket)>>>,
}

impl Factory {
    pub fn new(sockets: UdpSocketFactory) -> Self {
        Self {
            sockets: Arc::new(sockets),
            bound: Arc::default(),
        }
    }
}

impl UdpTransportFactory for Factory {
    type Send = Sender;
    type Recv = UdpSocket;

    async fn bind(
        &mut self,
        params: &UdpTransportFactoryParams,
    ) -> io::Result<(Sender, UdpSocket)> {
        let mut bound = self.bound.lock().await;
        if let Some((port, sender, receiver)) = &*bound
            && (params.port == 0 || params.port == *port)
        {
            return Ok((sender.clone(), receiver.clone()));
        }
        let mut sockets = UdpSocketFactory {
            recv_buffer_size: self.sockets.recv_buffer_size,
            send_buffer_size: self.sockets.send_buffer_size,
        };
        let (socket, receiver) = sockets.bind(params).await?;
        let sender = Sender {
            socket,
            in_one: Arc::new(AtomicBool::new(true)),
        };
        let port = UdpSend::local_addr(&sender)?.map_or(0, |address| address.port());
        *bound = Some((port, sender.clone(), receiver.clone()));
        Ok((sender, receiver))
    }
}

/// The sending end.
#[derive(Clone)]
pub struct Sender {
    socket: UdpSocket,
    /// Whether the kernel has taken, or was not yet asked to take, several packets in one call.
    in_one: Arc<AtomicBool>,
}

impl UdpSend for Sender {
    type SendManyBuf = <UdpSocket as UdpSend>::SendManyBuf;

    async fn send_to(&self, packet: Packet, to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(packet, to).await
    }

    fn max_number_of_packets_to_send(&self) -> usize {
        self.socket.max_number_of_packets_to_send()
    }

    async fn send_many_to(
        &self,
        buffer: &mut Self::SendManyBuf,
        packets: &mut Vec<(Packet, SocketAddr)>,
    ) -> io::Result<()> {
        while self.in_one.load(Ordering::Relaxed) && !packets.is_empty() {
            let count = together(packets);
            match self
                .send_together(packets.get(..count).unwrap_or_default())
                .await
            {
                Ok(()) => drop(packets.drain(..count)),
                // A card or a kernel that cannot: EIO where checksums are not its work, EINVAL where it does not know the option.
                Err(error)
                    if count > 1
                        && matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) =>
                {
                    self.in_one.store(false, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        if packets.is_empty() {
            return Ok(());
        }
        self.socket.send_many_to(buffer, packets).await
    }

    fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        UdpSend::local_addr(&self.socket)
    }

    fn set_fwmark(&self, mark: u32) -> io::Result<()> {
        self.socket.set_fwmark(mark)
    }
}

/// How many of the first packets can go in one call: to one peer, all of one size, but for a smaller last one.
fn together(packets: &[(Packet, SocketAddr)]) -> usize {
    let Some((first, to)) = packets.first() else {
        return 0;
    };
    let mut bytes = 0;
    let mut count = 0;
    for (packet, other) in packets.iter().take(SEGMENTS) {
        bytes += packet.len();
        if other != to || packet.len() > first.len() || (count > 0 && bytes > BYTES) {
            break;
        }
        count += 1;
        if packet.len() < first.len() {
            break;
        }
    }
    count
}

impl Sender {
    async fn send_together(&self, packets: &[(Packet, SocketAddr)]) -> io::Result<()> {
        let Some((first, to)) = packets.first() else {
            return Ok(());
        };
        let size = u16::try_from(first.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut slices = [IoSlice::new(&[]); SEGMENTS];
        for (slice, (packet, _)) in slices.iter_mut().zip(packets) {
            *slice = IoSlice::new(packet);
        }
        let slices = slices.get(..packets.len()).unwrap_or_default();
        let to = SockaddrStorage::from(*to);
        let segments = [ControlMessage::UdpGsoSegments(&size)];
        // One alone needs no option.
        let options = if packets.len() > 1 {
            &segments[..]
        } else {
            &[]
        };
        let number = self.socket.as_fd().as_raw_fd();
        let send = || {
            sendmsg(number, slices, options, MsgFlags::MSG_DONTWAIT, Some(&to))?;
            Ok(())
        };
        self.socket
            .socket()
            .async_io(Interest::WRITABLE, send)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gotatun::udp::socket::SockOpt;
    use std::{net, time::Duration};

    /// socket(7): datagrams without a checksum, which the kernel does not make of a large one (EINVAL).
    #[expect(unsafe_code, reason = "no library knows the option")]
    fn set_no_check(socket: &UdpSocket) {
        let (on, size) = (1_i32, libc::socklen_t::try_from(size_of::<i32>()).unwrap());
        let number = socket.as_fd().as_raw_fd();
        // SAFETY: `on` lives through the call and is of the size told.
        let result = unsafe {
            libc::setsockopt(
                number,
                libc::SOL_SOCKET,
                libc::SO_NO_CHECK,
                (&raw const on).cast(),
                size,
            )
        };
        assert_eq!(result, 0);
    }

    /// Sends packets of these sizes to two receivers in turns of four, and gives back what each got.
    async fn sent(sender: &Sender, sizes: &[usize]) -> [Vec<usize>; 2] {
        let receivers = [(); 2].map(|()| net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = |at: usize| receivers[at / 4 % 2].local_addr().unwrap();
        let mut packets: Vec<(Packet, SocketAddr)> = (0..)
            .zip(sizes)
            .map(|(at, size)| (Packet::copy_from(&vec![7; *size][..]), to(at)))
            .collect();
        let mut buffer = Default::default();
        sender
            .send_many_to(&mut buffer, &mut packets)
            .await
            .unwrap();
        assert!(packets.is_empty());
        receivers.each_ref().map(|receiver| {
            receiver
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            let mut bytes = [0; 2000];
            std::iter::from_fn(|| receiver.recv(&mut bytes).ok()).collect()
        })
    }

    fn sender() -> Sender {
        let any = "127.0.0.1:0".parse().unwrap();
        Sender {
            socket: UdpSocket::bind(any, SockOpt::default()).unwrap(),
            in_one: Arc::new(AtomicBool::new(true)),
        }
    }

    const SIZES: [usize; 11] = [500, 500, 500, 20, 9, 500, 500, 500, 1400, 1400, 1];
    const GOT: [&[usize]; 2] = [&[500, 500, 500, 20, 1400, 1400, 1], &[9, 500, 500, 500]];

    #[tokio::test]
    async fn packets_of_one_call_arrive_as_they_are() {
        let sender = sender();
        assert_eq!(sent(&sender, &SIZES).await, GOT);
        assert!(sender.in_one.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn where_the_kernel_refuses_they_go_one_by_one() {
        let sender = sender();
        set_no_check(&sender.socket);
        for _ in 0..2 {
            assert_eq!(sent(&sender, &SIZES).await, GOT);
            assert!(!sender.in_one.load(Ordering::Relaxed));
        }
    }
}
