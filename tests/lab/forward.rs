//! A data plane that protects nothing: packets cross the uplink as they are, in UDP. It says over the control socket that all is well, as a bad one
//! would: only who watches the uplink can tell. For `demo --break plain-forwarder`.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use lonewire_core::dataplane::{Order, Serving, frame, unframe};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use crate::{addr, packet, programs::Program, rights};

/// Bytes of a virtio_net_hdr (linux/virtio_net.h). It crosses the uplink with its packet: the kernel at the other end does what it says.
const HEADER: usize = 10;

/// A TUN whose link is down answers at once, with an error.
const PAUSE: Duration = Duration::from_millis(20);

/// The role at the VPN server: makes the link, and serves until it is killed. Prints a line once it listens.
///
/// # Errors
/// No TUN, or the port is taken.
pub fn serve(link: &str) -> Result<()> {
    let tun = File::from(packet::open_tun(link)?);
    let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, addr::VPN_PORT))?;
    let clients = Mutex::new(HashMap::new());
    println!("listening");
    thread::scope(|scope| {
        scope.spawn(|| {
            each(
                |buffer| udp.recv_from(buffer),
                |packet, peer| {
                    if let Some((source, _)) = addresses(packet) {
                        lock(&clients).insert(source, peer);
                    }
                    let _ = (&tun).write(packet);
                },
            )
        });
        each(
            |buffer| Ok(((&tun).read(buffer)?, ())),
            |packet, ()| {
                let to = addresses(packet).and_then(|(_, to)| lock(&clients).get(&to).copied());
                if let Some(client) = to {
                    let _ = udp.send_to(packet, client);
                }
            },
        )
    })
}

/// What the helper set, and what it is told.
#[derive(Debug, Default)]
struct Peer {
    key: String,
    endpoint: Option<SocketAddr>,
    received: u64,
    sent: u64,
}

/// The role in `lonewire-wireguard`'s place; standard input is the connection of the helper.
///
/// # Errors
/// It is handed no TUN.
pub fn stand_in() -> Result<()> {
    // So that what kills the data plane kills this one.
    let name = std::ffi::CString::new(Program::DataPlane.name())?;
    rustix::thread::set_name(&name)?;
    let connection = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let (tun, control) = take_over(&connection)?;
    let (tun, control) = (File::from(tun), UnixListener::from(control));
    let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    let peer = Mutex::new(Peer::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in control.incoming().flatten() {
                // Whoever asks nonsense is left without an answer.
                let _ = answer(&stream, &peer);
            }
        });
        scope.spawn(|| {
            each(
                |buffer| udp.recv_from(buffer),
                |packet, _| {
                    lock(&peer).received += packet.len() as u64;
                    let _ = (&tun).write(packet);
                },
            )
        });
        each(
            |buffer| Ok(((&tun).read(buffer)?, ())),
            |packet, ()| {
                let mut peer = lock(&peer);
                if let Some(endpoint) = peer.endpoint {
                    peer.sent += packet.len() as u64;
                    let _ = udp.send_to(packet, mapped(endpoint));
                }
            },
        )
    })
}

/// Passes on packets for ever.
fn each<T>(
    mut next: impl FnMut(&mut [u8]) -> std::io::Result<(usize, T)>,
    mut pass: impl FnMut(&[u8], T),
) -> ! {
    let mut buffer = vec![0; 65536];
    loop {
        match next(&mut buffer) {
            Ok((length, from)) => pass(buffer.get(..length).unwrap_or_default(), from),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Source and destination of a packet.
fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let packet = packet.get(HEADER..)?;
    let v4 = |at: usize| {
        Some(Ipv4Addr::from(
            <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?,
        ))
    };
    let v6 = |at: usize| {
        Some(Ipv6Addr::from(
            <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
        ))
    };
    match packet.first()? >> 4 {
        4 => Some((v4(12)?.into(), v4(16)?.into())),
        6 => Some((v6(8)?.into(), v6(24)?.into())),
        _ => None,
    }
}

/// As a socket for both families wants it.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// Takes TUN and control socket, and says that it serves.
fn take_over(mut connection: &UnixStream) -> Result<(OwnedFd, OwnedFd)> {
    let mut length = [0];
    let (_, given) = rights::receive(connection, &mut length)?;
    let mut body = vec![0; usize::from(length[0])];
    connection.read_exact(&mut body)?;
    let Order::Serve { .. } = unframe(&body)? else {
        bail!("not an order to serve");
    };
    let pid = getpid();
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let start = stat
        .rsplit_once(')')
        .and_then(|(_, tail)| tail.split_whitespace().nth(19))
        .context("/proc/self/stat")?
        .parse()?;
    let serving = frame(&Serving {
        pid: pid.as_raw_nonzero().get(),
        start,
    })?;
    rights::send(connection, &serving, &[pidfd.as_fd()])?;
    let mut given = given.into_iter();
    let tun = given.next().context("no TUN")?;
    Ok((tun, given.next().context("no control socket")?))
}

/// One request over the control socket, as far as a hopeful answer needs it (<https://www.wireguard.com/xplatform/>).
fn answer(mut stream: &UnixStream, peer: &Mutex<Peer>) -> Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let is_get = lines.next().context("no request")?? == "get=1";
    for line in lines {
        let line = line?;
        let Some((key, value)) = line.split_once('=') else {
            break;
        };
        let mut peer = lock(peer);
        match key {
            "public_key" => value.clone_into(&mut peer.key),
            "endpoint" => peer.endpoint = Some(value.parse()?),
            _ => {}
        }
    }
    let mut text = String::new();
    let peer = lock(peer);
    if let (true, Some(endpoint)) = (is_get, peer.endpoint) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        text = format!(
            "public_key={}\nendpoint={endpoint}\nlast_handshake_time_sec={now}\nlast_handshake_time_nsec=0\nrx_bytes={}\ntx_bytes={}\n",
            peer.key, peer.received, peer.sent
        );
    }
    text += "errno=0\n\n";
    Ok(stream.write_all(text.as_bytes())?)
}
