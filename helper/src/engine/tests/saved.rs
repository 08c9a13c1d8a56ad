use super::*;
use crate::{
    engine::view::{CheckWish, OptionsChange},
    ports::{PortError, Start},
};

fn anna<A>() -> Grant<A> {
    Grant::for_test(ANNA)
}

#[tokio::test(start_paused = true)]
async fn a_foreign_id_answers_as_an_unknown_one() {
    let world = World::new();
    live(&world, async |bed| {
        let own = bed.tunnel("home", 1).await;
        bed.connect(&own, 10).await.unwrap();
        let (app, _) = bed.launch(&own, wish()).await.unwrap();
        let handle = &bed.handle;
        let unknown = Id::from_random([0xee; 16]);
        for (tunnel, app) in [(own.clone(), app), (unknown.clone(), unknown)] {
            let (t, a) = (|| tunnel.clone(), || app.clone());
            let text = Zeroizing::new(config(3, ENDPOINT).into_bytes());
            let answers = [
                handle.show(Grant::for_test(BERT), t()).await.err(),
                handle
                    .rename(Grant::for_test(BERT), t(), "x".into())
                    .await
                    .err(),
                handle.replace(Grant::for_test(BERT), t(), text).await.err(),
                handle
                    .duplicate(Grant::for_test(BERT), t(), "x".into())
                    .await
                    .err(),
                handle.remove(Grant::for_test(BERT), t()).await.err(),
                handle
                    .set_options(Grant::for_test(BERT), None, t(), OptionsChange::default())
                    .await
                    .err(),
                handle.connect(Grant::for_test(BERT), t(), 0).await.err(),
                handle
                    .disconnect(Grant::for_test(BERT), t(), true)
                    .await
                    .err(),
                handle
                    .check(Grant::for_test(BERT), t(), CheckWish::default())
                    .await
                    .err(),
                handle.log(Grant::for_test(BERT), t(), 0).await.err(),
                handle
                    .launch(Grant::for_test(BERT), t(), wish())
                    .await
                    .err(),
                handle.app(Grant::for_test(BERT), a()).await.err(),
                handle.signal(Grant::for_test(BERT), a(), 9).await.err(),
                handle.stop(Grant::for_test(BERT), a(), true).await.err(),
            ];
            for (number, answer) in answers.iter().enumerate() {
                assert!(
                    matches!(answer, Some(Error::NotFound)),
                    "{number}: {answer:?}"
                );
            }
        }
        assert!(handle.list(Grant::for_test(BERT)).await.unwrap().is_empty());
        assert!(handle.apps(Grant::for_test(BERT)).await.unwrap().is_empty());
        assert_eq!(bed.info(&own).await.name, "home");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn labels_are_unique_after_folding_by_user() {
    let world = World::new();
    live(&world, async |bed| {
        bed.tunnel("Zürich", 1).await;
        let same = bed.import_as(ANNA, "ZÜRICH", &config(2, ENDPOINT)).await;
        assert!(matches!(same, Err(Error::NameInUse)), "{same:?}");
        bed.import_as(BERT, "zürich", &config(3, ENDPOINT))
            .await
            .unwrap();
        let made = bed.import_as(ANNA, "", &config(4, ENDPOINT)).await.unwrap();
        let again = bed.import_as(ANNA, "", &config(5, ENDPOINT)).await.unwrap();
        assert_ne!(made.name, again.name);
        let taken = bed
            .handle
            .rename(anna(), made.id.clone(), "zürich".into())
            .await;
        assert!(matches!(taken, Err(Error::NameInUse)));
        // Its own label in another case is no clash.
        bed.handle
            .rename(anna(), made.id.clone(), made.name.to_uppercase())
            .await
            .unwrap();
        let bad = bed.handle.rename(anna(), made.id, "a\nb".into()).await;
        assert!(matches!(
            bad,
            Err(Error::InvalidArgument {
                argument: "name",
                ..
            })
        ));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_configuration_of_an_import_stands_alone() {
    let world = World::new();
    *world.0.admin.borrow_mut() = "[quotas]\ntunnels = 2\n".into();
    live(&world, async |bed| {
        let list = [
            ("a", config(1, ENDPOINT)),
            ("bad", "[Interface]\nPrivateKey = nonsense\n".into()),
            ("b", config(2, ENDPOINT)),
            ("c", config(3, ENDPOINT)),
        ];
        let list = list.map(|(name, text)| (name.to_owned(), Zeroizing::new(text.into_bytes())));
        let results = bed.handle.import(anna(), list.into()).await.unwrap();
        assert!(results[0].is_ok() && results[2].is_ok());
        let Err(Error::InvalidConfiguration { line: 2, value, .. }) = &results[1] else {
            panic!("{:?}", results[1]);
        };
        assert!(value.is_empty(), "never what could be a key");
        assert!(matches!(
            results[3],
            Err(Error::LimitsExceeded { limit: 2, .. })
        ));
        assert_eq!(world.0.saved.borrow().len(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn secrets_do_not_come_back_and_unchanged_keeps_them() {
    let world = World::new();
    live(&world, async |bed| {
        let peer = format!("{ENDPOINT}\nPresharedKey = {}", key(77));
        let id = bed
            .import_as(ANNA, "home", &config(1, &peer))
            .await
            .unwrap()
            .id;
        let shown = bed.handle.show(anna(), id.clone()).await.unwrap();
        assert!(!format!("{shown:?}").contains(&key(1)) && !shown.config.contains(&key(77)));
        let edited = shown.config.replace("10.0.0.2", "10.0.0.9");
        let text = Zeroizing::new(edited.into_bytes());
        let replaced = bed.handle.replace(anna(), id.clone(), text).await.unwrap();
        assert_eq!(replaced.public_key, shown.info.public_key);
        let content = world.0.saved.borrow()[&id].content.clone();
        for part in [key(1), key(77), "10.0.0.9".into()] {
            assert!(content.contains(&part));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_created_tunnel_has_a_key_of_its_own_and_no_peer() {
    let world = World::new();
    live(&world, async |bed| {
        let one = bed.handle.create(anna(), "one".into()).await.unwrap();
        let two = bed.handle.create(anna(), "two".into()).await.unwrap();
        assert_ne!(one.public_key, two.public_key);
        assert_eq!(one.warnings, ["no-peer"]);
        let error = bed.connect(&one.id, 0).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        // A peer is added to the key that is there.
        let text = config(1, ENDPOINT).replace(&key(1), "(unchanged)");
        let text = Zeroizing::new(text.into_bytes());
        let replaced = bed
            .handle
            .replace(anna(), one.id.clone(), text)
            .await
            .unwrap();
        assert_eq!(replaced.public_key, one.public_key);
        bed.connect(&one.id, 10).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_up_is_not_removed() {
    let world = World::new();
    live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        bed.connect(&id, 0).await.unwrap();
        assert!(matches!(
            bed.handle.remove(anna(), id.clone()).await,
            Err(Error::Busy)
        ));
        bed.disconnect(&id, false).await.unwrap();
        bed.handle.remove(anna(), id.clone()).await.unwrap();
        assert!(world.0.saved.borrow().is_empty());
        let again = bed.handle.remove(anna(), id).await;
        assert!(matches!(again, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_saved_is_not_there() {
    let world = World::new();
    live(&world, async |bed| {
        world.0.fault.set(Some((0, fakes::Fault::Refused)));
        let error = bed
            .import_as(ANNA, "home", &config(1, ENDPOINT))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Failed(PortError::Os { .. })));
        assert!(bed.handle.list(anna()).await.unwrap().is_empty());
        bed.tunnel("home", 1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn options_are_checked_kept_and_taken_back() {
    let world = World::new();
    let set = |mtu| OptionsChange {
        mtu: Some(mtu),
        ..OptionsChange::default()
    };
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        for wrong in [575, 65_536] {
            let result = bed
                .handle
                .set_options(anna(), None, id.clone(), set(Some(wrong)))
                .await;
            assert!(matches!(
                result,
                Err(Error::InvalidArgument {
                    argument: "mtu",
                    ..
                })
            ));
        }
        bed.handle
            .set_options(anna(), None, id.clone(), set(Some(1300)))
            .await
            .unwrap();
        id
    })
    .await;
    live(&world, async |bed| {
        bed.connect(&id, 0).await.unwrap();
        assert_eq!(bed.handle.show(anna(), id.clone()).await.unwrap().mtu, 1300);
        bed.disconnect(&id, false).await.unwrap();
        bed.handle
            .set_options(anna(), None, id.clone(), set(None))
            .await
            .unwrap();
        bed.connect(&id, 0).await.unwrap();
        assert_eq!(bed.handle.show(anna(), id.clone()).await.unwrap().mtu, 1440);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_start_at_boot_takes_its_own_grant_and_is_not_copied() {
    let world = World::new();
    let set = |start| OptionsChange {
        start: Some(start),
        ..OptionsChange::default()
    };
    let id = live(&world, async |bed| {
        let id = bed.tunnel("home", 1).await;
        let start = async |autostart, start| {
            bed.handle
                .set_options(anna(), autostart, id.clone(), set(start))
                .await
        };
        let yes = || Some(Grant::for_test(ANNA));
        let boot = Some(Start::Boot);
        start(None, Some(Start::Login)).await.unwrap();
        for grant in [None, Some(Grant::for_test(BERT))] {
            let refused = start(grant, boot).await;
            assert!(matches!(refused, Err(Error::NotAuthorised)));
        }
        assert_eq!(world.0.saved.borrow()[&id].start, Some(Start::Login));
        assert!(!bed.handle.starts_at_boot(&id).await);
        start(yes(), boot).await.unwrap();
        assert_eq!(world.0.saved.borrow()[&id].start, boot);
        assert!(bed.handle.starts_at_boot(&id).await);
        // What it is already needs nobody, nor does anything else of it.
        start(None, boot).await.unwrap();
        bed.handle
            .set_options(anna(), None, id.clone(), OptionsChange::default())
            .await
            .unwrap();
        let copy = bed
            .handle
            .duplicate(anna(), id.clone(), "copy".into())
            .await
            .unwrap();
        assert_eq!(world.0.saved.borrow()[&copy].start, None);
        id
    })
    .await;
    // A note that was lost is made again.
    world.0.saved.borrow_mut().get_mut(&id).unwrap().start = None;
    live(&world, async |_| {
        assert_eq!(world.0.saved.borrow()[&id].start, Some(Start::Boot));
    })
    .await;
}
