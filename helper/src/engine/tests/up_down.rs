use std::collections::BTreeSet;

use lonewire_core::launch::Exit;

use super::{
    fakes::{Fault, spaces},
    *,
};
use crate::{engine::view::OptionsChange, ports::Backend};

#[tokio::test(start_paused = true)]
async fn connecting_makes_all_of_it_and_disconnecting_takes_all_away() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let info = bed.connect(&id, 10).await.unwrap();
        assert_eq!(info.state, TunnelState::Protected);
        let show = bed
            .handle
            .show(Grant::for_test(ANNA), id.clone())
            .await
            .unwrap();
        assert_eq!((show.backend, show.mtu), (Some(Backend::Userspace), 1440));
        assert_eq!(show.dns, ["10.0.0.1"]);
        assert_eq!(show.peers[0].resolved.as_deref(), Some("192.0.2.1:51820"));
        assert_eq!(show.peers[0].keepalive, 25);
        assert!(show.handshake > 0 && show.rx > 0);
        let link = spaces(&world).into_iter().next().unwrap();
        assert_eq!(show.link.as_deref(), Some(link.as_str()));
        assert!(
            world.0.dns.borrow()[&link]
                .0
                .contains("nameserver 10.0.0.1")
        );
        // Up already: at once, and nothing is made twice.
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(spaces(&world).len(), 1);
        assert_eq!(bed.handle.connected().await, 1);
        bed.disconnect(&id, false).await.unwrap();
        assert!(world.is_bare());
        assert_eq!(bed.state(&id).await, (TunnelState::Off, None));
        assert_eq!(bed.handle.connected().await, 0);
        bed.disconnect(&id, false).await.unwrap();
        settle().await;
        let log = bed.handle.log(Grant::for_test(ANNA), id, 0).await.unwrap();
        assert_eq!(
            log.iter().map(|entry| entry.state).collect::<Vec<_>>(),
            [2, 3, 1]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_kernel_is_taken_where_it_works_and_either_can_be_forced() {
    let world = World::new();
    world.0.kernel.set(true);
    live(&world, async |bed| {
        let features = bed.handle.features();
        assert_eq!(features, ["kernel-wireguard", "userspace-wireguard"]);
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(world.wire(|wire| wire.userspace), Some(false));
        bed.disconnect(&id, false).await.unwrap();
        let change = OptionsChange {
            backend: Some(Some(Backend::Userspace)),
            ..OptionsChange::default()
        };
        bed.handle
            .set_options(Grant::for_test(ANNA), None, id.clone(), change)
            .await
            .unwrap();
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(world.wire(|wire| wire.userspace), Some(true));
        bed.disconnect(&id, false).await.unwrap();
        // It has gone meanwhile (a kernel update before a reboot): automatic finds it out.
        world.0.kernel.set(false);
        let other = bed.tunnel("other", 2).await;
        assert_eq!(
            bed.connect(&other, 10).await.unwrap().state,
            TunnelState::Protected
        );
        bed.disconnect(&other, false).await.unwrap();
        let change = OptionsChange {
            backend: Some(Some(Backend::Kernel)),
            ..OptionsChange::default()
        };
        bed.handle
            .set_options(Grant::for_test(ANNA), None, id.clone(), change)
            .await
            .unwrap();
        let error = bed.connect(&id, 10).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::ConnectFailed {
                    reason: "not-supported",
                    ..
                }
            ),
            "{error}"
        );
        assert!(world.is_bare());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_any_step_leaves_nothing_behind() {
    for kernel in [false, true] {
        for fault in [Fault::Refused, Fault::Lost] {
            let mut failed = BTreeSet::new();
            for number in 0.. {
                let world = World::new();
                world.0.kernel.set(kernel);
                let done = live(&world, async |bed| {
                    let id = bed.tunnel("home", 1).await;
                    let first = world.0.points.borrow().len();
                    world.0.fault.set(Some((first + number, fault)));
                    let result = bed.connect(&id, 10).await;
                    let at = world.0.points.borrow()[first + number..].first().copied();
                    if result.is_ok() {
                        return true;
                    }
                    failed.insert(at.unwrap());
                    // Link first, record last.
                    let order = ["delete_link", "remove_dns", "remove", "remove_record"];
                    let done = world.0.points.borrow()[first + number + 1..].to_vec();
                    let places = done
                        .iter()
                        .filter_map(|name| order.iter().position(|o| o == name));
                    assert!(places.is_sorted(), "{at:?} {done:?}");
                    assert!(
                        world.is_bare(),
                        "{fault:?} {at:?} {:?}",
                        world.0.points.borrow()
                    );
                    assert_eq!(bed.info(&id).await.state, TunnelState::Failed);
                    // The key is free again and the next try succeeds.
                    let info = bed.connect(&id, 10).await.unwrap();
                    assert_eq!(info.state, TunnelState::Protected, "{fault:?} {at:?}");
                    false
                })
                .await;
                if done {
                    break;
                }
            }
            let mut wanted =
                BTreeSet::from(["write_record", "create", "write_dns", "apply", "configure"]);
            wanted.insert("observe");
            wanted.extend(if kernel {
                vec!["create_wireguard"]
            } else {
                vec!["open_tun", "start"]
            });
            assert_eq!(failed, wanted, "{kernel} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_it_is_taken_down_is_made_good_later() {
    for number in 0..6 {
        let world = World::new();
        live(&world, async |bed| {
            let id = bed.tunnel("home", 1).await;
            bed.connect(&id, 10).await.unwrap();
            let first = world.0.points.borrow().len();
            world.0.fault.set(Some((first + number, Fault::Refused)));
            bed.disconnect(&id, false).await.unwrap();
            assert_eq!(bed.state(&id).await, (TunnelState::Off, None));
            // Whatever failed: no link that could carry anything.
            assert!(world.wire(|_| ()).is_none(), "{number}");
            pass(5.0).await;
            assert!(world.is_bare(), "{number} {:?}", world.0.points.borrow());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsealed_namespace_is_not_up() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let first = world.0.points.borrow().len();
        // A link appears while the tunnel is made.
        let sabotage = async {
            while !world.0.points.borrow()[first..].contains(&"configure") {
                tokio::task::yield_now().await;
            }
            world
                .0
                .namespaces
                .borrow_mut()
                .values_mut()
                .for_each(|space| space.foreign = true);
        };
        let (result, ()) = tokio::join!(bed.connect(&id, 10), sabotage);
        let Err(Error::Unsealed(found)) = result else {
            panic!("{result:?}")
        };
        assert_eq!(found, ["another link: veth0"]);
        assert!(world.is_bare());
        assert_eq!(
            bed.state(&id).await,
            (TunnelState::Failed, Some("unsealed"))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_up_once_on_the_machine() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let copy = bed
            .handle
            .duplicate(Grant::for_test(ANNA), id.clone(), "copy".into());
        let copy = copy.await.unwrap();
        let of_bert = bed
            .import_as(BERT, "home", &config(1, ENDPOINT))
            .await
            .unwrap()
            .id;
        bed.connect(&id, 10).await.unwrap();
        assert!(matches!(bed.connect(&copy, 10).await, Err(Error::KeyInUse)));
        let by_bert = bed
            .handle
            .connect(Grant::for_test(BERT), of_bert.clone(), 10)
            .await;
        assert!(matches!(by_bert, Err(Error::KeyInUse)));
        bed.disconnect(&id, false).await.unwrap();
        bed.handle
            .connect(Grant::for_test(BERT), of_bert, 10)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tunnels_up_are_counted_by_user_and_in_all() {
    let world = World::new();
    *world.0.admin.borrow_mut() = "[quotas]\nconnected = 2\nconnected-in-all = 3\n".into();
    live(&world, async |bed| {
        for number in 1..=3 {
            let id = bed.tunnel(&format!("t{number}"), number).await;
            let result = bed.connect(&id, 0).await;
            match number {
                1 | 2 => drop(result.unwrap()),
                _ => assert!(matches!(
                    result,
                    Err(Error::LimitsExceeded { limit: 2, .. })
                )),
            }
        }
        for (number, fits) in [(11, true), (12, false)] {
            let text = config(number, ENDPOINT);
            let id = bed
                .import_as(BERT, &format!("t{number}"), &text)
                .await
                .unwrap()
                .id;
            let result = bed.handle.connect(Grant::for_test(BERT), id, 0).await;
            assert_eq!(result.is_ok(), fits, "{number}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_tunnel_does_not_hold_up_another() {
    let world = World::new();
    live(&world, async |bed| {
        let slow = bed.tunnel("slow", 1).await;
        let quick = bed.tunnel("quick", 2).await;
        let first = world.0.points.borrow().len();
        world.0.fault.set(Some((first + 1, Fault::Before)));
        let hung = within(1, bed.connect(&slow, 0)).await;
        assert!(hung.is_none());
        assert_eq!(
            bed.connect(&quick, 10).await.unwrap().state,
            TunnelState::Protected
        );
        assert_eq!(bed.state(&slow).await, (TunnelState::Connecting, None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_resolved_fails_before_anything_is_made() {
    let world = World::new();
    live(&world, async |bed| {
        let text = config(1, "Endpoint = vpn.example:51820");
        let id = bed.import_as(ANNA, "home", &text).await.unwrap().id;
        let before = world.0.points.borrow().len();
        let error = bed.connect(&id, 10).await.unwrap_err();
        assert!(matches!(
            error,
            Error::ConnectFailed {
                reason: "unresolvable",
                ..
            }
        ));
        assert_eq!(world.0.points.borrow().len(), before);
        let addresses = vec!["[2001:db8::1]:51820".parse().unwrap()];
        world
            .0
            .names
            .borrow_mut()
            .insert("vpn.example".into(), addresses);
        bed.connect(&id, 10).await.unwrap();
        let show = bed.handle.show(Grant::for_test(ANNA), id).await.unwrap();
        // 80 bytes of overhead by IPv6.
        assert_eq!(show.mtu, 1420);
        assert_eq!(show.peers[0].endpoint.as_deref(), Some("vpn.example:51820"));
        assert_eq!(
            show.peers[0].resolved.as_deref(),
            Some("[2001:db8::1]:51820")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn disconnecting_under_apps_is_refused_unless_forced_and_keeps_their_namespace() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let (one, _) = bed.launch(&id, wish()).await.unwrap();
        let (two, _) = bed.launch(&id, wish()).await.unwrap();
        let Err(Error::AppsRunning(mut apps)) = bed.disconnect(&id, false).await else {
            panic!("refused");
        };
        apps.sort();
        let mut both = [one.clone(), two.clone()];
        both.sort();
        assert_eq!(apps, both);
        let old = spaces(&world);
        bed.disconnect(&id, true).await.unwrap();
        assert_eq!(bed.state(&id).await, (TunnelState::Off, None));
        assert_eq!(spaces(&world), old);
        assert!(world.wire(|_| ()).is_none(), "offline");
        assert_eq!(bed.handle.connected().await, 3, "the helper may not end");
        // Connected again it gets a namespace of its own.
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(spaces(&world).len(), 2);
        bed.disconnect(&id, false).await.unwrap();
        assert_eq!(spaces(&world), old);
        world.end(&one, Exit::Code(0));
        settle().await;
        assert_eq!(spaces(&world), old);
        world.end(&two, Exit::Code(0));
        settle().await;
        assert!(world.is_bare());
        assert_eq!(bed.handle.connected().await, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_cannot_be_deleted_under_apps_is_not_called_off() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.launch(&id, wish()).await.unwrap();
        let next = world.0.points.borrow().len();
        world.0.fault.set(Some((next + 1, fakes::Fault::Refused)));
        assert!(matches!(
            bed.disconnect(&id, true).await,
            Err(Error::Failed(_))
        ));
        assert_eq!(world.0.points.borrow()[next + 1], "delete_link");
        assert_eq!(bed.info(&id).await.state, TunnelState::Protected);
        // It is still looked after.
        world.kill_plane();
        pass(2.0).await;
        assert_eq!(world.living_planes(), 1);
        bed.disconnect(&id, true).await.unwrap();
        assert!(world.wire(|_| ()).is_none());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_goes_down_with_its_last_app_where_that_is_wished() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let change = OptionsChange {
            down_with_last_app: Some(Some(true)),
            ..OptionsChange::default()
        };
        bed.handle
            .set_options(Grant::for_test(ANNA), None, id.clone(), change)
            .await
            .unwrap();
        let (one, _) = bed.launch(&id, wish()).await.unwrap();
        let (two, _) = bed.launch(&id, wish()).await.unwrap();
        world.end(&one, Exit::Code(0));
        settle().await;
        assert_eq!(bed.info(&id).await.state, TunnelState::Protected);
        world.end(&two, Exit::Code(0));
        settle().await;
        assert_eq!(bed.info(&id).await.state, TunnelState::Off);
        assert!(world.is_bare());
    })
    .await;
}
