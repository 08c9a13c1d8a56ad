//! What a program in a tunnel may ask for: a role that is started as an app, or beside the tunnel for comparison, and told what to try,
//! one line of standard input each; it answers each with one line of JSON.
//!
//! `links`, `identity`, `lookup NAME`, `http HOST PATH`, `udp ADDRESS:PORT HEX`, `tcp ADDRESS:PORT HEX`, `listen ADDRESS:PORT`, `unix PATH TEXT`,
//! `around`, `descriptors`, `give PATH ADDRESS`, `take PATH ADDRESS:PORT HEX`, `fire SHOTS`, and of the traffic that it was started with `counts` and
//! `mark HEX`.

mod look;
mod raw;
pub mod shot;
mod sockets;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    Marker, Person, Running, World, identity,
    init::ROLES,
    rights,
    traffic::Traffic,
    world::{READY, slowness},
};
use shot::{Outcome, Shot};

const PATIENCE: Duration = Duration::from_secs(3);

/// The role.
///
/// # Errors
/// Standard output is gone.
pub fn serve(traffic: Option<&str>) -> Result<()> {
    let traffic = traffic.map(Traffic::start).transpose()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match &traffic {
            Some(traffic) if line == "counts" => Ok(traffic.counts()),
            Some(traffic) if line.starts_with("mark ") => Ok(json!(traffic.mark(&line[5..]))),
            _ => one(&line),
        };
        let answer = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        println!("{answer}");
    }
    Ok(())
}

fn one(line: &str) -> Result<Value> {
    if let Some(shots) = line.strip_prefix("fire ") {
        return Ok(serde_json::to_value(shot::fire(serde_json::from_str(
            shots,
        )?))?);
    }
    let words: Vec<_> = line.split_whitespace().collect();
    match words.as_slice() {
        ["links"] => links(),
        ["around"] => look::around(),
        ["descriptors"] => descriptors(),
        ["give", path, address] => give(path, address.parse()?),
        ["take", path, target, hex] => take(path, target.parse()?, &bytes(hex)?),
        ["identity"] => identity::own(),
        ["lookup", name] => lookup(name),
        ["http", host, path] => http(host, path),
        ["udp", target, hex] => {
            let target: SocketAddr = target.parse()?;
            let any: SocketAddr = if target.is_ipv4() {
                "0.0.0.0:0".parse()?
            } else {
                "[::]:0".parse()?
            };
            let sent = UdpSocket::bind(any)?.send_to(&bytes(hex)?, target)?;
            Ok(json!(sent))
        }
        ["tcp", target, hex] => {
            let mut stream = TcpStream::connect_timeout(&target.parse()?, PATIENCE)?;
            stream.write_all(&bytes(hex)?)?;
            Ok(json!("connected"))
        }
        ["listen", address] => {
            let listener = TcpListener::bind(address.parse::<SocketAddr>()?)?;
            std::thread::spawn(move || for _ in listener.incoming() {});
            Ok(json!("listening"))
        }
        ["unix", path, text] => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{text}\n").as_bytes())?;
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer)?;
            Ok(json!(answer.trim()))
        }
        _ => bail!("not known: {line}"),
    }
}

/// Every interface in sight.
fn links() -> Result<Value> {
    let mut names = Vec::new();
    for entry in fs::read_dir("/sys/class/net")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    // The table of the network, whatever /sys shows.
    for line in fs::read_to_string("/proc/net/dev")?.lines().skip(2) {
        let name = line.split(':').next().unwrap_or_default().trim().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(json!(names))
}

/// What is open beside the standard streams, of the network: by the targets of the links.
fn descriptors() -> Result<Value> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        // The one that reads this folder is gone by then.
        if let Ok(target) = fs::read_link(entry?.path()) {
            found.push(target.to_string_lossy().into_owned());
        }
    }
    found.retain(|target| target.starts_with("socket:"));
    Ok(json!(found))
}

/// Waits at a socket with a path, and hands a UDP socket of this network to whoever comes, once.
fn give(path: &str, address: SocketAddr) -> Result<Value> {
    let listener = UnixListener::bind(path)?;
    let socket = UdpSocket::bind(address)?;
    std::thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            let _ = rights::send(&stream, &[0], &[socket.as_fd()]);
        }
    });
    Ok(json!("listening"))
}

/// Gets a UDP socket from whoever waits there, and sends by it.
fn take(path: &str, target: SocketAddr, bytes: &[u8]) -> Result<Value> {
    let stream = UnixStream::connect(path)?;
    let (_, given) = rights::receive(&stream, &mut [0])?;
    let socket = given.into_iter().next().context("nothing was given")?;
    Ok(json!(UdpSocket::from(socket).send_to(bytes, target)?))
}

/// By glibc in a fresh process, which remembers nothing of earlier look-ups.
fn lookup(name: &str) -> Result<Value> {
    let options = format!(
        "timeout:{} attempts:1",
        PATIENCE.as_secs() * u64::from(slowness())
    );
    let out = Command::new("getent")
        .args(["ahosts", name])
        .env("RES_OPTIONS", options)
        .stdin(Stdio::null())
        .output()?;
    ensure!(out.status.success(), "not found");
    let mut addresses: Vec<String> = String::from_utf8(out.stdout)?
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(json!(addresses))
}

fn http(host: &str, path: &str) -> Result<Value> {
    let mut last = None;
    for address in (host, 80).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                let body = text.split_once("\r\n\r\n").context("no answer")?.1;
                return Ok(json!({ "connected": address.ip().to_string(), "body": body.trim() }));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no address")?.into())
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    ensure!(hex.is_ascii(), "not hexadecimal");
    (0..hex.len() / 2)
        .map(|at| Ok(u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16)?))
        .collect()
}

/// The role that sends frames and ends.
///
/// # Errors
/// No such interface.
pub fn send(interface: &str, frames: &[String]) -> Result<()> {
    for frame in frames {
        raw::frame(interface, &bytes(frame)?)?;
    }
    Ok(())
}

/// A probe that runs in a world, and can be asked.
#[derive(Debug)]
pub struct Probe {
    pub running: Running,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Probe {
    /// Starts one in a person's tunnel, by `lonewire run`, and waits until it answers.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn inside(world: &World, person: &Person, tunnel: &str) -> Result<Self> {
        let mut probe = Self::start(
            world,
            person,
            &[
                "lonewire", "run", "-t", tunnel, "--", ROLES, "role", "probe",
            ],
        )?;
        probe.ask("links")?;
        Ok(probe)
    }

    /// Starts one with traffic, by `lonewire run`, and does not wait: it may be kept from starting.
    ///
    /// # Errors
    /// `lonewire` cannot be started.
    pub fn with_traffic(
        world: &World,
        person: &Person,
        tunnel: &str,
        marker: &Marker,
    ) -> Result<Self> {
        let line = [
            "lonewire", "run", "-t", tunnel, "--", ROLES, "role", "probe",
        ];
        let marker = marker.hex();
        Self::start(
            world,
            person,
            &[line.as_slice(), &["--traffic", &marker]].concat(),
        )
    }

    /// Starts one as a person beside all tunnels.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn outside(world: &World, person: &Person) -> Result<Self> {
        Self::start(world, person, &[ROLES, "role", "probe"])
    }

    /// Starts two by a login shell of a person: one in a tunnel with the environment of a login, by a shell as the other is, and one beside it.
    ///
    /// # Errors
    /// They cannot be started.
    pub fn of_login(world: &World, person: &Person, tunnel: &str) -> Result<[Self; 2]> {
        let inside = format!(
            "exec lonewire run -t {tunnel} --clean-env -- {} -c 'exec {ROLES} role probe'",
            person.shell
        );
        let outside = format!("exec {ROLES} role probe");
        // Whatever started this process, a login ignores no signal.
        let login = |line: &str| {
            let line = [
                "env",
                "--default-signal",
                "su",
                "-l",
                person.name,
                "-c",
                line,
            ];
            let command = world.command("host", None, &line)?;
            Self::piped(command)
        };
        Ok([login(&inside)?, login(&outside)?])
    }

    /// The same with more of `lonewire run`'s options, or without waiting for a handshake.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn offline(world: &World, person: &Person, tunnel: &str, marker: &Marker) -> Result<Self> {
        let mut probe = Self::start(
            world,
            person,
            &[
                "lonewire",
                "run",
                "-t",
                tunnel,
                "--wait=0",
                "--",
                ROLES,
                "role",
                "probe",
                "--traffic",
                &marker.hex(),
            ],
        )?;
        probe.ask("links")?;
        Ok(probe)
    }

    fn start(world: &World, person: &Person, line: &[&str]) -> Result<Self> {
        Self::piped(world.command("host", Some(person), line)?)
    }

    fn piped(command: Command) -> Result<Self> {
        let mut running = crate::world::piped(command)?;
        let stdin = running.waiter.stdin.take().context("no standard input")?;
        let stdout = BufReader::new(running.waiter.stdout.take().context("no standard output")?);
        Ok(Self {
            running,
            stdin,
            stdout,
        })
    }

    /// Starts one as root in a network of the world.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn of_root(world: &World, network: &str) -> Result<Self> {
        let command = world.command(network, None, &[ROLES, "role", "probe"])?;
        Self::piped(command)
    }

    /// Lets it fire, and does not wait: [`Probe::landed`] does.
    ///
    /// # Errors
    /// It has ended.
    pub fn fire(&mut self, shots: &[Shot]) -> Result<()> {
        writeln!(self.stdin, "fire {}", serde_json::to_string(shots)?)?;
        Ok(())
    }

    /// How the shots went.
    ///
    /// # Errors
    /// The probe has ended.
    pub fn landed(&mut self) -> Result<Vec<Outcome>> {
        let answer = self.heard()?.map_err(anyhow::Error::msg)?;
        Ok(serde_json::from_value(answer)?)
    }

    /// Ends it by the end of its input, and waits for who started it: `lonewire run`, or for a probe beside the tunnels itself.
    ///
    /// # Errors
    /// It goes on at the deadline.
    pub fn close(mut self) -> Result<()> {
        drop(self.stdin);
        self.running.wait(READY)?;
        Ok(())
    }

    /// Asks; the answer of what worked.
    ///
    /// # Errors
    /// What the probe met, as it says; or it has ended.
    pub fn ask(&mut self, line: &str) -> Result<Value> {
        self.answer(line)?.map_err(anyhow::Error::msg)
    }

    /// Asks for what must fail; how it did. One that has ended was not refused.
    ///
    /// # Errors
    /// It worked, or the probe has ended.
    pub fn refused(&mut self, line: &str) -> Result<String> {
        match self.answer(line)? {
            Ok(value) => bail!("{line}: worked: {value}"),
            Err(text) => Ok(text),
        }
    }

    fn answer(&mut self, line: &str) -> Result<Result<Value, String>> {
        writeln!(self.stdin, "{line}")?;
        self.heard()
    }

    fn heard(&mut self) -> Result<Result<Value, String>> {
        let mut answer = String::new();
        self.stdout.read_line(&mut answer)?;
        if answer.is_empty() {
            let mut text = String::new();
            if let Some(mut stderr) = self.running.waiter.stderr.take() {
                stderr.read_to_string(&mut text)?;
            }
            bail!("the probe ended: {}", text.trim());
        }
        let answer: Value = serde_json::from_str(&answer)?;
        Ok(match answer.get("ok") {
            Some(value) => Ok(value.clone()),
            None => Err(answer["error"].as_str().unwrap_or("no answer").to_owned()),
        })
    }
}
