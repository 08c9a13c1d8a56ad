use lonewire_core::launch::{Event as Told, Exit, Stage};

use super::{fakes::spaces, *};
use crate::engine::view::{AppState, CheckWish};

#[tokio::test(start_paused = true)]
async fn launching_connects_and_passes_on_what_was_asked() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let (app, info) = bed.launch(&id, wish()).await.unwrap();
        assert_eq!(
            (info.state, info.tunnel, &*info.name),
            (AppState::Running, id.clone(), "probe")
        );
        assert_eq!(bed.info(&id).await.apps, 1);
        assert_eq!(bed.info(&id).await.state, TunnelState::Protected);
        assert_eq!(bed.app(&app).await.unwrap().processes, Some(3));
        let launched = world.0.launched.borrow();
        let asked = &launched[0];
        let link = spaces(&world).into_iter().next().unwrap();
        assert_eq!(
            (&asked.namespace, &asked.link, asked.user.uid),
            (&link, &link, ANNA)
        );
        assert_eq!(
            asked.namespace_inode,
            world.0.namespaces.borrow()[&link].inode
        );
        assert!(!asked.allow_new_privileges && !asked.hold && !asked.tie);
        let environment: Vec<_> = asked
            .environment
            .iter()
            .map(|entry| String::from_utf8(entry.clone()).unwrap())
            .collect();
        let wanted = [
            "FOO=1",
            "LD_X=2",
            "HOME=/home/user",
            "USER=user61001",
            "LOGNAME=user61001",
            "SHELL=/bin/sh",
            &format!("LONEWIRE_TUNNEL={id}"),
        ];
        assert_eq!(environment, wanted);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_clean_environment_is_that_of_a_login() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.launch(
            &id,
            LaunchWish {
                clean_env: true,
                ..wish()
            },
        )
        .await
        .unwrap();
        let environment = world.0.launched.borrow()[0].environment.clone();
        let tunnel = format!("LONEWIRE_TUNNEL={id}").into_bytes();
        assert_eq!(environment, [b"PATH=/usr/bin".to_vec(), tunnel]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn root_launches_nothing() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed
            .import_as(0, "home", &config(1, ENDPOINT))
            .await
            .unwrap()
            .id;
        let result = bed.handle.launch(Grant::for_test(0), id, wish()).await;
        assert!(matches!(result, Err(Error::NotSupported { .. })));
        assert!(world.is_bare());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_handshake_nothing_starts_unless_it_need_not_wait() {
    let world = World::new();
    world.0.alive.set(false);
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        for _ in 0..2 {
            let result = bed.launch(&id, wish()).await;
            assert!(matches!(
                result,
                Err(Error::NotProtected {
                    reason: "no-handshake"
                })
            ));
        }
        assert!(world.0.apps.borrow().is_empty());
        bed.launch(&id, LaunchWish { wait: 0, ..wish() })
            .await
            .unwrap();
        assert_eq!(world.0.apps.borrow().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_program_never_starts_on_an_unsealed_namespace() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.launch(&id, wish()).await.unwrap();
        world
            .0
            .namespaces
            .borrow_mut()
            .values_mut()
            .for_each(|space| space.foreign = true);
        for wait in [0, 10] {
            let result = bed.launch(&id, LaunchWish { wait, ..wish() }).await;
            assert!(matches!(result, Err(Error::Unsealed(_))), "{result:?}");
        }
        let probes = bed
            .handle
            .check(Grant::for_test(ANNA), id.clone(), CheckWish::default())
            .await
            .unwrap();
        let failed: Vec<_> = probes.iter().filter(|probe| !probe.passed).collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(
            (&*failed[0].probe, &*failed[0].found),
            ("links", "another link: veth0")
        );
        // Nor where it cannot be looked at.
        world
            .0
            .namespaces
            .borrow_mut()
            .values_mut()
            .for_each(|space| space.foreign = false);
        let next = world.0.points.borrow().len();
        world.0.fault.set(Some((next, fakes::Fault::Refused)));
        assert!(matches!(
            bed.launch(&id, wish()).await,
            Err(Error::Failed(_))
        ));
        assert_eq!(world.0.points.borrow()[next], "observe");
        assert_eq!(world.0.apps.borrow().len(), 1);
        bed.launch(&id, wish()).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_fails_leaves_no_record_and_gives_its_place_back() {
    let world = World::new();
    *world.0.admin.borrow_mut() = "[quotas]\napps = 1\n".into();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        let errors = [
            crate::ports::PortError::Warden {
                stage: Stage::Exec,
                errno: libc::ENOENT,
            },
            crate::ports::PortError::WardenGone,
        ];
        for error in errors {
            *world.0.refuse_launch.borrow_mut() = Some(error);
            match bed.launch(&id, wish()).await {
                Err(Error::LaunchFailed {
                    stage: Stage::Exec,
                    errno: libc::ENOENT,
                }) => {}
                Err(Error::LimitsExceeded { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(
            world
                .0
                .records
                .borrow()
                .keys()
                .all(|(is_tunnel, _)| *is_tunnel)
        );
        assert_eq!(bed.info(&id).await.apps, 0);
        bed.launch(&id, wish()).await.unwrap();
        let over = bed.launch(&id, wish()).await;
        assert!(
            matches!(
                over,
                Err(Error::LimitsExceeded {
                    what: "apps",
                    limit: 1
                })
            ),
            "{over:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn launches_are_spread_and_then_refused() {
    let world = World::new();
    *world.0.admin.borrow_mut() = "[quotas]\nlaunches-per-second = 10\n".into();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        pass(2.0).await;
        let results =
            futures_util::future::join_all((0..70).map(|_| bed.launch(&id, wish()))).await;
        // A second's worth at once, five seconds' worth after waiting.
        let refused = results
            .iter()
            .filter(|result| matches!(result, Err(Error::LimitsExceeded { limit: 10, .. })))
            .count();
        assert_eq!(refused, 10);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 60);
        pass(2.0).await;
        bed.launch(&id, wish()).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_keeper_tells_is_told_on_and_an_ended_app_is_known_ten_minutes() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let (app, _) = bed.launch(&id, wish()).await.unwrap();
        let mut events = bed.handle.events();
        world.tell(&app, Told::Stopped { signal: 20 });
        settle().await;
        assert_eq!(bed.app(&app).await.unwrap().state, AppState::Stopped);
        world.tell(&app, Told::Continued);
        world.tell(&app, Told::Exited(Exit::Code(3)));
        settle().await;
        let info = bed.app(&app).await.unwrap();
        assert_eq!(
            (info.state, info.exit),
            (AppState::Running, Some(Exit::Code(3)))
        );
        bed.handle
            .signal(Grant::for_test(ANNA), app.clone(), 10)
            .await
            .unwrap();
        bed.handle
            .stop(Grant::for_test(ANNA), app.clone(), false)
            .await
            .unwrap();
        bed.handle
            .stop(Grant::for_test(ANNA), app.clone(), true)
            .await
            .unwrap();
        let program = world.0.apps.borrow()[&app].clone();
        let sent = [(10, false), (libc::SIGTERM, true), (libc::SIGKILL, true)];
        assert_eq!(*program.signals.borrow(), sent);
        // What its keeper would not send is not promised: those of no name.
        for number in [0, 32, 34, 64, 65] {
            let wrong = bed
                .handle
                .signal(Grant::for_test(ANNA), app.clone(), number)
                .await;
            assert!(matches!(
                wrong,
                Err(Error::InvalidArgument {
                    argument: "signal",
                    ..
                })
            ));
        }
        world.end(&app, Exit::Code(3));
        settle().await;
        let info = bed.app(&app).await.unwrap();
        assert_eq!(
            (info.state, info.exit),
            (AppState::Ended, Some(Exit::Code(3)))
        );
        bed.handle
            .signal(Grant::for_test(ANNA), app.clone(), 9)
            .await
            .unwrap();
        assert_eq!(bed.info(&id).await.apps, 0);
        pass(599.0).await;
        assert!(bed.app(&app).await.is_ok());
        pass(2.0).await;
        assert!(matches!(bed.app(&app).await, Err(Error::NotFound)));
        assert!(
            world
                .0
                .records
                .borrow()
                .keys()
                .all(|(is_tunnel, _)| *is_tunnel)
        );
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            told.push(format!("{event:?}").split('(').next().unwrap().to_owned());
        }
        told.retain(|name| name.starts_with("App"));
        assert_eq!(told.last().unwrap(), "AppRemoved");
        assert!(
            told.iter().filter(|name| *name == "AppChanged").count() >= 4,
            "{told:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_is_killed_ends_its_app_with_the_exit_it_left() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let (app, _) = bed.launch(&id, wish()).await.unwrap();
        world
            .0
            .exits
            .borrow_mut()
            .insert(app.clone(), Exit::Signal(9));
        let program = world.0.apps.borrow()[&app].clone();
        program.gone.set(true);
        program.news.notify_one();
        settle().await;
        let info = bed.app(&app).await.unwrap();
        assert_eq!(
            (info.state, info.exit),
            (AppState::Ended, Some(Exit::Signal(9)))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_under_way_and_a_disconnect_do_not_meet() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        world.0.hold.set(true);
        let release = async {
            pass(3.0).await;
            world.0.hold.set(false);
        };
        let down = async {
            pass(1.0).await;
            bed.disconnect(&id, false).await
        };
        let (launched, down, ()) = tokio::join!(bed.launch(&id, wish()), down, release);
        let (app, _) = launched.unwrap();
        // It came second and saw the app.
        assert!(matches!(down, Err(Error::AppsRunning(apps)) if apps == [app]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_end_of_one_call_alone() {
    let world = World::new();
    *world.0.admin.borrow_mut() = "[quotas]\napps = 1\n".into();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        world.0.panics.set(true);
        assert!(matches!(
            bed.launch(&id, wish()).await,
            Err(Error::Failed(_))
        ));
        world.0.panics.set(false);
        bed.launch(&id, wish()).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_users_checks_do_not_crowd_out_anothers_launch() {
    let world = World::new();
    *world.0.admin.borrow_mut() = "[quotas]\nlaunches-per-second = 10\n".into();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        let of_bert = bed
            .import_as(BERT, "home", &config(2, ENDPOINT))
            .await
            .unwrap()
            .id;
        let check = || {
            bed.handle
                .check(Grant::for_test(ANNA), id.clone(), CheckWish::default())
        };
        let checks = futures_util::future::join_all((0..500).map(|_| check()));
        let launch = async {
            settle().await;
            within(1, bed.handle.launch(Grant::for_test(BERT), of_bert, wish())).await
        };
        let (checks, launched) = tokio::join!(checks, launch);
        assert!(launched.unwrap().is_ok());
        assert!(checks.iter().filter(|result| result.is_ok()).count() < 70);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_warden_is_started_ahead_of_a_launch_and_of_nothing_else() {
    let world = World::new();
    let alive = || {
        let ahead = world.0.ahead.borrow();
        ahead.iter().filter(|one| one.strong_count() > 0).count()
    };
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 10).await.unwrap();
        assert_eq!(world.0.ahead.borrow().len(), 0, "nobody launches");
        bed.disconnect(&id, false).await.unwrap();
        // It is there before the link, so that its start takes no time of the launch's.
        bed.launch(&id, wish()).await.unwrap();
        assert_eq!((world.0.ahead.borrow().len(), alive()), (1, 0));
        // Nothing is left of one that was not needed.
        world.0.alive.set(false);
        let other = bed.tunnel("other", 2).await;
        let offline = bed.launch(&other, wish()).await;
        assert!(
            matches!(offline, Err(Error::NotProtected { .. })),
            "{offline:?}"
        );
        assert_eq!((world.0.ahead.borrow().len(), alive()), (2, 0));
    })
    .await;
}
