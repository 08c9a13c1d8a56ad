//! Who is on the bus, as the bus says it: credentials of a sender, and the moment it leaves. Nothing a message claims about
//! its sender is looked at, but for the unique name that the bus itself writes into it.

use std::{collections::HashMap, time::Duration};

use futures_util::StreamExt as _;
use zbus::{Connection, MatchRule, MessageStream, OwnedVariant, message::Type};

use crate::auth::Caller;

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// The bus answers at once, or not at all: dbus-daemon drops its own answers while more than 64 descriptors wait for a connection
/// (`max_outgoing_unix_fds`), and anybody may send some along with a signal. So it is asked again.
const DEADLINE: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 10;

/// uid and pid of a connection; `None` for any error, and where one of the two is missing.
pub async fn credentials(bus: &Connection, sender: &str) -> Option<Caller> {
    let (member, body) = ("GetConnectionCredentials", (sender,));
    let mut reply = None;
    for _ in 0..ATTEMPTS {
        let call = bus.call_method(Some(BUS), BUS_PATH, Some(BUS), member, &body);
        if let Ok(answer) = tokio::time::timeout(DEADLINE, call).await {
            reply = Some(answer.ok()?);
            break;
        }
    }
    let reply = reply?;
    let body = reply.body();
    let credentials: HashMap<String, OwnedVariant> = body.deserialize().ok()?;
    let uid = u32::try_from(credentials.get("UnixUserID")?).ok()?;
    let pid = u32::try_from(credentials.get("ProcessID")?).ok()?;
    Some(Caller {
        uid,
        pid: i32::try_from(pid).ok()?,
        sender: sender.to_owned(),
    })
}

/// The well-known names that the bus has, and those that it can start; none where it does not say.
pub async fn names(bus: &Connection) -> Vec<String> {
    let ask = async |member: &str| {
        let call = bus.call_method(Some(BUS), BUS_PATH, Some(BUS), member, &());
        let reply = tokio::time::timeout(DEADLINE, call).await.ok()?.ok()?;
        reply.body().deserialize::<Vec<String>>().ok()
    };
    let (there, startable) = tokio::join!(ask("ListNames"), ask("ListActivatableNames"));
    let all = there.into_iter().chain(startable).flatten();
    all.filter(|name| !name.starts_with(':')).collect()
}

/// Answers when a connection has left the bus, also where it had left before; `None` when that cannot be watched.
pub async fn left(bus: &Connection, sender: &str) -> Option<()> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(BUS)
        .interface(BUS)
        .member("NameOwnerChanged")
        .arg(0, sender)
        .build()
        .ok()?;
    let mut changes = MessageStream::for_match_rule(rule, bus, None).await.ok()?;
    // Asked after watching has begun, so that leaving in between is not missed.
    let reply = bus
        .call_method(Some(BUS), BUS_PATH, Some(BUS), "NameHasOwner", &(sender,))
        .await
        .ok()?;
    if !reply.body().deserialize::<bool>().ok()? {
        return Some(());
    }
    while let Some(Ok(message)) = changes.next().await {
        let body = message.body();
        if let Ok((name, _, new)) = body.deserialize::<(&str, &str, &str)>()
            && name == sender
            && new.is_empty()
        {
            return Some(());
        }
    }
    None
}
