use lonewire_core::state::CONNECTING;

use super::{fakes::BEGIN, *};
use crate::{engine::view::OptionsChange, ports::Clock as _};

const BLOCKED: (TunnelState, Option<&str>) = (TunnelState::Blocked, Some("no-handshake"));
const PROTECTED: (TunnelState, Option<&str>) = (TunnelState::Protected, None);

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_connecting_then_blocked() {
    let world = World::new();
    world.0.alive.set(false);
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        assert_eq!(
            bed.connect(&id, 10).await.unwrap().state,
            TunnelState::Connecting
        );
        // A second caller waits for the same.
        assert_eq!(
            bed.connect(&id, 20).await.unwrap().state,
            TunnelState::Blocked
        );
        assert!(world.now() - BEGIN < 1000 * (CONNECTING.as_secs() + 1));
        assert_eq!(bed.state(&id).await, BLOCKED);
        world.0.alive.set(true);
        pass(1.5).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_blocked_tunnel_renews_its_peer_every_thirty_seconds_and_when_the_uplink_changes() {
    let world = World::new();
    world.0.alive.set(false);
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 20).await.unwrap();
        assert_eq!(bed.state(&id).await, BLOCKED);
        pass(29.0).await;
        assert_eq!(world.0.renewals.get(), 0);
        pass(2.0).await;
        assert_eq!(world.0.renewals.get(), 1);
        // 31 s at most: it is looked at every second.
        pass(8.0 * 31.0).await;
        assert_eq!(world.0.renewals.get(), 9);
        pass(3.0).await;
        world.0.uplink_changes.notify_one();
        pass(0.2).await;
        assert_eq!(world.0.renewals.get(), 10);
        // An uplink that flaps does not make a flood of handshakes; the last change counts.
        for _ in 0..100 {
            world.0.uplink_changes.notify_one();
            pass(0.1).await;
        }
        let renewals = world.0.renewals.get();
        assert!((14..=16).contains(&renewals), "{renewals}");
        world.0.alive.set(true);
        world.0.uplink_changes.notify_one();
        pass(2.5).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
        let renewals = world.0.renewals.get();
        pass(300.0).await;
        assert_eq!(
            world.0.renewals.get(),
            renewals,
            "a protected one is let be"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silence_while_an_app_sends_is_told_within_fifteen_seconds() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.launch(&id, wish()).await.unwrap();
        world.0.traffic.set(1000);
        pass(200.0).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
        let log = world.0.logs.borrow().len();
        world.0.alive.set(false);
        pass(15.0).await;
        assert_eq!(bed.state(&id).await, BLOCKED);
        world.0.alive.set(true);
        pass(1.1).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
        pass(600.0).await;
        assert_eq!(world.0.logs.borrow().len(), log + 2, "no flapping");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_an_uplink_it_says_so() {
    let world = World::new();
    world.0.alive.set(false);
    world.0.uplink.set(false);
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 20).await.unwrap();
        assert_eq!(
            bed.state(&id).await,
            (TunnelState::Blocked, Some("no-uplink"))
        );
        world.0.uplink.set(true);
        world.0.uplink_changes.notify_one();
        pass(2.5).await;
        assert_eq!(bed.state(&id).await, BLOCKED);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_is_looked_at_five_times_a_minute_at_most() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        pass(60.0).await;
        world.0.looks.set(0);
        pass(1800.0).await;
        let looks = world.0.looks.get();
        assert!(looks <= 30 * 5, "{looks} in half an hour");
        assert_eq!(bed.state(&id).await, PROTECTED);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn names_are_looked_up_at_connect_and_after_two_tries_that_nobody_answered() {
    let world = World::new();
    let first = vec!["192.0.2.1:51820".parse().unwrap()];
    world
        .0
        .names
        .borrow_mut()
        .insert("vpn.example".into(), first);
    live(&world, async |bed| {
        let text = config(1, "Endpoint = vpn.example:51820");
        let id = bed.import_as(ANNA, "home", &text).await.unwrap().id;
        bed.launch(&id, wish()).await.unwrap();
        world.0.traffic.set(1000);
        pass(600.0).await;
        assert_eq!(world.0.lookups.get(), 1);
        world.0.alive.set(false);
        let second = vec!["198.51.100.7:51820".parse().unwrap()];
        world
            .0
            .names
            .borrow_mut()
            .insert("vpn.example".into(), second);
        pass(15.0).await;
        assert_eq!(bed.state(&id).await, BLOCKED);
        assert_eq!(world.0.lookups.get(), 1);
        let renewals = world.0.renewals.get();
        pass(12.0).await;
        assert_eq!(world.0.lookups.get(), 2);
        assert_eq!(
            world.0.renewals.get(),
            renewals + 1,
            "there it is tried at once"
        );
        let endpoint = world.wire(|wire| wire.peers[0].endpoint.unwrap()).unwrap();
        assert_eq!(endpoint, "198.51.100.7:51820".parse().unwrap());
        // However often the uplink flaps: every 30 s at most.
        for _ in 0..50 {
            world.0.uplink_changes.notify_one();
            pass(0.5).await;
        }
        assert!(world.0.lookups.get() <= 3, "{}", world.0.lookups.get());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_comes_back_is_told_of_at_once_by_who_has_a_session() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        pass(60.0).await;
        let (nudges, renewals) = (world.0.nudges.get(), world.0.renewals.get());
        // A route that flaps is no reason to say anything but where it is now.
        for _ in 0..20 {
            world.0.uplink.set(!world.0.uplink.get());
            world.0.uplink_changes.notify_one();
            pass(0.25).await;
        }
        assert!(world.0.nudges.get() > nudges);
        assert_eq!(world.0.renewals.get(), renewals);
        assert_eq!(bed.state(&id).await, PROTECTED);
        // Away for five seconds it is not protected, though nobody has tried to send.
        world.0.uplink.set(false);
        world.0.uplink_changes.notify_one();
        pass(4.0).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
        pass(10.0).await;
        assert_eq!(
            bed.state(&id).await,
            (TunnelState::Blocked, Some("no-uplink"))
        );
        world.0.uplink.set(true);
        world.0.uplink_changes.notify_one();
        pass(2.5).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_sleep_every_tunnel_shakes_hands_at_once() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        let renewals = world.0.renewals.get();
        pass(3600.0).await;
        bed.handle.resumed().await;
        pass(0.5).await;
        assert_eq!(world.0.renewals.get(), renewals + 1);
        assert_eq!(bed.state(&id).await, PROTECTED);
        // Awake before the network is: tried again with it.
        world.0.alive.set(false);
        world.0.uplink.set(false);
        bed.handle.resumed().await;
        pass(4.0).await;
        assert_eq!(bed.state(&id).await, (TunnelState::Connecting, None));
        world.0.alive.set(true);
        world.0.uplink.set(true);
        world.0.uplink_changes.notify_one();
        pass(1.0).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_portal_is_the_reason_while_there_is_one() {
    let world = World::new();
    world.0.alive.set(false);
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.handle.portal(true).await;
        bed.connect(&id, 20).await.unwrap();
        let portal = (TunnelState::Blocked, Some("captive-portal"));
        assert_eq!(bed.state(&id).await, portal);
        bed.handle.portal(false).await;
        pass(1.0).await;
        assert_eq!(bed.state(&id).await, BLOCKED);
        bed.handle.portal(true).await;
        pass(1.0).await;
        assert_eq!(bed.state(&id).await, portal);
        let named = config(2, "Endpoint = vpn.example:51820");
        let named = bed.import_as(ANNA, "named", &named).await.unwrap().id;
        let refused = bed.connect(&named, 0).await;
        assert!(
            matches!(
                refused,
                Err(Error::ConnectFailed {
                    reason: "captive-portal",
                    ..
                })
            ),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_is_the_reason_until_it_is_right() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 20).await.unwrap();
        bed.disconnect(&id, false).await.unwrap();
        world.0.alive.set(false);
        world.0.behind.set(3_600_000);
        bed.connect(&id, 20).await.unwrap();
        let behind = (TunnelState::Blocked, Some("clock-behind"));
        assert_eq!(bed.state(&id).await, behind);
        world.0.behind.set(0);
        pass(60.0).await;
        assert_eq!(bed.state(&id).await, BLOCKED);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_data_plane_is_replaced_on_the_same_tun_within_two_seconds() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        world.0.traffic.set(1000);
        pass(20.0).await;
        let before = bed
            .handle
            .show(Grant::for_test(ANNA), id.clone())
            .await
            .unwrap();
        let mut states = bed.handle.events();
        for _ in 0..3 {
            world.kill_plane();
            pass(1.9).await;
            assert_eq!(bed.state(&id).await, PROTECTED);
            assert_eq!(world.living_planes(), 1);
            pass(60.0).await;
        }
        let event = states.recv().await.unwrap();
        assert!(format!("{event:?}").contains("no-data-plane"), "{event:?}");
        let after = bed
            .handle
            .show(Grant::for_test(ANNA), id.clone())
            .await
            .unwrap();
        assert_eq!((before.link, before.mtu), (after.link, after.mtu));
        assert!(
            after.tx > before.tx + 150_000 && after.rx > before.rx,
            "totals go on"
        );
        bed.disconnect(&id, false).await.unwrap();
        assert!(world.is_bare());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_data_plane_that_dies_again_and_again_is_started_ever_more_slowly() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        for _ in 0..600 {
            world.kill_plane();
            pass(0.1).await;
        }
        let starts = world.0.planes.borrow().len();
        assert!((6..=20).contains(&starts), "{starts} starts in a minute");
        assert_eq!(bed.info(&id).await.state, TunnelState::Blocked);
        pass(20.0).await;
        assert_eq!(bed.state(&id).await, PROTECTED);
        // A disconnect while it waits leaves nothing.
        world.kill_plane();
        pass(0.01).await;
        bed.disconnect(&id, false).await.unwrap();
        pass(60.0).await;
        assert!(world.is_bare());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_keepalive_a_nudge_shakes_hands() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let change = OptionsChange {
            keepalive: Some(Some(0)),
            ..OptionsChange::default()
        };
        bed.handle
            .set_options(Grant::for_test(ANNA), None, id.clone(), change)
            .await
            .unwrap();
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(bed.state(&id).await, PROTECTED);
        assert!(world.0.nudges.get() == 1);
    })
    .await;
}
