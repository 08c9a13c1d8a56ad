use lonewire_core::secret::PublicKey;

use super::{
    fakes::{Fault, SLOW, spaces},
    *,
};
use crate::engine::view::OptionsChange;

const OTHER: &str = "[Interface]\nAddress = 10.8.0.9/32, fd00::9/128\nDNS = 10.8.0.1\n";

/// A tunnel of Anna's to another server, all of it different.
async fn other(bed: &Bed, private: u8) -> Id {
    let text = format!(
        "{OTHER}PrivateKey = {}\n[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.2:51820\n",
        key(private),
        key(201),
    );
    bed.import_as(ANNA, &format!("other{private}"), &text)
        .await
        .unwrap()
        .id
}

/// What a tunnel's only link is: by address, peer and DNS, which all have to be of one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Old,
    New,
}

fn what_is(world: &World) -> Is {
    let (address, peer, mtu, userspace) = world
        .wire(|wire| {
            let addressing = wire.addressing.as_ref().unwrap();
            assert_eq!(wire.peers.len(), 1, "{:?}", wire.peers);
            let device = wire.device.as_ref().unwrap();
            assert_eq!(device.peers[0].public_key, wire.peers[0].public_key);
            (
                addressing.addresses[0].addr().to_string(),
                wire.peers[0].public_key,
                addressing.mtu,
                wire.userspace,
            )
        })
        .unwrap();
    let link = spaces(world).into_iter().next().unwrap();
    let dns = world.0.dns.borrow()[&link].0.clone();
    if userspace {
        let living = world.0.planes.borrow();
        let plane = living.values().find(|plane| !plane.dead.get()).unwrap();
        assert_eq!(plane.mtu.get(), mtu);
    }
    if address == "10.0.0.2" {
        assert!(dns.contains("nameserver 10.0.0.1"), "{dns}");
        assert_eq!(peer, PublicKey([200; 32]));
        Is::Old
    } else {
        assert_eq!(address, "10.8.0.9");
        assert!(dns.contains("nameserver 10.8.0.1"), "{dns}");
        assert_eq!(peer, PublicKey([201; 32]));
        Is::New
    }
}

async fn switched_to(bed: &Bed, id: &Id) -> Option<Id> {
    bed.info(id).await.switched_to
}

#[tokio::test(start_paused = true)]
async fn a_switch_changes_all_under_its_apps_and_nothing_that_is_saved() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let other = other(&bed, 2).await;
        let change = OptionsChange {
            mtu: Some(Some(1300)),
            ..OptionsChange::default()
        };
        let set = bed
            .handle
            .set_options(Grant::for_test(ANNA), None, other.clone(), change);
        set.await.unwrap();
        let (app, _) = bed.launch(&id, wish()).await.unwrap();
        let before = spaces(&world);
        let info = bed.switch(&id, &other).await.unwrap();
        assert_eq!(info.state, TunnelState::Protected);
        assert_eq!(info.switched_to.as_ref(), Some(&other));
        assert_eq!(what_is(&world), Is::New);
        assert_eq!((spaces(&world), world.0.ended.get()), (before, 1));
        assert_eq!(bed.info(&id).await.apps, 1);
        let show = bed.handle.show(Grant::for_test(ANNA), id.clone());
        let show = show.await.unwrap();
        assert!(show.config.contains("10.0.0.2"), "its own stays");
        assert_eq!((show.mtu, show.dns), (1300, vec!["10.8.0.1".to_owned()]));
        assert_eq!(show.peers[0].public_key, key(201));
        assert_eq!(show.peers[0].resolved.as_deref(), Some("192.0.2.2:51820"));
        // The other's key is in use, and its file is needed.
        assert!(matches!(bed.connect(&other, 0).await, Err(Error::KeyInUse)));
        let removed = bed.handle.remove(Grant::for_test(ANNA), other.clone());
        assert!(matches!(removed.await, Err(Error::Busy)));
        // Its own may be used by a copy meanwhile.
        let copy = bed
            .handle
            .duplicate(Grant::for_test(ANNA), id.clone(), "copy".into());
        let copy = copy.await.unwrap();
        bed.connect(&copy, 10).await.unwrap();
        assert!(matches!(bed.switch(&id, &id).await, Err(Error::KeyInUse)));
        bed.disconnect(&copy, false).await.unwrap();
        // Once more is nothing, but for what was changed since; then back.
        bed.switch(&id, &other).await.unwrap();
        assert_eq!(world.0.ended.get(), 1);
        let change = OptionsChange {
            mtu: Some(Some(1310)),
            ..OptionsChange::default()
        };
        let set = bed
            .handle
            .set_options(Grant::for_test(ANNA), None, other.clone(), change);
        set.await.unwrap();
        bed.switch(&id, &other).await.unwrap();
        assert_eq!((what_is(&world), world.0.ended.get()), (Is::New, 2));
        bed.switch(&id, &id).await.unwrap();
        assert_eq!(switched_to(&bed, &id).await, None);
        assert_eq!((what_is(&world), world.0.ended.get()), (Is::Old, 3));
        bed.connect(&other, 10).await.unwrap();
        bed.disconnect(&other, false).await.unwrap();
        // A new data plane gets what it was switched to.
        bed.switch(&id, &other).await.unwrap();
        world.kill_plane();
        pass(2.0).await;
        assert_eq!(what_is(&world), Is::New);
        world.end(&app, lonewire_core::launch::Exit::Code(0));
        settle().await;
        bed.disconnect(&id, false).await.unwrap();
        assert!(world.is_bare());
        assert_eq!(switched_to(&bed, &id).await, None);
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(what_is(&world), Is::Old);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_a_tunnel_that_is_up_is_switched_and_only_to_one_of_the_same_user_that_is_off() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let other = other(&bed, 2).await;
        let refused = bed.switch(&id, &other).await;
        assert!(
            matches!(refused, Err(Error::InvalidArgument { problem: "off", .. })),
            "{refused:?}"
        );
        bed.connect(&id, 10).await.unwrap();
        let text = config(7, ENDPOINT);
        let berts = bed.import_as(BERT, "berts", &text).await.unwrap().id;
        assert!(matches!(
            bed.switch(&id, &berts).await,
            Err(Error::NotFound)
        ));
        bed.connect(&other, 10).await.unwrap();
        assert!(matches!(
            bed.switch(&id, &other).await,
            Err(Error::KeyInUse)
        ));
        let peerless = bed.handle.create(Grant::for_test(ANNA), "peerless".into());
        let peerless = peerless.await.unwrap().id;
        assert!(matches!(
            bed.switch(&id, &peerless).await,
            Err(Error::InvalidArgument { .. })
        ));
        assert_eq!(bed.state(&id).await.0, TunnelState::Protected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_that_are_switched_to_each_other_do_not_wait_for_ever() {
    let world = World::new();
    live(&world, async |bed| {
        let (one, two) = (bed.tunnel("home", 1).await, other(&bed, 2).await);
        bed.connect(&one, 10).await.unwrap();
        bed.connect(&two, 10).await.unwrap();
        let both = async { tokio::join!(bed.switch(&one, &two), bed.switch(&two, &one)) };
        let (first, second) = within(30, both).await.unwrap();
        assert!(matches!(first, Err(Error::KeyInUse)), "{first:?}");
        assert!(matches!(second, Err(Error::KeyInUse)), "{second:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn switches_of_a_tunnel_look_names_up_one_after_the_other() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let text = config(2, &format!("Endpoint = {SLOW}:51820"));
        let slow = bed.import_as(ANNA, "slow", &text).await.unwrap().id;
        bed.connect(&id, 10).await.unwrap();
        let before = world.0.lookups.get();
        let switch = || bed.switch(&id, &slow);
        let all = async { tokio::join!(switch(), switch(), switch()) };
        assert!(within(15, all).await.is_none());
        assert_eq!(world.0.lookups.get(), before + 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_fails_at_any_step_leaves_what_was() {
    for (kernel, fault) in [false, true]
        .into_iter()
        .flat_map(|kernel| [Fault::Refused, Fault::Lost].map(|fault| (kernel, fault)))
    {
        for number in 0.. {
            let world = World::new();
            world.0.kernel.set(kernel);
            let done = live(&world, async |bed| {
                let id = bed.tunnel("home", 1).await;
                let other = other(&bed, 2).await;
                bed.launch(&id, wish()).await.unwrap();
                let first = world.0.points.borrow().len();
                world.0.fault.set(Some((first + number, fault)));
                let result = bed.switch(&id, &other).await;
                let points = world.0.points.borrow()[first..].to_vec();
                world.0.fault.set(None);
                let at = format!("{fault:?} {number} of {points:?}: {result:?}");
                if result.is_ok() {
                    assert_eq!(what_is(&world), Is::New, "{at}");
                    return number >= points.len();
                }
                assert_eq!(what_is(&world), Is::Old, "{at}");
                assert_eq!(switched_to(&bed, &id).await, None, "{at}");
                pass(3.0).await;
                assert_eq!(bed.state(&id).await.0, TunnelState::Protected, "{at}");
                // The other is nobody's.
                bed.connect(&other, 10).await.unwrap();
                bed.disconnect(&other, false).await.unwrap();
                assert_eq!(bed.info(&id).await.apps, 1);
                false
            })
            .await;
            // And so it is found by the next helper.
            if done {
                assert!(number >= 7, "{number} points");
                break;
            }
            live(&world, async |bed| {
                pass(1.0).await;
                assert_eq!(bed.handle.connected().await, 2);
                what_is(&world);
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_switch_could_not_put_back_is_put_right_later() {
    for number in 0.. {
        let world = World::new();
        let done = live(&world, async |bed| {
            let id = bed.tunnel("home", 1).await;
            let other = other(&bed, 2).await;
            bed.launch(&id, wish()).await.unwrap();
            let first = world.0.points.borrow().len();
            let fault = (first + number, Fault::AllRefused);
            world.0.fault.set(Some(fault));
            let result = bed.switch(&id, &other).await;
            world.0.fault.set(None);
            if result.is_ok() {
                return true;
            }
            pass(40.0).await;
            assert_eq!(what_is(&world), Is::Old, "{number}");
            assert_eq!(bed.state(&id).await.0, TunnelState::Protected, "{number}");
            assert_eq!(switched_to(&bed, &id).await, None, "{number}");
            bed.connect(&other, 10).await.unwrap();
            false
        })
        .await;
        if done {
            assert!(number >= 7, "{number} points");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_a_switch_it_is_the_old_one_or_the_new() {
    for (kernel, fault) in [false, true]
        .into_iter()
        .flat_map(|kernel| [Fault::Before, Fault::After].map(|fault| (kernel, fault)))
    {
        let mut seen = Vec::new();
        for number in 0.. {
            let world = World::new();
            world.0.kernel.set(kernel);
            let (id, other, done) = live(&world, async |bed| {
                let id = bed.tunnel("home", 1).await;
                let other = other(&bed, 2).await;
                bed.launch(&id, wish()).await.unwrap();
                let point = world.0.points.borrow().len() + number;
                world.0.fault.set(Some((point, fault)));
                let done = within(20, bed.switch(&id, &other)).await.is_some();
                (id, other, done)
            })
            .await;
            world.0.fault.set(None);
            let at = format!("{fault:?} {number}");
            live(&world, async |bed| {
                pass(3.0).await;
                let is = what_is(&world);
                seen.push(is);
                let of = switched_to(&bed, &id).await;
                assert_eq!(of.is_some(), is == Is::New, "{at}");
                assert_eq!(bed.state(&id).await.0, TunnelState::Protected, "{at}");
                assert_eq!(bed.info(&id).await.apps, 1, "{at}");
                let taken = bed.connect(&other, 10).await;
                assert_eq!(taken.is_err(), is == Is::New, "{at}");
                bed.disconnect(&other, false).await.unwrap();
                bed.switch(&id, &id).await.unwrap();
                assert_eq!(what_is(&world), Is::Old, "{at}");
            })
            .await;
            if done {
                assert!(number >= lonewire_core::plan::switch().len(), "{number}");
                break;
            }
        }
        assert!(seen.contains(&Is::Old) || fault == Fault::After);
        assert!(seen.contains(&Is::New));
    }
}

#[tokio::test(start_paused = true)]
async fn killed_in_a_switch_and_its_data_plane_too_the_next_one_gets_the_new() {
    let world = World::new();
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let other = other(&bed, 2).await;
        bed.connect(&id, 10).await.unwrap();
        // After the record is written.
        let point = world.0.points.borrow().len();
        world.0.fault.set(Some((point, Fault::After)));
        assert!(within(20, bed.switch(&id, &other)).await.is_none());
        id
    })
    .await;
    world.0.fault.set(None);
    world.kill_plane();
    live(&world, async |bed| {
        pass(3.0).await;
        assert_eq!(what_is(&world), Is::New);
        assert_eq!(bed.state(&id).await.0, TunnelState::Protected);
    })
    .await;
}
