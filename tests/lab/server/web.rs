//! A small web server: says which address it saw; `/stream` sends for ever. Beside it a UDP echo on the same port, and on port 9 a UDP
//! socket that takes and never answers; and TCP ports that take what they are sent and close.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::Log;
use crate::world::slowness;

/// The role: serves until it is killed; `taking` are the TCP ports that answer nothing. Prints a line once it listens.
///
/// # Errors
/// An address cannot be bound.
pub fn serve(listen: &[SocketAddr], taking: &[u16], log: &Path) -> Result<()> {
    let log = Arc::new(Log::open(log)?);
    let mut threads = Vec::new();
    for address in listen {
        let tcp = TcpListener::bind(address).with_context(|| format!("bind TCP {address}"))?;
        let udp = UdpSocket::bind(address).with_context(|| format!("bind UDP {address}"))?;
        let clients = Arc::clone(&log);
        threads.push(thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let log = Arc::clone(&clients);
                // A client that goes away is its own affair.
                thread::spawn(move || drop(reply(stream, &log)));
            }
        }));
        let log = Arc::clone(&log);
        threads.push(thread::spawn(move || echo(&udp, &log)));
        for port in taking {
            let tcp = TcpListener::bind((address.ip(), *port))
                .with_context(|| format!("bind TCP port {port}"))?;
            threads.push(thread::spawn(move || {
                for mut stream in tcp.incoming().flatten() {
                    thread::spawn(move || {
                        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                        std::io::copy(&mut stream, &mut std::io::sink())
                    });
                }
            }));
        }
        let discard = UdpSocket::bind((address.ip(), 9)).context("bind UDP port 9")?;
        threads.push(thread::spawn(
            move || while discard.recv(&mut [0; 1500]).is_ok() {},
        ));
    }
    println!("listening");
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn echo(udp: &UdpSocket, log: &Log) {
    let mut buffer = vec![0; 65536];
    loop {
        let Ok((length, peer)) = udp.recv_from(&mut buffer) else {
            continue;
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        let text: String = bytes
            .iter()
            .take(32)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if log.add(peer, &format!("udp {text}")).is_ok() {
            let _ = udp.send_to(bytes, peer);
        }
    }
}

fn reply(stream: TcpStream, log: &Log) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let peer = stream.peer_addr()?;
    let mut reader = BufReader::new(&stream);
    let (mut first, mut host) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("host")
        {
            host = value.trim().into();
        }
    }
    let path = first.split_whitespace().nth(1).unwrap_or("/");
    log.add(peer, &format!("{host}{path}"))?;
    let mut out = &stream;
    if path.starts_with("/stream") {
        out.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
        // A megabit a second, so that a stall shows at once and the machine stays free.
        loop {
            out.write_all(&[b'.'; 1250])?;
            thread::sleep(Duration::from_millis(10) * slowness());
        }
    }
    let body = format!("{}\n", peer.ip().to_canonical());
    write!(
        out,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}
