//! Keys and peers, by `wireguard-control` for either backend: the one file that knows it. It answers in its own time, so each call has a thread and a
//! deadline; its errors may quote a preshared key, so only their number is kept; and it makes missing links, so each is seen to be there first.

use std::{
    io,
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use lonewire_core::{launch::CONTROL_DIR, name::LinkName, secret::PublicKey};
use wireguard_control::{
    AllowedIp, Backend as Control, Device as ControlDevice, DeviceUpdate, InterfaceName, Key,
    PeerConfigBuilder,
};

use super::{Sys, os, thread};
use crate::ports::{
    Backend, Device, Namespace, Peer, PeerStatus, PortError, PortResult, WireGuard,
};

const DEADLINE: Duration = Duration::from_secs(5);
const WHAT: &str = "WireGuard";

/// Allowed IPs in a call: a message of netlink holds one peer, of 8 kB at most.
const PORTION: usize = 64;

/// Where a control socket is missing, `wireguard-control` would run a program as root: this is one that cannot be.
pub fn forbid_spawning() {
    for name in [
        "WG_USERSPACE_IMPLEMENTATION",
        "WG_QUICK_USERSPACE_IMPLEMENTATION",
    ] {
        #[expect(unsafe_code, reason = "setting a variable of the environment")]
        // SAFETY: called before this process has a second thread that could read the environment.
        unsafe {
            std::env::set_var(name, "/dev/null/none");
        }
    }
}

impl WireGuard for Sys {
    async fn works(&self, backend: Backend) -> bool {
        match backend {
            Backend::Kernel => kernel_has_wireguard(),
            Backend::Userspace => self.paths.wireguard.exists(),
        }
    }

    async fn apply(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        backend: Backend,
        device: &Device,
    ) -> PortResult<()> {
        let device = device.clone();
        self.with(namespace, link, backend, move |name, control| {
            let mut first = DeviceUpdate::new()
                .set_private_key(Key(*device.private_key.expose()))
                .replace_peers();
            if let Some(port) = device.listen_port {
                first = first.set_listen_port(port);
            }
            first.apply(name, control)?;
            device
                .peers
                .iter()
                .try_for_each(|peer| add(name, control, peer, false))
        })
        .await
    }

    async fn status(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        backend: Backend,
    ) -> PortResult<Vec<PeerStatus>> {
        self.with(namespace, link, backend, |name, control| {
            let device = ControlDevice::get(name, control)?;
            Ok(device.peers.into_iter().map(status_of).collect())
        })
        .await
    }

    async fn renew(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        backend: Backend,
        peer: &Peer,
    ) -> PortResult<()> {
        let peer = peer.clone();
        self.with(namespace, link, backend, move |name, control| {
            add(name, control, &peer, true)
        })
        .await
    }
}

impl Sys {
    /// Calls `wireguard-control` inside the namespace, on a link that is there.
    async fn with<T: Send + 'static>(
        &self,
        namespace: &Namespace,
        link: &LinkName,
        backend: Backend,
        work: impl FnOnce(&InterfaceName, Control) -> io::Result<T> + Send + 'static,
    ) -> PortResult<T> {
        let link = link.clone();
        thread::inside(namespace, WHAT, DEADLINE, move || {
            let name: InterfaceName = link
                .as_str()
                .parse()
                .map_err(|_| PortError::NotFound { what: "the link" })?;
            let control = match backend {
                Backend::Kernel => {
                    nix::net::if_::if_nametoindex(link.as_str())
                        .map_err(|_| PortError::NotFound { what: "the link" })?;
                    Control::Kernel
                }
                Backend::Userspace => {
                    let socket = Path::new(CONTROL_DIR).join(format!("{link}.sock"));
                    UnixStream::connect(socket).map_err(os("the control socket"))?;
                    Control::Userspace
                }
            };
            work(&name, control).map_err(|error| PortError::Os {
                what: WHAT,
                errno: number(&error),
            })
        })
        .await
    }
}

/// The number of an error of the library's, never its text.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(match error.kind() {
        io::ErrorKind::NotFound => libc::ENODEV,
        io::ErrorKind::InvalidInput => libc::EINVAL,
        _ => libc::EIO,
    })
}

/// Adds a peer, its allowed IPs in portions; with `anew` the one that is there goes in the same message.
fn add(name: &InterfaceName, control: Control, peer: &Peer, anew: bool) -> io::Result<()> {
    let key = Key(peer.public_key.0);
    let allowed: Vec<AllowedIp> = peer
        .allowed_ips
        .iter()
        .map(|net| AllowedIp {
            address: net.addr(),
            cidr: net.prefix_len(),
        })
        .collect();
    let mut portions = allowed.chunks(PORTION);
    let mut first = PeerConfigBuilder::new(&key)
        .set_persistent_keepalive_interval(peer.keepalive)
        .replace_allowed_ips()
        .add_allowed_ips(portions.next().unwrap_or_default());
    if let Some(preshared) = &peer.preshared_key {
        first = first.set_preshared_key(Key(*preshared.expose()));
    }
    if let Some(endpoint) = peer.endpoint {
        first = first.set_endpoint(endpoint);
    }
    let mut update = DeviceUpdate::new();
    // Userspace WireGuard forgets the session at each set, and refuses a key that stands twice in one message.
    if anew && matches!(control, Control::Kernel) {
        update = update.remove_peer_by_key(&key);
    }
    update.add_peer(first).apply(name, control)?;
    portions.try_for_each(|portion| {
        let more = PeerConfigBuilder::new(&key).add_allowed_ips(portion);
        DeviceUpdate::new().add_peer(more).apply(name, control)
    })
}

fn status_of(peer: wireguard_control::PeerInfo) -> PeerStatus {
    let handshake = peer
        .stats
        .last_handshake_time
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_millis()).ok());
    let endpoint: Option<SocketAddr> = peer.config.endpoint;
    PeerStatus {
        public_key: PublicKey(peer.config.public_key.0),
        endpoint,
        handshake: handshake.unwrap_or(0),
        rx: peer.stats.rx_bytes,
        tx: peer.stats.tx_bytes,
    }
}

/// Whether the kernel has WireGuard, or a module of it that it would load. Where the unit hides the modules (`ProtectKernelModules=`) that is
/// seen when the first link is made, which has the module loaded all the same.
fn kernel_has_wireguard() -> bool {
    if Path::new("/sys/module/wireguard").exists() {
        return true;
    }
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    ["modules.dep", "modules.builtin"].iter().any(|list| {
        let list = Path::new("/lib/modules").join(&release).join(list);
        may_list_wireguard(&std::fs::read_to_string(list))
    })
}

fn may_list_wireguard(list: &std::io::Result<String>) -> bool {
    match list {
        Ok(text) => text.lines().any(|line| {
            line.split([':', '.'])
                .next()
                .is_some_and(|path| path.ends_with("/wireguard"))
        }),
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_modules_that_is_hidden_rules_nothing_out() {
        let of = |text: &str| may_list_wireguard(&Ok(text.to_owned()));
        assert!(of(
            "kernel/drivers/net/tun.ko:\nkernel/drivers/net/wireguard/wireguard.ko.xz: a.ko\n"
        ));
        assert!(!of("kernel/drivers/net/tun.ko:\n"));
        let fails = |kind: std::io::ErrorKind| may_list_wireguard(&Err(kind.into()));
        assert!(fails(std::io::ErrorKind::PermissionDenied));
        assert!(!fails(std::io::ErrorKind::NotFound));
    }
}
