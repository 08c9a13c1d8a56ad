//! One world of a state: what the shots look like beside the tunnel, the fault, all shots inside, and the verdict over everything that was captured.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Job, Stimulus, Tried,
    aim::{Aim, By, Place, aims, loaded},
    attack,
    control::controls,
    handed::hand_in,
    scene::Scene,
    state::Flow,
    verdict::{attack_verdict, flows, host_heard, is_answer, unmet, visible},
};
use crate::{
    Marker,
    capture::Captured,
    fakes, forge,
    marker::Finder,
    net,
    oracle::Report,
    probe::shot::{Act, Shot},
    system,
    uplinks::Watch,
};

/// What the captures hold before and after the shots.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(5);

/// Shots with a marker each.
pub(super) struct Volley {
    pub aims: Vec<Aim>,
    pub markers: Vec<Marker>,
}

impl Volley {
    pub fn new(place: &Place, stimuli: &BTreeSet<Stimulus>) -> Result<Self> {
        let mut aims = aims(place);
        aims.retain(|aim| stimuli.contains(&aim.stimulus));
        let markers = aims
            .iter()
            .map(|_| Marker::new())
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { aims, markers })
    }

    pub fn shots(&self, place: &Place, is: impl Fn(&Aim) -> bool) -> Vec<Shot> {
        let pairs = self.aims.iter().zip(&self.markers);
        pairs
            .filter(|(aim, _)| is(aim))
            .map(|(aim, marker)| {
                let mut act = loaded(&aim.act, marker.bytes(), place);
                if let Act::Program { line } = &mut act {
                    // What is told a frame in digits is told one with the marker in it.
                    let frame = forge::frame(
                        [2, 0, 0, 0, 0, 7],
                        forge::EVERYBODY,
                        &[&[0x45; 20][..], marker.bytes()].concat(),
                    );
                    let digits: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
                    if line.iter().any(|word| word == "send") {
                        for word in line.iter_mut().filter(|word| *word == "MARKER") {
                            digits.clone_into(word);
                        }
                    }
                }
                Shot {
                    name: aim.name.clone(),
                    marker: marker.hex(),
                    act,
                }
            })
            .collect()
    }
}

/// Runs it; what failed, by stimulus.
pub(super) fn run(job: &Job, stimuli: &BTreeSet<Stimulus>) -> Result<BTreeMap<Stimulus, Tried>> {
    let mut scene = Scene::new(job)?;
    let mut tried: BTreeMap<Stimulus, Tried> = stimuli
        .iter()
        .map(|stimulus| (*stimulus, Tried::default()))
        .collect();
    let done = trial(job, &mut scene, stimuli, &mut tried);
    done.with_context(|| {
        let log = scene.world.log("helper");
        let lines: Vec<_> = log.lines().collect();
        format!(
            "{:?}, form {}; the helper's last words: {}",
            job.state,
            job.variant,
            lines[lines.len().saturating_sub(5)..].join(" / ")
        )
    })?;
    Ok(tried)
}

fn trial(
    job: &Job,
    scene: &mut Scene,
    stimuli: &BTreeSet<Stimulus>,
    tried: &mut BTreeMap<Stimulus, Tried>,
) -> Result<()> {
    let mut watch = Watch::default();
    controls(job, scene, stimuli, &mut watch, tried).context("beside the tunnel")?;
    let first = Marker::new()?;
    job.state.prepare(scene).context("preparation")?;
    scene
        .begin(&first, job.state.begins_protected(job.variant))
        .context("the app")?;
    if let Some(plant) = job.plant {
        scene.plant(plant)?;
    }
    let place = inside(scene)?;
    let volley = Volley::new(&place, stimuli)?;
    let handed = Marker::new()?;
    if tried.contains_key(&Stimulus::S19) && job.state.launches() {
        // While it can be launched at all.
        fault_of(tried, Stimulus::S19, |tried| hand_in(scene, &handed, tried));
    }
    let (mut servers, mut lo) = ([0, 0], 0);
    inside_of(scene, &mut servers)?;
    scene.world.inside_since("lo", &mut lo)?;
    thread::sleep(BEFORE);

    job.state.fault(scene)?;
    let heard = scene.world.queries(fakes::LOG).map_or(0, |log| log.len());
    let second = Marker::new()?;
    let app = scene.inside.as_mut().context("no app")?;
    app.ask(&format!("mark {}", second.hex()))?;
    let began = Instant::now();
    app.fire(&volley.shots(&place, |aim| aim.by == By::Person))?;
    let root = scene.root.as_mut().context("no root inside")?;
    root.fire(&volley.shots(&place, |aim| aim.by == By::Root))?;
    let attack = Marker::new()?;
    let mut attacked = 0;
    if stimuli.contains(&Stimulus::S25) {
        attacked = attack::send(scene, &place, &attack)?;
    }
    job.state.during(scene)?;
    let mut outcomes = scene.inside.as_mut().context("no app")?.landed()?;
    outcomes.extend(scene.root.as_mut().context("no root inside")?.landed()?);
    // What is visible, while the fault lasts.
    let seen = scene.inside.as_mut().context("no app")?.ask("around")?;
    let left = AFTER.saturating_sub(began.elapsed());
    thread::sleep(left);
    // What came out while the fault lasted.
    let mut inner = inside_of(scene, &mut servers)?;
    // A machine to throw away is an emulated one, where a volley takes minutes.
    let again = if system::is_throw_away() {
        BTreeSet::new()
    } else {
        stimuli.clone()
    };
    let again = Volley::new(&place, &again)?;
    let mut all = [&volley.markers[..], &again.markers].concat();
    all.push(second.clone());
    let finder = Finder::new(&all);
    let mut arrived = BTreeSet::new();
    for frame in &inner {
        arrived.extend(finder.all(&frame.bytes));
    }
    // What happens but once has happened by now: all anew, for captures and services to see. How it went was told of the first.
    let app = scene.inside.as_mut().context("no app")?;
    app.fire(&again.shots(&place, |aim| aim.by == By::Person))?;
    let root = scene.root.as_mut().context("no root inside")?;
    root.fire(&again.shots(&place, |aim| aim.by == By::Root))?;
    scene.inside.as_mut().context("no app")?.landed()?;
    scene.root.as_mut().context("no root inside")?.landed()?;
    let fired: Vec<_> = scene
        .world
        .queries(fakes::LOG)?
        .into_iter()
        .skip(heard)
        .collect();
    let flow = job.state.flow(job.variant, job.backend);
    job.state.clear(scene).context("the end of the fault")?;
    if stimuli.contains(&Stimulus::S23)
        && flow != Flow::Ends
        && let Err(error) = scene.flows("after the fault", began.elapsed())
    {
        why(tried, Stimulus::S23, format!("{error:#}"));
    }
    let begun = [first.clone(), second.clone()];
    // First what came out: what brought it has crossed the uplinks by then.
    inner.extend(inside_of(scene, &mut servers)?);
    let inner_bytes: usize = inner.iter().map(|frame| frame.bytes.len()).sum();
    let (report, outer) = judge(
        scene,
        &mut watch,
        &[&volley.markers[..], &again.markers, &begun].concat(),
    )?;
    let mut on_lo = BTreeSet::new();
    for frame in scene.world.inside_since("lo", &mut lo)? {
        on_lo.extend(finder.all(&frame.bytes));
    }

    // Of each shot: what the uplinks, the host and the server saw, and of the first ones how it went.
    let [shots, anew] = [&volley, &again].map(|volley| volley.aims.iter().zip(&volley.markers));
    for (at, (aim, marker)) in shots.chain(anew).enumerate() {
        let hex = marker.hex();
        let entry = tried.entry(aim.stimulus).or_default();
        entry.shots += 1;
        let mut say = |text: String| entry.why.push(format!("{}: {text}", aim.name));
        if report.found.contains(&hex) {
            say("on an uplink in the clear".into());
        }
        if on_lo.contains(&at) {
            say("on the host's lo".into());
        }
        if scene.asked_by_bus().iter().any(|call| call.contains(&hex)) {
            say("a service of the host's bus was asked".into());
        }
        if fired.iter().any(|asked| asked.what.contains(&hex)) {
            say("a service of the host heard it".into());
        }
        if host_heard(scene, &hex)? {
            say("the host's DNS server was asked".into());
        }
        if let Act::Lookup { end } = &aim.act {
            // Also by way of the tunnel: libc has to ask the tunnel's own server.
            for who in scene.world.escaped(&format!("{hex}{end}"))? {
                say(format!("{who} was asked"));
            }
        }
        if at >= volley.aims.len() {
            continue;
        }
        let outcome = outcomes.iter().find(|outcome| outcome.name == aim.name);
        let outcome = outcome.with_context(|| format!("no outcome of {}", aim.name))?;
        let came = if arrived.contains(&at) {
            "; came out at the server"
        } else {
            ""
        };
        let how = outcome.error.as_deref().unwrap_or("worked");
        let said: String = outcome.said.replace('\n', " ").chars().take(120).collect();
        entry
            .said
            .push(format!("{}: {how}: {said}{came}", aim.name));
        if let Some(text) = unmet(aim, outcome, arrived.contains(&at), job, flow) {
            say(text);
        }
    }
    flows(
        job,
        tried,
        &report,
        [&first, &second],
        arrived.contains(&(all.len() - 1)),
    );
    visible(scene, tried, &seen);
    attack_verdict(tried, &report, attacked, job);
    for asked in fired
        .iter()
        .filter(|asked| asked.what.ends_with(fakes::ELSEWHERE))
    {
        for stimulus in [Stimulus::S08, Stimulus::S09, Stimulus::S10] {
            if stimuli.contains(&stimulus) {
                why(
                    tried,
                    stimulus,
                    format!("a service of the host was reached: {}", asked.what),
                );
            }
        }
    }
    // What nobody's marker is in could be anybody's.
    let strange: Vec<_> = report
        .violations
        .iter()
        .filter(|text| !text.contains("marker ") && !is_answer(text))
        .cloned()
        .collect();
    for tried in tried.values_mut() {
        if let Some(first) = strange.first() {
            tried
                .why
                .push(format!("{} frames of nobody's: {first}", strange.len()));
        }
        if outer < inner_bytes as u64 {
            tried.why.push(format!(
                "{inner_bytes} bytes came out of the tunnel, and only {outer} crossed the uplinks"
            ));
        }
    }
    Ok(())
}

/// What came out of the tunnels at both servers since the last look.
fn inside_of(scene: &Scene, places: &mut [usize; 2]) -> Result<Vec<Captured>> {
    let mut frames = Vec::new();
    for (index, place) in places.iter_mut().enumerate() {
        frames.extend(scene.world.inside_since(&net::server(index), place)?);
    }
    Ok(frames)
}

pub(super) fn why(tried: &mut BTreeMap<Stimulus, Tried>, stimulus: Stimulus, text: String) {
    tried.entry(stimulus).or_default().why.push(text);
}

fn fault_of(
    tried: &mut BTreeMap<Stimulus, Tried>,
    stimulus: Stimulus,
    run: impl FnOnce(&mut Tried) -> Result<()>,
) {
    let entry = tried.entry(stimulus).or_default();
    if let Err(error) = run(entry) {
        entry.why.push(format!("{error:#}"));
    }
}

pub(super) fn place(scene: &Scene, outside: bool) -> Result<Place> {
    let uplink = scene.world.spec.uplinks[0];
    let interface = net::host_interface(uplink.kind, 0);
    let number = |network: &str, link: &str| -> Result<u32> {
        let text = scene
            .world
            .run_in(network, &["ip", "-j", "link", "show", "dev", link])?
            .ok()?
            .stdout;
        let found: Value = serde_json::from_str(&text)?;
        let number = found.pointer("/0/ifindex").and_then(Value::as_u64);
        Ok(u32::try_from(number.context("no number")?)?)
    };
    let index = number("host", &interface)?;
    let (link, scope) = if outside {
        (interface.clone(), index)
    } else {
        (scene.link.clone(), number(&scene.namespace, &scene.link)?)
    };
    // As the world counts processes.
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.outside.running.pid))?;
    let outsider = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .and_then(|line| line.split_whitespace().last())
        .context("no pid")?
        .parse()?;
    Ok(Place {
        interface,
        index,
        host_v4: crate::addr::host_v4(0),
        host_v6: crate::addr::host_v6(0),
        outsider,
        endpoint: scene.world.spec.endpoint(0),
        host_dns: scene.world.spec.host_dns(),
        link,
        scope,
        has_v6: outside || scene.has_v6,
        outside,
    })
}

fn inside(scene: &Scene) -> Result<Place> {
    place(scene, false)
}

/// A control, and everything since the last look by the one oracle; and how many bytes of WireGuard the routers' ends saw.
fn judge(scene: &mut Scene, watch: &mut Watch, markers: &[Marker]) -> Result<(Report, u64)> {
    scene.note_macs()?;
    scene.world.control()?;
    let markers = [markers, &scene.markers].concat();
    let mut oracle = scene.world.oracle(&markers)?;
    oracle.host_macs = scene.macs.0.iter().copied().collect();
    oracle.router_macs = scene.macs.1.iter().copied().collect();
    let (mut report, mut outer) = (Report::default(), 0);
    let sealed = |report: &Report| report.kinds.get("WireGuard").map_or(0, |(_, bytes)| *bytes);
    for (name, frames) in scene.world.frames_since(watch)? {
        let before = sealed(&report);
        oracle.judge(&name, &frames, &mut report);
        if name.ends_with("router") {
            outer += sealed(&report) - before;
        }
    }
    ensure!(
        report.frames("control") > 0,
        "the captures saw no control: {report}"
    );
    Ok((report, outer))
}
