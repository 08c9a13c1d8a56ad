//! What a probe finds out by looking: names, sockets with a path, and every interface and address in sight.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixStream},
    },
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(1);

/// A query for the address of a name (RFC 1035).
pub fn query(name: &str) -> Vec<u8> {
    let mut bytes = vec![0x4c, 0x57, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// Says a line over a socket with a path, or without one (`@name`), and hears the answer.
pub fn unix(path: &str, line: &str) -> Result<String> {
    let mut stream = match path.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => UnixStream::connect(path)?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = [0; 256];
    let got = stream.read(&mut answer).unwrap_or(0);
    Ok(String::from_utf8_lossy(answer.get(..got).unwrap_or_default()).into())
}

/// Every interface and address that a program can learn of, by each way there is: what a browser tells a web page.
pub fn around() -> Result<Value> {
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for one in nix::ifaddrs::getifaddrs()? {
        names.insert(one.interface_name);
        let storage = one.address;
        if let Some(ip) = storage
            .as_ref()
            .and_then(|storage| storage.as_sockaddr_in())
        {
            addresses.insert(ip.ip().to_string());
        }
        if let Some(ip) = storage
            .as_ref()
            .and_then(|storage| storage.as_sockaddr_in6())
        {
            addresses.insert(ip.ip().to_string());
        }
    }
    for line in [
        ["-j", "link"],
        ["-j", "addr"],
        ["-j", "route"],
        ["-j", "neigh"],
    ] {
        let rows = dump(&line)?;
        for row in rows.as_array().into_iter().flatten() {
            for key in ["ifname", "dev"] {
                names.extend(row[key].as_str().map(str::to_owned));
            }
            for one in row["addr_info"].as_array().into_iter().flatten() {
                addresses.extend(one["local"].as_str().map(str::to_owned));
            }
        }
    }
    for entry in fs::read_dir("/sys/class/net")? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    for (file, skipped, column) in [
        ("/proc/net/dev", 2, 0),
        ("/proc/net/route", 1, 0),
        ("/proc/net/if_inet6", 0, 5),
        ("/proc/net/arp", 1, 5),
        ("/proc/net/igmp", 1, 1),
    ] {
        // Without IPv6 there is none of its table.
        let text = fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().skip(skipped) {
            // In the table of groups a line in between has a group only.
            let word = line.split_whitespace().nth(column);
            let word = word.map(|word| word.trim_end_matches(':'));
            names.extend(word.filter(|word| is_name(word)).map(str::to_owned));
        }
    }
    names.extend(by_ioctl()?);
    Ok(json!({ "names": names, "addresses": addresses }))
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A dump by netlink.
fn dump(arguments: &[&str]) -> Result<Value> {
    let out = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("ip")?;
    Ok(serde_json::from_slice(&out.stdout).unwrap_or_default())
}

/// SIOCGIFCONF (netdevice(7)), which no safe wrapper has.
fn by_ioctl() -> Result<Vec<String>> {
    const SCRIPT: &str = r#"socket(my $s, 2, 2, 0) or die; my $b = "\0" x 4000; my $c = pack("i x4 P", 4000, $b);
        ioctl($s, 0x8912, $c) or die; my $n = unpack("i", $c); for (my $i = 0; $i < $n; $i += 40) { print unpack("Z16", substr($b, $i, 16)), "\n" }"#;
    let out = Command::new("perl")
        .args(["-e", SCRIPT])
        .stdin(Stdio::null())
        .output()
        .context("perl")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Ok(text.lines().map(str::to_owned).collect())
}
