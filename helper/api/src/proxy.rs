// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three interfaces as zbus proxies, member for member as in `data/dbus/*.xml`. [`crate::Client`] gives them types.
//! Properties are not cached: what is constant is read once by whoever wants it.

use zbus::{Fd, Result};

use crate::value::{Dictionary, Options};

/// What the service is, and who gets its signals.
#[zbus::proxy(
    interface = "org.lonewire.Helper1.Service",
    default_service = "org.lonewire.Helper1",
    default_path = "/org/lonewire/Helper1"
)]
pub trait Service {
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> Result<String>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> Result<Vec<String>>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn limits(&self) -> Result<Dictionary>;
    fn subscribe(&self) -> Result<()>;
    fn unsubscribe(&self) -> Result<()>;
}

/// Saved configurations and their state.
#[zbus::proxy(
    interface = "org.lonewire.Helper1.Tunnels",
    default_service = "org.lonewire.Helper1",
    default_path = "/org/lonewire/Helper1"
)]
pub trait Tunnels {
    fn import(
        &self,
        configurations: &[(&str, Fd<'_>)],
        options: &Options<'_>,
    ) -> Result<Vec<Dictionary>>;
    fn create(&self, name: &str, options: &Options<'_>) -> Result<(String, String)>;
    fn list(&self) -> Result<Vec<(String, Dictionary)>>;
    fn show(&self, tunnel: &str) -> Result<Dictionary>;
    fn rename(&self, tunnel: &str, name: &str) -> Result<()>;
    fn replace(
        &self,
        tunnel: &str,
        configuration: Fd<'_>,
        options: &Options<'_>,
    ) -> Result<Dictionary>;
    fn duplicate(&self, tunnel: &str, name: &str) -> Result<String>;
    fn remove(&self, tunnel: &str) -> Result<()>;
    fn set_options(&self, tunnel: &str, options: &Options<'_>) -> Result<()>;
    fn connect(&self, tunnel: &str, options: &Options<'_>) -> Result<(u32, Dictionary)>;
    fn switch(&self, tunnel: &str, other: &str, options: &Options<'_>)
    -> Result<(u32, Dictionary)>;
    fn disconnect(&self, tunnel: &str, options: &Options<'_>) -> Result<()>;
    fn check(&self, tunnel: &str, options: &Options<'_>) -> Result<Vec<Dictionary>>;
    fn log(&self, tunnel: &str, since: u64) -> Result<Vec<(u64, u32, String)>>;
    #[zbus(signal)]
    fn tunnel_added(&self, tunnel: String, info: Dictionary) -> Result<()>;
    #[zbus(signal)]
    fn tunnel_changed(&self, tunnel: String, changes: Dictionary) -> Result<()>;
    #[zbus(signal)]
    fn tunnel_removed(&self, tunnel: String) -> Result<()>;
}

/// Programs in tunnels.
#[zbus::proxy(
    interface = "org.lonewire.Helper1.Apps",
    default_service = "org.lonewire.Helper1",
    default_path = "/org/lonewire/Helper1"
)]
pub trait Apps {
    fn launch(
        &self,
        tunnel: &str,
        argv: &[Vec<u8>],
        environment: &[Vec<u8>],
        cwd: &[u8],
        stdio: &[Fd<'_>],
        options: &Options<'_>,
    ) -> Result<(String, Dictionary)>;
    fn list(&self) -> Result<Vec<(String, Dictionary)>>;
    fn get(&self, app: &str) -> Result<Dictionary>;
    fn signal(&self, app: &str, signal: u32) -> Result<()>;
    fn stop(&self, app: &str, options: &Options<'_>) -> Result<()>;
    #[zbus(signal)]
    fn app_added(&self, app: String, info: Dictionary) -> Result<()>;
    #[zbus(signal)]
    fn app_changed(&self, app: String, changes: Dictionary) -> Result<()>;
    #[zbus(signal)]
    fn app_removed(&self, app: String) -> Result<()>;
}
