//! What a probe tries when it is told to fire: each shot is data, carries a marker of its own and says how it went. All shots of one command go at
//! once, so that a fault of seconds meets all of them.

use std::{
    net::{IpAddr, SocketAddr},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Result, ensure};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{look, raw, sockets};
use crate::world::slowness;

/// One try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shot {
    /// Unique among those that are fired together.
    pub name: String,
    /// Of the marker: 32 digits.
    pub marker: String,
    pub act: Act,
}

/// What is tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Act {
    /// A datagram of so many bytes: the marker again and again.
    Udp {
        to: SocketAddr,
        size: usize,
        how: How,
    },
    /// A connection, and the marker over it.
    Tcp { to: SocketAddr, how: How },
    /// A query for a name with the marker, by UDP or TCP.
    Query { to: SocketAddr, tcp: bool },
    /// An echo request by a ping socket.
    Echo { to: IpAddr },
    /// A packet by a raw socket; with protocol 255 it has its own IP header.
    Raw {
        to: IpAddr,
        protocol: u8,
        packet: Vec<u8>,
    },
    /// A frame by a packet socket, as it is.
    Packet { interface: String, frame: Vec<u8> },
    /// A socket of another family, and the marker over it.
    Family {
        family: u16,
        kind: u32,
        protocol: u32,
    },
    /// Membership of a group.
    Join { group: IpAddr },
    /// A look-up by libc of a name with the marker.
    Lookup { end: String },
    /// The marker to a socket with a path, or without (`@name`).
    Unix { path: String },
    /// A program; `MARKER` in its arguments is the marker.
    Program { line: Vec<String> },
}

/// What is asked of a socket before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    Plain,
    /// Connected first.
    Connected,
    FastOpen,
    /// MPTCP.
    Multipath,
    /// UDP segments made by the kernel or the device, of so many bytes.
    Segments(u16),
    /// SO_BINDTODEVICE.
    Device(String),
    /// bind(2) to an address.
    From(IpAddr),
    /// The source and the interface in a control message.
    PacketInfo(IpAddr, u32),
    /// SO_MARK.
    Mark(u32),
    /// IP_TRANSPARENT, and bind(2).
    Transparent(IpAddr),
    /// Time to live.
    Hops(u8),
    /// Never cut into fragments.
    DontFragment,
    Broadcast,
    /// Another protocol of IP than UDP or TCP: its number, and the kind of socket.
    Protocol(u32, u32),
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub name: String,
    /// The name of an error number, or another word for what failed.
    pub error: Option<String>,
    /// What was answered, or the error in full.
    pub said: String,
}

impl Outcome {
    pub fn worked(&self) -> bool {
        self.error.is_none()
    }
}

/// Fires all at once, and waits for all.
pub fn fire(shots: Vec<Shot>) -> Vec<Outcome> {
    let threads: Vec<_> = shots
        .into_iter()
        .map(|shot| {
            let name = shot.name.clone();
            (name, thread::spawn(move || one(&shot)))
        })
        .collect();
    threads
        .into_iter()
        .map(|(name, thread)| match thread.join() {
            Ok(Ok(said)) => Outcome {
                name,
                error: None,
                said,
            },
            Ok(Err(error)) => Outcome {
                name,
                error: Some(kind(&error)),
                said: format!("{error:#}"),
            },
            Err(_) => Outcome {
                name,
                error: Some("panic".into()),
                said: "the probe's thread died".into(),
            },
        })
        .collect()
}

/// The name of the error number at the bottom.
fn kind(error: &anyhow::Error) -> String {
    let number = error.chain().find_map(|cause| {
        if let Some(errno) = cause.downcast_ref::<Errno>() {
            return Some(*errno);
        }
        if let Some(errno) = cause.downcast_ref::<rustix::io::Errno>() {
            return Some(Errno::from_raw(errno.raw_os_error()));
        }
        let number = cause.downcast_ref::<std::io::Error>()?.raw_os_error()?;
        Some(Errno::from_raw(number))
    });
    number.map_or_else(|| "failed".into(), |errno| format!("{errno:?}"))
}

fn one(shot: &Shot) -> Result<String> {
    let marker = super::bytes(&shot.marker)?;
    match &shot.act {
        Act::Udp { to, size, how } => {
            let bytes: Vec<_> = marker.iter().copied().cycle().take(*size).collect();
            sockets::udp(*to, &bytes, how)
        }
        Act::Tcp { to, how } => sockets::tcp(*to, &marker, how),
        Act::Query { to, tcp } => {
            let query = look::query(&format!("{}.probe.demo", shot.marker));
            if *tcp {
                let length = u16::try_from(query.len())?.to_be_bytes();
                sockets::tcp(*to, &[length.as_slice(), &query].concat(), &How::Plain)
            } else {
                sockets::udp(*to, &query, &How::Connected)
            }
        }
        Act::Echo { to } => sockets::echo(*to, &marker),
        Act::Raw {
            to,
            protocol,
            packet,
        } => raw::ip(*to, *protocol, packet),
        Act::Packet { interface, frame } => raw::frame(interface, frame),
        Act::Family {
            family,
            kind,
            protocol,
        } => raw::family(*family, *kind, *protocol, &marker),
        Act::Join { group } => sockets::join(*group),
        Act::Lookup { end } => Ok(super::lookup(&format!("{}{end}", shot.marker))?.to_string()),
        Act::Unix { path } => look::unix(path, &shot.marker),
        Act::Program { line } => program(line, &shot.marker),
    }
}

/// Its standard output; an exit code that is not 0 is a failure.
fn program(line: &[String], marker: &str) -> Result<String> {
    let escaped: String = super::bytes(marker)?
        .iter()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    let line = line
        .iter()
        .map(|word| word.replace("MARKER", marker).replace("BYTES", &escaped));
    // Its own words are in English, and it ends.
    let out = Command::new("timeout")
        .args(["-k", "1", &(5 * slowness()).to_string()])
        .args(line)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    ensure!(out.status.success(), "{}: {}", out.status, said.trim());
    Ok(said.trim().to_owned())
}
