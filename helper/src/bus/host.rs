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
const LOGIND: &str = "org.freedesktop.login1";
const LOGIND_MANAGER: &str = "org.freedesktop.login1.Manager";
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
    let changes = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(NETWORK_MANAGER)
        .path(NETWORK_MANAGER_PATH)
        .interface(PROPERTIES)
        .member("PropertiesChanged")
        .build()?;
    let owners = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(BUS)
        .interface(BUS)
        .member("NameOwnerChanged")
        .arg(0, NETWORK_MANAGER)
        .build()?;
    let mut changes = MessageStream::for_match_rule(changes, bus, None).await?;
    let mut owners = MessageStream::for_match_rule(owners, bus, None).await?;
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
    let service: Proxy<'_> = proxy::Builder::new(bus)
        .destination(NETWORK_MANAGER)
        .path(NETWORK_MANAGER_PATH)
        .interface(PROPERTIES)
        .cache_properties(CacheProperties::No)
        .build()
        .await
        .ok()?;
    // Where it does not run there is nothing to ask.
    let flags = MethodFlags::NO_AUTO_START;
    let question = (NETWORK_MANAGER, "Connectivity");
    let asked = service.call_with_flags("Get", flags, &question);
    let reply = tokio::time::timeout(DEADLINE, asked).await.ok()?;
    let value: OwnedVariant = reply.ok()??;
    u32::try_from(&value).ok()
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
