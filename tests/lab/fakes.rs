//! Stands for the services of a host that answer look-ups over sockets with a path: nscd, resolved's varlink, avahi. Each answers every name with an
//! address of its own and logs what it was sent, so that "zero bytes" can be told from "does not work".

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::server::Log;

/// Where it listens, what it is called in the log, the address it answers, and how it talks.
struct Fake {
    name: &'static str,
    socket: &'static str,
    talk: fn(&UnixStream, &mut Vec<u8>) -> Result<Vec<u8>>,
}

/// What their log is called in a world.
pub const LOG: &str = "fakes";

/// How what comes from a program in a tunnel ends in the log.
pub const ELSEWHERE: &str = " from another network";

pub const NSCD: &str = "/run/nscd/socket";
pub const RESOLVE: &str = "/run/systemd/resolve/io.systemd.Resolve";
pub const AVAHI: &str = "/run/avahi-daemon/socket";

/// What each answers: nothing else in a world has these addresses.
pub const NSCD_SAYS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 241);
pub const RESOLVE_SAYS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 242);
pub const AVAHI_SAYS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 243);

const FAKES: [Fake; 3] = [
    Fake {
        name: "nscd",
        socket: NSCD,
        talk: nscd,
    },
    Fake {
        name: "resolve",
        socket: RESOLVE,
        talk: resolve,
    },
    Fake {
        name: "avahi",
        socket: AVAHI,
        talk: avahi,
    },
];

/// The role: serves until it is killed. Prints a line once it listens.
///
/// # Errors
/// A socket cannot be made.
pub fn serve(log: &Path) -> Result<()> {
    let log = Log::open(log)?;
    let mut threads = Vec::new();
    for fake in FAKES {
        let path = Path::new(fake.socket);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path).with_context(|| fake.socket)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        let log = log.clone();
        threads.push(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut got = Vec::new();
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                // A client that talks nonsense is logged with what it said. Nobody has an answer that is not in the log.
                let reply = (fake.talk)(&stream, &mut got);
                // There is no network address to note.
                let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
                let said = String::from_utf8_lossy(&got);
                let from = if is_elsewhere(&stream) { ELSEWHERE } else { "" };
                let _ = log.add(nobody, &format!("{} {said}{from}", fake.name));
                let _ = (&stream).write_all(&reply.unwrap_or_default());
            }
        }));
    }
    println!("listening");
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

/// Whether the other end waits in another network than this one.
fn is_elsewhere(stream: &UnixStream) -> bool {
    let Ok(peer) = rustix::net::sockopt::socket_peercred(stream) else {
        return true;
    };
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    // Who has gone without an answer was a program of the lab's.
    network(&peer.pid.to_string()).is_some_and(|other| network("self") != Some(other))
}

/// glibc's nscd-client.h, version 2: hosts are answered, users and groups are said to be unknown here.
fn nscd(mut stream: &UnixStream, got: &mut Vec<u8>) -> Result<Vec<u8>> {
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let word = |at: usize| i32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (kind, length) = (word(4), usize::try_from(word(8))?);
    let mut key = vec![0; length.min(1024)];
    stream.read_exact(&mut key)?;
    const GETHOSTBYNAME: i32 = 4;
    const GETAI: i32 = 14;
    if kind == GETAI || kind == GETHOSTBYNAME {
        got.extend_from_slice(&key);
    }
    Ok(match kind {
        GETAI => {
            let canon = b"fake\0";
            let mut bytes = words(&[2, 1, 1, 4, i32::try_from(canon.len())?, 0]);
            bytes.extend(NSCD_SAYS.octets());
            bytes.push(u8::try_from(libc::AF_INET)?);
            bytes.extend(canon);
            bytes
        }
        // Not served: the client looks the thing up itself.
        _ => words(&[2, -1, 0, 0, 0, 0, 0, 0, 0]),
    })
}

fn words(words: &[i32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// io.systemd.Resolve.ResolveHostname: one JSON object, ended by a zero byte (or, for the probe, by a line's end).
fn resolve(stream: &UnixStream, got: &mut Vec<u8>) -> Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut byte = [0];
        if reader.read(&mut byte)? == 0 || matches!(byte, [0 | b'\n']) {
            break;
        }
        got.extend(byte);
    }
    let [a, b, c, d] = RESOLVE_SAYS.octets();
    let reply = format!(
        "{{\"parameters\":{{\"addresses\":[{{\"ifindex\":1,\"family\":2,\"address\":[{a},{b},{c},{d}]}}],\"name\":\"fake\",\"flags\":1}}}}\n\0"
    );
    Ok(reply.into_bytes())
}

/// avahi's simple protocol: `RESOLVE-HOSTNAME-IPV4 NAME`.
fn avahi(stream: &UnixStream, got: &mut Vec<u8>) -> Result<Vec<u8>> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    got.extend_from_slice(line.trim().as_bytes());
    Ok(format!("+ 2 0 fake {AVAHI_SAYS}\n").into_bytes())
}
