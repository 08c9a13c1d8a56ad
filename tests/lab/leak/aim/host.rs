//! Shots at what is the host's: its name services, its network's groups, its interfaces, its namespaces; and by sockets of other kinds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};

use super::{
    By, Control, FAILS, FORBIDDEN, List, NO_WAY, NOT_THERE, PUBLIC_DNS, WEB, WEB6, Want, at,
    program, udp,
};
use crate::{
    addr, fakes,
    init::ROLES,
    leak::{Stimulus, scene::SERVICES},
    probe::shot::{Act, How},
};

impl List<'_> {
    pub(super) fn raw(&mut self) {
        use Stimulus::{S06, S16};
        for (name, protocol) in [
            ("ICMP", 1),
            ("UDP", 17),
            ("GRE", 47),
            ("ESP", 50),
            ("own header", 255),
        ] {
            let act = || Act::Raw {
                to: WEB,
                protocol,
                packet: Vec::new(),
            };
            let refused = Want::Refused(FORBIDDEN);
            self.add(
                S06,
                &format!("{name} as the user"),
                act(),
                refused,
                Control::SeenOfRoot,
            );
            self.by(
                By::Root,
                S06,
                &format!("{name} as root"),
                act(),
                Want::Anything,
                Control::SeenOfRoot,
            );
        }
        let frame = |interface: &str| Act::Packet {
            interface: interface.into(),
            frame: Vec::new(),
        };
        let (link, host) = (self.place.link.clone(), self.place.interface.clone());
        let mut forbidden = Vec::from(FORBIDDEN);
        forbidden.push("ENODEV");
        self.add(
            S16,
            "lo",
            frame("lo"),
            Want::Refused(FORBIDDEN),
            Control::None,
        );
        self.add(
            S16,
            "the link",
            frame(&link),
            Want::Refused(&["EPERM", "EACCES", "ENODEV"]),
            Control::SeenOfRoot,
        );
        self.add(
            S16,
            "the host's interface",
            frame(&host),
            if self.place.outside {
                Want::Anything
            } else {
                Want::Refused(&["ENODEV", "EPERM"])
            },
            Control::SeenOfRoot,
        );
        self.by(
            By::Root,
            S16,
            "the link as root",
            frame(&link),
            Want::Inside,
            Control::SeenOfRoot,
        );
        for (name, options) in [("own users", "-Ur"), ("own users and network", "-Urn")] {
            let act = program(&["unshare", options, ROLES, "role", "send", &link, "MARKER"]);
            self.add(S16, name, act, Want::Refused(FAILS), Control::None);
        }
        let act = Act::Family {
            family: 44,
            kind: 3,
            protocol: 0,
        };
        self.add(
            S16,
            "AF_XDP",
            act,
            Want::Refused(&["EPERM", "EAFNOSUPPORT"]),
            Control::None,
        );
    }

    pub(super) fn names(&mut self) {
        use Stimulus::{S08, S09, S10, S11, S12};
        let gone = Want::Refused(NOT_THERE);
        for (stimulus, path) in [
            (S08, fakes::RESOLVE),
            (S09, fakes::NSCD),
            (S10, fakes::AVAHI),
        ] {
            let act = Act::Unix { path: path.into() };
            // nscd's own protocol is not a line.
            let control = if stimulus == S09 {
                Control::None
            } else {
                Control::Heard
            };
            self.add(stimulus, path, act, gone, control);
            let other = path.replacen("/run/", "/var/run/", 1);
            let act = Act::Unix {
                path: other.clone(),
            };
            self.add(stimulus, &other, act, gone, control);
        }
        for (stimulus, end, control) in [
            (S08, ".probe.demo", Control::None),
            (S09, ".nscd.probe.demo", Control::Heard),
            (S10, ".local", Control::None),
        ] {
            let act = Act::Lookup { end: end.into() };
            self.add(
                stimulus,
                &format!("look-up of {end}"),
                act,
                Want::Inside,
                control,
            );
        }
        for service in SERVICES {
            // The member has the marker: that is what such a service is heard to be asked.
            let to = format!("--dest={service}");
            let method = format!("{service}.Manager.ResolveMARKER");
            let call = [
                "dbus-send",
                "--system",
                "--print-reply",
                "--reply-timeout=2000",
            ];
            let act = program(&[&call, [to.as_str(), "/", &method].as_slice()].concat());
            self.add(S12, service, act, Want::Refused(FAILS), Control::Heard);
        }
        let act = program(&[
            "grep",
            "-Eqx",
            "hosts:[[:space:]]+files myhostname dns",
            "/etc/nsswitch.conf",
        ]);
        self.add(S10, "nsswitch", act, Want::Works, Control::None);
        let loopback6 = Ipv6Addr::LOCALHOST;
        for (name, ip, want, control) in [
            (
                "the tunnel's",
                IpAddr::from(addr::INSIDE_SERVER_V4),
                Want::Inside,
                Control::None,
            ),
            (
                "the host's",
                self.place.host_dns,
                Want::Inside,
                Control::Seen,
            ),
            ("a public one", PUBLIC_DNS, Want::Inside, Control::Seen),
            (
                "the stub",
                Ipv4Addr::new(127, 0, 0, 53).into(),
                Want::Anything,
                Control::None,
            ),
            ("its own", loopback6.into(), Want::Anything, Control::None),
        ] {
            let want = if ip.is_ipv6() && !self.place.has_v6 {
                Want::Anything
            } else {
                want
            };
            let to = at(ip, 53);
            let act = Act::Query { to, tcp: false };
            self.add(S11, &format!("UDP to {name}"), act, want, control);
            let act = Act::Query { to, tcp: true };
            self.add(
                S11,
                &format!("TCP to {name}"),
                act,
                Want::Anything,
                Control::None,
            );
        }
        for (name, port) in [("over TLS", 853), ("over HTTPS", 443)] {
            let act = Act::Tcp {
                to: at(WEB, port),
                how: How::Plain,
            };
            self.add(S11, name, act, Want::Inside, Control::Seen);
        }
    }

    pub(super) fn groups(&mut self) {
        use Stimulus::{S13, S14};
        for (name, group, port) in [
            ("mDNS", [224, 0, 0, 251], 5353),
            ("LLMNR", [224, 0, 0, 252], 5355),
            ("SSDP", [239, 255, 255, 250], 1900),
            ("WS-Discovery", [239, 255, 255, 250], 3702),
        ] {
            let act = udp(at(Ipv4Addr::from(group), port), 64, How::Plain);
            self.add(S13, name, act, Want::Anything, Control::Seen);
        }
        let mdns = SocketAddrV6::new(
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb),
            5353,
            0,
            self.place.scope,
        );
        self.add(
            S13,
            "mDNS over IPv6",
            udp(mdns.into(), 64, How::Plain),
            Want::Anything,
            Control::Seen,
        );
        for group in [
            IpAddr::from([239, 1, 2, 3]),
            Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0x12, 0x34).into(),
        ] {
            self.add(
                S13,
                &format!("member of {group}"),
                Act::Join { group },
                Want::Anything,
                Control::None,
            );
        }
        for (name, ip, port, control) in [
            ("everybody", [255, 255, 255, 255], 67, Control::Seen),
            ("the host's network", [192, 0, 2, 31], 137, Control::Seen),
            ("the tunnel's network", [10, 66, 0, 255], 137, Control::None),
        ] {
            let act = udp(at(Ipv4Addr::from(ip), port), 300, How::Broadcast);
            self.add(S14, name, act, Want::Anything, control);
        }
    }

    pub(super) fn families(&mut self) {
        use Stimulus::{S15, S17};
        // Protocols of IP (linux/in.h) and kinds of socket (linux/net.h). Only the first is in every kernel.
        for (name, number, kind, control) in [
            ("UDP-Lite", 136, 2, Control::Seen),
            ("SCTP", 132, 1, Control::None),
            ("SCTP, one to many", 132, 5, Control::None),
            ("DCCP", 33, 6, Control::None),
        ] {
            let act = udp(at(WEB, 9), 64, How::Protocol(number, kind));
            self.add(S15, name, act, Want::Anything, control);
        }
        // linux/socket.h; kinds and protocols as each family's own header has them.
        for (name, family, kind, protocol) in [
            ("AF_VSOCK", 40, 1, 0),
            ("AF_BLUETOOTH", 31, 3, 1),
            ("AF_CAN", 29, 3, 1),
            ("AF_ALG", 38, 5, 0),
            ("AF_TIPC", 30, 4, 0),
            ("AF_RDS", 21, 5, 0),
            ("AF_PPPOX", 24, 1, 0),
            ("AF_QIPCRTR", 42, 2, 0),
        ] {
            let act = Act::Family {
                family,
                kind,
                protocol,
            };
            self.add(S17, name, act, Want::Anything, Control::None);
        }
    }

    pub(super) fn told(&mut self) {
        use Stimulus::{S18, S26};
        let place = self.place.clone();
        let host = IpAddr::from(place.host_v4);
        let refused = |errors| {
            if place.outside {
                Want::Anything
            } else {
                Want::Refused(errors)
            }
        };
        for (name, how, want, control) in [
            (
                "SO_BINDTODEVICE",
                How::Device(place.interface.clone()),
                refused(&["ENODEV", "EPERM"]),
                Control::Seen,
            ),
            (
                "bind to the host's address",
                How::From(host),
                refused(&["EADDRNOTAVAIL"]),
                Control::Seen,
            ),
            (
                "IP_PKTINFO",
                How::PacketInfo(host, place.index),
                refused(NO_WAY),
                Control::Seen,
            ),
            (
                "SO_MARK",
                How::Mark(0x6d6f_6c65),
                refused(FORBIDDEN),
                Control::SeenOfRoot,
            ),
            (
                "IP_TRANSPARENT",
                How::Transparent(host),
                refused(FORBIDDEN),
                Control::SeenOfRoot,
            ),
        ] {
            self.add(S18, name, udp(at(WEB, 9), 64, how), want, control);
        }
        let how = How::PacketInfo(place.host_v6.into(), place.index);
        self.add(
            S18,
            "IPV6_PKTINFO",
            udp(at(WEB6, 9), 64, how),
            refused(NO_WAY),
            Control::Seen,
        );
        let send = format!("printf 'BYTES' > /dev/udp/{WEB}/9");
        let pid = place.outsider.to_string();
        for (name, network) in [
            ("the network of a process", format!("/proc/{pid}/ns/net")),
            ("a pinned network", "/run/netns/host".into()),
            (
                "a network pinned outside",
                format!("/proc/{pid}/root/run/netns/host"),
            ),
        ] {
            let network = format!("--net={network}");
            let act = program(&["nsenter", &network, "bash", "-c", &send]);
            self.add(S26, name, act, refused(FAILS), Control::SeenOfRoot);
        }
        for (name, words) in [
            (
                "the link moved",
                ["link", "set", &place.link, "netns", &pid].as_slice(),
            ),
            (
                "a pair of links",
                &[
                    "link", "add", "out0", "type", "veth", "peer", "name", "out1", "netns", &pid,
                ],
            ),
            (
                "a link of the host's",
                &[
                    "link",
                    "add",
                    "out2",
                    "link",
                    &place.interface,
                    "type",
                    "macvlan",
                ],
            ),
        ] {
            if !place.outside {
                let act = program(&[&["ip"], words].concat());
                self.add(S26, name, act, Want::Refused(FAILS), Control::None);
            }
        }
    }
}
