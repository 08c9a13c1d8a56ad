// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every name of the API and of what is installed, in one place. The files in `data/` and `polkit/` are tested against it.

pub const BUS_NAME: &str = "org.lonewire.Helper1";
pub const OBJECT_PATH: &str = "/org/lonewire/Helper1";
pub const SERVICE_INTERFACE: &str = "org.lonewire.Helper1.Service";
pub const TUNNELS_INTERFACE: &str = "org.lonewire.Helper1.Tunnels";
pub const APPS_INTERFACE: &str = "org.lonewire.Helper1.Apps";

/// Errors are `<this>.<Name>`.
pub const ERROR_PREFIX: &str = "org.lonewire.Helper1.Error";

/// Actions are `<this>.<name>`.
pub const ACTION_PREFIX: &str = "org.lonewire.helper1";

/// Set inside to the id of the tunnel.
pub const TUNNEL_VARIABLE: &str = "LONEWIRE_TUNNEL";

pub const RUNTIME_DIR: &str = "/run/lonewire";
pub const STATE_DIR: &str = "/var/lib/lonewire";
pub const ADMIN_CONFIG: &str = "/etc/lonewire/config.toml";
pub const SHARED_TUNNELS_DIR: &str = "/etc/lonewire/tunnels.d";
pub const WARDEN_SOCKET: &str = "/run/lonewire/warden.sock";
pub const WIREGUARD_SOCKET: &str = "/run/lonewire/wireguard.sock";
/// Runs the data plane.
pub const WIREGUARD_USER: &str = "lonewire-wg";
/// The command line, which is also what looks around in a tunnel for `Check`.
pub const PROGRAM: &str = "/usr/bin/lonewire";
pub const LIBEXEC_DIR: &str = "/usr/libexec/lonewire";
