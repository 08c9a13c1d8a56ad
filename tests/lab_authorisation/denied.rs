//! Without polkit's yes nothing happens, whatever polkit does instead of saying it; and what asks nobody goes on as ever.

use anyhow::Result;
use lab::{
    caller::Reply,
    polkit::{Answer, MALFORMED},
};
use zbus::message::Flags;

use super::{
    scene::{Scene, assert_no_trace},
    table::{asking, table},
};

/// Calls every method that asks, and then those that do not; gives the replies to the former.
fn sweep(scene: &mut Scene, what: &str, flags: Flags, prompts: usize) -> Result<Vec<Reply>> {
    let mut replies = Vec::new();
    for row in asking() {
        let what = format!("{}: {what}", row.member);
        let before = scene.traces()?;
        let reply = scene.alice.ask(&(row.call)(scene.id(&row), flags)?)?;
        assert!(reply.after.as_secs() < 5, "{what}: {:?}", reply.after);
        assert_no_trace(&before, &scene.traces()?, &what);
        let asked = scene.asked(&scene.alice);
        assert_eq!(asked.len(), prompts, "{what}: {asked:?}");
        assert!(
            asked
                .iter()
                .all(|question| Some(question.action.as_str()) == row.action),
            "{asked:?}"
        );
        replies.push(reply);
        if what.ends_with("drop") {
            scene.polkit.come_back()?;
        }
    }
    // Seeing and switching off one's own asks nobody: it works whatever has become of polkit.
    for row in table() {
        if row.action.is_some() || row.member == "Stop" {
            continue;
        }
        let reply = scene.alice.ask(&(row.call)(scene.id(&row), flags)?)?;
        assert_eq!(reply.error(), "", "{}: {what}", row.member);
    }
    assert_eq!(scene.asked(&scene.alice), []);
    Ok(replies)
}

#[test]
fn whatever_is_no_yes_is_a_no_and_leaves_no_trace() -> Result<()> {
    let mut scene = Scene::new()?;
    let (silent, talkative) = (Flags::empty(), Flags::ALLOW_INTERACTIVE_AUTH);
    let mut said = None;
    let kinds = (0..MALFORMED.len()).map(Answer::Malformed);
    for answer in [Answer::No, Answer::Error, Answer::Drop]
        .into_iter()
        .chain(kinds)
    {
        for flags in [silent, talkative] {
            scene.polkit.always(answer);
            let what = format!("{answer:?}").to_lowercase();
            for reply in sweep(&mut scene, &what, flags, 1)? {
                assert_eq!(reply.error(), "AccessDenied", "{what}");
                // Why is not told: each no is the same no.
                let said = said.get_or_insert(reply.says());
                assert_eq!(&reply.says(), said, "{what}");
            }
            // What polkit does instead of answering does not depend on the caller's flag.
            if answer != Answer::No {
                break;
            }
        }
    }

    scene.polkit.leave()?;
    for reply in sweep(&mut scene, "absent", talkative, 0)? {
        assert_eq!(Some(&reply.says()), said.as_ref(), "absent");
    }
    scene.polkit.come_back()
}

#[test]
fn a_challenge_is_no_yes() -> Result<()> {
    let mut scene = Scene::new()?;
    let (silent, talkative) = (Flags::empty(), Flags::ALLOW_INTERACTIVE_AUTH);
    scene.polkit.always(Answer::Challenge);
    for reply in sweep(&mut scene, "challenge", silent, 1)? {
        assert_eq!(reply.error(), "InteractiveAuthorizationRequired");
    }
    // As where the person has no agent: asked again, allowed to prompt, polkit says the same.
    for reply in sweep(&mut scene, "challenge again", talkative, 2)? {
        assert_eq!(reply.error(), "AccessDenied");
    }
    for (second, reason) in [
        (Answer::No, false),
        (Answer::Dismissed, true),
        (Answer::Error, false),
        (Answer::Malformed(1), false),
    ] {
        scene.polkit.script(move |question| {
            if question.may_prompt() {
                second
            } else {
                Answer::Challenge
            }
        });
        let what = format!("challenge, then {second:?}");
        for reply in sweep(&mut scene, &what, talkative, 2)? {
            assert_eq!(reply.error(), "AccessDenied", "{what}");
            // Whether it was the person who closed the prompt is told, and else nothing.
            let body = reply.message.body();
            let text = String::from_utf8_lossy(body.data().bytes()).into_owned();
            assert_eq!(text.contains("dismissed"), reason, "{what}");
        }
    }
    Ok(())
}
