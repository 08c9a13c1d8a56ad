//! What stands between a tunnel and its server: whether the host has a way there, why no answer comes, where a server's name points now.

use std::{net::IpAddr, rc::Rc};

use lonewire_core::{
    state::{Reason, State},
    wgconf::Host,
};

use super::{
    Engine,
    show::is_switched,
    state::{Tunnel, Up},
    view::TunnelState,
};
use crate::ports::Ports;

/// An address of each family for which any network that reaches the world has a route (RFC 5737, RFC 3849): nothing is sent there.
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Milliseconds by which a clock that is kept right may be set back.
const CLOCK_STEP: u64 = 5_000;

impl<P: Ports> Engine<P> {
    /// Why no handshake comes, as far as the host knows.
    pub(super) async fn why(&self, tunnel: &Tunnel<P>, up: &Up<P>) -> Reason {
        if !self.knows_endpoints(up) {
            return self.unresolved();
        }
        if self.has_uplink(up).await {
            return if self.portal.get() {
                Reason::CaptivePortal
            } else if self.is_clock_behind(tunnel, up).await {
                Reason::ClockBehind
            } else {
                Reason::NoHandshake
            };
        }
        let wants_v4 = endpoints(up).iter().all(IpAddr::is_ipv4);
        let wants_v6 = endpoints(up).iter().all(IpAddr::is_ipv6);
        let [v4, v6] = ANYWHERE;
        if wants_v4 && self.ports.path_mtu(v6).await.is_ok() {
            Reason::NeedsIpv4
        } else if wants_v6 && self.ports.path_mtu(v4).await.is_ok() {
            Reason::NeedsIpv6
        } else {
            Reason::NoUplink
        }
    }

    /// Whether the tunnel was protected at a time that is yet to come by the host's clock.
    async fn is_clock_behind(&self, tunnel: &Tunnel<P>, up: &Up<P>) -> bool {
        let history = self.ports.read_log(tunnel.uid, &tunnel.id).await;
        let protected = history.unwrap_or_default().into_iter();
        let protected = protected.filter(|entry| entry.state == TunnelState::Protected as u32);
        let newest = protected.map(|entry| entry.time).max().unwrap_or(0);
        // Another server's, where it is switched.
        !is_switched(up) && newest.max(up.handshake()) > self.ports.now() + CLOCK_STEP
    }

    /// Why a server's name was not found.
    pub(super) fn unresolved(&self) -> Reason {
        if self.portal.get() {
            Reason::CaptivePortal
        } else {
            Reason::Unresolvable
        }
    }

    /// Says anew why no handshake comes.
    pub(super) async fn tell_why(&self, tunnel: &Tunnel<P>, up: &Rc<Up<P>>) {
        let reason = self.why(tunnel, up).await;
        let state = up.health.borrow().state();
        if matches!(state, State::Blocked(was) if was.is_of_network() && was != reason)
            && tunnel.is_still(up)
        {
            up.health.borrow_mut().block(reason);
            self.set_state(tunnel, State::Blocked(reason));
        }
    }

    /// Whether the host has a path to any of the peers.
    pub(super) async fn has_uplink(&self, up: &Up<P>) -> bool {
        let endpoints = endpoints(up);
        for endpoint in &endpoints {
            if self.ports.path_mtu(*endpoint).await.is_ok() {
                return true;
            }
        }
        endpoints.is_empty()
    }

    pub(super) fn knows_endpoints(&self, up: &Up<P>) -> bool {
        let peers = &up.kept.config.peers;
        up.device.borrow().as_ref().is_none_or(|device| {
            device
                .peers
                .iter()
                .zip(peers)
                .all(|(own, peer)| own.endpoint.is_some() || peer.endpoint.is_none())
        })
    }

    /// Asks for the addresses of names again; whether one is another now.
    pub(super) async fn resolve_again(&self, up: &Up<P>) -> bool {
        let mut moved = false;
        for peer in &up.kept.config.peers {
            let Some(endpoint) = &peer.endpoint else {
                continue;
            };
            if matches!(endpoint.host, Host::Address(_)) {
                continue;
            }
            match self.resolve_endpoint(endpoint).await {
                Ok(address) => {
                    if let Some(device) = up.device.borrow_mut().as_mut()
                        && let Some(own) = device
                            .peers
                            .iter_mut()
                            .find(|own| own.public_key == peer.public_key)
                    {
                        moved |= own.endpoint.replace(address) != Some(address);
                    }
                }
                Err(error) => tracing::debug!(%error, "an endpoint was not resolved again"),
            }
        }
        moved
    }
}

fn endpoints<P: Ports>(up: &Up<P>) -> Vec<IpAddr> {
    let device = up.device.borrow();
    let peers = device.iter().flat_map(|device| &device.peers);
    peers.filter_map(|peer| Some(peer.endpoint?.ip())).collect()
}
