//! The world's own system bus, with the stock policy and our shipped one, and the real polkitd on it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use zbus::{Connection, MessageStream, connection, fdo::DBusProxy, message::Type, names::BusName};

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

/// Stands for services of a host: has their names, notes each call and answers it with nothing, as long as it lives.
#[derive(Debug)]
pub struct StandIn {
    connection: Connection,
    calls: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Takes names of a world's bus, which lets everybody call them from now on. One connection has them all.
    ///
    /// # Errors
    /// Somebody has one, or the bus does not let it.
    pub fn take(world: &World, names: &[&str]) -> Result<Self> {
        let rules: String = names
            .iter()
            .map(|name| {
                format!(
                    "<policy user=\"root\"><allow own=\"{name}\"/></policy>\
                     <policy context=\"default\"><allow send_destination=\"{name}\"/></policy>"
                )
            })
            .collect();
        let file = format!(
            "/etc/dbus-1/system.d/{}.conf",
            names.first().context("no name")?
        );
        let folder = world.path("/etc/dbus-1/system.d");
        std::fs::create_dir_all(folder)?;
        std::fs::write(
            world.path(&file),
            format!("<busconfig>{rules}</busconfig>\n"),
        )?;
        let connection = connect(world)?;
        let calls = Arc::new(Mutex::new(Vec::new()));
        let stream = MessageStream::from(&connection);
        zbus::block_on(async {
            let bus = Some("org.freedesktop.DBus");
            let path = "/org/freedesktop/DBus";
            connection
                .call_method(bus, path, bus, "ReloadConfig", &())
                .await?;
            for name in names {
                connection.request_name(*name).await?;
            }
            zbus::Result::Ok(())
        })?;
        let (ours, noted) = (connection.clone(), calls.clone());
        thread::spawn(move || zbus::block_on(answer(&ours, stream, &noted)));
        Ok(Self { connection, calls })
    }

    /// Its unique name.
    ///
    /// # Errors
    /// It has none.
    pub fn unique(&self) -> Result<String> {
        Ok(self
            .connection
            .unique_name()
            .context("not on the bus")?
            .to_string())
    }

    /// The calls since this was called last: destination, interface and member.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a signal without a destination.
    ///
    /// # Errors
    /// The bus has gone.
    pub fn shout(&self, interface: &str, member: &str) -> Result<()> {
        let none = None::<&str>;
        Ok(zbus::block_on(self.connection.emit_signal(
            none,
            "/",
            interface,
            member,
            &(),
        ))?)
    }
}

async fn answer(bus: &Connection, mut stream: MessageStream, calls: &Mutex<Vec<String>>) {
    while let Some(Ok(message)) = stream.next().await {
        if message.message_type() != Type::MethodCall {
            continue;
        }
        let header = message.header();
        let (Some(to), Some(member)) = (header.destination(), header.member()) else {
            continue;
        };
        let interface = header.interface().map(ToString::to_string);
        let call = format!("{to} {}.{member}", interface.unwrap_or_default());
        calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
        if bus.reply(&header, &()).await.is_err() {
            return;
        }
    }
}
