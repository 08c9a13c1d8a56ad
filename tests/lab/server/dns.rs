//! A small DNS server (RFC 1035): answers A and AAAA of the names it was told, NXDOMAIN to the rest; UDP and TCP.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::Log;

/// A name, or `*.` and the end of many, and an address of it.
#[derive(Debug, Clone)]
pub struct Record {
    pub name: String,
    pub address: IpAddr,
}

impl std::str::FromStr for Record {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, address) = text.split_once('=').context("not NAME=ADDRESS")?;
        Ok(Self {
            name: name.to_ascii_lowercase(),
            address: address.parse()?,
        })
    }
}

/// The role: serves until it is killed. Prints a line once it listens.
///
/// # Errors
/// The address cannot be bound.
pub fn serve(listen: SocketAddr, records: &[Record], log: &Path) -> Result<()> {
    let log = Log::open(log)?;
    let udp = UdpSocket::bind(listen).with_context(|| format!("bind UDP {listen}"))?;
    let tcp = TcpListener::bind(listen).with_context(|| format!("bind TCP {listen}"))?;
    println!("listening");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in tcp.incoming().flatten() {
                // A client that goes away is its own affair.
                let _ = serve_tcp(stream, records, &log);
            }
        });
        let mut buffer = [0; 1500];
        loop {
            let Ok((length, peer)) = udp.recv_from(&mut buffer) else {
                continue;
            };
            if let Some(reply) = buffer
                .get(..length)
                .and_then(|query| answer(query, records, peer, &log))
            {
                let _ = udp.send_to(&reply, peer);
            }
        }
    })
}

fn serve_tcp(mut stream: TcpStream, records: &[Record], log: &Log) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let peer = stream.peer_addr()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query)?;
    let reply = answer(&query, records, peer, log).context("no query")?;
    stream.write_all(&u16::try_from(reply.len())?.to_be_bytes())?;
    Ok(stream.write_all(&reply)?)
}

/// The reply to a query of one question; `None` if it is none.
fn answer(query: &[u8], records: &[Record], peer: SocketAddr, log: &Log) -> Option<Vec<u8>> {
    let flags = *query.get(2)?;
    if flags & 0x80 != 0 || query.get(4..6)? != [0, 1] {
        return None;
    }
    let mut name = String::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(
            query.get(at + 1..at + 1 + length)?,
        ));
        at += 1 + length;
    }
    let end = at + 5;
    let kind = u16::from_be_bytes(query.get(at + 1..at + 3)?.try_into().ok()?);
    let name = name.to_ascii_lowercase();
    log.add(peer, &name).ok()?;
    let known: Vec<_> = records
        .iter()
        .filter(|record| matches(&record.name, &name))
        .collect();
    let addresses: Vec<Vec<u8>> = known
        .iter()
        .filter_map(|record| match (record.address, kind) {
            (IpAddr::V4(v4), 1) => Some(v4.octets().to_vec()),
            (IpAddr::V6(v6), 28) => Some(v6.octets().to_vec()),
            _ => None,
        })
        .collect();
    // Response, authoritative, recursion desired as asked and available; 3: no such name.
    let code = if known.is_empty() { 3 } else { 0 };
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([
        0x84 | flags & 1,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(addresses.len()).ok()?,
        0,
        0,
        0,
        0,
    ]);
    reply.extend(query.get(12..end)?);
    for address in addresses {
        // The question's name again, its type, IN, no caching.
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 0, 0, u8::try_from(address.len()).ok()?]);
        reply.extend(address);
    }
    Some(reply)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => name == pattern,
    }
}
