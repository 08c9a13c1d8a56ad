//! The world's own system bus, with the stock policy and our shipped one, and the real polkitd on it.

use anyhow::{Context as _, Result};
use zbus::{Connection, connection, fdo::DBusProxy, names::BusName};

use crate::{Program, World};

/// Starts both.
pub(crate) fn start(world: &mut World) -> Result<()> {
    world.restart(Program::Bus)?;
    world.restart(Program::Polkit)
}

/// A connection as root, from outside the world's namespaces.
///
/// # Errors
/// The bus does not run.
pub fn connect(world: &World) -> Result<Connection> {
    let address = format!(
        "unix:path={}",
        world.path("/run/dbus/system_bus_socket").display()
    );
    zbus::block_on(async { connection::Builder::address(address.as_str()).build().await })
        .context("the world's bus")
}

/// # Errors
/// The bus does not answer.
pub fn has_owner(bus: &Connection, name: &str) -> Result<bool> {
    let name = BusName::try_from(name.to_owned())?;
    Ok(zbus::block_on(async {
        DBusProxy::new(bus)
            .await?
            .name_has_owner(name)
            .await
            .map_err(zbus::Error::from)
    })?)
}
