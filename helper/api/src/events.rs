// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the service tells a subscriber, in one stream, and its coming and going on the bus: after a restart a client
//! subscribes and lists again.

use std::{future::poll_fn, pin::Pin, task::Poll};

// zbus shows the trait of its streams nowhere else, and this crate takes no dependency for one poll.
use zbus::export::futures_core::Stream;
use zbus::{Connection, MatchRule, Message, MessageStream, message::Type};

use crate::{
    names::{APPS_INTERFACE, BUS_NAME, OBJECT_PATH, TUNNELS_INTERFACE},
    value::Dictionary,
};

const BUS: &str = "org.freedesktop.DBus";

/// One thing that happened. Ids are opaque.
#[derive(Debug)]
pub enum Event {
    /// Id, and info as [`crate::TunnelInfo`] reads it.
    TunnelAdded(String, Dictionary),
    /// Id, and what changed, for [`crate::TunnelInfo::apply`].
    TunnelChanged(String, Dictionary),
    TunnelRemoved(String),
    /// Id, and info as [`crate::AppInfo`] reads it.
    AppAdded(String, Dictionary),
    /// Id, and what changed, for [`crate::AppInfo::apply`].
    AppChanged(String, Dictionary),
    AppRemoved(String),
    /// The service is on the bus again: subscribe and list.
    ServiceAppeared,
    /// The service left the bus; tunnels and apps live on.
    ServiceVanished,
}

/// The events of a connection, from when it was made.
#[derive(Debug)]
pub struct Events {
    signals: MessageStream,
    owner: MessageStream,
    /// Unique name of the service. Anybody may send us a signal, and a match rule does not keep unicast ones away: what is of
    /// another sender is left out.
    service: Option<String>,
}

impl Events {
    pub(crate) async fn new(connection: &Connection) -> zbus::Result<Self> {
        let signals = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(BUS_NAME)
            .path(OBJECT_PATH)
            .build()?;
        let owner = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(BUS)
            .interface(BUS)
            .member("NameOwnerChanged")
            .arg(0, BUS_NAME)
            .build()?;
        let signals = MessageStream::for_match_rule(signals, connection, None).await?;
        let owner = MessageStream::for_match_rule(owner, connection, None).await?;
        // Asked after watching has begun. An error: it is not there, and its coming will be told.
        let service = connection
            .call_method(
                Some(BUS),
                "/org/freedesktop/DBus",
                Some(BUS),
                "GetNameOwner",
                &(BUS_NAME,),
            )
            .await
            .ok()
            .and_then(|reply| reply.body().deserialize::<(String,)>().ok())
            .map(|(name,)| name);
        Ok(Self {
            signals,
            owner,
            service,
        })
    }

    /// The next event; `None` once the bus is gone. What is not understood is left out.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let message = poll_fn(|context| {
                for stream in [&mut self.owner, &mut self.signals] {
                    if let Poll::Ready(message) = Pin::new(stream).poll_next(context) {
                        return Poll::Ready(message);
                    }
                }
                Poll::Pending
            })
            .await?;
            let message = message.ok()?;
            if let Some(owner) = new_owner(&message) {
                self.service = owner;
            } else if !is_from(&message, self.service.as_deref()) {
                continue;
            }
            if let Some(event) = decode(&message) {
                return Some(event);
            }
        }
    }
}

/// The service's new unique name, of what the bus itself tells; the inner `None` where it left.
fn new_owner(message: &Message) -> Option<Option<String>> {
    let header = message.header();
    if !is_from(message, Some(BUS)) || header.member()?.as_str() != "NameOwnerChanged" {
        return None;
    }
    let (name, _, new) = message
        .body()
        .deserialize::<(String, String, String)>()
        .ok()?;
    (name == BUS_NAME).then(|| Some(new).filter(|new| !new.is_empty()))
}

/// The bus writes the sender into every message.
fn is_from(message: &Message, sender: Option<&str>) -> bool {
    sender.is_some() && message.header().sender().map(|name| name.as_str()) == sender
}

fn decode(message: &Message) -> Option<Event> {
    let header = message.header();
    let body = message.body();
    let pair = || body.deserialize::<(String, Dictionary)>().ok();
    let id = || body.deserialize::<(String,)>().ok().map(|(id,)| id);
    match (header.interface()?.as_str(), header.member()?.as_str()) {
        (TUNNELS_INTERFACE, "TunnelAdded") => pair().map(|(id, info)| Event::TunnelAdded(id, info)),
        (TUNNELS_INTERFACE, "TunnelChanged") => {
            pair().map(|(id, changes)| Event::TunnelChanged(id, changes))
        }
        (TUNNELS_INTERFACE, "TunnelRemoved") => id().map(Event::TunnelRemoved),
        (APPS_INTERFACE, "AppAdded") => pair().map(|(id, info)| Event::AppAdded(id, info)),
        (APPS_INTERFACE, "AppChanged") => {
            pair().map(|(id, changes)| Event::AppChanged(id, changes))
        }
        (APPS_INTERFACE, "AppRemoved") => id().map(Event::AppRemoved),
        (BUS, "NameOwnerChanged") => {
            let (_, _, new) = body.deserialize::<(String, String, String)>().ok()?;
            Some(if new.is_empty() {
                Event::ServiceVanished
            } else {
                Event::ServiceAppeared
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use zbus::Variant;

    use super::*;
    use crate::{AppInfo, TunnelDetail, TunnelInfo, TunnelState};

    fn signal(member: &str, body: &(impl serde::Serialize + zbus::DynamicType)) -> Event {
        let interface = if member.starts_with("App") {
            APPS_INTERFACE
        } else {
            TUNNELS_INTERFACE
        };
        decode(
            &Message::signal(OBJECT_PATH, interface, member.to_owned())
                .build(body)
                .unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn changes_of_a_tunnel_replace_what_they_name_and_nothing_else() {
        let info = crate::Options::from([
            ("name", Variant::from("home")),
            ("state", Variant::from(4_u32)),
            ("reason", Variant::from("no-handshake")),
            ("warnings", Variant::from(vec!["no-dns"])),
            ("apps", Variant::from(2_u32)),
        ]);
        let Event::TunnelAdded(id, info) = signal("TunnelAdded", &("a1", info)) else {
            panic!("not added")
        };
        let mut tunnel = TunnelInfo::from(&info);
        assert_eq!(
            (id.as_str(), tunnel.state, tunnel.warnings.len()),
            ("a1", TunnelState::Blocked, 1)
        );
        let changes = crate::Options::from([
            ("state", Variant::from(3_u32)),
            ("reason", Variant::from("")),
        ]);
        let Event::TunnelChanged(_, changes) = signal("TunnelChanged", &("a1", changes)) else {
            panic!("not changed")
        };
        tunnel.apply(&changes);
        assert_eq!(
            (
                tunnel.state,
                tunnel.reason,
                tunnel.name.as_str(),
                tunnel.apps
            ),
            (TunnelState::Protected, None, "home", 2)
        );
    }

    #[test]
    fn nested_dictionaries_of_a_detail_are_read() {
        let peer = crate::Options::from([
            ("public-key", Variant::from("pk")),
            ("allowed-ips", Variant::from(vec!["0.0.0.0/0"])),
            ("rx", Variant::from(7_u64)),
        ]);
        let info = crate::Options::from([
            ("peers", Variant::from(vec![peer])),
            ("ignored", Variant::from(vec![(3_u32, "PostUp")])),
            (
                "options",
                Variant::from(crate::Options::from([("mtu", Variant::from(1400_u32))])),
            ),
        ]);
        let Event::TunnelAdded(_, info) = signal("TunnelAdded", &("a1", info)) else {
            panic!("not added")
        };
        let detail = TunnelDetail::from(&info);
        assert_eq!(
            (
                detail.peers.len(),
                detail.peers[0].rx,
                detail.peers[0].allowed_ips.len()
            ),
            (1, 7, 1)
        );
        assert_eq!(detail.ignored, [(3, "PostUp".to_owned())]);
        assert_eq!(detail.options.mtu, Some(1400));
    }

    #[test]
    fn the_zero_of_a_path_is_taken_away() {
        let info = crate::Options::from([("program", Variant::from(b"/bin/true\0".to_vec()))]);
        let Event::AppAdded(_, info) = signal("AppAdded", &("b1", info)) else {
            panic!("not added")
        };
        assert_eq!(AppInfo::from(&info).program, b"/bin/true");
    }

    #[test]
    fn only_the_bus_tells_who_the_service_is_and_only_it_is_believed() {
        let owner_changed = |sender: &str| {
            Message::signal("/org/freedesktop/DBus", BUS, "NameOwnerChanged")
                .sender(sender.to_owned())
                .build(&(BUS_NAME, "", ":1.7"))
                .unwrap()
        };
        assert_eq!(
            new_owner(&owner_changed(BUS)),
            Some(Some(":1.7".to_owned()))
        );
        assert_eq!(new_owner(&owner_changed(":1.66")), None);
        let removed = Message::signal(OBJECT_PATH, TUNNELS_INTERFACE, "TunnelRemoved")
            .sender(":1.66".to_owned())
            .build(&("a1",))
            .unwrap();
        assert!(!is_from(&removed, Some(":1.7")));
        assert!(!is_from(&removed, None));
        assert!(is_from(&removed, Some(":1.66")));
    }
}
