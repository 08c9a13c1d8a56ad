//! What a tunnel needs before anything is made: endpoint addresses, MTU, routes, keys. Nothing here changes anything.

use std::{collections::BTreeMap, net::SocketAddr};

use ipnet::IpNet;
use lonewire_core::{
    plan,
    secret::{PublicKey, Secret},
    wgconf::{self, Endpoint, Host, Key},
};

use super::{Engine, connect::Unresolved, state::Kept};
use crate::ports::{Addressing, Device, Peer, PortError, PortResult, Ports};

/// Ready to be put in place.
pub(super) struct Wanted {
    pub device: Device,
    pub addressing: Addressing,
    pub dns: Vec<std::net::IpAddr>,
}

/// Seconds between a peer's keepalives: the option's, the file's, else 25; 0 off.
pub(super) fn keepalive(kept: &Kept, peer: &wgconf::Peer) -> u16 {
    let option = kept
        .options()
        .keepalive
        .and_then(|seconds| u16::try_from(seconds).ok());
    option.or(peer.keepalive).unwrap_or(plan::DEFAULT_KEEPALIVE)
}

impl<P: Ports> Engine<P> {
    /// # Errors
    /// An endpoint's name that cannot be resolved, where that fails.
    pub(super) async fn prepare(&self, kept: &Kept, unresolved: Unresolved) -> PortResult<Wanted> {
        let config = &kept.config;
        let mut endpoints = BTreeMap::new();
        for peer in &config.peers {
            if let Some(endpoint) = &peer.endpoint {
                match self.resolve_endpoint(endpoint).await {
                    Ok(address) => drop(endpoints.insert(peer.public_key, address)),
                    Err(error) if unresolved == Unresolved::Waits => {
                        tracing::info!(%error, "a server's name is not known yet");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let device =
            device(kept, |key| endpoints.get(key).copied()).ok_or(PortError::NotFound {
                what: "the private key",
            })?;
        let peers = &device.peers;
        let addresses = config.interface.addresses.clone();
        // Of a family without an address nothing would come back: what is sent fails at once instead of timing out.
        let (uses_v4, uses_v6) = (config.uses_ipv4(), config.uses_ipv6());
        let mut routes: Vec<_> = config
            .allowed_ips()
            .filter(|net| {
                if net.addr().is_ipv6() {
                    uses_v6
                } else {
                    uses_v4
                }
            })
            .map(IpNet::trunc)
            .collect();
        routes.sort_unstable();
        routes.dedup();
        let has_v6 = addresses.iter().any(|net| net.addr().is_ipv6());
        let mtu = match kept.options().mtu.or(config.interface.mtu.map(u32::from)) {
            Some(mtu) => mtu,
            None => self.path_to(peers, has_v6).await,
        };
        let dns = kept
            .options()
            .dns
            .unwrap_or_else(|| config.interface.dns.clone());
        Ok(Wanted {
            device,
            addressing: Addressing {
                mtu,
                addresses,
                routes,
            },
            dns,
        })
    }

    /// MTU of the link by the narrowest of the paths to the peers; where none is known (no uplink yet), what usually fits.
    async fn path_to(&self, peers: &[Peer], has_v6: bool) -> u32 {
        let mut mtu: Option<u32> = None;
        for endpoint in peers.iter().filter_map(|peer| peer.endpoint) {
            if let Ok(path) = self.ports.path_mtu(endpoint.ip()).await {
                let own = plan::link_mtu(path, endpoint.ip(), has_v6);
                mtu = Some(mtu.map_or(own, |other| other.min(own)));
            }
        }
        mtu.unwrap_or(plan::DEFAULT_MTU)
    }

    /// Where a peer is reached now: of a name's addresses the first that the host has a path to, else the first.
    pub(super) async fn resolve_endpoint(&self, endpoint: &Endpoint) -> PortResult<SocketAddr> {
        let name = match &endpoint.host {
            Host::Address(address) => return Ok(SocketAddr::new(*address, endpoint.port)),
            Host::Name(name) => name,
        };
        let found = self.ports.resolve(name, endpoint.port).await?;
        if let [only] = found[..] {
            return Ok(only);
        }
        for address in &found {
            if self.ports.path_mtu(address.ip()).await.is_ok() {
                return Ok(*address);
            }
        }
        found.first().copied().ok_or(PortError::NotFound {
            what: "an address of the endpoint",
        })
    }
}

/// What the link gets, by what is known of the peers' addresses. `None` without a private key.
pub(super) fn device(
    kept: &Kept,
    endpoint: impl Fn(&PublicKey) -> Option<SocketAddr>,
) -> Option<Device> {
    let interface = &kept.config.interface;
    let peer = |peer: &wgconf::Peer| Peer {
        public_key: peer.public_key,
        preshared_key: peer.preshared_key.as_ref().and_then(given),
        endpoint: endpoint(&peer.public_key),
        keepalive: keepalive(kept, peer),
        allowed_ips: peer.allowed_ips.clone(),
    };
    Some(Device {
        private_key: given(&interface.private_key)?,
        listen_port: interface.listen_port,
        peers: kept.config.peers.iter().map(peer).collect(),
    })
}

fn given(key: &Key) -> Option<Secret<32>> {
    match key {
        Key::Given(secret) => Some(secret.clone()),
        Key::Unchanged => None,
    }
}
