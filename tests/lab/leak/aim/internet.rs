//! Shots at the internet: streams, datagrams, echoes, in both families, and at what lies between.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

use super::{By, Control, List, NO_WAY, WEB, WEB6, Want, at, program, udp};
use crate::{
    addr,
    leak::Stimulus,
    probe::shot::{Act, How},
};

impl List<'_> {
    pub(super) fn streams(&mut self) {
        use Stimulus::S01;
        for (name, port, how) in [
            ("port 53", 53, How::Plain),
            ("port 80", 80, How::Plain),
            ("port 443", 443, How::Plain),
            ("port 1337", 1337, How::Plain),
            ("Fast Open", 443, How::FastOpen),
            ("MPTCP", 443, How::Multipath),
        ] {
            let act = Act::Tcp {
                to: at(WEB, port),
                how,
            };
            self.add(S01, name, act, Want::Inside, Control::Seen);
        }
    }

    pub(super) fn neighbourhood(&mut self) {
        use Stimulus::{S02, S04};
        let (host, router) = (self.place.host_v4, addr::router_v4(0));
        for (name, ip, want, control) in [
            ("gateway", router, Want::Inside, Control::Seen),
            ("host", host, Want::Anything, Control::None),
            (
                "link-local",
                Ipv4Addr::new(169, 254, 7, 7),
                Want::Inside,
                Control::Seen,
            ),
            (
                "another's tunnel",
                Ipv4Addr::new(10, 66, 0, 99),
                Want::Inside,
                Control::Seen,
            ),
            (
                "stub resolver",
                Ipv4Addr::new(127, 0, 0, 53),
                Want::Anything,
                Control::None,
            ),
        ] {
            let act = udp(at(ip, 53), 64, How::Plain);
            self.add(S02, &format!("UDP {name}"), act, want, control);
            let act = Act::Tcp {
                to: at(ip, 53),
                how: How::Plain,
            };
            self.add(
                S02,
                &format!("TCP {name}"),
                act,
                Want::Anything,
                Control::None,
            );
        }
        let endpoint = self.place.endpoint;
        let inside = if endpoint.is_ipv4() || self.place.has_v6 {
            Want::Inside
        } else {
            Want::Refused(NO_WAY)
        };
        self.add(
            S04,
            "UDP to its port",
            udp(endpoint, 64, How::Plain),
            inside,
            Control::Seen,
        );
        let beside = at(endpoint.ip(), 4242);
        self.add(
            S04,
            "UDP beside it",
            udp(beside, 64, How::Plain),
            inside,
            Control::Seen,
        );
        for (name, port) in [("its port", endpoint.port()), ("port 443", 443)] {
            let act = Act::Tcp {
                to: at(endpoint.ip(), port),
                how: How::Plain,
            };
            self.add(
                S04,
                &format!("TCP to {name}"),
                act,
                Want::Anything,
                Control::None,
            );
        }
    }

    pub(super) fn datagrams(&mut self) {
        use Stimulus::{S03, S05, S24};
        for (name, port, size, how, want) in [
            ("1 byte", 9, 1, How::Plain, Want::Anything),
            ("1400 bytes", 9, 1400, How::Plain, Want::Inside),
            ("fragments", 9, 9000, How::Plain, Want::Inside),
            ("connected", 80, 48, How::Connected, Want::Inside),
            ("segments", 9, 9600, How::Segments(1200), Want::Inside),
        ] {
            let control = if size == 1 {
                Control::None
            } else {
                Control::Seen
            };
            self.add(S03, name, udp(at(WEB, port), size, how), want, control);
        }
        self.add(
            S05,
            "socket",
            Act::Echo { to: WEB },
            Want::Inside,
            Control::Seen,
        );
        let target = WEB.to_string();
        for (name, more) in [("ping", "-n"), ("ping, recorded route", "-R")] {
            let words = ["ping", more, "-c", "1", "-W", "1", "-p", "MARKER", &target];
            let act = program(&words);
            // A recorded route is not sent by a ping socket of a person's.
            let want = if more == "-n" {
                Want::Inside
            } else {
                Want::Anything
            };
            self.add(S05, name, act, want, Control::SeenOfRoot);
        }
        self.add(
            S24,
            "one hop",
            udp(at(WEB, 9), 64, How::Hops(1)),
            Want::Inside,
            Control::Seen,
        );
        self.add(
            S24,
            "whole",
            udp(at(WEB, 9), 1300, How::DontFragment),
            Want::Inside,
            Control::Seen,
        );
        self.add(
            S24,
            "too large to be whole",
            udp(at(WEB, 9), 3000, How::DontFragment),
            Want::Anything,
            Control::None,
        );
        // Places in the header. As packets: in what a raw socket sends the kernel mends the first two.
        for (name, place) in [
            ("bad length", 2),
            ("bad checksum", 10),
            ("unknown protocol", 9),
        ] {
            self.by(
                By::Root,
                S24,
                name,
                Act::Packet {
                    interface: self.place.link.clone(),
                    frame: vec![place],
                },
                Want::Anything,
                Control::SeenOfRoot,
            );
        }
    }

    pub(super) fn v6(&mut self) {
        use Stimulus::S07;
        let want = if self.place.has_v6 {
            Want::Inside
        } else {
            Want::Refused(NO_WAY)
        };
        for (name, port, how) in [
            ("TCP port 80", 80, How::Plain),
            ("TCP port 443", 443, How::Plain),
            ("Fast Open", 443, How::FastOpen),
            ("MPTCP", 443, How::Multipath),
        ] {
            let act = Act::Tcp {
                to: at(WEB6, port),
                how,
            };
            self.add(S07, name, act, want, Control::Seen);
        }
        for (name, size, how) in [
            ("1400 bytes", 1400, How::Plain),
            ("fragments", 9000, How::Plain),
            ("segments", 9600, How::Segments(1200)),
        ] {
            self.add(S07, name, udp(at(WEB6, 9), size, how), want, Control::Seen);
        }
        self.add(S07, "echo", Act::Echo { to: WEB6 }, want, Control::Seen);
        let local = Ipv6Addr::new(0xfd12, 0x3456, 0, 0, 0, 0, 0, 1);
        let wrapped = Ipv6Addr::new(0x2002, 0xc633, 0x6450, 0, 0, 0, 0, 1);
        for (name, ip) in [("unique local", local), ("6to4", wrapped)] {
            self.add(
                S07,
                name,
                udp(at(ip, 9), 64, How::Plain),
                want,
                Control::Seen,
            );
        }
        let mapped = addr::WEB_V4.to_ipv6_mapped();
        self.add(
            S07,
            "mapped IPv4",
            udp(at(mapped, 9), 64, How::Plain),
            Want::Anything,
            Control::None,
        );
        let scoped = SocketAddrV6::new(
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
            9,
            0,
            self.place.scope,
        );
        self.add(
            S07,
            "everybody on the link",
            udp(scoped.into(), 64, How::Plain),
            Want::Anything,
            Control::Seen,
        );
        let scoped = SocketAddrV6::new(
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
            9,
            0,
            self.place.scope,
        );
        self.add(
            S07,
            "a neighbour",
            udp(scoped.into(), 64, How::Plain),
            Want::Anything,
            Control::None,
        );
    }
}
