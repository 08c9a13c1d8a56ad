//! A VPN server for a booted system: a network namespace in it, joined by a veth, with userspace WireGuard, DNS and web inside the tunnel.
//! The system's own network has no other way out.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{Session, System, connector::install_roles, poll};
use crate::keys::Pair;

/// Of the system, and of the server outside of the tunnel: documentation space (RFC 5737).
pub const HOST: &str = "203.0.113.1";
pub const SERVER: &str = "203.0.113.2";
const PORT: u16 = 51820;
/// Of the server inside the tunnel: DNS and web.
pub const INSIDE: &str = "10.77.0.1";
/// Known to the tunnel's DNS alone.
pub const NAME: &str = "whoami.demo";
/// Where the server's WireGuard interface and files are.
const NETNS: &str = "vpn";
/// Where its server of names writes down what it is asked.
const DNS_LOG: &str = "/run/vpn-dns.log";
/// Its private key and its clients', a line each: at another boot of the system it is the same server.
const KEYS: &str = "var/lib/vpn-keys";

/// A running server.
#[derive(Debug)]
pub struct Vpn {
    public: String,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    private: String,
    address: String,
}

impl Vpn {
    /// Starts a server for some clients, with userspace WireGuard.
    ///
    /// # Errors
    /// A program is missing, or the server does not come up.
    pub fn start(system: &System, clients: u8) -> Result<Self> {
        Self::start_with(system, clients, |system| {
            serve(system, "vpn-wireguard", &["wireguard-go", "-f", "wg0"])?;
            poll(Duration::from_secs(60), || {
                system
                    .root()
                    .join("run/wireguard/wg0.sock")
                    .exists()
                    .then_some(())
            })
            .context("wireguard-go has no socket")
        })
    }

    /// The same with the kernel's.
    ///
    /// # Errors
    /// As [`Vpn::start`].
    pub fn start_in_kernel(system: &System, clients: u8) -> Result<Self> {
        Self::start_with(system, clients, |system| {
            let link = ["ip", "-n", NETNS, "link", "add", "wg0", "type", "wireguard"];
            system.check(&link).map(drop)
        })
    }

    fn start_with(
        system: &System,
        clients: u8,
        link: impl FnOnce(&System) -> Result<()>,
    ) -> Result<Self> {
        let script = |text: &str| system.check(&["sh", "-euc", text]);
        let mut pairs = keys(system, usize::from(clients) + 1)?.into_iter();
        let server = pairs.next().context("no key")?;
        let mut text = format!(
            "[Interface]\nPrivateKey = {}\nListenPort = {PORT}\n",
            server.private
        );
        let mut list = Vec::new();
        for (number, Pair { private, public }) in pairs.enumerate() {
            let address = format!("10.77.0.{}", number + 10);
            text.push_str(&format!(
                "[Peer]\nPublicKey = {public}\nAllowedIPs = {address}/32\n"
            ));
            list.push(Client { private, address });
        }
        write_secret(&system.root().join("run/vpn.conf"), &text)?;

        script(&format!(
            "ip netns add {NETNS}; ip link add uplink type veth peer name uplink netns {NETNS}
             ip addr add {HOST}/24 dev uplink; ip link set uplink up; ip link set lo up
             ip -n {NETNS} addr add {SERVER}/24 dev uplink; ip -n {NETNS} link set uplink up; ip -n {NETNS} link set lo up"
        ))?;
        link(system)?;
        script(&format!(
            "ip netns exec {NETNS} wg setconf wg0 /run/vpn.conf
             ip -n {NETNS} addr add {INSIDE}/24 dev wg0; ip -n {NETNS} link set wg0 mtu 1420 up"
        ))?;

        // The servers are roles of the lab's own binary.
        let roles = install_roles(system)?;
        let dns = format!("{INSIDE}:53");
        let record = format!("{NAME}={INSIDE}");
        let any = format!("*.probe.demo={INSIDE}");
        serve(
            system,
            "vpn-dns",
            &[roles, "role", "dns", "--log", DNS_LOG, &dns, &record, &any],
        )?;
        serve(
            system,
            "vpn-web",
            &[
                roles,
                "role",
                "web",
                "--log",
                "/run/vpn-web.log",
                &format!("{INSIDE}:80"),
            ],
        )?;
        let listening =
            format!("ip netns exec {NETNS} ss -Hltn 'sport = :80 or sport = :53' | wc -l");
        poll(Duration::from_secs(60), || {
            script(&listening).ok().filter(|count| count == "2")
        })
        .with_context(|| {
            format!(
                "the servers do not listen: {}",
                system.journal().unwrap_or_default()
            )
        })?;
        Ok(Self {
            public: server.public,
            clients: list,
        })
    }

    /// What a client imports.
    ///
    /// # Errors
    /// There are not so many.
    pub fn config(&self, number: usize) -> Result<String> {
        let client = self.clients.get(number).context("no such client")?;
        Ok(format!(
            "[Interface]\nPrivateKey = {}\nAddress = {}/32\nDNS = {INSIDE}\n\n\
             [Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = {SERVER}:{PORT}\nPersistentKeepalive = 5\n",
            client.private, client.address, self.public
        ))
    }

    /// The address that the server sees of a client.
    ///
    /// # Errors
    /// There are not so many.
    pub fn address(&self, number: usize) -> Result<&str> {
        Ok(&self.clients.get(number).context("no such client")?.address)
    }

    /// The clients' private keys, base64: what must be nowhere.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().map(|client| client.private.as_str())
    }

    /// Has a user import a client's configuration under a name.
    ///
    /// # Errors
    /// `lonewire import` fails.
    pub fn import(&self, session: &Session<'_>, number: usize, name: &str) -> Result<()> {
        let path = session.write(&format!("{name}.conf"), &self.config(number)?)?;
        session.check(&["lonewire", "import", &path, "--name", name])?;
        Ok(())
    }
}

/// So many pairs: those of an earlier boot, or new ones.
fn keys(system: &System, count: usize) -> Result<Vec<Pair>> {
    let file = system.root().join(KEYS);
    if let Ok(text) = fs::read_to_string(&file) {
        let pairs = text.lines().map(Pair::read).collect::<Result<Vec<_>>>()?;
        ensure!(pairs.len() == count, "{count} keys, not {}", pairs.len());
        return Ok(pairs);
    }
    let pairs = (0..count)
        .map(|_| Pair::new())
        .collect::<Result<Vec<_>>>()?;
    let lines: String = pairs
        .iter()
        .map(|pair| format!("{}\n", pair.private))
        .collect();
    write_secret(&file, &lines)?;
    Ok(pairs)
}

fn write_secret(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text)?;
    Ok(fs::set_permissions(
        file,
        fs::Permissions::from_mode(0o600),
    )?)
}

/// Runs a server in the namespace as a unit of the system.
///
/// # Errors
/// It cannot be started.
pub fn serve(system: &System, unit: &str, argv: &[&str]) -> Result<()> {
    let mut line = vec!["systemd-run", "--quiet", "--collect", "--unit", unit];
    line.extend(["-p", "NetworkNamespacePath=/run/netns/vpn", "--"]);
    line.extend(argv);
    system.check(&line)?;
    Ok(())
}

/// What the server of names in the tunnel was asked so far.
///
/// # Errors
/// There is none.
pub fn tunnel_asked(system: &System) -> Result<String> {
    read_log(system, DNS_LOG)
}

fn read_log(system: &System, path: &str) -> Result<String> {
    fs::read_to_string(system.root().join(path.trim_start_matches('/'))).context(path.to_owned())
}

/// Where the host's own server writes down what it is asked.
const HOST_DNS_LOG: &str = "/run/outside-dns.log";

/// Gives the host, which runs systemd-resolved, a DNS server outside of every tunnel. It knows `control.demo`.
///
/// # Errors
/// It cannot be started, or resolved does not take it.
pub fn host_dns(system: &System) -> Result<()> {
    let unit = "outside-dns";
    let state = system.run(&["systemctl", "is-active", unit])?;
    if !state.status.success() {
        let roles = system.roles()?;
        let (address, record) = (format!("{SERVER}:53"), format!("control.demo={SERVER}"));
        let line = [
            roles,
            "role",
            "dns",
            "--log",
            HOST_DNS_LOG,
            &address,
            &record,
        ];
        serve(system, unit, &line)?;
    }
    let script = format!(
        "resolvectl dns uplink {SERVER}; resolvectl domain uplink '~.'; resolvectl default-route uplink yes"
    );
    system.check(&["sh", "-euc", &script]).map(drop)
}

/// What that server was asked so far.
///
/// # Errors
/// There is none.
pub fn host_asked(system: &System) -> Result<String> {
    read_log(system, HOST_DNS_LOG)
}
