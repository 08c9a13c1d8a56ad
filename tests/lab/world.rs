//! A running world: making it, running things in it, asking what was seen, and its end.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    addr, bus, capture,
    init::{LAB, Order, ROLES},
    keys::Pair,
    marker::Marker,
    net::{self, Sabotage, Spec},
    oracle::{Oracle, Report},
    programs::{self, Program},
    server::{self, Asked},
    users::Person,
};

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// 0 to 255; 128 and a signal's number where one ended it; 124 after the deadline.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// # Errors
    /// Its code is not 0: the text says what it wrote.
    pub fn ok(self) -> Result<Self> {
        ensure!(
            self.code == 0,
            "exit code {}\n{}\n{}",
            self.code,
            self.stdout.trim(),
            self.stderr.trim()
        );
        Ok(self)
    }
}

/// A program that runs in the world. Dropping it leaves it running; it ends with the world at the latest.
#[derive(Debug)]
pub struct Running {
    /// nsenter, which waits for it.
    pub waiter: Child,
    /// Its pid as the machine sees it.
    pub pid: i32,
}

impl Running {
    /// # Errors
    /// No such process any more.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        Ok(nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.pid),
            signal,
        )?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It runs still at the deadline.
    pub fn wait(&mut self, limit: Duration) -> Result<i32> {
        let mut code = None;
        until(limit, "the end of a program", || {
            code = self.waiter.try_wait()?;
            Ok(code.is_some())
        })?;
        Ok(code.and_then(|status| status.code()).unwrap_or(-1))
    }
}

/// A VPN server.
#[derive(Debug)]
struct Server {
    public: String,
    /// How many it has.
    clients: usize,
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct World {
    pub spec: Spec,
    /// Its first process, as the machine sees it.
    pub init: i32,
    waiter: Child,
    /// Its end is the end of the world.
    line: Option<ChildStdin>,
    pub(crate) services: BTreeMap<String, Running>,
    servers: Vec<Server>,
    pub(crate) controls: Vec<Vec<u8>>,
}

/// How long anything in a world may take to get ready.
pub const READY: Duration = Duration::from_secs(15);

impl World {
    /// Makes a world and starts all that its `spec` names.
    ///
    /// # Errors
    /// Not root, or the machine lacks something: see `cargo xtask setup`.
    pub fn new(spec: Spec) -> Result<Self> {
        let programs = if spec.product {
            Some(programs::built()?)
        } else {
            None
        };
        Self::make(spec, programs)
    }

    /// The same with the programs of a folder.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn with_programs(spec: Spec, folder: &Path) -> Result<Self> {
        Self::make(spec, Some(folder.to_owned()))
    }

    fn make(spec: Spec, programs: Option<PathBuf>) -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "worlds need root");
        keep_to_oneself()?;
        let order = Order {
            spec: spec.clone(),
            roles: programs::roles()?,
            project: programs::project(),
            programs,
        };
        let mut waiter = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--uts",
                "--ipc",
                "--net",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .arg(&order.roles)
            .args(["role", "init"])
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut line = waiter.stdin.take().context("no standard input")?;
        let mut said = String::new();
        writeln!(line, "{}", serde_json::to_string(&order)?)?;
        BufReader::new(waiter.stdout.take().context("no standard output")?).read_line(&mut said)?;
        ensure!(said == "ready\n", "the world was not made: {}", said.trim());
        let init = only_child(i32::try_from(waiter.id())?)?
            .context("the world's first process is gone")?;
        let mut world = Self {
            spec,
            init,
            waiter,
            line: Some(line),
            services: BTreeMap::new(),
            servers: Vec::new(),
            controls: Vec::new(),
        };
        world.start()?;
        Ok(world)
    }

    fn start(&mut self) -> Result<()> {
        self.run_in("host", &["sh", "-c", &net::script(&self.spec)])?
            .ok()
            .context("networks")?;
        let captured = if self.spec.captured {
            self.spec.uplinks.len()
        } else {
            0
        };
        for index in 0..captured {
            for network in ["host", "router"] {
                let file = capture_file(network, index);
                self.role(
                    &format!("capture-{network}-{index}"),
                    network,
                    &["capture", &net::wire(index), &file],
                )?;
            }
        }
        self.internet()?;
        for index in 0..self.spec.servers {
            self.vpn(index)?;
        }
        if self.spec.product {
            bus::start(self)?;
            for program in [Program::Warden, Program::DataPlane, Program::Helper] {
                self.restart(program)?;
            }
        }
        Ok(())
    }

    fn internet(&mut self) -> Result<()> {
        let web = log_file("web");
        let listen: Vec<String> = [addr::WEB_V4, addr::WEB_BY_HOST_V4]
            .iter()
            .map(|ip| SocketAddr::from((*ip, 80)).to_string())
            .chain(
                [addr::WEB_V6, addr::WEB_BY_HOST_V6]
                    .iter()
                    .map(|ip| SocketAddr::from((*ip, 80)).to_string()),
            )
            .collect();
        let mut arguments = vec!["web", "--log", &web];
        arguments.extend(listen.iter().map(String::as_str));
        self.role("web", "internet", &arguments)?;
        let log = log_file("host-dns");
        let records = records(addr::WEB_BY_HOST_V4.into(), addr::WEB_BY_HOST_V6.into());
        let listen = SocketAddr::from((self.spec.host_dns(), 53)).to_string();
        let mut arguments = vec!["dns", "--log", &log, &listen];
        arguments.extend(records.iter().map(String::as_str));
        self.role("host-dns", "internet", &arguments)
    }

    /// A VPN server: WireGuard, and DNS and web inside the tunnel.
    fn vpn(&mut self, index: usize) -> Result<()> {
        let name = net::server(index);
        let keys = Pair::new()?;
        if self.spec.sabotage == Some(Sabotage::PlainForwarder) {
            self.role(&name, &name, &["forward", "--server", &name])?;
        } else {
            self.command(&name, None, &["wireguard-go", "-f", &name])
                .and_then(|command| self.keep(&name, command))?;
            let socket = self.path(&format!("/run/wireguard/{name}.sock"));
            until(READY, "wireguard-go", || Ok(socket.exists()))?;
            let port = addr::VPN_PORT.to_string();
            let script = format!(
                "umask 077; printf %s '{}' | wg set {name} listen-port {port} private-key /dev/stdin",
                keys.private
            );
            self.run_in(&name, &["sh", "-c", &script])?
                .ok()
                .context("wg set")?;
        }
        let script = format!(
            "ip addr add {}/24 dev {name}; ip addr add {}/64 dev {name} nodad; ip link set {name} mtu 1420 up",
            addr::INSIDE_SERVER_V4,
            addr::INSIDE_SERVER_V6
        );
        self.run_in(&name, &["sh", "-ec", &script])?
            .ok()
            .context("addresses inside")?;
        let log = log_file(&format!("{name}-dns"));
        let records = records(addr::WEB_V4.into(), addr::WEB_V6.into());
        let listen = SocketAddr::from((addr::INSIDE_SERVER_V4, 53)).to_string();
        let mut arguments = vec!["dns", "--log", &log, &listen];
        arguments.extend(records.iter().map(String::as_str));
        self.role(&format!("{name}-dns"), &name, &arguments)?;
        let log = log_file(&format!("{name}-web"));
        let listen = SocketAddr::from((addr::INSIDE_SERVER_V4, 80)).to_string();
        self.role(
            &format!("{name}-web"),
            &name,
            &["web", "--log", &log, &listen],
        )?;
        self.servers.push(Server {
            public: keys.public,
            clients: 0,
        });
        Ok(())
    }

    /// Starts a role that says a line once it is ready.
    pub(crate) fn role(&mut self, name: &str, network: &str, arguments: &[&str]) -> Result<()> {
        let mut line = vec![ROLES, "role"];
        line.extend(arguments);
        let command = self.command(network, None, &line)?;
        self.keep(name, command)?;
        let log = self.path(&log_file(&format!("{name}.out")));
        until(READY, name, || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if self
                .services
                .get_mut(name)
                .is_some_and(|service| matches!(service.waiter.try_wait(), Ok(Some(_))))
            {
                bail!("{name} ended: {}", text.trim());
            }
            Ok(text.contains("listening"))
        })
    }

    /// Starts a long-running program; what it writes goes to a log in the world.
    pub(crate) fn keep(&mut self, name: &str, mut command: Command) -> Result<()> {
        let log = File::create(self.path(&log_file(&format!("{name}.out"))))?;
        let waiter = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let running = started(waiter)?;
        self.services.insert(name.into(), running);
        Ok(())
    }

    /// A path in the world as the machine's root reaches it.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    /// A command in a network of the world (`host`, `router`, `internet`, `vpn0`…) as root or a person; with a clean environment.
    ///
    /// # Errors
    /// An empty `line`.
    pub fn command(
        &self,
        network: &str,
        person: Option<&Person>,
        line: &[impl AsRef<OsStr>],
    ) -> Result<Command> {
        let init = self.init.to_string();
        let mut command = Command::new("nsenter");
        command.args([
            "--target", &init, "--mount", "--uts", "--ipc", "--pid", "--root", "--wd",
        ]);
        command.arg(format!(
            "--net={}",
            self.path(&format!("/run/netns/{network}")).display()
        ));
        command
            .arg("--")
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8");
        if let Some(level) = std::env::var_os("RUST_LOG") {
            command.env("RUST_LOG", level);
        }
        if let Some(person) = person {
            let (uid, gid) = (person.uid.to_string(), person.gid.to_string());
            command.args([
                "setpriv",
                "--reuid",
                &uid,
                "--regid",
                &gid,
                "--init-groups",
                "--inh-caps=-all",
                "--",
            ]);
            command.args([
                "env",
                "-C",
                if person.home.starts_with("/home") {
                    person.home
                } else {
                    "/"
                },
            ]);
            command
                .env("HOME", person.home)
                .env("USER", person.name)
                .env("LOGNAME", person.name)
                .env("SHELL", person.shell)
                .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
                .env("XDG_RUNTIME_DIR", format!("/run/user/{}", person.uid));
        }
        ensure!(!line.is_empty(), "no program");
        command.args(line);
        Ok(command)
    }

    /// Runs a program as root in a network of the world; half a minute at most.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run_in(&self, network: &str, line: &[&str]) -> Result<Output> {
        self.finish(network, None, line)
    }

    /// Runs a shell script as root in the host's network.
    ///
    /// # Errors
    /// It fails.
    pub fn sh(&self, script: &str) -> Result<()> {
        self.run_in("host", &["sh", "-ec", script])?.ok()?;
        Ok(())
    }

    /// Runs a program in the host's network as a person; half a minute at most.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run_as(&self, person: &Person, line: &[&str]) -> Result<Output> {
        self.finish("host", Some(person), line)
    }

    /// Runs `lonewire` as a person.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn cli(&self, person: &Person, arguments: &[&str]) -> Result<Output> {
        let mut line = vec!["lonewire"];
        line.extend(arguments);
        self.run_as(person, &line)
    }

    fn finish(&self, network: &str, person: Option<&Person>, line: &[&str]) -> Result<Output> {
        let mut whole = vec!["timeout", "-k", "1", "30"];
        whole.extend(line);
        let out = self
            .command(network, person, &whole)?
            .stdin(Stdio::null())
            .output()?;
        Ok(Output {
            code: out.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&out.stdout).into(),
            stderr: String::from_utf8_lossy(&out.stderr).into(),
        })
    }

    /// Starts a program in the host's network as a person, with a pipe at each standard stream.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_as(&self, person: &Person, line: &[&str]) -> Result<Running> {
        piped(self.command("host", Some(person), line)?)
    }

    /// A new client of server `index`: the text of its configuration. The first one of a server has 10.66.0.2, and so on.
    ///
    /// # Errors
    /// The server does not take it.
    pub fn client(&mut self, index: usize) -> Result<String> {
        let keys = Pair::new()?;
        let server = self.servers.get_mut(index).context("no such server")?;
        let (v4, v6) = (
            addr::client_v4(server.clients),
            addr::client_v6(server.clients),
        );
        server.clients += 1;
        let public = server.public.clone();
        if self.spec.sabotage != Some(Sabotage::PlainForwarder) {
            let name = net::server(index);
            let line = [
                "wg",
                "set",
                &name,
                "peer",
                &keys.public,
                "allowed-ips",
                &format!("{v4}/32,{v6}/128"),
            ];
            self.run_in(&name, &line)?.ok().context("a peer")?;
        }
        Ok(format!(
            "[Interface]\nPrivateKey = {}\nAddress = {v4}/32, {v6}/128\nDNS = {}\n\n\
             [Peer]\nPublicKey = {public}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = {}\nPersistentKeepalive = 1\n",
            keys.private,
            addr::INSIDE_SERVER_V4,
            self.spec.endpoint(index),
        ))
    }

    /// A tunnel to server `index`, imported by a person through the command line.
    ///
    /// # Errors
    /// `lonewire import` fails.
    pub fn import(&mut self, person: &Person, label: &str, index: usize) -> Result<()> {
        let text = self.client(index)?;
        let path = format!("{}/{label}.conf", person.home);
        let file = self.path(&path);
        fs::write(&file, text)?;
        std::os::unix::fs::chown(&file, Some(person.uid), Some(person.gid))?;
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        self.cli(person, &["import", &path, "--name", label])?
            .ok()
            .context("lonewire import")?;
        Ok(())
    }

    /// Makes a VPN server drop all that comes from its clients, or answer again.
    ///
    /// # Errors
    /// nft fails.
    pub fn set_silent(&self, index: usize, silent: bool) -> Result<()> {
        let script = if silent {
            format!(
                "add table inet silent; add chain inet silent in {{ type filter hook input priority 0; }}; add rule inet silent in udp dport {} drop",
                addr::VPN_PORT
            )
        } else {
            "delete table inet silent".into()
        };
        self.run_in(&net::server(index), &["nft", &script])?.ok()?;
        Ok(())
    }

    /// What the web server at `place` (`web`, `vpn0-web`) was asked.
    ///
    /// # Errors
    /// No such server.
    pub fn requests(&self, place: &str) -> Result<Vec<Asked>> {
        server::read_log(&self.path(&log_file(place)))
    }

    /// What the DNS server at `place` (`host-dns`, `vpn0-dns`) was asked.
    ///
    /// # Errors
    /// No such server.
    pub fn queries(&self, place: &str) -> Result<Vec<Asked>> {
        self.requests(place)
    }

    /// Sends a datagram in the clear from the host to the internet and waits until both ends of the first uplink have captured it: so the captures
    /// work, and hold everything that was sent before.
    ///
    /// # Errors
    /// It is not seen in time: nothing that the captures say proves anything.
    pub fn control(&mut self) -> Result<()> {
        let marker = Marker::new()?;
        self.controls.push(marker.hex().into_bytes());
        // To a socket that does not answer, by bash itself: no program beside it is needed.
        let script = format!(
            "printf %s {} > /dev/udp/{}/9",
            marker.hex(),
            self.spec.web()
        );
        self.run_in("host", &["bash", "-c", &script])?
            .ok()
            .context("send a control")?;
        let seen = memchr::memmem::Finder::new(marker.hex().as_bytes()).into_owned();
        for network in ["host", "router"] {
            let file = self.path(&capture_file(network, 0));
            until(READY, "the control in a capture", || {
                Ok(seen.find(&fs::read(&file)?).is_some())
            })?;
        }
        Ok(())
    }

    /// Judges every frame on both ends of every uplink since the world began. Sends a control first.
    ///
    /// # Errors
    /// The control is not seen, or frames were lost.
    pub fn uplinks_report(&mut self, markers: &[Marker]) -> Result<Report> {
        self.control()?;
        let oracle = self.oracle(markers);
        let mut report = Report::default();
        let captured = if self.spec.captured {
            self.spec.uplinks.len()
        } else {
            0
        };
        for index in 0..captured {
            for network in ["host", "router"] {
                let frames = capture::read(&self.path(&capture_file(network, index)))?;
                oracle.judge(
                    &format!("uplink {index} at the {network}"),
                    &frames,
                    &mut report,
                );
            }
        }
        Ok(report)
    }

    /// The judge for this world.
    pub fn oracle(&self, markers: &[Marker]) -> Oracle {
        let (mut host, mut routers): (Vec<IpAddr>, Vec<IpAddr>) = (Vec::new(), Vec::new());
        for index in 0..self.spec.uplinks.len() {
            host.extend([
                IpAddr::from(addr::host_v4(index)),
                addr::host_v6(index).into(),
            ]);
            routers.extend([
                IpAddr::from(addr::router_v4(index)),
                addr::router_v6(index).into(),
            ]);
        }
        Oracle {
            host,
            routers,
            endpoints: (0..self.spec.servers)
                .map(|index| self.spec.endpoint(index))
                .collect(),
            markers: markers.to_vec(),
            controls: self.controls.clone(),
        }
    }

    /// What a service of the world has written.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&log_file(&format!("{name}.out")))).unwrap_or_default()
    }

    /// Pids, as the machine sees them, of the world's processes by the name of their program (15 bytes of it).
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn processes(&self, program: &str) -> Result<Vec<i32>> {
        let own = fs::read_link(format!("/proc/{}/ns/pid", self.init))?;
        let short = program.get(..15).unwrap_or(program);
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else {
                continue;
            };
            let same = fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|link| link == own);
            let named = fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim_end() == short);
            if same && named {
                pids.push(pid);
            }
        }
        Ok(pids)
    }

    /// A shell in the world's host network on this terminal, until it ends.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn shell(&self) -> Result<()> {
        let mut command = self.command("host", None, &["bash", "--norc", "-i"])?;
        command
            .env("TERM", std::env::var_os("TERM").unwrap_or_default())
            .env("PS1", "world \\w# ")
            .env("HOME", "/root");
        command.status()?;
        Ok(())
    }
}

impl Drop for World {
    /// Ends everything in it, and waits for the end.
    fn drop(&mut self) {
        drop(self.line.take());
        let _ = until(READY, "the end of the world", || {
            Ok(self.waiter.try_wait()?.is_some())
        });
        for service in self.services.values_mut() {
            let _ = service.waiter.wait();
        }
    }
}

pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a service's log is in the world.
pub fn log_file(name: &str) -> String {
    format!("{LAB}/{name}.log")
}

pub(crate) fn capture_file(network: &str, index: usize) -> String {
    format!("{LAB}/{network}-{index}.pcap")
}

/// What both DNS servers know; each has its own address for the names, so that an address tells who answered.
fn records(v4: IpAddr, v6: IpAddr) -> Vec<String> {
    ["whoami.demo", "*.probe.demo"]
        .iter()
        .flat_map(|name| [format!("{name}={v4}"), format!("{name}={v6}")])
        .collect()
}

/// Whatever this process was started with beside its standard streams reaches no program of a world.
#[expect(unsafe_code, reason = "no safe wrapper of close_range(2)")]
fn keep_to_oneself() -> Result<()> {
    // SAFETY: no memory is passed, and what is open here stays open here.
    let done = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    ensure!(
        done == 0,
        "close_range: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// Starts a program with a pipe at each standard stream.
pub(crate) fn piped(mut command: Command) -> Result<Running> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    started(command.spawn()?)
}

/// The one process that nsenter or unshare has made.
fn only_child(parent: i32) -> Result<Option<i32>> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    Ok(text.split_whitespace().next().map(str::parse).transpose()?)
}

fn started(mut waiter: Child) -> Result<Running> {
    let mut pid = None;
    let parent = i32::try_from(waiter.id())?;
    until(READY, "a program's start", || {
        pid = only_child(parent).ok().flatten();
        // One that has ended already has none: its pid is of no use then.
        Ok(pid.is_some() || waiter.try_wait()?.is_some())
    })?;
    Ok(Running {
        waiter,
        pid: pid.unwrap_or(-1),
    })
}

/// Asks again every 5 ms until it is so.
///
/// # Errors
/// It is not so by the deadline, or asking fails.
pub fn until(limit: Duration, what: &str, mut check: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        if check().with_context(|| format!("waiting for {what}"))? {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "waited {} s for {what}",
            limit.as_secs()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a path of the machine exists as a file, for messages.
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file()
}
