//! Who is told: subscribers, of what is their own, and nobody else, however he listens.

use std::time::Duration;

use anyhow::Result;
use lab::{caller::Caller, polkit::Answer, world::until};
use lonewire_api::names::{APPS_INTERFACE, BUS_NAME, SERVICE_INTERFACE, TUNNELS_INTERFACE};
use zbus::{Message, message::Flags};

use super::{
    scene::{Scene, list},
    table::{Names, table},
};

fn subscribe(caller: &Caller) -> Result<()> {
    let reply = caller.call(SERVICE_INTERFACE, "Subscribe", &())?;
    assert_eq!(reply.error(), "");
    Ok(())
}

/// Asks the bus for whatever it lets through.
fn listen(caller: &Caller, rule: &str) -> Result<String> {
    let message = Message::method_call("/org/freedesktop/DBus", "AddMatch")
        .destination("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .build(&rule)?;
    Ok(caller.ask(&message)?.error())
}

/// What came from the helper.
fn told(caller: &Caller) -> Vec<(String, String)> {
    let words = ["Tunnel", "App"];
    let mut told = caller.signals();
    told.retain(|(member, _)| words.iter().any(|word| member.starts_with(word)));
    told
}

#[test]
fn signals_reach_subscribers_about_what_is_theirs_and_nobody_else() -> Result<()> {
    let scene = Scene::new()?;
    scene.polkit.always(Answer::Yes);
    let (subscriber, bystander) = (scene.door.enter()?, scene.door.enter()?);
    subscribe(&subscriber)?;
    subscribe(&scene.bob)?;
    // Another one, who listens as hard as the bus lets him, without a subscription and with one.
    let spy = scene.bobs_door.enter()?;
    for caller in [&spy, &scene.bob, &bystander] {
        for rule in [
            "type='signal'".to_owned(),
            format!("type='signal',sender='{BUS_NAME}'"),
            format!("type='signal',interface='{TUNNELS_INTERFACE}'"),
            format!("type='signal',interface='{APPS_INTERFACE}'"),
        ] {
            assert_eq!(listen(caller, &rule)?, "");
        }
        // Where the bus refuses it, the better; where not, nothing may come of it.
        let _ = listen(caller, "eavesdrop='true'");
    }

    let known: Vec<_> = list(&scene.alice)?.into_keys().collect();
    for row in table() {
        if row.names == Names::App || row.member == "Remove" || row.member == "Unsubscribe" {
            continue;
        }
        let reply = scene
            .alice
            .ask(&(row.call)(scene.id(&row), Flags::empty())?)?;
        assert_eq!(reply.error(), "", "{}: {:?}", row.member, reply.message);
    }
    let now = list(&scene.alice)?;
    let new: Vec<_> = now.keys().filter(|id| !known.contains(id)).collect();
    assert_eq!(new.len(), 3);
    until(Duration::from_secs(10), "signals", || {
        let told = told(&subscriber);
        let is_told = |word: &str, id: &str| {
            told.iter()
                .any(|(member, about)| member == word && about == id)
        };
        Ok(new.iter().all(|id| is_told("TunnelAdded", id))
            && is_told("TunnelChanged", &scene.tunnel)
            && told.iter().any(|(member, _)| member == "AppAdded"))
    })?;
    // And to him of his own.
    let tunnel = super::scene::import(&scene.bob, "bobs", super::table::configuration()?)?;
    until(Duration::from_secs(5), "bob's signal", || {
        Ok(!told(&scene.bob).is_empty())
    })?;
    assert_eq!(
        told(&scene.bob),
        [("TunnelAdded".to_owned(), tunnel.clone())]
    );
    // One who has never subscribed, or no longer is, hears nothing, though it is his.
    assert_eq!(told(&spy), []);
    assert_eq!(told(&bystander), []);
    assert!(told(&subscriber).iter().all(|(_, about)| *about != tunnel));
    Ok(())
}
