//! The host's network: hears that it changed, not how, and asks the kernel for the way to an address. It changes nothing and sends nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use futures_util::StreamExt as _;
use rtnetlink::MulticastGroup;
use tokio::sync::mpsc;

use super::{errno, os};
use crate::ports::PortResult;

/// Tells of each change of the host's links, addresses and routes from now on.
pub fn watch() -> PortResult<mpsc::Receiver<()>> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv6Route,
    ];
    let (connection, _handle, mut messages) =
        rtnetlink::new_multicast_connection(&groups).map_err(os("netlink"))?;
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        // Without the handle the connection would end.
        let _handle = _handle;
        tokio::pin!(connection);
        loop {
            tokio::select! {
                () = &mut connection => return,
                message = messages.next() => match message {
                    // One that waits to be heard is enough.
                    Some(_) => drop(tell.try_send(())),
                    None => return,
                },
            }
        }
    });
    Ok(told)
}

/// MTU of the host's path to an address.
///
/// # Errors
/// There is no path.
pub fn path_mtu(to: IpAddr) -> PortResult<u32> {
    const WHAT: &str = "the MTU of the path to the endpoint";
    // Connecting a UDP socket sends nothing: the kernel looks up the route. The port does not matter.
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).map_err(os(WHAT))?;
    socket.connect((to, 9)).map_err(os(WHAT))?;
    let mtu = if to.is_ipv4() {
        rustix::net::sockopt::ip_mtu(&socket)
    } else {
        rustix::net::sockopt::ipv6_mtu(&socket)
    };
    mtu.map_err(errno(WHAT))
}
