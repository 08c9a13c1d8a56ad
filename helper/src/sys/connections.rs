//! Ends what a namespace has connected: by sock_diag(7) on a socket opened inside (SOCK_DESTROY, linux/sock_diag.h, linux/inet_diag.h). It reads no
//! content and touches no socket that only listens.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
        sockopt,
    },
    time::TimeVal,
};

use crate::ports::{PortError, PortResult};

const WHAT: &str = "ending connections";

/// linux/sock_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;

/// Bytes of `struct nlmsghdr`, `struct inet_diag_sockid` and what stands before it in `struct inet_diag_req_v2` and in `struct inet_diag_msg`.
const HEADER: usize = 16;
const SOCKET_ID: usize = 48;
const BEFORE_ID: usize = 8;
const BEFORE_FOUND_ID: usize = 4;

/// States as of net/tcp_states.h; a UDP socket is established (connected) or closed.
const ESTABLISHED: u8 = 1;
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// Looks at most: a socket that is gone before it is ended, or made meanwhile, is seen at the next.
const ROUNDS: usize = 4;

/// A socket, as the kernel names it.
struct Found {
    family: u8,
    protocol: u8,
    state: u8,
    id: [u8; SOCKET_ID],
}

impl Found {
    fn address(&self, at: usize) -> IpAddr {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(self.id.get(at..at + 16).unwrap_or(&[0; 16]));
        let [a, b, c, d, ..] = bytes;
        if i32::from(self.family) == libc::AF_INET {
            Ipv4Addr::new(a, b, c, d).into()
        } else {
            Ipv6Addr::from(bytes).to_canonical()
        }
    }

    /// Whether it has to do with others than the namespace itself.
    fn is_to_end(&self) -> bool {
        // In the id: two ports, then source and destination.
        let (own, other) = (self.address(4), self.address(20));
        match i32::from(self.protocol) {
            libc::IPPROTO_TCP => !other.is_loopback(),
            _ if self.state == ESTABLISHED => !other.is_loopback(),
            // Bound to one address and no other.
            _ => !own.is_unspecified() && !own.is_loopback() && !own.is_multicast(),
        }
    }
}

/// # Errors
/// `Unsupported` where the kernel was built without INET_DIAG_DESTROY.
pub fn end() -> PortResult<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )
    .map_err(refused)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(2, 0)).map_err(refused)?;
    for _ in 0..ROUNDS {
        let mut ended = 0;
        for family in [libc::AF_INET, libc::AF_INET6] {
            for protocol in [libc::IPPROTO_TCP, libc::IPPROTO_UDP] {
                for found in list(&socket, family, protocol)? {
                    if found.is_to_end() {
                        destroy(&socket, &found)?;
                        ended += 1;
                    }
                }
            }
        }
        if ended == 0 {
            break;
        }
    }
    Ok(())
}

fn refused(errno: nix::errno::Errno) -> PortError {
    match errno {
        nix::errno::Errno::EOPNOTSUPP => PortError::Unsupported { what: WHAT },
        errno => PortError::Os {
            what: WHAT,
            errno: errno as i32,
        },
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(kind: u16, flags: i32, (family, protocol): (u8, u8), states: u32, id: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + BEFORE_ID + SOCKET_ID).unwrap_or_default();
    let flags = u16::try_from(libc::NLM_F_REQUEST | flags).unwrap_or_default();
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence number and port: one question at a time on a socket of its own.
    message.extend([0; 8]);
    message.extend([family, protocol, 0, 0]);
    message.extend(states.to_ne_bytes());
    message.extend(id);
    message
}

fn list(socket: &OwnedFd, family: i32, protocol: i32) -> PortResult<Vec<Found>> {
    let small = |number: i32| u8::try_from(number).unwrap_or_default();
    let (family, protocol) = (small(family), small(protocol));
    let states = if i32::from(protocol) == libc::IPPROTO_TCP {
        !(1 << LISTEN | 1 << TIME_WAIT | 1 << CLOSE)
    } else {
        1 << ESTABLISHED | 1 << CLOSE
    };
    let question = request(
        SOCK_DIAG_BY_FAMILY,
        libc::NLM_F_DUMP,
        (family, protocol),
        states,
        &[0; SOCKET_ID],
    );
    ask(socket, &question)?;
    let mut all = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let length = recv(as_raw(socket), &mut buffer, MsgFlags::empty()).map_err(refused)?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, after)) = next(rest) {
            rest = after;
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(all),
                libc::NLMSG_ERROR => {
                    return match error_of(body) {
                        // A kernel without tcp_diag cannot tell, and so cannot end any.
                        libc::ENOENT
                            if i32::from(family) == libc::AF_INET
                                && i32::from(protocol) == libc::IPPROTO_TCP =>
                        {
                            Err(PortError::Unsupported { what: WHAT })
                        }
                        // One without IPv6, or without udp_diag.
                        libc::ENOENT | libc::EINVAL | libc::EAFNOSUPPORT => Ok(all),
                        errno => Err(PortError::Os { what: WHAT, errno }),
                    };
                }
                _ => {}
            }
            let id = body
                .get(BEFORE_FOUND_ID..BEFORE_FOUND_ID + SOCKET_ID)
                .and_then(|id| id.try_into().ok());
            if let (Some([family, state, ..]), Some(id)) = (body.first_chunk::<2>(), id) {
                all.push(Found {
                    family: *family,
                    protocol,
                    state: *state,
                    id,
                });
            }
        }
    }
}

fn destroy(socket: &OwnedFd, found: &Found) -> PortResult<()> {
    let question = request(
        SOCK_DESTROY,
        libc::NLM_F_ACK,
        (found.family, found.protocol),
        u32::MAX,
        &found.id,
    );
    ask(socket, &question)?;
    let mut buffer = [0; 512];
    let length = recv(as_raw(socket), &mut buffer, MsgFlags::empty()).map_err(refused)?;
    let answer = buffer.get(..length).and_then(next);
    match answer.map_or(libc::EPROTO, |(_, body, _)| error_of(body)) {
        // It has ended by itself.
        0 | libc::ENOENT => Ok(()),
        libc::EOPNOTSUPP => Err(PortError::Unsupported { what: WHAT }),
        errno => Err(PortError::Os { what: WHAT, errno }),
    }
}

fn as_raw(socket: &OwnedFd) -> std::os::fd::RawFd {
    std::os::fd::AsRawFd::as_raw_fd(socket)
}

fn ask(socket: &OwnedFd, message: &[u8]) -> PortResult<()> {
    send(as_raw(socket), message, MsgFlags::empty())
        .map(drop)
        .map_err(refused)
}

/// The first message: its kind, its body, and what follows it.
fn next(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    Some((
        kind,
        body,
        bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

/// The number of an error message; 0 is none.
fn error_of(body: &[u8]) -> i32 {
    body.first_chunk().map_or(libc::EPROTO, |bytes| {
        i32::from_ne_bytes(*bytes).saturating_neg()
    })
}
