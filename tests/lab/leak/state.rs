//! The states and faults in which all stimuli are fired (SECURITY 2.2), each in two forms: one in the first world of the state, one in the second.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::{Backend, scene::Scene};
use crate::{ALICE, BOB, Program, net};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    F00,
    F01,
    F02,
    F03,
    F04,
    F05,
    F06,
    F07,
    F08,
    F09,
    F10,
    F11,
    F12,
    F13,
    F14,
    F15,
    F16,
    F17,
    F18,
    F19,
}

/// What becomes of the traffic that began before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on all the time, by the tunnel.
    GoesOn,
    /// It may stand still, and comes back once the fault is over.
    ComesBack,
    /// It ends, or never began.
    Ends,
}

/// Longer than a session of WireGuard's lives.
const LONG: Duration = Duration::from_secs(200);
const SHORT: Duration = Duration::from_secs(10);
/// How long a data plane hangs.
const HANGS: Duration = Duration::from_secs(60);

impl State {
    pub const ALL: [Self; 20] = [
        Self::F00,
        Self::F01,
        Self::F02,
        Self::F03,
        Self::F04,
        Self::F05,
        Self::F06,
        Self::F07,
        Self::F08,
        Self::F09,
        Self::F10,
        Self::F11,
        Self::F12,
        Self::F13,
        Self::F14,
        Self::F15,
        Self::F16,
        Self::F17,
        Self::F18,
        Self::F19,
    ];

    /// Those of every test run.
    pub const ALWAYS: [Self; 6] = [
        Self::F00,
        Self::F01,
        Self::F04,
        Self::F06,
        Self::F09,
        Self::F10,
    ];

    /// In a few words: both forms.
    pub fn words(self) -> &'static str {
        match self {
            Self::F00 => "up, steady",
            Self::F01 => "no handshake yet",
            Self::F02 => "the server goes silent; it refuses",
            Self::F03 => "the link is down; it is deleted",
            Self::F04 => "the helper is killed",
            Self::F05 => "the helper stops and starts, with SIGTERM; with SIGKILL",
            Self::F06 => "the data plane is killed again and again; it is stopped for a minute",
            Self::F07 => "the default route comes and goes; routes of an attacker's DHCP",
            Self::F08 => "another uplink takes over; all are gone for a while",
            Self::F09 => "the host's DNS changes; its name services start after the app",
            Self::F10 => "the tunnel is off, its apps run on; the helper dies then too",
            Self::F11 => "a stranger holds the namespace; launches race with the end",
            Self::F12 => {
                "everything stood still, for 10 s, and the machine's clock jumped by an hour where it may; for 200 s"
            }
            Self::F13 => {
                "the configuration is edited and another one taken over; the running peer is changed"
            }
            Self::F14 => "the host forwards, without a firewall; it drops everything",
            Self::F15 => {
                "the helper has no descriptors left; keeper and helper are killed for memory"
            }
            Self::F16 => "host links with the tunnel's name and network; docker0, virbr0",
            Self::F17 => "another user's tunnel: same addresses, same server; up and down",
            Self::F18 => "the administrator removes the peer and the firewall; the namespace",
            Self::F19 => "the network comes after the helper; all of Lonewire ends before it",
        }
    }

    /// Whether a program can be launched in it.
    pub fn launches(self) -> bool {
        !matches!(
            self,
            Self::F04 | Self::F10 | Self::F11 | Self::F15 | Self::F18 | Self::F19
        )
    }

    /// Whether it can be brought about with a backend.
    pub fn is_of(self, backend: Backend) -> bool {
        self != Self::F06 || backend == Backend::Userspace
    }

    pub fn wants_another_uplink(self) -> bool {
        self == Self::F08
    }

    /// Of the form in a world.
    pub fn flow(self, variant: usize, backend: Backend) -> Flow {
        match (self, variant) {
            // The kernel neither stands still nor ends with Lonewire's processes.
            (Self::F12, _) | (Self::F19, 1) if backend == Backend::Kernel => Flow::GoesOn,
            // Keys and peers are the link's own there: whoever deletes it has ended the tunnel, and the helper says so.
            (Self::F03, 1) if backend == Backend::Kernel => Flow::Ends,
            (
                Self::F00 | Self::F04 | Self::F05 | Self::F09 | Self::F15 | Self::F16 | Self::F17,
                _,
            ) => Flow::GoesOn,
            (Self::F14, 0) => Flow::GoesOn,
            (Self::F02 | Self::F06 | Self::F07 | Self::F08 | Self::F12 | Self::F14, _)
            | (Self::F19, 0) => Flow::ComesBack,
            // A link that is deleted is made anew by the helper.
            (Self::F01, _) | (Self::F03, 1) | (Self::F13, 0) => Flow::ComesBack,
            _ => Flow::Ends,
        }
    }

    /// Whether nothing at all can come out of the tunnel while the fault lasts: where something does, it was no fault. A link of userspace
    /// WireGuard that is deleted is not among them: the helper makes it anew.
    pub(super) fn is_silent(self, variant: usize, backend: Backend) -> bool {
        match (self, variant) {
            (Self::F01 | Self::F02 | Self::F10, _)
            | (Self::F03 | Self::F11 | Self::F18, 0)
            | (Self::F06 | Self::F14, 1) => true,
            (Self::F03, 1) => backend == Backend::Kernel,
            // The kernel's goes on without Lonewire, and follows the server: a packet that is under way gives a peer the endpoint back that it had.
            (Self::F13 | Self::F19, 1) => backend == Backend::Userspace,
            _ => false,
        }
    }

    /// Before the tunnel is brought up.
    pub(super) fn prepare(self, scene: &mut Scene) -> Result<()> {
        match (self, scene.variant) {
            (Self::F01, _) => scene.world.set_silent(0, true),
            (Self::F09, 1) => scene.stop_fakes(),
            (Self::F19, 0) => {
                scene.uplink(0, false)?;
                scene.world.restart(Program::Helper)
            }
            _ => Ok(()),
        }
    }

    /// Whether the tunnel is protected before the fault.
    pub(super) fn begins_protected(self, variant: usize) -> bool {
        !matches!((self, variant), (Self::F01, _) | (Self::F19, 0))
    }

    /// Brings the fault about.
    pub(super) fn fault(self, scene: &mut Scene) -> Result<()> {
        let link = scene.link.clone();
        let namespace = scene.namespace.clone();
        match (self, scene.variant) {
            (Self::F02, 0) => scene.world.set_silent(0, true),
            (Self::F02, _) => scene.refuse(true),
            (Self::F03, 0) => scene.sh(&format!("ip -n {namespace} link set {link} down")),
            // The helper would make it anew before anything is fired.
            (Self::F03, _) => {
                scene.hang_helper()?;
                scene.sh(&format!("ip -n {namespace} link del {link}"))
            }
            (Self::F04, _) => scene.world.stop(Program::Helper),
            (Self::F06, 1) => {
                scene.hung.push(scene.world.hang(Program::DataPlane)?);
                Ok(())
            }
            (Self::F08, 0) => scene.uplink(0, false),
            (Self::F08, _) => {
                scene.uplink(0, false)?;
                scene.uplink(1, false)
            }
            (Self::F09, 1) => scene.world.fakes(),
            (Self::F10, variant) => {
                scene.world.cli(&ALICE, &["down", "--force", "demo"])?.ok()?;
                if variant == 1 {
                    scene.world.stop(Program::Helper)?;
                }
                Ok(())
            }
            (Self::F11, 0) => {
                scene.hold()?;
                scene.world.cli(&ALICE, &["down", "--force", "demo"])?.ok()?;
                Ok(())
            }
            // Back first: what is sealed with a later time would be refused for an hour, by servers of other worlds too.
            (Self::F12, 0) => {
                scene.jump("-1 hour")?;
                scene.freeze(SHORT)
            }
            (Self::F12, _) => scene.freeze(LONG),
            (Self::F13, 0) => scene.edit(),
            (Self::F13, _) => scene.sh(&format!(
                "ip netns exec {namespace} sh -ec 'wg set {link} peer $(wg show {link} peers) allowed-ips 10.66.0.1/32 endpoint {}'",
                scene.world.spec.endpoint(1)
            )),
            (Self::F14, 0) => scene.sh(FORWARDS),
            (Self::F14, _) => scene.sh(DROPS),
            (Self::F15, 0) => scene.limit_helper(16),
            (Self::F15, _) => {
                scene.world.stop(Program::Helper)?;
                scene.kill_keepers()
            }
            // Another address of the tunnel's network: for the tunnel's own one the host would answer itself, and rightly.
            (Self::F16, 0) => scene.sh(&format!(
                "ip link add {link} type bridge; ip addr add 10.66.0.77/24 dev {link}; ip link set {link} up"
            )),
            (Self::F16, _) => scene.sh(
                "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
                 ip link add virbr0 type bridge; ip addr add 10.66.0.1/16 dev virbr0; ip link set virbr0 up",
            ),
            (Self::F17, _) => {
                scene.bobs()?;
                scene.world.cli(&BOB, &["up", "bobs", "--wait", "0"])?.ok()?;
                Ok(())
            }
            (Self::F18, 0) => scene.sh(&format!(
                "nft flush ruleset; ip netns exec {namespace} sh -ec 'wg set {link} peer $(wg show {link} peers) remove'"
            )),
            (Self::F18, _) => {
                scene.hang_helper()?;
                scene.sh(&format!(
                    "ip -n {namespace} link del {link} || true; ip netns del {namespace}"
                ))
            }
            (Self::F19, 1) => {
                for program in [Program::Helper, Program::DataPlane, Program::Warden] {
                    scene.world.stop(program)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
        .with_context(|| format!("{self:?}, form {}", scene.variant))
    }

    /// What goes on while the shots are in the air.
    pub(super) fn during(self, scene: &mut Scene) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(300);
        match (self, scene.variant) {
            (Self::F05, variant) => {
                for _ in 0..2 {
                    if variant == 0 {
                        scene.end_helper(Signal::SIGTERM)?;
                    }
                    scene.world.restart(Program::Helper)?;
                }
                Ok(())
            }
            (Self::F06, 0) => {
                for _ in 0..6 {
                    // It may be on its way up.
                    let _ = scene.world.kill(Program::DataPlane);
                    thread::sleep(PAUSE);
                }
                Ok(())
            }
            (Self::F06, _) => {
                thread::sleep(HANGS);
                Ok(())
            }
            (Self::F07, 0) => scene.sh(&routes(scene, FLAP)),
            (Self::F07, _) => scene.sh(&routes(scene, ATTACK)),
            (Self::F08, 1) => {
                thread::sleep(PAUSE * 3);
                scene.uplink(1, true)
            }
            (Self::F09, _) => scene.change_dns(),
            (Self::F11, 1) => scene.race(),
            (Self::F13, 0) => scene.switch(),
            (Self::F17, 1) => {
                for _ in 0..3 {
                    scene.world.cli(&BOB, &["down", "bobs"])?.ok()?;
                    scene
                        .world
                        .cli(&BOB, &["up", "bobs", "--wait", "0"])?
                        .ok()?;
                }
                Ok(())
            }
            (Self::F03 | Self::F18, 1) => {
                thread::sleep(PAUSE * 3);
                scene.hung.clear();
                Ok(())
            }
            (Self::F19, 0) => {
                thread::sleep(PAUSE);
                scene.uplink(0, true)
            }
            _ => Ok(()),
        }
        .with_context(|| format!("{self:?} meanwhile, form {}", scene.variant))
    }

    /// Ends the fault, where it can be.
    pub(super) fn clear(self, scene: &mut Scene) -> Result<()> {
        scene.hung.clear();
        match (self, scene.variant) {
            (Self::F01, _) | (Self::F02, 0) => scene.world.set_silent(0, false),
            (Self::F02, _) => scene.refuse(false),
            (Self::F04, _) | (Self::F15, 1) => scene.world.restart(Program::Helper),
            (Self::F07, _) => scene.sh(&routes(scene, CLEAN)),
            (Self::F08, _) => {
                scene.uplink(0, true)?;
                scene.uplink(1, true)
            }
            (Self::F12, 0) => scene.jump("+1 hour"),
            (Self::F14, _) => scene.sh("nft flush ruleset"),
            (Self::F15, _) => scene.limit_helper(4096),
            _ => Ok(()),
        }
    }
}

const FORWARDS: &str = "nft flush ruleset
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
    for f in /proc/sys/net/ipv4/conf/*/send_redirects /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done";

const DROPS: &str = "nft 'add table inet closed; add chain inet closed in { type filter hook input priority 0; policy drop; }
    add chain inet closed out { type filter hook output priority 0; policy drop; }; add chain inet closed on { type filter hook forward priority 0; policy drop; }'";

/// Of a script with FAMILY, GATEWAY, INTERFACE, HALVES, WEB and NETWORK in it, once for each family of the uplink.
fn routes(scene: &Scene, script: &str) -> String {
    let uplink = scene.world.spec.uplinks[0];
    let interface = net::host_interface(uplink.kind, 0);
    let mut text = String::new();
    for (is_there, family, gateway, halves, web, network) in [
        (
            uplink.family.v4(),
            "-4",
            crate::addr::router_v4(0).to_string(),
            "0.0.0.0/1 128.0.0.0/1",
            crate::addr::WEB_V4.to_string(),
            "198.51.100.0/24",
        ),
        (
            uplink.family.v6(),
            "-6",
            crate::addr::router_v6(0).to_string(),
            "::/1 8000::/1",
            crate::addr::WEB_V6.to_string(),
            "2001:db8:80::/64",
        ),
    ] {
        if is_there {
            text += &script
                .replace("FAMILY", family)
                .replace("GATEWAY", &gateway)
                .replace("INTERFACE", &interface)
                .replace("HALVES", halves)
                .replace("WEB", &web)
                .replace("NETWORK", network);
            text.push('\n');
        }
    }
    text
}

const FLAP: &str = "for i in $(seq 100); do ip FAMILY route del default; ip FAMILY route add default via GATEWAY dev INTERFACE metric 100; done";
const ATTACK: &str = "for half in HALVES; do ip FAMILY route add $half via GATEWAY dev INTERFACE; done
    ip FAMILY route add WEB via GATEWAY dev INTERFACE; ip FAMILY route add NETWORK dev INTERFACE; ip FAMILY route add default via GATEWAY dev INTERFACE metric 1";
const CLEAN: &str = "for to in HALVES WEB NETWORK; do ip FAMILY route del $to dev INTERFACE 2> /dev/null || true; done; ip FAMILY route del default metric 1 2> /dev/null || true
    ip FAMILY route replace default via GATEWAY dev INTERFACE metric 100";
