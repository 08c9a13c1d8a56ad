//! Links, addresses and routes: by rtnetlink on a socket that was opened inside the namespace, and, for the uplink, on the host's own.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use super::{Sys, os, thread, uplink};
use crate::ports::{Addressing, Links, Namespace, PortError, PortResult};
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use lonewire_core::{
    name::LinkName,
    plan::LAST_METRIC,
    seal::{Address, Link, Observed, Route, RouteKind},
};
use netlink_packet_route::{
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType},
    rule::{RuleAttribute, RuleMessage},
};
use rtnetlink::{Handle, IpVersion, LinkUnspec, LinkWireguard, RouteMessageBuilder};

const DEADLINE: Duration = Duration::from_secs(5);

/// One change of a network is many messages.
const DEBOUNCE: Duration = Duration::from_millis(100);

const TABLE_LOCAL: u32 = 255;

/// A conversation with the kernel; it ends with this value.
struct Netlink {
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Netlink {
    fn on_host() -> PortResult<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(os("netlink"))?;
        Ok(Self {
            handle,
            task: tokio::spawn(connection),
        })
    }

    /// A socket is of the namespace in which it was opened, wherever it is used.
    async fn inside(namespace: &Namespace) -> PortResult<Self> {
        let runtime = tokio::runtime::Handle::current();
        let open = move || {
            let _entered = runtime.enter();
            let (connection, handle, _) = rtnetlink::new_connection().map_err(os("netlink"))?;
            Ok((connection, handle))
        };
        let (connection, handle) = thread::inside(namespace, "netlink", DEADLINE, open).await?;
        Ok(Self {
            handle,
            task: tokio::spawn(connection),
        })
    }

    /// Index of a link; `None` where there is none of that name.
    async fn index(&self, link: &LinkName) -> PortResult<Option<u32>> {
        let found = self
            .handle
            .link()
            .get()
            .match_name(link.to_string())
            .execute()
            .try_next()
            .await;
        match found {
            Ok(found) => Ok(found.map(|message| message.header.index)),
            Err(error) if number(&error) == libc::ENODEV => Ok(None),
            Err(error) => Err(refused("RTM_GETLINK")(error)),
        }
    }

    /// Takes from a link the addresses that are not wanted; the kernel's own, of the link alone, stay.
    async fn drop_addresses(&self, index: u32, wanted: &[IpNet]) -> PortResult<()> {
        let address = self.handle.address();
        let dump = address.get().set_link_index_filter(index).execute();
        let found: Vec<_> = dump.try_collect().await.map_err(refused("RTM_GETADDR"))?;
        for message in found {
            let net = observed_address(&message).map(|address| address.net);
            if net.is_none_or(|net| is_of_link(net) || wanted.contains(&net)) {
                continue;
            }
            match self.handle.address().del(message).execute().await {
                Err(error) if number(&error) != libc::EADDRNOTAVAIL => {
                    return Err(refused("RTM_DELADDR")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The same with routes over it; those that came with an address go with it.
    async fn drop_routes(&self, index: u32, wanted: &[IpNet]) -> PortResult<()> {
        for version in [IpVersion::V4, IpVersion::V6] {
            for message in self.routes(version).await? {
                let route = observed_route(&message);
                if route.link != Some(index)
                    || route.table == TABLE_LOCAL
                    || route.by_kernel
                    || wanted.iter().any(|net| net.trunc() == route.destination)
                {
                    continue;
                }
                match self.handle.route().del(message).execute().await {
                    Err(error) if number(&error) != libc::ESRCH => {
                        return Err(refused("RTM_DELROUTE")(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn routes(&self, version: IpVersion) -> PortResult<Vec<RouteMessage>> {
        let question = match version {
            IpVersion::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            IpVersion::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let found = self.handle.route().get(question).execute().try_collect();
        found.await.map_err(refused("RTM_GETROUTE"))
    }
}

/// The number of an error; its text may hold a whole message.
fn number(error: &rtnetlink::Error) -> i32 {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code().abs(),
        _ => libc::EIO,
    }
}

fn refused(what: &'static str) -> impl Fn(rtnetlink::Error) -> PortError {
    move |error| PortError::Os {
        what,
        errno: number(&error),
    }
}

impl Links for Sys {
    async fn create_wireguard(&self, namespace: &Namespace, link: &LinkName) -> PortResult<()> {
        let host = Netlink::on_host()?;
        let message = LinkWireguard::new(link.as_str())
            .setns_by_fd(namespace.fd.as_raw_fd())
            .build();
        match host.handle.link().add(message).execute().await {
            Ok(()) => Ok(()),
            Err(error) if number(&error) == libc::EOPNOTSUPP => Err(PortError::Unsupported {
                what: "kernel WireGuard",
            }),
            Err(error) => Err(refused("RTM_NEWLINK wireguard")(error)),
        }
    }

    async fn configure(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        addressing: &Addressing,
    ) -> PortResult<()> {
        let netlink = Netlink::inside(namespace).await?;
        let index = netlink
            .index(link)
            .await?
            .ok_or(PortError::NotFound { what: "the link" })?;
        let set = LinkUnspec::new_with_index(index)
            .mtu(addressing.mtu)
            .build();
        netlink
            .handle
            .link()
            .set(set)
            .execute()
            .await
            .map_err(refused("the link's MTU"))?;
        // Before others are added: with the first of a network the kernel takes the rest of it.
        netlink.drop_addresses(index, &addressing.addresses).await?;
        for net in &addressing.addresses {
            let mut add = netlink
                .handle
                .address()
                .add(index, net.addr(), net.prefix_len())
                .replace();
            // Nobody else is on the link: an address is good at once. Until it is, packets would bear the loopback's.
            add.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            add.execute().await.map_err(refused("RTM_NEWADDR"))?;
        }
        // Before the link is up: at no time is there a way out that is not the plan's.
        for net in [
            IpNet::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            IpNet::from(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        ] {
            let last = route(net.addr(), 0)
                .kind(RouteType::Unreachable)
                .priority(LAST_METRIC);
            let added = netlink
                .handle
                .route()
                .add(last.build())
                .replace()
                .execute()
                .await;
            match added {
                // A kernel without IPv6 has nothing to close.
                Err(error)
                    if net.addr().is_ipv6()
                        && matches!(number(&error), libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => {}
                added => added.map_err(refused("unreachable default"))?,
            }
        }
        let up = LinkUnspec::new_with_index(index).up().build();
        netlink
            .handle
            .link()
            .set(up)
            .execute()
            .await
            .map_err(refused("setting the link up"))?;
        netlink.drop_routes(index, &addressing.routes).await?;
        for net in &addressing.routes {
            let net = net.trunc();
            let over = route(net.addr(), net.prefix_len()).output_interface(index);
            let add = netlink.handle.route().add(over.build()).replace();
            add.execute().await.map_err(refused("RTM_NEWROUTE"))?;
        }
        Ok(())
    }

    async fn end_connections(&self, namespace: &Namespace) -> PortResult<()> {
        const WHAT: &str = "ending connections";
        thread::inside(namespace, WHAT, DEADLINE, super::connections::end).await
    }

    async fn delete(&self, namespace: &Namespace, link: &LinkName) -> PortResult<()> {
        let netlink = Netlink::inside(namespace).await?;
        let Some(index) = netlink.index(link).await? else {
            return Ok(());
        };
        match netlink.handle.link().del(index).execute().await {
            Err(error) if number(&error) != libc::ENODEV => Err(refused("RTM_DELLINK")(error)),
            _ => Ok(()),
        }
    }

    async fn cut(&self, namespace: &Namespace, link: &LinkName) -> PortResult<()> {
        let netlink = Netlink::inside(namespace).await?;
        let index = netlink.index(link).await?;
        let index = index.ok_or(PortError::NotFound { what: "the link" })?;
        let down = LinkUnspec::new_with_index(index).down().build();
        let set = netlink.handle.link().set(down).execute().await;
        set.map_err(refused("setting the link down"))
    }

    async fn host_addresses(&self) -> PortResult<Vec<IpNet>> {
        let netlink = Netlink::on_host()?;
        let found = netlink.handle.address().get().execute();
        let found: Vec<_> = found.try_collect().await.map_err(refused("RTM_GETADDR"))?;
        let all = found
            .iter()
            .filter_map(observed_address)
            .map(|address| address.net);
        Ok(all.filter(|net| !net.addr().is_loopback()).collect())
    }

    async fn observe(&self, namespace: &Namespace) -> PortResult<Observed> {
        let netlink = Netlink::inside(namespace).await?;
        let handle = &netlink.handle;
        let links: Vec<_> = handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refused("RTM_GETLINK"))?;
        let addresses: Vec<_> = handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refused("RTM_GETADDR"))?;
        let mut routes = Vec::new();
        let mut rules = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            routes.extend(netlink.routes(version.clone()).await?);
            let found = handle
                .rule()
                .get(version.clone())
                .execute()
                .try_collect::<Vec<_>>()
                .await;
            match found {
                Ok(found) => rules.extend(found),
                // A kernel without policy routing has no rules.
                Err(error) if number(&error) == libc::EOPNOTSUPP => {}
                Err(error) => return Err(refused("RTM_GETRULE")(error)),
            }
        }
        Ok(Observed {
            links: links.iter().map(observed_link).collect(),
            addresses: addresses.iter().filter_map(observed_address).collect(),
            routes: routes
                .iter()
                .map(observed_route)
                .filter(|route| route.table != TABLE_LOCAL)
                .collect(),
            rules: rules
                .iter()
                .filter(|rule| !is_own_rule(rule))
                .map(|rule| format!("{rule:?}"))
                .collect(),
            sysctls: Vec::new(),
        })
    }

    async fn path_mtu(&self, to: IpAddr) -> PortResult<u32> {
        uplink::path_mtu(to)
    }

    async fn uplink_changed(&self) -> PortResult<()> {
        let mut watch = self.uplink.lock().await;
        let changes = match &mut *watch {
            Some(changes) => changes,
            none => none.insert(uplink::watch()?),
        };
        if changes.recv().await.is_none() {
            // The next to ask begins another.
            *watch = None;
            return Err(PortError::Os {
                what: "netlink",
                errno: libc::EIO,
            });
        }
        tokio::time::sleep(DEBOUNCE).await;
        while changes.try_recv().is_ok() {}
        Ok(())
    }

    async fn nudge(&self, namespace: &Namespace, to: IpAddr) -> PortResult<()> {
        const WHAT: &str = "a packet from inside";
        thread::inside(namespace, WHAT, DEADLINE, move || {
            let any: IpAddr = if to.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            let socket = UdpSocket::bind((any, 0)).map_err(os(WHAT))?;
            socket.send_to(&[0], (to, 9)).map(drop).map_err(os(WHAT))
        })
        .await
    }
}

fn route(to: IpAddr, prefix: u8) -> RouteMessageBuilder<IpAddr> {
    // The prefix is of the address's own family and was parsed: it cannot be too long.
    RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(to, prefix)
        .unwrap_or_default()
}

/// An address that the kernel gives a link by itself (RFC 4291, 2.5.6).
fn is_of_link(net: IpNet) -> bool {
    matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

fn observed_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: String::new(),
        up: message.header.flags.contains(LinkFlags::Up),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        mtu: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    link
}

fn observed_address(message: &AddressMessage) -> Option<Address> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link the other is the peer's.
            AddressAttribute::Local(address) => found = Some(*address),
            AddressAttribute::Address(address) => found = found.or(Some(*address)),
            _ => {}
        }
    }
    let net = IpNet::new(found?, message.header.prefix_len).ok()?;
    Some(Address {
        link: message.header.index,
        net,
    })
}

fn observed_route(message: &RouteMessage) -> Route {
    let header = &message.header;
    let is_v6 = header.address_family == netlink_packet_route::AddressFamily::Inet6;
    let any: IpAddr = if is_v6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    let mut destination = any;
    let mut route = Route {
        table: u32::from(header.table),
        destination: IpNet::from(any),
        kind: match header.kind {
            RouteType::Unicast => RouteKind::Unicast,
            RouteType::Unreachable => RouteKind::Unreachable,
            RouteType::Local | RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast => {
                RouteKind::Kernel
            }
            _ => RouteKind::Other,
        },
        link: None,
        gateway: None,
        metric: 0,
        by_kernel: header.protocol == RouteProtocol::Kernel,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address).unwrap_or(any),
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Oif(index) => route.link = Some(*index),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Table(table) => route.table = *table,
            // Ways that say nothing plain about where they lead.
            RouteAttribute::MultiPath(_)
            | RouteAttribute::Via(_)
            | RouteAttribute::NhId(_)
            | RouteAttribute::Encap(_) => {
                route.kind = RouteKind::Other;
            }
            _ => {}
        }
    }
    match IpNet::new(destination, header.destination_prefix_length) {
        Ok(net) => route.destination = net,
        Err(_) => route.kind = RouteKind::Other,
    }
    route
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// The rules that every namespace begins with: `local`, `main` and (IPv4) `default`, with nothing that would choose.
fn is_own_rule(message: &RuleMessage) -> bool {
    let mut priority = 0;
    let mut table = u32::from(message.header.table);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(value) => priority = *value,
            RuleAttribute::Table(value) => table = *value,
            RuleAttribute::SuppressPrefixLen(u32::MAX) | RuleAttribute::Protocol(_) => {}
            _ => return false,
        }
    }
    matches!((priority, table), (0, 255) | (32_766, 254) | (32_767, 253))
}
