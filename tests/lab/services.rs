//! Stand-ins for services of the host that Lonewire listens to: logind, which tells that the machine sleeps, and NetworkManager, which knows of networks that
//! want a login. They say what a test tells them to.

use anyhow::Result;
use zbus::{Connection, connection, message::Message};

use crate::{World, bus};

const POLICY: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy user="root"><allow own="org.freedesktop.login1"/><allow own="org.freedesktop.NetworkManager"/></policy>
<policy context="default"><allow send_destination="org.freedesktop.NetworkManager"/></policy></busconfig>
"#;

const LOGIND: &str = "org.freedesktop.login1";
const LOGIND_PATH: &str = "/org/freedesktop/login1";
const LOGIND_MANAGER: &str = "org.freedesktop.login1.Manager";
const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";
const NETWORK_MANAGER_PATH: &str = "/org/freedesktop/NetworkManager";

struct Network(u32);

#[zbus::interface(name = "org.freedesktop.NetworkManager", introspection_docs = false)]
impl Network {
    #[zbus(property)]
    fn connectivity(&self) -> u32 {
        self.0
    }
}

/// They run as long as it lives.
#[derive(Debug)]
pub struct Services(Connection);

impl Services {
    /// NetworkManager begins with full connectivity.
    ///
    /// # Errors
    /// The bus does not let them.
    pub fn start(world: &World) -> Result<Self> {
        world.sh(&format!(
            "mkdir -p /etc/dbus-1/system.d; cat > /etc/dbus-1/system.d/services.conf <<'EOF'\n{POLICY}EOF"
        ))?;
        let watcher = bus::connect(world)?;
        let address = format!(
            "unix:path={}",
            world.path("/run/dbus/system_bus_socket").display()
        );
        let connection = zbus::block_on(async {
            let bus = Some("org.freedesktop.DBus");
            let path = "/org/freedesktop/DBus";
            watcher
                .call_method(bus, path, bus, "ReloadConfig", &())
                .await?;
            connection::Builder::address(address.as_str())
                .name(LOGIND)
                .name(NETWORK_MANAGER)
                .serve_at(NETWORK_MANAGER_PATH, Network(4))
                .build()
                .await
        })?;
        Ok(Self(connection))
    }

    /// The machine sleeps, and wakes at once.
    ///
    /// # Errors
    /// The bus is gone.
    pub fn sleep(&self) -> Result<()> {
        for begins in [true, false] {
            zbus::block_on(self.0.emit_signal(
                None::<&str>,
                LOGIND_PATH,
                LOGIND_MANAGER,
                "PrepareForSleep",
                &(begins,),
            ))?;
        }
        Ok(())
    }

    /// What NetworkManager says of the network: 2 a login is wanted, 4 all is well.
    ///
    /// # Errors
    /// The bus is gone.
    pub fn set_connectivity(&self, connectivity: u32) -> Result<()> {
        zbus::block_on(async {
            let server = self.0.object_server();
            let network = server.interface::<_, Network>(NETWORK_MANAGER_PATH).await?;
            let mut held = network.get_mut().await;
            held.0 = connectivity;
            held.connectivity_changed(network.signal_emitter()).await
        })?;
        Ok(())
    }
}

/// The signal of a machine that wakes, sent by somebody who is not logind to everybody on the bus.
///
/// # Errors
/// The bus is gone.
pub fn forge_a_wake(connection: &Connection) -> Result<()> {
    zbus::block_on(async {
        let names = zbus::fdo::DBusProxy::new(connection)
            .await?
            .list_names()
            .await?;
        for name in names.iter().filter(|name| name.starts_with(':')) {
            let signal = Message::signal(LOGIND_PATH, LOGIND_MANAGER, "PrepareForSleep")
                .destination(name.as_str())
                .build(&(false,))?;
            connection.send(&signal).await?;
        }
        anyhow::Ok(())
    })
}
