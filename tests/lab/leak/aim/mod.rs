//! The shots of each stimulus as data: at what, by whom, and what must come of them.

mod host;
mod internet;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Stimulus;
use crate::{
    addr, forge,
    probe::shot::{Act, How},
};

/// Who fires inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The person whose app it is.
    Person,
    /// Root, in the tunnel's network.
    Root,
}

/// What must come of a shot inside, beside the oracle's own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Where the tunnel works it comes out at its server.
    Inside,
    /// One of these errors, in every state.
    Refused(&'static [&'static str]),
    /// It works, in every state.
    Works,
    Anything,
}

/// How the same shot shows beside the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Its marker is on the uplink at both ends, where the uplink has its family.
    Seen,
    /// The same, but root alone may do it.
    SeenOfRoot,
    /// A service of the host hears its marker.
    Heard,
    /// There is nothing to be seen of it: another shot of the stimulus is.
    None,
}

/// A shot before it has a marker.
#[derive(Debug, Clone)]
pub struct Aim {
    pub stimulus: Stimulus,
    pub name: String,
    pub by: By,
    pub want: Want,
    pub control: Control,
    /// The family that the uplink needs to carry it.
    pub v6: bool,
    pub act: Act,
}

/// What the shots have to know of the world.
#[derive(Debug, Clone)]
pub struct Place {
    /// The host's interface on the first uplink, its number, and its addresses.
    pub interface: String,
    pub index: u32,
    pub host_v4: Ipv4Addr,
    pub host_v6: Ipv6Addr,
    /// Of a process of the same person beside the tunnel.
    pub outsider: i32,
    pub endpoint: SocketAddr,
    pub host_dns: IpAddr,
    /// Where the shots are fired: the tunnel's link, or beside it the host's interface; and its number.
    pub link: String,
    pub scope: u32,
    /// Whether the tunnel has an IPv6 address.
    pub has_v6: bool,
    /// Whether these are the shots beside the tunnel.
    pub outside: bool,
}

const NO_WAY: &[&str] = &[
    "ENETUNREACH",
    "EHOSTUNREACH",
    "EADDRNOTAVAIL",
    "EACCES",
    "EINVAL",
    "ENETDOWN",
    "ENODEV",
];
const FORBIDDEN: &[&str] = &["EPERM", "EACCES"];
/// A socket that nobody listens at any more would be there.
const NOT_THERE: &[&str] = &["ENOENT"];
/// A program that is not allowed to.
const FAILS: &[&str] = &["failed"];

struct List<'a> {
    place: &'a Place,
    aims: Vec<Aim>,
}

/// Documentation and private addresses of nobody.
const WEB: IpAddr = IpAddr::V4(addr::WEB_V4);
const WEB6: IpAddr = IpAddr::V6(addr::WEB_V6);
const PUBLIC_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));

/// All shots for a place.
pub(super) fn aims(place: &Place) -> Vec<Aim> {
    let mut list = List {
        place,
        aims: Vec::new(),
    };
    list.streams();
    list.neighbourhood();
    list.datagrams();
    list.raw();
    list.v6();
    list.names();
    list.groups();
    list.families();
    list.told();
    list.aims
}

fn at(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    (ip.into(), port).into()
}

fn udp(to: SocketAddr, size: usize, how: How) -> Act {
    Act::Udp { to, size, how }
}

impl List<'_> {
    fn add(&mut self, stimulus: Stimulus, name: &str, act: Act, want: Want, control: Control) {
        self.by(By::Person, stimulus, name, act, want, control);
    }

    fn by(
        &mut self,
        by: By,
        stimulus: Stimulus,
        name: &str,
        act: Act,
        want: Want,
        control: Control,
    ) {
        let v6 = match &act {
            Act::Udp { to, .. } | Act::Tcp { to, .. } | Act::Query { to, .. } => {
                to.is_ipv6() && to.ip().to_canonical().is_ipv6()
            }
            Act::Echo { to } | Act::Raw { to, .. } => to.is_ipv6(),
            _ => false,
        };
        self.aims.push(Aim {
            stimulus,
            name: format!("{stimulus:?} {name}"),
            by,
            want,
            control,
            v6,
            act,
        });
    }
}

fn program(words: &[&str]) -> Act {
    Act::Program {
        line: words.iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// Gives a shot its packet or frame, which has the marker in it. A frame that is not empty names the byte of its IP header that is to be wrong.
pub(super) fn loaded(act: &Act, marker: &[u8], place: &Place) -> Act {
    let source = if place.outside {
        IpAddr::from(place.host_v4)
    } else {
        addr::client_v4(0).into()
    };
    let mut act = act.clone();
    match &mut act {
        Act::Raw {
            protocol, packet, ..
        } => {
            *packet = match protocol {
                1 => [[8, 0, 0, 0, 0, 7, 0, 1].as_slice(), marker].concat(),
                255 => forge::udp((source, 4242), (WEB, 9), marker),
                _ => [[0x10, 0x92, 0, 9, 0, 24, 0, 0].as_slice(), marker].concat(),
            };
        }
        Act::Packet { interface, frame } => {
            let mut packet = forge::udp((source, 4242), (WEB, 9), marker);
            let wrong = frame.first().map(|place| usize::from(*place));
            if let Some(byte) = wrong.and_then(|place| packet.get_mut(place)) {
                *byte ^= 0xff;
            }
            *frame = if interface.starts_with("lw-") {
                packet
            } else {
                // As a stranger would: to whoever listens.
                forge::frame([2, 0, 0, 0, 0, 7], forge::EVERYBODY, &packet)
            };
        }
        _ => {}
    }
    act
}
