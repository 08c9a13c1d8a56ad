//! What the host's own services tell of it: logind, that the machine has slept and who is logged in (`logins`), and NetworkManager, that a network wants a
//! login first. Either may not be there. Who sends a signal is asked of the bus: anybody may send one that looks like theirs. Nothing is ever started or changed by this.

use std::{collections::HashMap, time::Duration};

use futures_util::StreamExt as _;
use zbus::{
    Connection, MatchRule, Message, MessageStream, OwnedVariant, Proxy,
    message::Type,
    proxy::{self, CacheProperties, MethodFlags},
};

use super::logins;
use crate::engine::Handle;

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(super) const LOGIND: &str = "org.freedesktop.login1";
pub(super) const LOGIND_MANAGER: &str = "org.freedesktop.login1.Manager";
const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";
const NETWORK_MANAGER_PATH: &str = "/org/freedesktop/NetworkManager";

/// `NM_CONNECTIVITY_PORTAL` of its D-Bus API.
const PORTAL: u32 = 2;

const DEADLINE: Duration = Duration::from_secs(5);

/// Tells the engine until the bus is gone. On a connection of its own: nobody's flood of signals keeps another's answers. `questions` is another one.
pub async fn watch(bus: Connection, questions: Connection, engine: Handle) {
    let (slept, portals, logins) = tokio::join!(
        sleep(&bus, &engine),
        portals(&bus, &engine),
        logins::watch(&bus, &questions, &engine)
    );
    // Whose bus has gone ends, and says that.
    if tokio::time::timeout(DEADLINE, bus.closed()).await.is_ok() {
        return;
    }
    for error in [slept.err(), portals.err(), logins.err()]
        .into_iter()
        .flatten()
    {
        tracing::warn!(%error, "the host's services are not watched");
    }
}

async fn sleep(bus: &Connection, engine: &Handle) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(LOGIND)
        .interface(LOGIND_MANAGER)
        .member("PrepareForSleep")
        .build()?;
    let mut signals = MessageStream::for_match_rule(rule, bus, None).await?;
    while let Some(signal) = signals.next().await {
        let signal = signal?;
        // True comes before it sleeps, false after.
        let wakes = matches!(signal.body().deserialize::<bool>(), Ok(false));
        if wakes && is_from(bus, &signal, LOGIND).await {
            tracing::info!("the machine has slept");
            engine.resumed().await;
        }
    }
    Ok(())
}

async fn portals(bus: &Connection, engine: &Handle) -> zbus::Result<()> {
    let (mut changes, mut owners) =
        changes(bus, NETWORK_MANAGER, NETWORK_MANAGER_PATH, PROPERTIES).await?;
    let mut told = None;
    loop {
        // Read and not taken from the signal: then it does not matter whose that was.
        let now = connectivity(bus).await == Some(PORTAL);
        if told != Some(now) && (now || told.is_some()) {
            engine.portal(now).await;
        }
        told = Some(now);
        loop {
            let signal = tokio::select! {
                signal = changes.next() => signal,
                signal = owners.next() => signal,
            };
            let Some(signal) = signal else { return Ok(()) };
            if concerns_connectivity(&signal?) {
                break;
            }
        }
    }
}

/// A change of an owner, or of that property: NetworkManager tells of others all the time.
fn concerns_connectivity(signal: &Message) -> bool {
    let body = signal.body();
    type Changed = (String, HashMap<String, OwnedVariant>, Vec<String>);
    match body.deserialize::<Changed>() {
        Ok((_, changed, invalidated)) => {
            changed.contains_key("Connectivity")
                || invalidated.iter().any(|name| name == "Connectivity")
        }
        Err(_) => true,
    }
}

async fn connectivity(bus: &Connection) -> Option<u32> {
    let (service, path) = (NETWORK_MANAGER, NETWORK_MANAGER_PATH);
    let asked = property(bus, service, path, service, "Connectivity");
    asked.await.ok()
}

/// Signals of one interface of a service's, and those of who has its name.
pub(super) async fn changes(
    bus: &Connection,
    service: &str,
    path: &str,
    interface: &str,
) -> zbus::Result<(MessageStream, MessageStream)> {
    let changes = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(service)
        .path(path)
        .interface(interface)
        .build()?;
    let owners = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(BUS)
        .interface(BUS)
        .member("NameOwnerChanged")
        .arg(0, service)
        .build()?;
    Ok((
        MessageStream::for_match_rule(changes, bus, None).await?,
        MessageStream::for_match_rule(owners, bus, None).await?,
    ))
}

/// Why there is no answer.
pub(super) enum Silent {
    /// What was asked about has gone, or there is no such service.
    Gone,
    Late,
}

pub(super) async fn property<T: TryFrom<OwnedVariant>>(
    bus: &Connection,
    service: &str,
    path: &str,
    interface: &str,
    name: &str,
) -> Result<T, Silent> {
    let question = (interface, name);
    let value: OwnedVariant = ask(bus, service, path, PROPERTIES, "Get", &question).await?;
    T::try_from(value).map_err(|_| Silent::Gone)
}

/// Asks a service, with a deadline. Where it does not run there is nobody to ask: it is not started.
pub(super) async fn ask<T>(
    bus: &Connection,
    service: &str,
    path: &str,
    interface: &str,
    member: &str,
    body: &(impl serde::Serialize + zbus::Type),
) -> Result<T, Silent>
where
    T: serde::de::DeserializeOwned + zbus::Type,
{
    let asked = async {
        let service: Proxy<'_> = proxy::Builder::new(bus)
            .destination(service)
            .path(path)
            .interface(interface)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        service
            .call_with_flags(member, MethodFlags::NO_AUTO_START, body)
            .await
    };
    match tokio::time::timeout(DEADLINE, asked).await {
        Ok(Ok(Some(answer))) => Ok(answer),
        Ok(Ok(None) | Err(_)) => Err(Silent::Gone),
        Err(_) => Err(Silent::Late),
    }
}

/// Whether a signal was sent by the one who has a name.
async fn is_from(bus: &Connection, signal: &Message, name: &str) -> bool {
    let question = (name,);
    let ask = bus.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &question);
    let Ok(Ok(reply)) = tokio::time::timeout(DEADLINE, ask).await else {
        return false;
    };
    let body = reply.body();
    let owner = body.deserialize::<&str>();
    let header = signal.header();
    matches!((owner, header.sender()), (Ok(owner), Some(sender)) if sender.as_str() == owner)
}
