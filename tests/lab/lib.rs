//! The worlds that Lonewire's privileged tests run in. Needs root, and a machine that has what `cargo xtask setup` installs.
//!
//! A [`World`] is a process tree in namespaces of its own (mount, PID, network, UTS, IPC) with private `/run`, `/etc`, `/usr`, `/var`,
//! `/home` and `/tmp`: nothing of the machine changes, and everything in it dies with the [`World`] value or with the test process. Its networks:
//!
//! ```text
//! host ──uplink 0 (veth, bridge or macvlan; IPv4, IPv6 or both)── router (NAT) ── vpn0, vpn1, …  (WireGuard, DNS, web: inside the tunnel)
//!      └─uplink 1 …                                                     └── internet       (web, and the DNS that the host asks)
//! ```
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lab::{Spec, World, ALICE};
//! let mut world = World::new(Spec::product())?;            // with bus, polkitd, warden, data plane, helper
//! world.import(&ALICE, "demo", 0)?;                    // a tunnel to vpn0, imported by `lonewire import`
//! let out = world.cli(&ALICE, &["run", "-t", "demo", "--", "curl", "-s", "http://whoami.demo/"])?;
//! assert_eq!(out.stdout.trim(), lab::net::VPN_EXIT_V4);
//! let report = world.uplinks_report(&[])?;             // every frame on both ends of every uplink, judged
//! report.assert_clean()?;
//! # Ok(()) }
//! ```
//!
//! What a test does: [`World::run_as`], [`World::spawn_as`], [`World::cli`], [`World::run_in`] (root, in any network), [`World::kill`] and
//! [`World::restart`] of the product's programs, [`World::set_silent`] for a VPN server that no longer answers, [`World::control`] (a datagram
//! in the clear that the capture must see, else a clean report proves nothing), [`World::uplinks_report`], [`World::requests`] and [`World::queries`] (what web
//! and DNS servers were asked). [`Baseline`] says what a machine looks like, so that a test can show that it did not change.
//!
//! Must never: touch an interface, route, firewall or file of the machine.

pub mod addr;
pub mod baseline;
pub mod bus;
pub mod caller;
pub mod capture;
pub mod desktop;
pub mod dice;
pub mod evidence;
pub mod fakes;
pub mod forge;
pub mod forward;
pub mod frame;
pub mod graft;
pub mod identity;
pub mod init;
pub mod install;
pub mod keys;
pub mod leak;
pub mod leftovers;
pub mod marker;
pub mod meddle;
pub mod net;
pub mod oracle;
pub mod package;
mod packet;
pub mod polkit;
pub mod probe;
pub mod product;
pub mod programs;
pub mod rights;
pub mod role;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod services;
pub mod syscalls;
pub mod system;
pub mod traffic;
pub mod tty;
pub mod unit;
pub mod uplinks;
pub mod users;
pub mod warden;
pub mod words;
pub mod world;

pub use baseline::Baseline;
pub use marker::Marker;
pub use net::{Family, Kind, Spec, Uplink};
pub use oracle::Report;
pub use programs::Program;
pub use users::{ALICE, BOB, NOBODY, Person};
pub use world::{Output, Running, World};
