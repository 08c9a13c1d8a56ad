//! The positive controls: what each shot looks like beside the tunnel is seen first, in the same world and by the same captures.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    Job, Stimulus, Tried,
    aim::{Aim, Control},
    attack,
    scene::Scene,
    trial::{Volley, place, why},
};
use crate::{
    fakes,
    marker::Finder,
    oracle::Report,
    probe::Probe,
    uplinks::Watch,
    world::{READY, until},
};

/// For what a closed socket still says: reports of groups that were left, mostly.
const QUIET: Duration = Duration::from_millis(1500);

/// Datagrams that are sent all at once may get lost on a slow machine: what was not seen is sent again.
const ROUNDS: usize = 3;

/// The shots beside the tunnel: each that can be seen is seen at both ends, or heard.
pub(super) fn controls(
    job: &Job,
    scene: &mut Scene,
    stimuli: &BTreeSet<Stimulus>,
    watch: &mut Watch,
    tried: &mut BTreeMap<Stimulus, Tried>,
) -> Result<()> {
    let place = place(scene, true)?;
    let volley = Volley::new(&place, stimuli)?;
    let family = job.uplinks[0].family;
    let carried = |aim: &Aim| if aim.v6 { family.v6() } else { family.v4() };
    let mut root = Probe::of_root(&scene.world, "host")?;
    let is_roots = |aim: &Aim| aim.control == Control::SeenOfRoot && carried(aim);
    let is_persons =
        |aim: &Aim| aim.control == Control::Heard || aim.control == Control::Seen && carried(aim);
    let mut outcomes = Vec::new();
    let mut missing: Vec<usize> = (0..volley.aims.len()).collect();
    let mut ends: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let finder = Finder::new(&volley.markers);
    for _ in 0..ROUNDS {
        let is_missing = |aim: &Aim| missing.iter().any(|at| volley.aims[*at].name == aim.name);
        root.fire(&volley.shots(&place, |aim| is_roots(aim) && is_missing(aim)))?;
        let shots = volley.shots(&place, |aim| is_persons(aim) && is_missing(aim));
        scene.outside.fire(&shots)?;
        outcomes = [root.landed()?, scene.outside.landed()?].concat();
        let looked = until(Duration::from_secs(5), "all controls", || {
            for (name, frames) in scene.world.frames_since(watch)? {
                let found = ends.entry(name).or_default();
                for frame in frames {
                    found.extend(finder.all(&frame.bytes));
                }
            }
            let heard = scene.world.queries(fakes::LOG)?;
            let heard: Vec<_> = heard
                .into_iter()
                .map(|asked| asked.what)
                .chain(scene.asked_by_bus().iter().cloned())
                .collect();
            missing.clear();
            for (at, aim) in volley.aims.iter().enumerate() {
                let seen = match aim.control {
                    Control::None => true,
                    Control::Heard => heard
                        .iter()
                        .any(|asked| asked.contains(&volley.markers[at].hex())),
                    Control::Seen | Control::SeenOfRoot => {
                        !carried(aim)
                            || ["host", "router"].iter().all(|end| {
                                ends.get(&format!("uplink 0 at the {end}"))
                                    .is_some_and(|found| found.contains(&at))
                            })
                    }
                };
                if !seen {
                    missing.push(at);
                }
            }
            Ok(missing.is_empty())
        });
        if looked.is_ok() {
            break;
        }
    }
    root.close()?;
    for at in &missing {
        let aim = &volley.aims[*at];
        let outcome = outcomes.iter().find(|outcome| outcome.name == aim.name);
        let said = outcome.map_or("", |outcome| outcome.said.as_str());
        let text = format!("{}: not seen beside the tunnel: {said}", aim.name);
        why(tried, aim.stimulus, text);
    }
    for aim in &volley.aims {
        let can = match aim.control {
            Control::None => false,
            Control::Heard => true,
            Control::Seen | Control::SeenOfRoot => carried(aim),
        };
        tried.entry(aim.stimulus).or_default().controlled |= can;
    }
    if let Some(tried) = tried.get_mut(&Stimulus::S25) {
        scene.know_attackers(0)?;
        attack::control(scene, &place, watch)?;
        tried.controlled = true;
    }
    // No frame of these families can be on an uplink at all.
    for stimulus in [Stimulus::S17] {
        if let Some(tried) = tried.get_mut(&stimulus) {
            tried.controlled = true;
        }
    }
    if let Some(tried) = tried.get_mut(&Stimulus::S27) {
        let seen = scene.outside.ask("around")?.to_string();
        tried.controlled = seen.contains(&place.interface);
    }
    // Until nothing of it is on its way any more.
    let mut since = Instant::now();
    until(READY, "the uplinks to be quiet", || {
        Scene::pause();
        let oracle = scene.world.oracle(&[])?;
        let mut report = Report::default();
        for (name, frames) in scene.world.frames_since(watch)? {
            oracle.judge(&name, &frames, &mut report);
        }
        if report.violation_count > 0 {
            since = Instant::now();
        }
        Ok(since.elapsed() > QUIET)
    })
}
