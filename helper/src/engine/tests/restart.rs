use lonewire_core::launch::Exit;

use super::{
    fakes::{Fault, spaces},
    *,
};
use crate::{
    engine::view::{AppState, OptionsChange},
    ports::Namespaces as _,
};

#[tokio::test(start_paused = true)]
async fn tunnels_and_apps_are_adopted_under_the_same_ids() {
    for kernel in [false, true] {
        let world = World::new();
        world.0.kernel.set(kernel);
        let (id, app, ended) = live(&world, async |bed| {
            let id = bed.tunnel("home", 1).await;
            let (app, _) = bed.launch(&id, wish()).await.unwrap();
            let (ended, _) = bed.launch(&id, wish()).await.unwrap();
            (id, app, ended)
        })
        .await;
        let before = spaces(&world);
        let points = world.0.points.borrow().len();
        // While no helper is there one of the apps ends.
        world.end(&ended, Exit::Code(42));
        pass(5.0).await;
        live(&world, async |bed| {
            assert_eq!(bed.state(&id).await, (TunnelState::Protected, None));
            let info = bed.app(&ended).await.unwrap();
            assert_eq!(
                (info.state, info.exit),
                (AppState::Ended, Some(Exit::Code(42)))
            );
            assert_eq!(bed.app(&app).await.unwrap().state, AppState::Running);
            assert_eq!(bed.info(&id).await.apps, 1);
            assert_eq!(spaces(&world), before);
            // Nothing was touched but the note of the end.
            let mut touched = world.0.points.borrow()[points..].to_vec();
            touched.retain(|point| *point != "observe");
            assert_eq!(touched, ["write_record"]);
            assert!(matches!(
                bed.disconnect(&id, false).await,
                Err(Error::AppsRunning(_))
            ));
            let other = bed
                .handle
                .duplicate(Grant::for_test(ANNA), id.clone(), "b".into())
                .await;
            assert!(matches!(
                bed.connect(&other.unwrap(), 0).await,
                Err(Error::KeyInUse)
            ));
            // It is looked after again.
            if !kernel {
                world.kill_plane();
                pass(2.0).await;
                assert_eq!(world.living_planes(), 1);
            }
            world.end(&app, Exit::Code(0));
            settle().await;
            bed.disconnect(&id, false).await.unwrap();
            assert!(world.is_bare());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_data_plane_that_died_meanwhile_is_started_again() {
    let world = World::new();
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        id
    })
    .await;
    world.kill_plane();
    live(&world, async |bed| {
        pass(2.0).await;
        assert_eq!(bed.state(&id).await, (TunnelState::Protected, None));
        assert_eq!(world.living_planes(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_helper_left_half_done_is_put_right_by_the_next() {
    for kernel in [false, true] {
        let world = World::new();
        world.0.kernel.set(kernel);
        let id = live(&world, async |bed| {
            let id = bed.tunnel("home", 1).await;
            bed.connect(&id, 10).await.unwrap();
            id
        })
        .await;
        let before = spaces(&world);
        // As a drop test leaves it in the middle.
        world.wire(|wire| wire.addressing = None).unwrap();
        live(&world, async |bed| {
            pass(60.0).await;
            assert!(world.wire(|wire| wire.addressing.is_some()).unwrap());
            assert_eq!(spaces(&world), before);
            assert_eq!(bed.state(&id).await, (TunnelState::Protected, None));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_handshake_does_not_protect_after_a_restart() {
    let world = World::new();
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        id
    })
    .await;
    world.0.alive.set(false);
    pass(1000.0).await;
    live(&world, async |bed| {
        assert_eq!(bed.state(&id).await, (TunnelState::Connecting, None));
        pass(16.0).await;
        assert_eq!(
            bed.state(&id).await,
            (TunnelState::Blocked, Some("no-handshake"))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn records_of_another_boot_are_of_no_use() {
    let world = World::new();
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.launch(&id, wish()).await.unwrap();
        id
    })
    .await;
    *world.0.boot.borrow_mut() = "another".into();
    world.0.namespaces.borrow_mut().clear();
    world.0.dns.borrow_mut().clear();
    world.kill_plane();
    live(&world, async |bed| {
        assert_eq!(bed.state(&id).await, (TunnelState::Off, None));
        assert!(
            bed.handle
                .apps(Grant::for_test(ANNA))
                .await
                .unwrap()
                .is_empty()
        );
        assert!(world.is_bare());
        bed.connect(&id, 10).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_adopted_is_taken_down_and_its_apps_are_offline() {
    let world = World::new();
    let (id, app) = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let (app, _) = bed.launch(&id, wish()).await.unwrap();
        (id, app)
    })
    .await;
    // Nobody's any more: the saved file is lost.
    world.0.saved.borrow_mut().remove(&id);
    live(&world, async |bed| {
        assert!(world.wire(|_| ()).is_none(), "the link is gone");
        assert_eq!(spaces(&world).len(), 1, "the namespace is its app's");
        assert_eq!(bed.app(&app).await.unwrap().state, AppState::Running);
        world.end(&app, Exit::Code(0));
        settle().await;
        assert!(world.is_bare());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_a_record_is_removed() {
    let world = World::new();
    let stray = lonewire_core::name::LinkName::from_random([9; 6]);
    world.create(&stray).await.unwrap();
    live(&world, async |_| assert!(world.is_bare())).await;
}

#[tokio::test(start_paused = true)]
async fn a_forced_disconnect_survives_a_restart() {
    let world = World::new();
    let (id, app) = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let (app, _) = bed.launch(&id, wish()).await.unwrap();
        bed.disconnect(&id, true).await.unwrap();
        (id, app)
    })
    .await;
    live(&world, async |bed| {
        assert_eq!(bed.state(&id).await, (TunnelState::Off, None));
        assert_eq!(spaces(&world).len(), 1);
        world.end(&app, Exit::Code(0));
        settle().await;
        assert!(world.is_bare());
    })
    .await;
}

/// What is there after a restart is all of the tunnel or nothing of it, and it can be connected.
async fn is_whole(world: &World, id: &Id, at: &str) {
    live(world, async |bed| {
        pass(2.0).await;
        match bed.info(id).await.state {
            TunnelState::Off => assert!(world.is_bare(), "{at}"),
            TunnelState::Protected => {
                assert_eq!(spaces(world).len(), 1, "{at}");
                assert_eq!(world.living_planes(), 1, "{at}");
            }
            other => panic!("{at}: {other:?}"),
        }
        assert_eq!(
            bed.connect(id, 10).await.unwrap().state,
            TunnelState::Protected,
            "{at}"
        );
        bed.disconnect(id, false).await.unwrap();
        assert!(world.is_bare(), "{at}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_connecting_it_is_whole_after_a_restart() {
    for fault in [Fault::Before, Fault::After] {
        for number in 0.. {
            let world = World::new();
            let (id, at, done) = live(&world, async |bed| {
                let id = bed.tunnel("home", 1).await;
                let point = world.0.points.borrow().len() + number;
                world.0.fault.set(Some((point, fault)));
                let done = within(20, bed.connect(&id, 1)).await.is_some();
                (id, world.0.points.borrow().get(point).copied(), done)
            })
            .await;
            world.0.fault.set(None);
            is_whole(&world, &id, &format!("{fault:?} {at:?}")).await;
            if done {
                assert!(number > 8, "{number} points");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_disconnecting_it_is_whole_after_a_restart() {
    for fault in [Fault::Before, Fault::After] {
        for number in 0.. {
            let world = World::new();
            let (id, at, done) = live(&world, async |bed| {
                let id = bed.tunnel("home", 1).await;
                bed.connect(&id, 10).await.unwrap();
                let point = world.0.points.borrow().len() + number;
                world.0.fault.set(Some((point, fault)));
                let done = within(20, bed.disconnect(&id, false)).await.is_some();
                (id, world.0.points.borrow().get(point).copied(), done)
            })
            .await;
            world.0.fault.set(None);
            is_whole(&world, &id, &format!("{fault:?} {at:?}")).await;
            if done {
                assert!(number > 4, "{number} points");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_a_launch_the_app_is_known_or_never_was() {
    for fault in [Fault::Before, Fault::After] {
        for number in 0.. {
            let world = World::new();
            let (id, at, done) = live(&world, async |bed| {
                let id = bed.tunnel("home", 1).await;
                bed.connect(&id, 10).await.unwrap();
                let point = world.0.points.borrow().len() + number;
                world.0.fault.set(Some((point, fault)));
                let done = within(20, bed.launch(&id, wish())).await.is_some();
                (id, world.0.points.borrow().get(point).copied(), done)
            })
            .await;
            world.0.fault.set(None);
            let at = format!("{fault:?} {at:?}");
            live(&world, async |bed| {
                let known = bed.handle.apps(Grant::for_test(ANNA)).await.unwrap();
                assert_eq!(known.len(), world.0.apps.borrow().len(), "{at}");
                assert_eq!(bed.info(&id).await.apps as usize, known.len(), "{at}");
                for (app, info) in known {
                    assert_eq!(info.state, AppState::Running, "{at}");
                    world.end(&app, Exit::Code(0));
                }
                settle().await;
                bed.disconnect(&id, false).await.unwrap();
                assert!(world.is_bare(), "{at}");
            })
            .await;
            if done {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_a_forced_disconnect_the_app_is_online_by_the_tunnel_or_offline() {
    for fault in [Fault::Before, Fault::After] {
        for number in 0.. {
            let world = World::new();
            let (id, app, done) = live(&world, async |bed| {
                let id = bed.tunnel("home", 1).await;
                let (app, _) = bed.launch(&id, wish()).await.unwrap();
                let point = world.0.points.borrow().len() + number;
                world.0.fault.set(Some((point, fault)));
                let done = within(20, bed.disconnect(&id, true)).await.is_some();
                (id, app, done)
            })
            .await;
            world.0.fault.set(None);
            live(&world, async |bed| {
                let at = format!("{fault:?} {number}");
                assert_eq!(spaces(&world).len(), 1, "{at}");
                match bed.info(&id).await.state {
                    TunnelState::Off => assert!(world.wire(|_| ()).is_none(), "{at}"),
                    TunnelState::Protected => assert_eq!(world.living_planes(), 1, "{at}"),
                    other => panic!("{at}: {other:?}"),
                }
                world.end(&app, Exit::Code(0));
                settle().await;
                bed.disconnect(&id, false).await.unwrap();
                assert!(world.is_bare(), "{at}");
            })
            .await;
            if done {
                assert!(number >= 2);
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_while_a_data_plane_is_replaced_it_is_replaced_after_a_restart() {
    for fault in [Fault::Before, Fault::After] {
        for number in 0..5 {
            let world = World::new();
            let id = live(&world, async |bed| {
                let id = bed.tunnel("home", 1).await;
                bed.connect(&id, 10).await.unwrap();
                let point = world.0.points.borrow().len() + number;
                world.0.fault.set(Some((point, fault)));
                world.kill_plane();
                pass(5.0).await;
                id
            })
            .await;
            world.0.fault.set(None);
            is_whole(&world, &id, &format!("{fault:?} {number}")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_namespace_under_the_same_name_is_not_adopted() {
    let world = World::new();
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        id
    })
    .await;
    world
        .0
        .namespaces
        .borrow_mut()
        .values_mut()
        .for_each(|space| space.inode += 1);
    live(&world, async |bed| {
        assert_eq!(bed.state(&id).await, (TunnelState::Off, None));
        assert!(world.is_bare());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_without_peers_is_there_after_a_restart() {
    let world = World::new();
    let made = live(&world, async |bed| {
        bed.handle
            .create(Grant::for_test(ANNA), "new".into())
            .await
            .unwrap()
    })
    .await;
    live(&world, async |bed| {
        let info = bed.info(&made.id).await;
        assert_eq!((info.name, info.public_key), (made.name, made.public_key));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_replaced_while_up_is_adopted_as_it_was_and_taken_over_at_the_next_connect() {
    let world = World::new();
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        let text = config(1, ENDPOINT)
            .replace("10.0.0.2", "10.0.0.7")
            .into_bytes();
        let replaced = bed
            .handle
            .replace(Grant::for_test(ANNA), id.clone(), Zeroizing::new(text));
        replaced.await.unwrap();
        id
    })
    .await;
    live(&world, async |bed| {
        let show = || bed.handle.show(Grant::for_test(ANNA), id.clone());
        assert_eq!(bed.state(&id).await, (TunnelState::Protected, None));
        assert_eq!(show().await.unwrap().addresses, ["10.0.0.2/32"]);
        // What it was up with is not known any more: it cannot be started again, and is offline until it is connected.
        world.kill_plane();
        pass(5.0).await;
        assert_eq!(
            bed.state(&id).await,
            (TunnelState::Blocked, Some("no-data-plane"))
        );
        bed.disconnect(&id, false).await.unwrap();
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(show().await.unwrap().addresses, ["10.0.0.7/32"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_whose_last_app_ended_meanwhile_goes_down_where_that_is_wished() {
    for wished in [true, false] {
        let world = World::new();
        let (id, app) = live(&world, async |bed| {
            let id = bed.tunnel("home", 1).await;
            let change = OptionsChange {
                down_with_last_app: Some(Some(wished)),
                ..OptionsChange::default()
            };
            bed.handle
                .set_options(Grant::for_test(ANNA), None, id.clone(), change)
                .await
                .unwrap();
            let (app, _) = bed.launch(&id, wish()).await.unwrap();
            (id, app)
        })
        .await;
        world.end(&app, Exit::Code(0));
        for _ in 0..2 {
            live(&world, async |bed| {
                let wanted = if wished {
                    TunnelState::Off
                } else {
                    TunnelState::Protected
                };
                assert_eq!(bed.info(&id).await.state, wanted);
                assert_eq!(world.is_bare(), wished);
            })
            .await;
        }
    }
}
