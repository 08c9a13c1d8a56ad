//! Looking around in a tunnel: the helper has this program started there as any app is, tells it what to look for, and hears what it met. Nobody types it.
//! It changes nothing, and sends nothing but single bytes to port 9 (discard) of private addresses.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::ExitCode,
    thread,
    time::Duration,
};

use lonewire_core::{
    check::{BUS_RESOLVERS, Line, RESOLVERS, Sent, Task, is_private},
    launch,
};
use nix::ifaddrs::getifaddrs;

use crate::print;

/// As long as a neighbour may take to answer.
const PATIENCE: Duration = Duration::from_millis(1500);

const DISCARD: u16 = 9;

/// What the kernel tells of the network to whoever reads it.
const TABLES: [&str; 6] = [
    "/proc/net/arp",
    "/proc/net/fib_trie",
    "/proc/net/if_inet6",
    "/proc/net/ipv6_route",
    "/proc/net/route",
    "/proc/net/tcp",
];

/// Does as it is told on standard input, and tells it on standard output.
pub fn look_around() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::note(&format!("lonewire: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let task = task()?;
    if !task.drop {
        return tell(&look(&task));
    }
    let targets = task.targets();
    let before = send_all(&targets, true);
    tell(&[])?;
    // The link is cut meanwhile.
    io::stdin().read_exact(&mut [0])?;
    let after = send_all(&targets, true);
    tell(&[task.dropped(&before, &after)])
}

fn task() -> io::Result<Task> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let nonsense = |_| io::Error::from(io::ErrorKind::InvalidData);
        if let Some(task) = launch::take_frame(&mut bytes).map_err(nonsense)? {
            return Ok(task);
        }
        match io::stdin().read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => bytes.extend(buffer.get(..length).unwrap_or_default()),
        }
    }
}

fn tell(lines: &[Line]) -> io::Result<()> {
    let frame = launch::frame(&lines).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    io::stdout().write_all(&frame)?;
    io::stdout().flush()
}

fn look(task: &Task) -> Vec<Line> {
    // Both take their time: each has a thread.
    let doors: Vec<_> = task
        .doors
        .iter()
        .map(|&door| thread::spawn(move || knock(door)))
        .collect();
    let bus = thread::spawn(ask_bus);

    let links = [
        ("/sys/class/net", folder("/sys/class/net")),
        ("/proc/net/dev", in_proc()),
        (
            "getifaddrs",
            of_kernel().map(|all| all.into_iter().map(|(name, _)| name).collect()),
        ),
    ];
    let of_links: Vec<_> = of_kernel()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(_, address)| address)
        .collect();
    let seen: String = TABLES
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let switch = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();

    let met: Vec<_> = task
        .doors
        .iter()
        .copied()
        .zip(doors)
        .map(|(door, met)| (door, met.join().unwrap_or_else(|_| "not tried".to_owned())))
        .collect();
    vec![
        task.links(&links),
        task.host_addresses(&seen, &of_links),
        task.lan(&send_all(&task.neighbours(), false)),
        // Who arrived is for the host to say.
        task.doors(&met, &[]),
        task.resolvers(&sockets(), &bus.join().unwrap_or_default()),
        task.names(&resolv_conf, &switch, &send_all(&task.dns, false)),
    ]
}

fn folder(path: &str) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
    Ok(entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

/// proc(5): two lines of headings, then a line a link.
fn in_proc() -> Result<Vec<String>, String> {
    let text = fs::read_to_string("/proc/net/dev").map_err(|error| error.to_string())?;
    let name = |line: &str| Some(line.split_once(':')?.0.trim().to_owned());
    Ok(text.lines().skip(2).filter_map(name).collect())
}

fn of_kernel() -> Result<Vec<(String, Option<IpAddr>)>, String> {
    let all = getifaddrs().map_err(|error| error.to_string())?;
    let address = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address
            .as_sockaddr_in()
            .map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| {
            address
                .as_sockaddr_in6()
                .map(|address| IpAddr::V6(address.ip()))
        })
    };
    Ok(all
        .map(|one| (one.interface_name, one.address.and_then(address)))
        .collect())
}

fn send_all(to: &[IpAddr], public: bool) -> Vec<(IpAddr, Sent)> {
    to.iter().map(|&to| (to, send(to, public))).collect()
}

/// By which address the kernel has a datagram leave; where nobody on the internet could receive it, or it is to be seen, a byte is sent. What the link itself says to it (a peer without a key) is no matter: it was the link's.
fn send(to: IpAddr, public: bool) -> Sent {
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let way = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((to, DISCARD))?;
        let from = socket.local_addr()?.ip();
        if public || is_private(to) {
            let _ = socket.send(&[0]);
        }
        Ok(from)
    };
    way().map_or_else(|error: io::Error| Sent::Refused(plain(&error)), Sent::From)
}

fn knock(door: SocketAddr) -> String {
    match TcpStream::connect_timeout(&door, PATIENCE) {
        Ok(_) => "connected".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => "no answer".to_owned(),
        Err(error) => plain(&error),
    }
}

/// Without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

/// Those that are there, whoever listens.
fn sockets() -> Vec<String> {
    let paths = ["/run", "/var/run"]
        .into_iter()
        .flat_map(|top| RESOLVERS.iter().map(move |path| format!("{top}/{path}")));
    let is_there = |path: &String| match UnixStream::connect(path) {
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
        Ok(_) => true,
    };
    paths.filter(is_there).collect()
}

/// Whether services that look names up answer a ping: their name and how not.
fn ask_bus() -> Vec<(String, Result<(), String>)> {
    zbus::block_on(async {
        let bus = lonewire_client::bus::connection(PATIENCE).await;
        let mut answers = Vec::new();
        for name in BUS_RESOLVERS {
            let answer = match &bus {
                Err(_) => Err("there is no bus".to_owned()),
                Ok(bus) => {
                    let peer = Some("org.freedesktop.DBus.Peer");
                    match bus.call_method(Some(name), "/", peer, "Ping", &()).await {
                        Ok(_) => Ok(()),
                        Err(error) => unanswered(&error.to_string()),
                    }
                }
            };
            answers.push((name.to_owned(), answer));
        }
        answers
    })
}

/// Whoever answers with an error of his own is there; the bus says so where it has nobody to ask, the proxy where it does not pass on.
fn unanswered(error: &str) -> Result<(), String> {
    const NOBODY: [&str; 6] = [
        "AccessDenied",
        "Disconnected",
        "NameHasNoOwner",
        "NoReply",
        "ServiceUnknown",
        "Timeout",
    ];
    let name = error.split(':').next().unwrap_or_default();
    match name.rsplit_once('.') {
        Some(("org.freedesktop.DBus.Error", last)) if NOBODY.contains(&last) => {
            Err(last.to_owned())
        }
        Some(_) if !name.contains(' ') => Ok(()),
        _ => Err(error.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_there_when_it_answers_with_an_error_too() {
        assert_eq!(
            unanswered("org.freedesktop.DBus.Error.ServiceUnknown: x").unwrap_err(),
            "ServiceUnknown"
        );
        assert_eq!(
            unanswered("org.freedesktop.DBus.Error.AccessDenied").unwrap_err(),
            "AccessDenied"
        );
        assert!(unanswered("I/O error: broken pipe.").is_err());
        assert!(unanswered("org.freedesktop.DBus.Error.UnknownMethod: no such thing").is_ok());
        assert!(unanswered("org.freedesktop.resolve1.NoNameServers: x").is_ok());
    }
}
