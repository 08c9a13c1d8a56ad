//! A polkit that does not answer holds up nobody but who waits for it; and who leaves is not waited for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::{
    polkit::{Answer, Question},
    world::until,
};
use zbus::message::Flags;

use super::{
    scene::{self, Scene, assert_is_about, assert_no_trace, helper},
    table::{self, Names, asking, table},
};

/// Far more than a call takes, far less than polkit's deadline.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Polkit thinks about so many of one user's questions at a time; the next waits for its turn.
const TURNS: usize = 8;

/// Polkit answers questions about `name` never, and all others with yes.
fn hang_for(scene: &Scene, names: Vec<String>) {
    scene.polkit.script(move |question| {
        if names.iter().any(|name| name == question.about()) {
            Answer::Hang
        } else {
            Answer::Yes
        }
    });
}

fn assert_cancelled(scene: &Scene, questions: &[Question]) -> Result<()> {
    for question in questions {
        until(Duration::from_secs(1), "a question's cancellation", || {
            Ok(scene.polkit.is_cancelled(question))
        })
        .with_context(|| format!("{question:?}"))?;
    }
    Ok(())
}

#[test]
fn a_hanging_polkit_ends_in_a_no_and_meanwhile_others_are_served() -> Result<()> {
    let scene = Scene::new()?;
    hang_for(&scene, vec![scene.alice.name.clone()]);
    let tunnels = scene::list(&scene.alice)?;
    let mut open = Vec::new();
    for row in asking().into_iter().take(TURNS) {
        let call = (row.call)(scene.id(&row), Flags::ALLOW_INTERACTIVE_AUTH)?;
        open.push(scene.alice.send(&call)?);
    }
    scene.polkit.wait_for(open.len())?;
    let hanging = scene.asked(&scene.alice);

    // T11: another person's calls of every kind are answered at once, those that ask polkit too.
    let began = Instant::now();
    let client = table::configuration()?;
    let tunnel = scene::import(&scene.bob, "bobs", client)?;
    for row in table() {
        if row.names == Names::App {
            continue;
        }
        let reply = scene.bob.ask(&(row.call)(&tunnel, Flags::empty())?)?;
        assert_eq!(reply.error(), "", "{}: {:?}", row.member, reply.message);
        // Going up and down takes what it takes without any polkit.
        let slow = ["Connect", "Launch", "Disconnect"].contains(&row.member);
        let limit = if slow { 3 * AT_ONCE } else { AT_ONCE };
        assert!(reply.after < limit, "{}: {:?}", row.member, reply.after);
    }
    scene.asked(&scene.bob);
    // And what asks nobody is answered to alice herself.
    for row in table() {
        if row.action.is_none() && row.member != "Stop" && row.member != "Rename" {
            let reply = scene
                .alice
                .ask(&(row.call)(scene.id(&row), Flags::empty())?)?;
            assert_eq!(reply.error(), "", "{}", row.member);
            assert!(reply.after < AT_ONCE, "{}: {:?}", row.member, reply.after);
        }
    }
    // The data plane of bob's tunnel, now gone, notices that only at its next look: of processes nothing is said here.
    let traces = || -> Result<String> {
        let text = scene.traces()?;
        Ok(text
            .lines()
            .filter(|line| !line.starts_with("[["))
            .collect::<Vec<_>>()
            .join("\n"))
    };
    let before = traces()?;
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "polkit's deadline is near"
    );

    for sent in open {
        let reply = scene.alice.wait(sent, Duration::from_secs(30));
        let reply = reply.context("no answer after the deadline")?;
        assert_eq!(reply.error(), "AccessDenied");
        let after = reply.after.as_secs_f32();
        assert!((19.5..23.0).contains(&after), "after {after} s");
    }
    assert_cancelled(&scene, &hanging)?;
    // Neither while they were open nor at their end has anything come of them.
    assert_no_trace(&before, &traces()?, "hanging");
    assert_eq!(scene::list(&scene.alice)?, tunnels);
    Ok(())
}

#[test]
fn who_leaves_while_polkit_thinks_is_not_waited_for() -> Result<()> {
    let scene = Scene::new()?;
    // With a prompt on the screen, and before there is one.
    for first in [Answer::Challenge, Answer::Hang] {
        scene.polkit.script(move |question| {
            if question.may_prompt() {
                Answer::Hang
            } else {
                first
            }
        });
        let before = scene.traces()?;
        let mut callers = Vec::new();
        for row in asking() {
            // Each from a connection of its own; and of prompts only a few may be open.
            let caller = scene.door.enter()?;
            let call = (row.call)(scene.id(&row), Flags::ALLOW_INTERACTIVE_AUTH)?;
            caller.send(&call)?;
            callers.push(caller);
            let (most, each) = if first == Answer::Challenge {
                (4, 2)
            } else {
                (TURNS, 1)
            };
            if callers.len() == most {
                leave(&scene, &mut callers, each)?;
            }
        }
        leave(
            &scene,
            &mut callers,
            if first == Answer::Challenge { 2 } else { 1 },
        )?;
        assert_no_trace(&before, &scene.traces()?, "left");
    }
    Ok(())
}

/// All leave once they are asked about; each question that is open is cancelled.
fn leave(scene: &Scene, callers: &mut Vec<lab::caller::Caller>, each: usize) -> Result<()> {
    scene.polkit.wait_for(callers.len() * each)?;
    let asked = scene.polkit.take();
    let open: Vec<_> = asked
        .into_iter()
        .filter(|question| each == 1 || question.may_prompt())
        .collect();
    assert_eq!(open.len(), callers.len(), "{open:?}");
    for caller in callers.iter() {
        let of = |question: &&Question| question.about() == caller.name;
        let question = open.iter().find(of).context("not asked about")?;
        assert_is_about(question, caller);
        assert!(!scene.polkit.is_cancelled(question));
    }
    callers.clear();
    assert_cancelled(scene, &open)
}

#[test]
fn callers_that_vanish_at_any_moment_leave_nothing() -> Result<()> {
    const ROUNDS: u64 = 200;
    let scene = Scene::new()?;
    let pid = helper(&scene.world)?;
    let files = || -> Result<usize> { Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count()) };
    let rows = asking();
    let before = scene.traces()?;
    let descriptors = files()?;
    let mut number = 0;
    scene.polkit.script(move |_| {
        number += 1;
        [Answer::No, Answer::Hang, Answer::Error, Answer::Challenge][number % 4]
    });
    for (round, row) in (0..ROUNDS).zip(rows.iter().cycle()) {
        let caller = scene.door.enter()?;
        let flags = [Flags::empty(), Flags::ALLOW_INTERACTIVE_AUTH][usize::from(round % 3 == 0)];
        caller.send(&(row.call)(scene.id(row), flags)?)?;
        // From before the bus has passed it on to after the answer.
        std::thread::sleep(Duration::from_micros(round * 50));
        drop(caller);
    }
    // One that comes after them is served: they hold no place in any queue.
    scene.polkit.always(Answer::No);
    for row in &rows {
        let reply = scene
            .alice
            .ask(&(row.call)(scene.id(row), Flags::empty())?)?;
        assert_eq!(reply.error(), "AccessDenied");
        assert!(reply.after < AT_ONCE, "{}: {:?}", row.member, reply.after);
    }
    until(Duration::from_secs(5), "descriptors to be closed", || {
        Ok(files()? <= descriptors + 2)
    })?;
    assert_no_trace(&before, &scene.traces()?, "vanished");

    // With a yes to those alone who are still there, as the real one does, nothing comes of the others.
    let live = scene.door.enter()?;
    scene.polkit.take();
    scene.polkit.always(Answer::Yes);
    let create = &rows[1];
    assert_eq!(create.member, "Create");
    let saved = scene::list(&scene.alice)?.len();
    for round in 0..50 {
        let caller = scene.door.enter()?;
        caller.send(&(create.call)("", Flags::empty())?)?;
        std::thread::sleep(Duration::from_micros(round * 100));
    }
    assert_eq!(live.ask(&(create.call)("", Flags::empty())?)?.error(), "");
    let asked = scene.polkit.take();
    let now = scene::list(&scene.alice)?;
    // A tunnel more for each yes at most; and every one of them is whole.
    assert!(
        now.len() - saved <= asked.len(),
        "{} of {asked:?}",
        now.len()
    );
    for id in now.keys() {
        let show = scene
            .alice
            .call(lonewire_api::names::TUNNELS_INTERFACE, "Show", id)?;
        assert_eq!(show.error(), "");
    }
    assert_eq!(helper(&scene.world)?, pid);
    Ok(())
}
