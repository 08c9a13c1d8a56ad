use lonewire_core::launch::Exit;

use super::*;
use crate::{
    engine::view::{OptionsChange, Presence, Presences},
    ports::Start,
};

const HERE: Presence = Presence::LoggedIn { since: 7 };

/// Ends an app that hears nothing.
const ALL: [(i32, bool); 4] = [
    (libc::SIGHUP, true),
    (libc::SIGTERM, true),
    (libc::SIGCONT, true),
    (libc::SIGKILL, true),
];

impl Bed {
    async fn starts(&self, uid: u32, id: &Id, start: Start) {
        let change = OptionsChange {
            start: Some(Some(start)),
            ..OptionsChange::default()
        };
        let grant = Some(Grant::for_test(uid));
        let set = self
            .handle
            .set_options(Grant::for_test(uid), grant, id.clone(), change);
        set.await.unwrap();
    }

    async fn seen<const N: usize>(&self, who: [(u32, Presence); N]) {
        self.handle.logins(Presences::from(who)).await;
        pass(0.5).await;
    }
}

async fn is_up(bed: &Bed, id: &Id) -> bool {
    bed.info(id).await.state == TunnelState::Protected
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_starts_at_boot_does_so_once_a_boot() {
    let world = World::new();
    let (id, other) = live(&world, async |bed| {
        let (id, other) = (bed.tunnel("home", 1).await, bed.tunnel("other", 2).await);
        bed.starts(ANNA, &id, Start::Boot).await;
        bed.starts(ANNA, &other, Start::Login).await;
        pass(1.0).await;
        assert!(!is_up(&bed, &id).await, "the boot is over");
        (id, other)
    })
    .await;
    for boot in ["second", "third"] {
        *world.0.boot.borrow_mut() = boot.into();
        world.0.namespaces.borrow_mut().clear();
        world.kill_plane();
        live(&world, async |bed| {
            assert_ne!(bed.handle.connected().await, 0, "nobody must end it now");
            pass(1.0).await;
            assert!(is_up(&bed, &id).await && !is_up(&bed, &other).await);
            bed.disconnect(&id, false).await.unwrap();
        })
        .await;
        // Whoever took it down finds it down.
        live(&world, async |bed| {
            pass(1.0).await;
            assert!(!is_up(&bed, &id).await);
            assert_eq!(bed.handle.connected().await, 0);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_helper_that_is_killed_while_it_starts_them_leaves_it_to_the_next() {
    let world = World::new();
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.starts(ANNA, &id, Start::Boot).await;
        id
    })
    .await;
    *world.0.boot.borrow_mut() = "second".into();
    let point = world.0.points.borrow().len() + 3;
    world.0.fault.set(Some((point, fakes::Fault::Before)));
    live(&world, async |bed| {
        // A login meanwhile is noted too.
        bed.seen([(ANNA, HERE)]).await;
    })
    .await;
    world.0.fault.set(None);
    live(&world, async |bed| {
        pass(1.0).await;
        assert!(is_up(&bed, &id).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_servers_name_that_is_not_known_yet_is_waited_for_and_no_other_tunnel_with_it() {
    for by_change in [false, true] {
        let world = World::new();
        let (id, other) = live(&world, async |bed| {
            let text = config(1, "Endpoint = vpn.example:51820");
            let id = bed.import_as(ANNA, "home", &text).await.unwrap().id;
            let other = bed.tunnel("other", 2).await;
            bed.starts(ANNA, &id, Start::Boot).await;
            bed.starts(ANNA, &other, Start::Boot).await;
            // By hand it is told at once.
            let error = bed.connect(&id, 10).await.unwrap_err();
            assert!(matches!(error, Error::ConnectFailed { .. }), "{error}");
            (id, other)
        })
        .await;
        *world.0.boot.borrow_mut() = "second".into();
        live(&world, async |bed| {
            pass(12.0).await;
            assert!(is_up(&bed, &other).await);
            let blocked = (TunnelState::Blocked, Some("unresolvable"));
            assert_eq!(bed.state(&id).await, blocked);
            let lookups = world.0.lookups.get();
            assert!((3..6).contains(&lookups), "{lookups}");
            // A program waits as for any tunnel, and does not start outside.
            let error = bed.launch(&id, wish()).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::NotProtected {
                        reason: "unresolvable"
                    }
                ),
                "{error}"
            );
            let waits = bed.launch(&id, wish());
            let comes = async {
                pass(0.5).await;
                let address = "192.0.2.1:51820".parse().unwrap();
                let names = &world.0.names;
                names
                    .borrow_mut()
                    .insert("vpn.example".into(), vec![address]);
                if by_change {
                    world.0.uplink_changes.notify_one();
                    pass(0.5).await;
                    assert!(is_up(&bed, &id).await, "at a change it is asked at once");
                }
            };
            let (launched, ()) = tokio::join!(waits, comes);
            launched.unwrap();
            assert!(is_up(&bed, &id).await);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_session_brings_up_and_the_last_takes_all_away_but_what_started_at_boot() {
    let world = World::new();
    live(&world, async |bed| {
        let (login, hand, boot) = (
            bed.tunnel("login", 1).await,
            bed.tunnel("hand", 2).await,
            bed.tunnel("boot", 3).await,
        );
        bed.starts(ANNA, &login, Start::Login).await;
        bed.starts(ANNA, &boot, Start::Boot).await;
        let berts = bed.import_as(BERT, "login", &config(4, ENDPOINT)).await;
        let berts = berts.unwrap().id;
        bed.starts(BERT, &berts, Start::Login).await;
        bed.seen([(ANNA, HERE)]).await;
        assert!(is_up(&bed, &login).await && !is_up(&bed, &hand).await);
        assert_eq!(bed.handle.connected().await, 1, "Bert has not logged in");
        // Taken down by hand it stays so, whatever else is told of her.
        bed.disconnect(&login, false).await.unwrap();
        bed.seen([(ANNA, HERE), (BERT, HERE)]).await;
        assert!(!is_up(&bed, &login).await);

        let mut apps = Vec::new();
        for tunnel in [&login, &hand, &boot] {
            apps.push(bed.launch(tunnel, wish()).await.unwrap().0);
        }
        let signals = |app: &Id| world.0.apps.borrow()[app].signals.borrow().clone();
        bed.seen([(BERT, HERE)]).await;
        assert_eq!(signals(&apps[0]), ALL[..3]);
        assert!(is_up(&bed, &login).await, "until its apps have ended");
        world.end(&apps[0], Exit::Code(0));
        pass(6.0).await;
        // One did not listen.
        assert_eq!(signals(&apps[0]), ALL[..3]);
        assert_eq!(signals(&apps[1]), ALL);
        assert_eq!(signals(&apps[2]), []);
        world.end(&apps[1], Exit::Signal(9));
        pass(0.5).await;
        assert!(!is_up(&bed, &login).await && !is_up(&bed, &hand).await);
        assert!(is_up(&bed, &boot).await);
        let of_bert = bed.handle.list(Grant::for_test(BERT)).await.unwrap();
        assert_eq!(of_bert[0].1.state, TunnelState::Protected);
        // Her next login is another.
        bed.seen([(ANNA, HERE), (BERT, HERE)]).await;
        assert!(is_up(&bed, &login).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_back_before_his_apps_have_ended_keeps_his_tunnels() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.starts(ANNA, &id, Start::Login).await;
        bed.seen([(ANNA, HERE)]).await;
        let (app, _) = bed.launch(&id, wish()).await.unwrap();
        bed.seen([]).await;
        bed.seen([(ANNA, HERE)]).await;
        let (new, _) = bed.launch(&id, wish()).await.unwrap();
        pass(6.0).await;
        let signals = |app: &Id| world.0.apps.borrow()[app].signals.borrow().clone();
        assert_eq!(signals(&app), ALL);
        assert_eq!(signals(&new), []);
        assert!(is_up(&bed, &id).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_lingers_keeps_all_of_it_and_is_waited_for() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.seen([(ANNA, Presence::Lingers)]).await;
        assert_eq!(bed.handle.connected().await, 0);
        bed.starts(ANNA, &id, Start::Login).await;
        assert_eq!(bed.handle.connected().await, 1, "nobody would start it");
        assert!(!is_up(&bed, &id).await);
        bed.seen([(ANNA, HERE)]).await;
        assert!(is_up(&bed, &id).await);
        bed.seen([(ANNA, Presence::Lingers)]).await;
        pass(10.0).await;
        assert!(is_up(&bed, &id).await);
        bed.seen([]).await;
        assert!(!is_up(&bed, &id).await, "he lingers no more");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_helper_knows_who_was_there() {
    let world = World::new();
    let (id, other) = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.starts(ANNA, &id, Start::Login).await;
        bed.seen([(ANNA, HERE)]).await;
        bed.disconnect(&id, false).await.unwrap();
        // A user of whom nothing was ever told, by a timer or a service.
        let other = bed.import_as(BERT, "other", &config(2, ENDPOINT)).await;
        let other = other.unwrap().id;
        let connect = bed.handle.connect(Grant::for_test(BERT), other.clone(), 10);
        connect.await.unwrap();
        (id, other)
    })
    .await;
    let of_bert = async |bed: &Bed| {
        let list = bed.handle.list(Grant::for_test(BERT)).await.unwrap();
        list.into_iter()
            .find(|(id, _)| *id == other)
            .unwrap()
            .1
            .state
    };
    live(&world, async |bed| {
        bed.seen([(ANNA, HERE)]).await;
        assert!(!is_up(&bed, &id).await, "it is the same login");
        bed.connect(&id, 10).await.unwrap();
    })
    .await;
    // She leaves while no helper runs.
    live(&world, async |bed| {
        bed.seen([]).await;
        assert!(!is_up(&bed, &id).await);
        assert_eq!(of_bert(&bed).await, TunnelState::Protected);
    })
    .await;
    live(&world, async |bed| {
        bed.seen([(ANNA, Presence::LoggedIn { since: 8 })]).await;
        assert!(is_up(&bed, &id).await);
        assert_eq!(of_bert(&bed).await, TunnelState::Protected);
    })
    .await;
}
