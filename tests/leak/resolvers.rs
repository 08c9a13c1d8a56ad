//! Ring leak: the real resolvers of a host (systemd-resolved, nscd, avahi) beside a tunnel. Every way in which programs look names up asks the tunnel's DNS,
//! and nothing of the name reaches the host, whatever becomes of its services. Where the machine is no Debian there are no packages to do it with.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Marker,
    capture::{self, Captured},
    programs,
    server::read_log,
    system::{Place, Session, System, poll, vpn},
};

/// How programs look a name up: what it is, and a line of shell with NAME in it.
const WAYS: [(&str, &str); 6] = [
    ("glibc", "getent ahosts NAME"),
    ("glibc, the old call", "getent hosts NAME"),
    (
        "Python",
        "python3 -c 'import socket; print(socket.getaddrinfo(\"NAME\", 80))'",
    ),
    (
        "Perl",
        "perl -MSocket -e 'print defined(gethostbyname(\"NAME\")) ? 1 : 0'",
    ),
    ("musl, static", "/usr/local/bin/by-musl NAME"),
    ("curl", "curl -s -m 3 http://NAME/"),
];

const JAVA: (&str, &str) = ("Java", "java -cp /usr/local/lib/by-java Look NAME");

/// By its own resolver, and by libc's.
const GO: [(&str, &str); 2] = [
    ("Go", "/usr/local/bin/by-go NAME"),
    ("Go with cgo", "/usr/local/bin/by-cgo NAME"),
];

const MUSL: &str = "#include <netdb.h>\nint main(int c, char **v) { struct addrinfo *a; return c < 2 || getaddrinfo(v[1], \"80\", 0, &a) != 0; }\n";
const JAVA_SOURCE: &str = "public class Look { public static void main(String[] a) throws Exception { System.out.println(java.net.InetAddress.getByName(a[0])); } }\n";

const GO_SOURCE: &str = "package main; import (\"net\"; \"os\"); func main() { if _, e := net.LookupHost(os.Args[1]); e != nil { os.Exit(1) } }\n";

/// A shell that goes on: in a tunnel, or beside it.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    fn start(session: &Session<'_>, line: &[&str]) -> Result<Self> {
        let mut child = session
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no input")?;
        let stdout = BufReader::new(child.stdout.take().context("no output")?);
        let mut shell = Self {
            child,
            stdin,
            stdout,
        };
        shell.run("true")?;
        Ok(shell)
    }

    /// Runs a line to its end, whatever comes of it; its exit code.
    fn run(&mut self, line: &str) -> Result<i32> {
        writeln!(
            self.stdin,
            "RES_OPTIONS='timeout:2 attempts:1' timeout 10 sh -c \"$(cat <<'END'\n{line}\nEND\n)\" > /dev/null 2>&1 < /dev/null; echo $?"
        )?;
        let mut code = String::new();
        self.stdout.read_line(&mut code)?;
        code.trim()
            .parse()
            .with_context(|| format!("{line}: {code}"))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Host<'a> {
    system: &'a System,
    /// What has crossed the uplink, and how far the capture has been read.
    frames: Vec<Captured>,
    place: usize,
    /// Of the names that were looked up inside.
    inside: Vec<Marker>,
}

impl Host<'_> {
    fn was_asked(&self, log: &str, name: &str) -> Result<bool> {
        let log = read_log(&self.system.root().join(format!("run/{log}.log")))?;
        Ok(log.iter().any(|asked| asked.what.contains(name)))
    }

    /// Whether the name is known to have been on the uplink by now, by its marker.
    fn was_seen(&mut self, marker: &Marker) -> Result<bool> {
        let file = self.system.root().join("run/uplink.pcap");
        self.frames
            .extend(capture::read_since(&file, &mut self.place)?);
        let finder = lab::marker::Finder::new(std::slice::from_ref(marker));
        let mut frames = self.frames.iter();
        Ok(frames.any(|frame| finder.find(&frame.bytes).is_some()))
    }

    /// The capture may be a moment behind.
    fn is_seen(&mut self, marker: &Marker) -> bool {
        let seen = poll(Duration::from_secs(10), || {
            self.was_seen(marker).ok().filter(|seen| *seen)
        });
        seen.is_some()
    }

    /// All ways, inside: the tunnel's server is asked, nobody else hears of it.
    fn look_up(&mut self, inside: &mut Shell, ways: &[(&str, &str)], when: &str) -> Result<()> {
        for (what, line) in ways {
            let marker = Marker::new()?;
            let name = format!("{}.probe.demo", marker.hex());
            let code = inside.run(&line.replace("NAME", &name))?;
            ensure!(code == 0, "{what}, {when}: not found inside ({code})");
            ensure!(
                self.was_asked("vpn-dns", &name)?,
                "{what}, {when}: the tunnel's DNS was not asked"
            );
            ensure!(
                !self.was_asked("host-dns", &name)?,
                "{what}, {when}: the host's DNS was asked"
            );
            ensure!(!self.was_seen(&marker)?, "{what}, {when}: on the uplink");
            self.inside.push(marker);
        }
        // By multicast, which no server answers.
        let marker = Marker::new()?;
        let name = format!("{}.local", marker.hex());
        inside.run(&format!("getent ahosts {name}"))?;
        ensure!(!self.was_seen(&marker)?, "{when}: .local on the uplink");
        self.inside.push(marker);
        Ok(())
    }

    /// The same beside the tunnel: each is heard by the host's DNS, on the uplink too. What was looked up inside before is not among all that
    /// crossed it until then.
    fn control(&mut self, outside: &mut Shell, ways: &[(&str, &str)]) -> Result<()> {
        for (what, line) in ways {
            let marker = Marker::new()?;
            let name = format!("{}.probe.demo", marker.hex());
            outside.run(&line.replace("NAME", &name))?;
            ensure!(
                self.was_asked("host-dns", &name)? && self.is_seen(&marker),
                "{what} beside the tunnel: the host's DNS was not asked"
            );
        }
        let marker = Marker::new()?;
        outside.run(&format!("getent ahosts {}.local", marker.hex()))?;
        ensure!(
            self.is_seen(&marker),
            "avahi did not ask for a .local name beside the tunnel"
        );
        for marker in self.inside.clone() {
            ensure!(
                !self.was_seen(&marker)?,
                "a name from inside is on the uplink"
            );
        }
        Ok(())
    }
}

/// What the packages' own scripts would do, and a DNS server of the host beyond the uplink.
fn resolvers(system: &System) -> Result<()> {
    let roles = system.roles()?;
    let listen = format!("{}:53", vpn::SERVER);
    let record = "*.probe.demo=192.0.2.53";
    let dns = ["role", "dns", "--log", "/run/host-dns.log", &listen, record];
    vpn::serve(system, "host-dns", &[&[roles], dns.as_slice()].concat())?;
    let capture = [roles, "role", "capture", "uplink", "/run/uplink.pcap"];
    vpn::serve(system, "uplink", &capture)?;
    let script = format!(
        "getent passwd systemd-resolve > /dev/null || useradd --system --user-group --no-create-home systemd-resolve
         getent passwd avahi > /dev/null || useradd --system --user-group --no-create-home avahi
         sed -i 's/^hosts:.*/hosts: mymachines resolve [!UNAVAIL=return] files myhostname mdns4_minimal dns/' /etc/nsswitch.conf
         mkdir -p /etc/systemd/resolved.conf.d
         printf '[Resolve]\\nDNS={}\\nDomains=~.\\nMulticastDNS=no\\nLLMNR=no\\n' > /etc/systemd/resolved.conf.d/test.conf
         ip route add default via {} dev uplink
         systemctl daemon-reload; systemctl reload dbus; systemctl start systemd-resolved avahi-daemon
         ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
        vpn::SERVER,
        vpn::SERVER
    );
    system.check(&["sh", "-ec", &script])?;
    Ok(())
}

#[test]
fn leak_no_name_to_the_hosts_real_resolvers() -> Result<()> {
    let Some(packages) = packages()? else {
        return Ok(());
    };
    let system = System::boot_with_packages(&packages)?;
    let run = || -> Result<()> {
        system.add_user("anna", 61001, &[])?;
        let server = vpn::Vpn::start(&system, 1)?;
        resolvers(&system)?;
        let mut ways = WAYS.to_vec();
        let compile = format!(
            "printf '%s' '{MUSL}' > /tmp/look.c; musl-gcc -static -o /usr/local/bin/by-musl /tmp/look.c"
        );
        system.check(&["sh", "-ec", &compile])?;
        if Path::new("/usr/bin/javac").exists() {
            let compile = format!(
                "mkdir -p /usr/local/lib/by-java; cd /usr/local/lib/by-java; printf '%s' '{JAVA_SOURCE}' > Look.java; javac Look.java"
            );
            system.check(&["sh", "-ec", &compile])?;
            ways.push(JAVA);
        } else {
            eprintln!("not tried: Java, which this machine does not have");
        }
        if Path::new("/usr/bin/go").exists() {
            let compile = format!(
                "cd /tmp; export HOME=/tmp; printf '%s' '{GO_SOURCE}' > look.go
                 CGO_ENABLED=0 go build -o /usr/local/bin/by-go look.go; CGO_ENABLED=1 go build -tags netcgo -o /usr/local/bin/by-cgo look.go"
            );
            system.check(&["sh", "-ec", &compile])?;
            ways.extend(GO);
        } else {
            eprintln!("not tried: Go, whose toolchain takes hundreds of megabytes");
        }
        let anna = system.login("anna", Place::Seat)?;
        server.import(&anna, 0, "demo")?;
        anna.check(&["lonewire", "up", "demo"])?;
        let mut host = Host {
            system: &system,
            frames: Vec::new(),
            place: 0,
            inside: Vec::new(),
        };
        // nscd comes after the app: what is put on the host's /run later is not in the app's.
        let mut inside = Shell::start(&anna, &["lonewire", "run", "-t", "demo", "--", "sh"])?;
        let mut outside = Shell::start(&anna, &["sh"])?;
        host.control(&mut outside, &ways)?;
        host.look_up(&mut inside, &ways, "beside resolved and avahi")?;
        system.check(&["systemctl", "start", "nscd"])?;
        poll(Duration::from_secs(10), || {
            system.root().join("run/nscd/socket").exists().then_some(())
        })
        .context("nscd does not listen")?;
        // What asks nscd gets what it remembers; each name is new.
        host.control(&mut outside, &ways)?;
        host.look_up(&mut inside, &ways, "nscd started after the app")?;
        let again = "systemctl restart systemd-resolved nscd avahi-daemon
            cp -L /etc/resolv.conf /etc/new; mv -f /etc/new /etc/resolv.conf; ln -sf /run/systemd/resolve/stub-resolv.conf /etc/new; mv -f /etc/new /etc/resolv.conf";
        system.check(&["sh", "-ec", again])?;
        host.look_up(&mut inside, &ways, "all restarted, resolv.conf replaced")?;
        let mut second = Shell::start(&anna, &["lonewire", "run", "-t", "demo", "--", "sh"])?;
        host.look_up(&mut second, &ways, "an app started beside all of them")?;
        host.control(&mut outside, &ways)?;
        // An app that nscd is within reach of asks the host: that is what the silence was worth.
        second.run("cut -d' ' -f4 /proc/$PPID/stat > ~/pid")?;
        let pid = anna.check(&["cat", "pid"])?;
        let roles = system.roles()?;
        system.check(&[roles, "role", "graft", "/run/nscd", &pid])?;
        let name = format!("{}.probe.demo", Marker::new()?.hex());
        second.run(&format!("getent ahosts {name}"))?;
        ensure!(host.was_asked("host-dns", &name)?, "nscd was not asked");
        Ok(())
    };
    run().with_context(|| system.last_words())
}

/// Where they are; a Debian without them lacks what its setup fetches.
fn packages() -> Result<Option<std::path::PathBuf>> {
    if !Path::new("/etc/debian_version").exists() {
        eprintln!(
            "not tried: this machine is no Debian, whose packages of resolvers are laid over its system"
        );
        return Ok(None);
    }
    let folder = programs::overlay()?;
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let count = files
        .filter(|file| file.path().extension().is_some_and(|end| end == "deb"))
        .count();
    ensure!(
        count > 5,
        "no packages in {}: cargo xtask setup",
        folder.display()
    );
    Ok(Some(folder))
}
