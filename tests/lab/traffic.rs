//! Traffic that goes on until its process ends: UDP, TCP, names by libc and one long stream, all with a marker in the clear. What got through is
//! counted, so that a test sees it stop and come back.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{addr, world::slowness};

/// Between two of a kind.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1);

/// A slow machine has to carry less of it.
fn pause() -> Duration {
    PAUSE * slowness()
}

#[derive(Debug, Default)]
struct Counts {
    /// Answers of the echo.
    udp: AtomicU64,
    /// Answers to short requests, each on a connection of its own.
    tcp: AtomicU64,
    /// Names that were found.
    dns: AtomicU64,
    /// Bytes of the long stream, and connections that it took.
    stream: AtomicU64,
    streams: AtomicU64,
}

/// It goes on in threads of this process.
#[derive(Debug)]
pub struct Traffic {
    counts: Arc<Counts>,
    marker: Arc<Mutex<String>>,
}

fn current(marker: &Mutex<String>) -> String {
    marker
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

impl Traffic {
    /// # Errors
    /// No socket.
    pub fn start(marker: &str) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let marker = Arc::new(Mutex::new(marker.to_owned()));
        for ip in [IpAddr::from(addr::WEB_V4), addr::WEB_V6.into()] {
            let any: SocketAddr = if ip.is_ipv4() {
                ([0; 4], 0).into()
            } else {
                ([0; 16], 0).into()
            };
            let socket = Arc::new(UdpSocket::bind(any)?);
            let (echoes, counted, text) = (socket.clone(), counts.clone(), marker.clone());
            thread::spawn(move || {
                loop {
                    // Nobody may listen there, or there may be no way: that is no end.
                    let _ = socket.send_to(current(&text).as_bytes(), (ip, 80));
                    thread::sleep(pause());
                }
            });
            thread::spawn(move || {
                loop {
                    if echoes.recv(&mut [0; 1500]).is_ok() {
                        counted.udp.fetch_add(1, Relaxed);
                    }
                }
            });
            let (counted, text) = (counts.clone(), marker.clone());
            thread::spawn(move || {
                loop {
                    if request(ip, &format!("/{}", current(&text))).is_ok() {
                        counted.tcp.fetch_add(1, Relaxed);
                    }
                    thread::sleep(pause());
                }
            });
        }
        let (counted, text) = (counts.clone(), marker.clone());
        thread::spawn(move || {
            loop {
                // libc waits for seconds where nobody answers: others do not wait for that.
                let (counted, name) =
                    (counted.clone(), format!("{}.probe.demo:80", current(&text)));
                thread::spawn(move || {
                    if name.to_socket_addrs().is_ok() {
                        counted.dns.fetch_add(1, Relaxed);
                    }
                });
                thread::sleep(2 * pause());
            }
        });
        let (counted, text) = (counts.clone(), marker.clone());
        thread::spawn(move || {
            loop {
                let _ = stream(&text, &counted);
                thread::sleep(pause());
            }
        });
        Ok(Self { counts, marker })
    }

    /// From now on all of it carries another marker: also what was begun long ago.
    pub fn mark(&self, marker: &str) -> String {
        let mut own = self.marker.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *own, marker.to_owned())
    }

    /// What got through by now, by kind.
    pub fn counts(&self) -> Value {
        json!({
            "udp": self.counts.udp.load(Relaxed),
            "tcp": self.counts.tcp.load(Relaxed),
            "dns": self.counts.dns.load(Relaxed),
            "stream": self.counts.stream.load(Relaxed),
            "streams": self.counts.streams.load(Relaxed),
        })
    }
}

fn connect(ip: IpAddr, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&(ip, 80).into(), PATIENCE * slowness())?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {ip}\r\n\r\n")?;
    Ok(stream)
}

fn request(ip: IpAddr, path: &str) -> Result<()> {
    let mut stream = connect(ip, path)?;
    stream.set_read_timeout(Some(PATIENCE * slowness()))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    text.split_once("\r\n\r\n").context("no answer")?;
    Ok(())
}

/// To the end of the connection, however long nothing comes. What goes up is the marker, about as often as a datagram.
fn stream(marker: &Arc<Mutex<String>>, counts: &Counts) -> Result<()> {
    let mut stream = connect(addr::WEB_V4.into(), &format!("/stream/{}", current(marker)))?;
    counts.streams.fetch_add(1, Relaxed);
    let (mut up, text) = (stream.try_clone()?, marker.clone());
    thread::spawn(move || {
        while up.write_all(current(&text).as_bytes()).is_ok() {
            thread::sleep(pause());
        }
    });
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => counts.stream.fetch_add(length as u64, Relaxed),
        };
    }
}
