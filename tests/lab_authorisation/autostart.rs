//! What starts at boot goes on without its owner: it takes an administrator's yes besides one's own, and nothing else does.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use lab::{caller::call, polkit::Answer};
use lonewire_api::names::TUNNELS_INTERFACE as TUNNELS;
use zbus::{OwnedVariant, Variant, message::Flags};

use super::{
    scene::{Scene, assert_no_trace},
    table::{AUTOSTART, IMPORT},
};

const LOGIN: u32 = 1;
const BOOT: u32 = 2;

type Options = HashMap<&'static str, Variant<'static>>;

impl Scene {
    /// Sets when a tunnel of alice's starts: the error, and the actions that polkit was asked about.
    fn set_start(
        &self,
        tunnel: &str,
        start: impl Into<Variant<'static>>,
    ) -> Result<(String, Vec<String>)> {
        let options = Options::from([("start", start.into())]);
        let message = call(TUNNELS, "SetOptions", &(tunnel, options), Flags::empty())?;
        let reply = self.alice.ask(&message)?;
        let asked = self.asked(&self.alice);
        // The prompt says which tunnel.
        assert!(
            asked
                .iter()
                .all(|question| question.details.contains_key("tunnel")),
            "{asked:?}"
        );
        let actions = asked.into_iter().map(|question| question.action);
        Ok((reply.error(), actions.collect()))
    }

    /// When a tunnel of alice's starts, as it is told.
    fn start_of(&self, tunnel: &str) -> Result<Option<u32>> {
        let reply = self.alice.call(TUNNELS, "Show", &tunnel)?;
        let info: BTreeMap<String, OwnedVariant> = reply.read()?;
        let options: HashMap<String, OwnedVariant> = info["options"].try_clone()?.try_into()?;
        let start = options.get("start");
        Ok(start.and_then(|start| u32::try_from(start).ok()))
    }

    /// Marks beside saved tunnels, which units look for.
    fn marks(&self) -> Result<Vec<String>> {
        const FIND: &str = "cd /var/lib/lonewire; ls */*.login */*.boot 2>/dev/null || true";
        let found = self.world.run_in("host", &["sh", "-c", FIND])?.ok()?;
        Ok(found.stdout.lines().map(str::to_owned).collect())
    }
}

#[test]
fn only_a_tunnel_that_begins_to_start_at_boot_takes_an_administrators_yes() -> Result<()> {
    let scene = Scene::new()?;
    scene.polkit.always(Answer::Yes);
    let tunnel = &scene.tunnel;
    let uid = lab::ALICE.uid;
    let (own, both) = (vec![IMPORT], vec![IMPORT, AUTOSTART]);
    for (start, asked, told, mark) in [
        (Variant::from(LOGIN), &own, Some(LOGIN), Some("login")),
        (Variant::from(BOOT), &both, Some(BOOT), Some("boot")),
        // It is so already.
        (Variant::from(BOOT), &own, Some(BOOT), Some("boot")),
        (Variant::from(LOGIN), &own, Some(LOGIN), Some("login")),
        (Variant::from(BOOT), &both, Some(BOOT), Some("boot")),
        (Variant::from(0_u32), &own, None, None),
        (Variant::from(BOOT), &both, Some(BOOT), Some("boot")),
        (Variant::from(""), &own, None, None),
    ] {
        let what = format!("{start:?}");
        let (error, actions) = scene.set_start(tunnel, start)?;
        assert_eq!((error.as_str(), &actions), ("", &to_owned(asked)), "{what}");
        assert_eq!(scene.start_of(tunnel)?, told, "{what}");
        let wanted: Vec<_> = mark
            .map(|ending| format!("{uid}/{tunnel}.{ending}"))
            .into_iter()
            .collect();
        assert_eq!(scene.marks()?, wanted, "{what}");
    }
    let (error, _) = scene.set_start(tunnel, 3_u32)?;
    assert_eq!(error, "InvalidArgument");
    Ok(())
}

#[test]
fn without_it_nothing_starts_at_boot_and_no_copy_does() -> Result<()> {
    let scene = Scene::new()?;
    for refusal in [Answer::No, Answer::Challenge, Answer::Error] {
        scene.polkit.script(move |question| {
            if question.action == AUTOSTART {
                refusal
            } else {
                Answer::Yes
            }
        });
        let before = scene.traces()?;
        let (error, actions) = scene.set_start(&scene.tunnel, BOOT)?;
        assert_ne!(error, "", "{refusal:?}");
        assert_eq!(actions, [IMPORT, AUTOSTART], "{refusal:?}");
        assert_no_trace(&before, &scene.traces()?, "a refused start at boot");
        assert_eq!(scene.start_of(&scene.tunnel)?, None);
    }
    // Whom polkit lets do nothing else is not asked further.
    scene.polkit.script(|question| {
        if question.action == IMPORT {
            Answer::No
        } else {
            Answer::Yes
        }
    });
    let (error, actions) = scene.set_start(&scene.tunnel, BOOT)?;
    assert_eq!(
        (error.as_str(), actions),
        ("AccessDenied", vec![IMPORT.to_owned()])
    );

    // A copy would be another tunnel that starts at boot.
    scene.polkit.always(Answer::Yes);
    assert_eq!(scene.set_start(&scene.tunnel, BOOT)?.0, "");
    let reply = scene
        .alice
        .call(TUNNELS, "Duplicate", &(scene.tunnel.as_str(), "copy"))?;
    let copy: String = reply.read()?;
    assert_eq!(scene.start_of(&copy)?, None);
    // Removed, it leaves nothing that would start the helper.
    let reply = scene
        .alice
        .call(TUNNELS, "Remove", &scene.tunnel.as_str())?;
    assert_eq!(reply.error(), "");
    assert_eq!(scene.marks()?, Vec::<String>::new());
    Ok(())
}

fn to_owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
