//! Every member is in the table, and with polkit's yes does what it is for: one question a privileged call, none for the others.

use std::collections::BTreeSet;

use anyhow::Result;
use lab::polkit::Answer;
use zbus::message::Flags;

use super::{
    contract,
    scene::{Scene, assert_is_about},
    table::{self, Names, PROPERTIES, STANDARD, WITHOUT_AUTHORISATION, table},
};

#[test]
fn every_member_of_the_running_service_has_its_row() -> Result<()> {
    let scene = Scene::new()?;
    let text = contract::introspect(&scene.alice, lonewire_api::names::OBJECT_PATH)?;
    let running: BTreeSet<_> = contract::members(&text)?
        .into_iter()
        .filter(|(kind, _)| kind != "signal")
        .map(|(_, name)| name)
        .collect();
    let own = |name: &str| format!("org.lonewire.Helper1.{name}");
    let listed: BTreeSet<_> = table()
        .iter()
        .map(|row| format!("{}.{}", row.interface, row.member))
        .chain(PROPERTIES.map(|name| own(&format!("Service.{name}"))))
        .chain(STANDARD.map(str::to_owned))
        .collect();
    assert_eq!(running, listed);

    // Those without authorisation are exactly those of the list.
    let without: BTreeSet<_> = table()
        .iter()
        .filter(|row| row.action.is_none())
        .map(|row| format!("{}.{}", row.interface, row.member))
        .chain(PROPERTIES.map(|name| own(&format!("Service.{name}"))))
        .collect();
    assert_eq!(without, WITHOUT_AUTHORISATION.map(own).into());
    Ok(())
}

#[test]
fn with_a_yes_each_method_does_its_work_for_one_question() -> Result<()> {
    let scene = Scene::new()?;
    scene.polkit.always(Answer::Yes);
    for row in table() {
        let what = row.member;
        let id = scene.id(&row);
        // A person may be asked, but there is no need to.
        let call = (row.call)(id, Flags::ALLOW_INTERACTIVE_AUTH)?;
        let reply = scene.alice.ask(&call)?;
        assert_eq!(reply.error(), "", "{what}: {:?}", reply.message);
        let asked = scene.asked(&scene.alice);
        let Some(action) = row.action else {
            assert_eq!(asked, [], "{what}");
            continue;
        };
        let [question] = &asked[..] else {
            panic!("{what}: {asked:?}");
        };
        assert_eq!((question.action.as_str(), question.flags), (action, 0));
        // A prompt would say which tunnel: as it is stored.
        let label = question.details.get("tunnel").map(String::as_str);
        assert_eq!(label.is_some(), row.names == Names::Tunnel, "{question:?}");
        assert!(
            label.is_none_or(|label| label == "off" || label.starts_with("label ")),
            "{label:?}"
        );
    }
    Ok(())
}

#[test]
fn a_yes_is_good_for_one_call_of_one_caller() -> Result<()> {
    let scene = Scene::new()?;
    let (alice, again) = (&scene.alice, scene.door.enter()?);
    // Yes to the first question, whoever asks it; no to all that come after it.
    for row in table::asking() {
        let mut first = true;
        scene.polkit.script(move |_| {
            if std::mem::take(&mut first) {
                Answer::Yes
            } else {
                Answer::No
            }
        });
        let create = (table()[2].call)("", Flags::empty())?;
        assert_eq!(alice.ask(&create)?.error(), "");
        let id = scene.id(&row);
        for caller in [alice, &again] {
            let reply = caller.ask(&(row.call)(id, Flags::empty())?)?;
            assert_eq!(reply.error(), "AccessDenied", "{}", row.member);
        }
        let reply = scene.bob.ask(&(table()[2].call)("", Flags::empty())?)?;
        assert_eq!(reply.error(), "AccessDenied");
        // As many questions as calls, each about who called.
        let asked = scene.polkit.take();
        let callers = [alice, alice, &again, &scene.bob];
        assert_eq!(asked.len(), callers.len(), "{asked:?}");
        for (question, caller) in asked.iter().zip(callers) {
            assert_is_about(question, caller);
        }
    }
    Ok(())
}

#[test]
fn a_person_is_asked_only_where_the_call_allows_it() -> Result<()> {
    let scene = Scene::new()?;
    scene.polkit.script(|question| {
        if question.may_prompt() {
            Answer::Yes
        } else {
            Answer::Challenge
        }
    });
    for row in table() {
        // The tunnel is never removed here, nor the app ended.
        if ["Remove", "Stop"].contains(&row.member) {
            continue;
        }
        let id = scene.id(&row);
        let reply = scene.alice.ask(&(row.call)(id, Flags::empty())?)?;
        let asked: Vec<_> = scene.asked(&scene.alice);
        let flags: Vec<_> = asked.iter().map(|question| question.flags).collect();
        if row.action.is_none() {
            assert_eq!((reply.error().as_str(), &flags[..]), ("", &[][..]));
            continue;
        }
        assert_eq!(reply.error(), "InteractiveAuthorizationRequired");
        assert_eq!(flags, [0], "{}", row.member);
        let call = (row.call)(id, Flags::ALLOW_INTERACTIVE_AUTH)?;
        let reply = scene.alice.ask(&call)?;
        assert_eq!(reply.error(), "", "{}: {:?}", row.member, reply.message);
        let asked = scene.asked(&scene.alice);
        let flags: Vec<_> = asked.iter().map(|question| question.flags).collect();
        assert_eq!(flags, [0, 1], "{}", row.member);
    }
    Ok(())
}
