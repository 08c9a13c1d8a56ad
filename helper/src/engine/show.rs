//! Tunnels as others see them: plain values without a secret. A peer's counters are those of the last look.

use lonewire_core::{
    name::Id,
    state::State,
    wgconf::{self, Host, Keys},
};

use super::{
    Engine, Error,
    state::{Kept, Tunnel, Up},
    view::{PeerInfo, TunnelDetail, TunnelInfo, TunnelState},
};
use crate::{
    auth::{Grant, Own},
    ports::{LogEntry, Ports},
};

/// The API's number of a state.
pub(super) fn number(state: State) -> TunnelState {
    match state {
        State::Off => TunnelState::Off,
        State::Connecting => TunnelState::Connecting,
        State::Protected => TunnelState::Protected,
        State::Blocked(_) => TunnelState::Blocked,
        State::Failed(_) => TunnelState::Failed,
    }
}

impl<P: Ports> Engine<P> {
    pub(super) fn info(&self, tunnel: &Tunnel<P>) -> TunnelInfo {
        let standing = *tunnel.standing.borrow();
        let kept = tunnel.kept();
        let apps = self.apps.borrow();
        let running = apps
            .values()
            .filter(|app| app.is_running() && app.info.borrow().tunnel == tunnel.id);
        TunnelInfo {
            name: kept.head.name.to_string(),
            state: number(standing.state),
            since: standing.since,
            reason: standing.state.reason().map(|reason| reason.code()),
            apps: super::count(running.count()),
            shared: false,
            switched_to: tunnel.up().and_then(|up| up.record.borrow().of.clone()),
            public_key: kept.public_key.to_string(),
            warnings: kept.warnings.clone(),
        }
    }

    pub(super) fn list(&self, grant: &Grant<Own>) -> Vec<(Id, TunnelInfo)> {
        let tunnels = self.tunnels.borrow();
        let own = tunnels.values().filter(|tunnel| tunnel.uid == grant.uid());
        own.map(|tunnel| (tunnel.id.clone(), self.info(tunnel)))
            .collect()
    }

    pub(super) async fn show(&self, grant: &Grant<Own>, id: &Id) -> Result<TunnelDetail, Error> {
        let tunnel = self.find(grant.uid(), id)?;
        if let Some(up) = tunnel.up() {
            // What cannot be read now is told as it was last.
            let _ = self.count_peers(&up).await;
        }
        let kept = tunnel.kept();
        let up = tunnel.up();
        let mut detail = TunnelDetail {
            info: self.info(&tunnel),
            config: wgconf::to_text(&kept.config, Keys::Unchanged).to_string(),
            ignored: kept.head.ignored.clone(),
            options: kept.options(),
            addresses: kept
                .config
                .interface
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect(),
            dns: kept
                .options()
                .dns
                .as_ref()
                .unwrap_or(&kept.config.interface.dns)
                .iter()
                .map(ToString::to_string)
                .collect(),
            mtu: 0,
            backend: None,
            link: None,
            peers: peers(match &up {
                Some(up) if is_switched(up) => &up.kept,
                _ => &kept,
            }),
            handshake: 0,
            rx: 0,
            tx: 0,
        };
        let Some(up) = up else { return Ok(detail) };
        let record = up.record.borrow();
        detail.addresses = record.addresses.iter().map(ToString::to_string).collect();
        detail.dns = record.dns.iter().map(ToString::to_string).collect();
        detail.mtu = record.mtu;
        detail.backend = Some(up.backend);
        detail.link = Some(up.link().to_string());
        detail.handshake = up.handshake();
        (detail.rx, detail.tx) = up.totals();
        for (key, (totals, status)) in up.counters.borrow().iter() {
            let name = key.to_string();
            if let Some(peer) = detail.peers.iter_mut().find(|peer| peer.public_key == name) {
                peer.resolved = status.endpoint.map(|endpoint| endpoint.to_string());
                peer.handshake = status.handshake;
                (peer.rx, peer.tx) = totals.sum();
            }
        }
        Ok(detail)
    }

    pub(super) async fn read_log(
        &self,
        grant: &Grant<Own>,
        id: &Id,
        since: u64,
    ) -> Result<Vec<LogEntry>, Error> {
        let tunnel = self.find(grant.uid(), id)?;
        let mut entries = self.ports.read_log(tunnel.uid, &tunnel.id).await?;
        entries.retain(|entry| entry.time >= since);
        Ok(entries)
    }
}

/// Whether another tunnel's configuration is up.
pub(super) fn is_switched<P: Ports>(up: &Up<P>) -> bool {
    up.record.borrow().of.is_some()
}

fn peers(kept: &Kept) -> Vec<PeerInfo> {
    let info = |peer: &wgconf::Peer| PeerInfo {
        public_key: peer.public_key.to_string(),
        endpoint: peer.endpoint.as_ref().map(|endpoint| match &endpoint.host {
            Host::Address(address) => {
                std::net::SocketAddr::new(*address, endpoint.port).to_string()
            }
            Host::Name(name) => format!("{name}:{}", endpoint.port),
        }),
        resolved: None,
        allowed_ips: peer.allowed_ips.iter().map(ToString::to_string).collect(),
        keepalive: u32::from(super::prepare::keepalive(kept, peer)),
        handshake: 0,
        rx: 0,
        tx: 0,
    };
    kept.config.peers.iter().map(info).collect()
}
