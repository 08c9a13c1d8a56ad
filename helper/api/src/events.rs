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
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, BUS_NAME)
            .build()?;
        Ok(Self {
            signals: MessageStream::for_match_rule(signals, connection, None).await?,
            owner: MessageStream::for_match_rule(owner, connection, None).await?,
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
            if let Some(event) = decode(&message.ok()?) {
                return Some(event);
            }
        }
    }
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
        ("org.freedesktop.DBus", "NameOwnerChanged") => {
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
}
