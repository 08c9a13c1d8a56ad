//! The addresses of a world: documentation ranges outside the tunnels, private ones inside.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Of the host on uplink `index` (0 to 7).
pub fn host_v4(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(index * 32 + 2).unwrap_or(254))
}

pub fn host_v6(index: usize) -> Ipv6Addr {
    Ipv6Addr::new(
        0x2001,
        0xdb8,
        0,
        u16::try_from(index).unwrap_or(u16::MAX),
        0,
        0,
        0,
        2,
    )
}

/// Of the router on uplink `index`.
pub fn router_v4(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(index * 32 + 1).unwrap_or(254))
}

pub fn router_v6(index: usize) -> Ipv6Addr {
    Ipv6Addr::new(
        0x2001,
        0xdb8,
        0,
        u16::try_from(index).unwrap_or(u16::MAX),
        0,
        0,
        0,
        1,
    )
}

/// Of VPN server `index`, outside its tunnels; what the internet sees of its clients.
pub fn vpn_v4(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, u8::try_from(index + 10).unwrap_or(254))
}

pub fn vpn_v6(index: usize) -> Ipv6Addr {
    Ipv6Addr::new(
        0x2001,
        0xdb8,
        0xff,
        0,
        0,
        0,
        0,
        u16::try_from(index + 0x10).unwrap_or(u16::MAX),
    )
}

/// What the internet sees of the host itself: the router's address on that side.
pub const ROUTER_EXIT_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const ROUTER_EXIT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 1);

/// A web server in the internet: what the tunnel's DNS says of `whoami.demo`.
pub const WEB_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 80);
pub const WEB_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 0x80);

/// Another address of it: what the host's DNS says of `whoami.demo`.
pub const WEB_BY_HOST_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 81);
pub const WEB_BY_HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 0x81);

/// The DNS server that the host asks.
pub const HOST_DNS_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
pub const HOST_DNS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 0x53);

/// Inside every tunnel: the server (DNS too) and the first client.
pub const INSIDE_SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
pub const INSIDE_SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd66, 0, 0, 0, 0, 0, 0, 1);

pub fn client_v4(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 0, u8::try_from(index + 2).unwrap_or(254))
}

pub fn client_v6(index: usize) -> Ipv6Addr {
    Ipv6Addr::new(
        0xfd66,
        0,
        0,
        0,
        0,
        0,
        0,
        u16::try_from(index + 2).unwrap_or(u16::MAX),
    )
}

/// WireGuard's UDP port at every VPN server.
pub const VPN_PORT: u16 = 51820;
