//! What a world's networks look like: a [`Spec`] as data, and the `ip` and `nft` lines that make it inside the world.

use std::{fmt::Write as _, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::addr;

/// Exit address of the tunnels to `vpn0` over IPv4, as the internet sees it.
pub const VPN_EXIT_V4: &str = "203.0.113.10";

/// What the host's end of an uplink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The address is on the wire itself.
    Veth,
    /// The wire is a port of a bridge that has the address.
    Bridge,
    /// A macvlan on the wire has the address.
    Macvlan,
}

/// Which families an uplink carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
    Both,
}

impl Family {
    pub fn v4(self) -> bool {
        self != Self::V6
    }

    pub fn v6(self) -> bool {
        self != Self::V4
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    pub kind: Kind,
    pub family: Family,
}

/// A world to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// 1 to 7; the first one is the default route.
    pub uplinks: Vec<Uplink>,
    /// VPN servers: 1 to 4.
    pub servers: usize,
    /// The bus, polkitd and Lonewire itself; without it only the networks.
    pub product: bool,
    /// Whether every frame on the uplinks is recorded.
    pub captured: bool,
    /// Whether what comes out of the tunnels at the servers is recorded too, and the host's `lo`.
    pub inside: bool,
    /// Whether warden and data plane bind their sockets themselves, as where there is no systemd; else the lab does what systemd would.
    pub listen: bool,
    /// How much the product logs, as `RUST_LOG` has it; else as this process was told.
    pub log: Option<String>,
    /// Something to get wrong on purpose from the start.
    pub sabotage: Option<Sabotage>,
}

/// What `demo --break` gets wrong by other parts than Lonewire's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Sabotage {
    /// The data plane and the server carry packets in the clear.
    PlainForwarder,
    /// What the helper asks of the warden is changed on the way: another uid.
    WrongUid,
    /// The same: the program keeps a capability.
    KeptCapability,
}

impl Spec {
    /// One veth uplink with both families, one server, no Lonewire.
    pub fn networks() -> Self {
        Self {
            uplinks: vec![Uplink {
                kind: Kind::Veth,
                family: Family::Both,
            }],
            servers: 1,
            product: false,
            captured: true,
            inside: false,
            listen: false,
            log: None,
            sabotage: None,
        }
    }

    /// The same with Lonewire on its own bus.
    pub fn product() -> Self {
        Self {
            product: true,
            ..Self::networks()
        }
    }

    /// The same for measuring: nothing of the lab's own is in the way.
    pub fn bench() -> Self {
        Self {
            captured: false,
            listen: true,
            ..Self::product()
        }
    }

    /// Whether the host reaches the servers over IPv4.
    pub fn v4(&self) -> bool {
        self.uplinks.iter().any(|uplink| uplink.family.v4())
    }

    pub fn v6(&self) -> bool {
        self.uplinks.iter().any(|uplink| uplink.family.v6())
    }

    /// Where clients of server `index` connect to, in the family of the first uplink.
    pub fn endpoint(&self, index: usize) -> std::net::SocketAddr {
        let address: IpAddr = if self.v4() {
            addr::vpn_v4(index).into()
        } else {
            addr::vpn_v6(index).into()
        };
        (address, addr::VPN_PORT).into()
    }

    /// The DNS server in the host's `resolv.conf`.
    pub fn host_dns(&self) -> IpAddr {
        if self.v4() {
            addr::HOST_DNS_V4.into()
        } else {
            addr::HOST_DNS_V6.into()
        }
    }

    /// The internet's web server, by the family of the uplinks.
    pub fn web(&self) -> IpAddr {
        if self.v4() {
            addr::WEB_V4.into()
        } else {
            addr::WEB_V6.into()
        }
    }
}

/// Name of the host's end of the wire of uplink `index`, where the capture listens; at the router it has the same name.
pub fn wire(index: usize) -> String {
    format!("up{index}")
}

/// The interface of the host that has uplink `index`'s addresses.
pub fn host_interface(kind: Kind, index: usize) -> String {
    match kind {
        Kind::Veth => wire(index),
        Kind::Bridge => format!("bridge{index}"),
        Kind::Macvlan => format!("mac{index}"),
    }
}

/// Name of VPN server `index`'s network and its WireGuard link.
pub fn server(index: usize) -> String {
    format!("vpn{index}")
}

/// A shell script that makes all networks; to be run as root in the world's own host network.
pub fn script(spec: &Spec) -> String {
    let mut text = String::from("set -eu\n");
    let out = &mut text;
    // Segmented before the capture sees it: no frame is larger than the wire's.
    let plain = if spec.captured { "gso_max_segs 1" } else { "" };
    for name in ["router", "internet"]
        .map(String::from)
        .into_iter()
        .chain((0..spec.servers).map(server))
    {
        let _ = writeln!(out, "ip netns add {name}; ip -n {name} link set lo up");
        let _ = writeln!(
            out,
            "ip netns exec {name} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        );
    }
    // A host that asks for routers would send solicitations: this one has static routes.
    out.push_str("sysctl -qw net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0\n");
    for (index, uplink) in spec.uplinks.iter().enumerate() {
        uplink_lines(out, index, *uplink, plain);
    }
    out.push_str("ip -n router link add towards type bridge; ip -n router link set towards up\n");
    out.push_str("ip -n router addr add 203.0.113.1/24 dev towards\n");
    out.push_str("ip -n router addr add 2001:db8:ff::1/64 dev towards nodad\n");
    for index in 0..spec.servers {
        let name = server(index);
        let _ = write!(
            out,
            "ip -n router link add to{index} {plain} type veth peer name eth0 {plain} netns {name}
ip -n router link set to{index} master towards up
ip -n {name} link set eth0 up
ip -n {name} addr add {}/24 dev eth0
ip -n {name} addr add {}/64 dev eth0 nodad
ip -n {name} route add default via 203.0.113.1
ip -n {name} route add default via 2001:db8:ff::1
{}",
            addr::vpn_v4(index),
            addr::vpn_v6(index),
            nat(&name, "eth0", "", ""),
        );
    }
    let _ = write!(
        out,
        "ip -n router link add inet {plain} type veth peer name eth0 {plain} netns internet
ip -n router link set inet up; ip -n internet link set eth0 up
ip -n router addr add {}/24 dev inet
ip -n router addr add {}/64 dev inet nodad
ip -n internet route add default via {r4} dev eth0 onlink
ip -n internet route add default via {r6} dev eth0 onlink
",
        addr::ROUTER_EXIT_V4,
        addr::ROUTER_EXIT_V6,
        r4 = addr::ROUTER_EXIT_V4,
        r6 = addr::ROUTER_EXIT_V6,
    );
    for address in [addr::WEB_V4, addr::WEB_BY_HOST_V4, addr::HOST_DNS_V4] {
        let _ = writeln!(out, "ip -n internet addr add {address}/24 dev eth0");
    }
    for address in [addr::WEB_V6, addr::WEB_BY_HOST_V6, addr::HOST_DNS_V6] {
        let _ = writeln!(out, "ip -n internet addr add {address}/64 dev eth0 nodad");
    }
    // As behind any NAT: nobody outside reaches the host unasked, also not a VPN server for its clients.
    out.push_str(
        "ip netns exec router nft 'add table inet door; add chain inet door in { type filter hook forward priority 0; }; \
         add rule inet door in iifname { \"towards\", \"inet\" } oifname \"up*\" ct state new drop'\n",
    );
    // Behind the router's address is the host alone: what VPN servers send for their clients has theirs.
    out.push_str(&nat(
        "router",
        "inet",
        "ip saddr 192.0.2.0/24",
        "ip6 saddr 2001:db8::/48",
    ));
    out.push_str(&nat(
        "router",
        "towards",
        "ip saddr 192.0.2.0/24",
        "ip6 saddr 2001:db8::/48",
    ));
    text
}

fn uplink_lines(out: &mut String, index: usize, uplink: Uplink, plain: &str) {
    let wire = wire(index);
    let interface = host_interface(uplink.kind, index);
    let _ = writeln!(
        out,
        "ip link add {wire} {plain} type veth peer name {wire} {plain} netns router"
    );
    match uplink.kind {
        Kind::Veth => {}
        Kind::Bridge => {
            let _ = writeln!(
                out,
                "ip link add {interface} type bridge mcast_snooping 0; ip link set {wire} master {interface}"
            );
        }
        Kind::Macvlan => {
            let _ = writeln!(
                out,
                "ip link add link {wire} name {interface} type macvlan mode bridge"
            );
        }
    }
    if interface != wire {
        // The wire carries frames only: no address of its own, so nothing to announce.
        let _ = writeln!(
            out,
            "sysctl -qw net.ipv6.conf.{wire}.disable_ipv6=1; ip link set {interface} up"
        );
    }
    let _ = writeln!(
        out,
        "ip link set {wire} up; ip -n router link set {wire} up"
    );
    let metric = 100 + index;
    if uplink.family.v4() {
        let _ = write!(
            out,
            "ip addr add {}/27 dev {interface}
ip -n router addr add {router}/27 dev {wire}
ip route add default via {router} metric {metric}
",
            addr::host_v4(index),
            router = addr::router_v4(index),
        );
    }
    if uplink.family.v6() {
        let _ = write!(
            out,
            "ip addr add {}/64 dev {interface} nodad
ip -n router addr add {router}/64 dev {wire} nodad
ip -6 route add default via {router} metric {metric}
",
            addr::host_v6(index),
            router = addr::router_v6(index),
        );
    } else {
        let _ = writeln!(out, "sysctl -qw net.ipv6.conf.{interface}.disable_ipv6=1");
    }
}

/// Clients behind `network`, if they match, leave by `interface` under its own address.
fn nat(network: &str, interface: &str, v4: &str, v6: &str) -> String {
    let mut lines = String::new();
    for (family, sources) in [("ip", v4), ("ip6", v6)] {
        let _ = writeln!(
            lines,
            "ip netns exec {network} nft 'add table {family} nat; add chain {family} nat out_{interface} {{ type nat hook postrouting priority 100; }}; \
             add rule {family} nat out_{interface} oifname \"{interface}\" {sources} masquerade'"
        );
    }
    lines
}
