//! The servers of a world: the internet's, and the VPNs' with their clients; what they were asked.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result};

use super::{READY, World, log_file, until};
use crate::{
    addr, fakes,
    keys::Pair,
    net::{self, Sabotage},
    server::{self, Asked},
    users::Person,
};

/// A VPN server.
#[derive(Debug)]
pub(super) struct Server {
    public: String,
    /// How many it has.
    clients: usize,
}

/// What both DNS servers know; each has its own address for the names, so that an address tells who answered.
fn records(v4: IpAddr, v6: IpAddr) -> Vec<String> {
    ["whoami.demo", "*.probe.demo"]
        .iter()
        .flat_map(|name| [format!("{name}={v4}"), format!("{name}={v6}")])
        .collect()
}

impl World {
    pub(super) fn internet(&mut self) -> Result<()> {
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
        // Of DNS, HTTPS, DNS over TLS, and one of nobody's.
        let taking = ["--take=53", "--take=443", "--take=853", "--take=1337"];
        let mut arguments = [["web", "--log", &web].as_slice(), &taking].concat();
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
    pub(super) fn vpn(&mut self, index: usize) -> Result<()> {
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
        self.import_text(person, label, &text)
    }

    /// A tunnel of any configuration, imported by a person through the command line.
    ///
    /// # Errors
    /// `lonewire import` fails.
    pub fn import_text(&self, person: &Person, label: &str, text: &str) -> Result<()> {
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

    /// Makes a VPN server drop all that comes from its clients and say nothing to them, or answer again.
    ///
    /// # Errors
    /// nft fails.
    pub fn set_silent(&self, index: usize, silent: bool) -> Result<()> {
        let script = if silent {
            format!(
                "add table inet silent; add chain inet silent in {{ type filter hook input priority 0; }}; add rule inet silent in udp dport {port} drop; \
                 add chain inet silent out {{ type filter hook output priority 0; }}; add rule inet silent out udp sport {port} drop",
                port = addr::VPN_PORT
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

    /// Who was asked for a name beside the tunnels' DNS.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn escaped(&self, name: &str) -> Result<Vec<String>> {
        let mut who = BTreeSet::new();
        if self.queries("host-dns")?.iter().any(|one| one.what == name) {
            who.insert("the host's DNS server".to_owned());
        }
        // They run where a test has started them.
        if self.services.contains_key(fakes::LOG) {
            for one in self.queries(fakes::LOG)? {
                if let Some((service, _)) =
                    one.what.split_once(' ').filter(|(_, it)| it.contains(name))
                {
                    who.insert(format!("the host's {service}"));
                }
            }
        }
        Ok(who.into_iter().collect())
    }
}
