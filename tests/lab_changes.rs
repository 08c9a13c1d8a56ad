//! Ring lab: the host's network changes under a tunnel with traffic of every kind. Link, address and route inside stay, nothing leaves but WireGuard, and
//! traffic goes on as soon as there is a network again.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, Family, Kind, Marker, Program, Spec, Uplink, World, addr, bus,
    probe::Probe,
    product::text,
    services::{Services, forge_a_wake},
    world::{READY, until},
};
use serde_json::Value;

/// Three seconds are promised; two for the machine that tests.
const SOON: Duration = Duration::from_secs(5);

/// [`lonewire_core::state::ANSWER`] and two looks, told within.
const SILENCE: Duration = Duration::from_secs(15);

const KINDS: [&str; 4] = ["udp", "tcp", "dns", "stream"];

struct Scene {
    world: World,
    probe: Probe,
    marker: Marker,
    /// Everything inside that must not change.
    inside: String,
}

impl Scene {
    fn new(uplinks: usize) -> Result<Self> {
        let uplink = Uplink {
            kind: Kind::Veth,
            family: Family::Both,
        };
        let mut world = World::new(Spec {
            uplinks: vec![uplink; uplinks],
            log: Some("info".into()),
            ..Spec::product()
        })?;
        world.import(&ALICE, "demo", 0)?;
        Self::with(world)
    }

    fn with(world: World) -> Result<Self> {
        let marker = Marker::new()?;
        let probe = Probe::with_traffic(&world, &ALICE, "demo", &marker)?;
        let mut scene = Self {
            world,
            probe,
            marker,
            inside: String::new(),
        };
        scene.flows(&KINDS, READY)?;
        scene.inside = scene.inside()?;
        Ok(scene)
    }

    fn counts(&mut self) -> Result<Value> {
        self.probe.ask("counts")
    }

    /// These kinds of traffic get through. A stream of before a long silence waits for as long as TCP does.
    fn flows(&mut self, kinds: &[&str], within: Duration) -> Result<()> {
        let before = self.counts()?;
        until(within, "traffic", || {
            let now = self.counts()?;
            Ok(kinds
                .iter()
                .all(|kind| now[kind].as_u64() > before[kind].as_u64()))
        })
        .with_context(|| format!("{before} to {:?}", self.counts()))
    }

    /// Links, addresses and routes of the tunnel's namespace, with their indices.
    fn inside(&self) -> Result<String> {
        let show = self.world.cli(&ALICE, &["show", "demo", "--json"])?.ok()?;
        let link = text(&serde_json::from_str(&show.stdout)?, "link").to_owned();
        let script = format!(
            "ip -n {link} -o addr; ip -n {link} route show table all; ip -n {link} -6 route show table all"
        );
        Ok(self
            .world
            .run_in("host", &["sh", "-ec", &script])?
            .ok()?
            .stdout)
    }

    /// After a change: traffic soon, the same link, one stream all along.
    fn goes_on(&mut self, what: &str) -> Result<()> {
        self.flows(&KINDS, SOON).with_context(|| what.to_owned())?;
        ensure!(self.inside()? == self.inside, "{what}: {}", self.inside()?);
        let streams = self.counts()?;
        ensure!(
            streams["streams"] == 1,
            "{what}: the stream broke: {streams}"
        );
        Ok(())
    }

    fn state(&self) -> Result<(String, String)> {
        let tunnels = self.world.tunnels(&ALICE)?;
        let demo = tunnels.first().context("no tunnel")?;
        Ok((text(demo, "state").into(), text(demo, "reason").into()))
    }

    fn is(&self, within: Duration, state: &str, reason: &str) -> Result<()> {
        until(within, &format!("{state} {reason}"), || {
            Ok(self.state()? == (state.to_owned(), reason.to_owned()))
        })
        .with_context(|| format!("{:?}", self.state()))
    }

    /// States that the tunnel was in, oldest first; another reason is no other state.
    fn states(&self) -> Result<Vec<String>> {
        let log = self.world.cli(&ALICE, &["log", "demo", "--json"])?.ok()?;
        let log: Value = serde_json::from_str(&log.stdout)?;
        let entries = log["entries"].as_array().context("no entries")?;
        let mut states: Vec<_> = entries
            .iter()
            .map(|one| text(one, "state").to_owned())
            .collect();
        states.dedup();
        Ok(states)
    }

    /// Handshakes that the host began on an uplink.
    fn initiations(&self, uplink: usize) -> Result<usize> {
        let all = self.world.datagrams(uplink)?;
        let began = |(_, to, kind): &&(_, std::net::SocketAddr, u8)| {
            to.port() == addr::VPN_PORT && *kind == 1
        };
        Ok(all.iter().filter(began).count())
    }

    fn clean(&mut self) -> Result<()> {
        let report = self
            .world
            .uplinks_report(std::slice::from_ref(&self.marker))?;
        report.assert_clean()?;
        ensure!(report.frames("WireGuard") > 20, "{report}");
        Ok(())
    }
}

/// What an uplink that went down has lost.
fn bring_back(uplink: usize) -> String {
    let metric = 100 + uplink;
    format!(
        "ip link set up{uplink} up; ip addr replace {}/27 dev up{uplink}; ip addr replace {}/64 dev up{uplink} nodad
         ip route replace default via {} metric {metric}; ip -6 route replace default via {} metric {metric}",
        addr::host_v4(uplink),
        addr::host_v6(uplink),
        addr::router_v4(uplink),
        addr::router_v6(uplink),
    )
}

#[test]
fn an_uplink_that_is_swapped_changed_or_flaps_is_followed_at_once() -> Result<()> {
    let mut scene = Scene::new(2)?;
    let sh = |scene: &Scene, script: &str| scene.world.sh(script);
    sh(&scene, "ip link set up0 down")?;
    scene.goes_on("another uplink")?;
    sh(&scene, &bring_back(0))?;
    scene.goes_on("both again")?;
    sh(&scene, "ip link set up1 down")?;
    scene.goes_on("the first again")?;

    let moved = std::net::Ipv4Addr::from(u32::from(addr::host_v4(0)) + 7);
    scene.world.moved.host.push(moved.into());
    let script = format!(
        "ip addr del {}/27 dev up0; ip addr add {moved}/27 dev up0; ip route replace default via {} metric 100",
        addr::host_v4(0),
        addr::router_v4(0)
    );
    sh(&scene, &script)?;
    scene.goes_on("another address")?;

    let flap = format!(
        "for i in $(seq 20); do ip route del default metric 100; sleep 0.05; ip route add default via {} metric 100; sleep 0.05; done",
        addr::router_v4(0)
    );
    sh(&scene, &flap)?;
    scene.goes_on("a route that flapped")?;
    scene.world.kill(Program::DataPlane)?;
    scene.goes_on("another data plane")?;
    ensure!(
        scene.states()? == ["connecting", "protected", "blocked", "protected"],
        "{:?}",
        scene.states()?
    );
    scene.clean()
}

#[test]
fn without_a_network_it_is_blocked_and_with_one_again_protected_at_once() -> Result<()> {
    let mut scene = Scene::new(2)?;
    scene
        .world
        .sh("ip link set up0 down; ip link set up1 down")?;
    scene.is(SILENCE, "blocked", "no_uplink")?;
    scene.probe.refused(&format!("http {} /", addr::WEB_V4))?;
    ensure!(scene.inside()? == scene.inside, "{}", scene.inside()?);
    // The other one comes back.
    scene.world.sh(&bring_back(1))?;
    scene.is(SOON, "protected", "")?;
    scene.flows(&KINDS[..3], SOON)?;
    ensure!(scene.inside()? == scene.inside, "{}", scene.inside()?);
    ensure!(
        scene.states()? == ["connecting", "protected", "blocked", "protected"],
        "{:?}",
        scene.states()?
    );
    scene.world.sh(&bring_back(0))?;
    scene.clean()
}

#[test]
fn after_a_sleep_a_handshake_is_forced_and_no_stranger_can_force_one() -> Result<()> {
    let mut scene = Scene::new(1)?;
    let services = Services::start(&scene.world)?;
    let before = scene.initiations(0)?;
    forge_a_wake(&bus::connect(&scene.world)?)?;
    services.sleep()?;
    until(SOON, "a handshake", || Ok(scene.initiations(0)? > before))?;
    scene.is(SOON, "protected", "")?;
    scene.goes_on("a sleep")?;
    let told = scene.world.log("helper");
    let told = told.matches("the machine has slept").count();
    ensure!(told == 1, "{told} times");
    scene.clean()
}

#[test]
fn a_servers_name_that_points_elsewhere_is_followed() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    let first = world.spec.endpoint(0);
    let config = world.client(0)?;
    let config = config.replace(&first.ip().to_string(), "vpn.lab");
    let say = |world: &World, ip: std::net::IpAddr| {
        world.sh(&format!(
            "sed -i /vpn.lab/d /etc/hosts; echo {ip} vpn.lab >> /etc/hosts"
        ))
    };
    say(&world, first.ip())?;
    world.import_text(&ALICE, "demo", &config)?;
    let mut scene = Scene::with(world)?;
    // The server moves.
    let second = std::net::Ipv4Addr::from(u32::from(addr::vpn_v4(0)) + 60);
    scene
        .world
        .moved
        .endpoints
        .push((second, addr::VPN_PORT).into());
    let script = format!(
        "ip addr add {second}/24 dev eth0
         nft 'add table ip moved; add chain ip moved in {{ type filter hook input priority 0; }}; add rule ip moved in ip daddr {first} udp dport {port} drop
              add chain ip moved out {{ type filter hook output priority 0; }}; add rule ip moved out ip saddr {first} udp sport {port} drop'",
        first = first.ip(),
        port = addr::VPN_PORT,
    );
    scene.world.run_in("vpn0", &["sh", "-ec", &script])?.ok()?;
    say(&scene.world, second.into())?;
    scene.is(SILENCE, "blocked", "no_handshake")?;
    // Two tries that nobody answers, then the name is asked again.
    scene.is(2 * SILENCE, "protected", "")?;
    scene.flows(&KINDS[..3], READY)?;
    ensure!(scene.inside()? == scene.inside, "{}", scene.inside()?);
    scene.clean()
}

#[test]
fn a_network_of_the_other_family_is_told_plainly() -> Result<()> {
    let mut world = World::new(Spec {
        uplinks: vec![Uplink {
            kind: Kind::Veth,
            family: Family::V6,
        }],
        ..Spec::product()
    })?;
    let config = world.client(0)?;
    let endpoint = world.spec.endpoint(0);
    let other = std::net::SocketAddr::from((addr::vpn_v4(0), addr::VPN_PORT));
    let config = config.replace(&endpoint.to_string(), &other.to_string());
    ensure!(config.contains(&other.to_string()), "{config}");
    world.import_text(&ALICE, "demo", &config)?;
    let out = world.cli(&ALICE, &["up", "demo"])?;
    ensure!(
        out.code == 3 && out.stderr.contains("this network has only IPv6"),
        "{out:?}"
    );
    until(SOON, "the reason", || {
        let tunnels = world.tunnels(&ALICE)?;
        let demo = tunnels.first().context("no tunnel")?;
        Ok(text(demo, "state") == "blocked" && text(demo, "reason") == "needs_ipv4")
    })?;
    // IPv4 comes: nothing more is needed.
    let script = format!(
        "ip addr add {}/27 dev up0; ip -n router addr add {r}/27 dev up0; ip route add default via {r}",
        addr::host_v4(0),
        r = addr::router_v4(0),
    );
    world.moved.endpoints.push(other);
    world.sh(&script)?;
    world.wait_state(&ALICE, "demo", "protected", SOON)?;
    let report = world.uplinks_report(&[])?;
    report.assert_clean()
}

#[test]
fn a_captive_portal_is_named_where_networkmanager_knows_of_one() -> Result<()> {
    let mut scene = Scene::new(1)?;
    let services = Services::start(&scene.world)?;
    services.set_connectivity(2)?;
    // It lets through what it was told to before, and names nothing as long as there are answers.
    scene.goes_on("a portal")?;
    scene.world.set_silent(0, true)?;
    scene.is(SILENCE, "blocked", "captive_portal")?;
    services.set_connectivity(4)?;
    scene.is(SOON, "blocked", "no_handshake")?;
    services.set_connectivity(2)?;
    scene.is(SOON, "blocked", "captive_portal")?;
    scene.world.set_silent(0, false)?;
    scene.is(SILENCE, "protected", "")?;
    // NetworkManager goes: then nobody knows.
    scene.world.set_silent(0, true)?;
    scene.is(SILENCE, "blocked", "captive_portal")?;
    drop(services);
    scene.is(SOON, "blocked", "no_handshake")?;
    scene.clean()
}

/// A page that asks again and again.
const PAGE: &str = "<script>let n = 0; setInterval(() => fetch('http://whoami.demo/beat' + n++, {mode: 'no-cors', cache: 'no-store'}).catch(() => 0), 300)</script>";

#[test]
fn a_browser_in_the_middle_of_a_page_goes_on_with_it() -> Result<()> {
    const SLOW: Duration = Duration::from_secs(90);
    let mut scene = Scene::new(2)?;
    let page = format!("{}/page.html", ALICE.home);
    fs::write(scene.world.path(&page), PAGE)?;
    let folder = format!("{}/profile", ALICE.home);
    let file = format!("file://{page}");
    scene.world.run_as(&ALICE, &["mkdir", &folder])?.ok()?;
    let line = [
        "run",
        "-t",
        "demo",
        "--detach",
        "--",
        "firefox",
        "--headless",
        "--profile",
        &folder,
        &file,
    ];
    scene.world.cli(&ALICE, &line)?.ok()?;
    let beats = |scene: &Scene| -> Result<usize> {
        let asked = scene.world.requests("web")?;
        Ok(asked
            .iter()
            .filter(|one| one.what.contains("/beat"))
            .count())
    };
    let more = |scene: &Scene, within: Duration, what: &str| -> Result<()> {
        let before = beats(scene)?;
        until(within, what, || Ok(beats(scene)? > before + 2)).with_context(|| {
            let asked = scene.world.queries("vpn0-dns").unwrap_or_default();
            let names: std::collections::BTreeSet<_> =
                asked.iter().map(|one| one.what.as_str()).collect();
            format!("{} requests, names asked for: {names:?}", before)
        })
    };
    more(&scene, SLOW, "the page to ask")?;
    let browser = scene.world.processes("firefox-esr")?;
    scene.world.sh("ip link set up0 down")?;
    more(&scene, SOON, "the page to ask by another uplink")?;
    scene.world.sh("ip link set up1 down")?;
    scene.is(SILENCE, "blocked", "no_uplink")?;
    scene.world.sh(&bring_back(0))?;
    scene.is(SOON, "protected", "")?;
    // A browser waits for its own time before it tries again.
    more(
        &scene,
        SLOW,
        "the page to ask after a while without network",
    )?;
    scene.world.sh(&bring_back(1))?;
    let now = scene.world.processes("firefox-esr")?;
    ensure!(
        browser.first().is_some_and(|first| now.contains(first)),
        "{browser:?}, now {now:?}"
    );
    scene.clean()
}
