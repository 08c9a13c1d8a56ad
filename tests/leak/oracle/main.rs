//! Ring leak: the judge itself. A leak of each kind, planted on each kind of uplink in both families, has to be seen; what may be there has to pass.

mod frames;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, Family, Kind, Marker, Spec, Uplink, World, addr,
    probe::Probe,
    uplinks::Watch,
    world::{READY, until},
};

fn every_uplink() -> Vec<Uplink> {
    let kinds = [Kind::Veth, Kind::Bridge, Kind::Macvlan];
    let families = [Family::V4, Family::V6, Family::Both];
    let of = |kind| families.map(|family| Uplink { kind, family });
    kinds.into_iter().flat_map(of).collect()
}

/// A world with a tunnel and an app whose traffic goes through it.
struct Scene {
    world: World,
    inside: Probe,
    outside: Probe,
    marker: Marker,
    watch: Watch,
    link: String,
}

impl Scene {
    fn new(uplink: Uplink) -> Result<Self> {
        let mut world = World::new(Spec {
            uplinks: vec![uplink],
            ..Spec::product()
        })?;
        world.fakes()?;
        world.import(&ALICE, "demo", 0)?;
        let marker = Marker::new()?;
        let outside = Probe::outside(&world, &ALICE)?;
        let mut inside = Probe::with_traffic(&world, &ALICE, "demo", &marker)?;
        let links = inside.ask("links")?;
        let link = lab::product::texts(&links).pop().context("no link")?;
        until(READY, "the app's traffic", || {
            let counts = inside.ask("counts")?;
            Ok(counts["udp"].as_u64() > Some(0) && counts["tcp"].as_u64() > Some(0))
        })?;
        let mut scene = Self {
            world,
            inside,
            outside,
            marker,
            watch: Watch::default(),
            link,
        };
        scene.clean("before anything was planted")?;
        Ok(scene)
    }

    /// Nothing is seen that may not be.
    fn clean(&mut self, when: &str) -> Result<()> {
        let markers = [self.marker.clone()];
        // A keepalive a second: the first look may be before it.
        until(READY, &format!("WireGuard {when}"), || {
            self.world.control()?;
            let report = self.world.report_since(&mut self.watch, &markers)?;
            report.assert_clean().with_context(|| when.to_owned())?;
            Ok(report.frames("WireGuard") > 0)
        })
    }

    /// The app's marker is seen in the clear within a while; then, once it is mended, nothing any more.
    fn seen(&mut self, what: &str, marker: &Marker) -> Result<()> {
        until(READY, &format!("{what} in a report"), || {
            self.world.control()?;
            let report = self
                .world
                .report_since(&mut self.watch, std::slice::from_ref(marker))?;
            Ok(report.violation_count > 0 && report.found.contains(&marker.hex()))
        })
    }

    /// Nothing more of what was planted comes, for longer than a router looks for a neighbour before it says that there is none (RFC 4861).
    fn quiet(&mut self) -> Result<()> {
        const LONG: Duration = Duration::from_secs(4);
        let mut since = Instant::now();
        until(READY, "the end of what was planted", || {
            thread::sleep(Duration::from_millis(300));
            self.world.control()?;
            let markers = [self.marker.clone()];
            let report = self.world.report_since(&mut self.watch, &markers)?;
            if report.violation_count > 0 {
                since = Instant::now();
            }
            Ok(since.elapsed() > LONG)
        })
    }

    /// A second way out of the namespace.
    fn plant_veth(&mut self, v4: bool) -> Result<()> {
        let link = self.link.clone();
        let (family, ours, theirs, to) = if v4 {
            ("-4", "192.0.2.254/31", "192.0.2.255/31", "198.51.100.0/24")
        } else {
            (
                "-6",
                "2001:db8:0:ff::2/64",
                "2001:db8:0:ff::3/64",
                "2001:db8:80::/64",
            )
        };
        let via = ours.split('/').next().unwrap_or_default();
        self.world.sh(&format!(
            "ip link add planted type veth peer name planted0 netns {link}
             sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             ip addr add {ours} dev planted $(test {family} = -4 || echo nodad); ip link set planted up
             ip -n {link} addr add {theirs} dev planted0 $(test {family} = -4 || echo nodad); ip -n {link} link set planted0 up
             ip -n {link} {family} route replace {to} via {via}"
        ))?;
        let marker = self.marker.clone();
        self.seen("a veth", &marker)?;
        self.world.sh(
            "ip link del planted; sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        )?;
        // The routes to the internet go by the tunnel again.
        self.world.sh(&format!(
            "ip -n {link} {family} route replace {to} dev {link}"
        ))?;
        self.quiet()
    }

    /// A socket of the host's network in the app's hands.
    fn plant_socket(&mut self, v4: bool) -> Result<()> {
        let (any, to) = if v4 {
            ("0.0.0.0:0", format!("{}:9", addr::WEB_V4))
        } else {
            ("[::]:0", format!("[{}]:9", addr::WEB_V6))
        };
        let path = format!("{}/handed-{v4}", ALICE.home);
        self.outside.ask(&format!("give {path} {any}"))?;
        let marker = Marker::new()?;
        self.inside
            .ask(&format!("take {path} {to} {}", marker.hex()))?;
        self.seen("a socket that was handed in", &marker)
    }

    /// Plain datagrams and look-ups of a program that is not in the tunnel at all.
    fn plant_plain(&mut self, v4: bool) -> Result<()> {
        let to = if v4 {
            format!("{}:4242", addr::WEB_V4)
        } else {
            format!("[{}]:4242", addr::WEB_V6)
        };
        let marker = Marker::new()?;
        self.outside.ask(&format!("udp {to} {}", marker.hex()))?;
        self.seen("plain UDP", &marker)
    }

    /// The host's name service within the app's reach, and the host's DNS.
    fn plant_names(&mut self) -> Result<()> {
        let app = self.world.app_pid(&ALICE, "roles")?;
        // As others do it: one file over another, which goes when the host replaces its own.
        self.world.inside(
            app,
            "cp /etc/resolv.conf /tmp/bound; umount /etc; mount --bind /tmp/bound /etc/resolv.conf",
        )?;
        let ask = |scene: &mut Self| -> Result<Vec<String>> {
            let name = format!("{}.probe.demo", Marker::new()?.hex());
            // Whoever answers.
            let _ = scene.inside.ask(&format!("lookup {name}"));
            scene.world.escaped(&name)
        };
        ensure!(ask(self)?.is_empty(), "before the host replaced its file");
        self.world.replace_resolv_conf()?;
        // On an uplink of IPv6 alone the host's server has an address that the tunnel reaches as well.
        let who = ask(self)?;
        ensure!(
            who == ["the host's DNS server"],
            "a file over a file: {who:?}"
        );
        self.world.graft("/run/nscd", app)?;
        let who = ask(self)?;
        ensure!(
            who.iter().any(|one| one == "the host's nscd"),
            "nscd within reach: {who:?}"
        );
        // A query by a program of the host itself, in the clear.
        let marker = Marker::new()?;
        let server = self.world.spec.host_dns().to_string();
        let line = format!("printf '\\x20{}' > /dev/udp/{server}/53", marker.hex());
        self.world.run_as(&ALICE, &["bash", "-c", &line])?.ok()?;
        self.seen("DNS to the host's server", &marker)
    }
}

fn planted(kind: Kind) -> Result<()> {
    for uplink in every_uplink()
        .into_iter()
        .filter(|uplink| uplink.kind == kind)
    {
        let run = || -> Result<()> {
            let mut scene = Scene::new(uplink)?;
            for v4 in [true, false] {
                if (v4 && uplink.family.v4()) || (!v4 && uplink.family.v6()) {
                    scene.plant_plain(v4)?;
                    scene.plant_socket(v4)?;
                    scene.plant_veth(v4)?;
                }
            }
            scene.clean("after it was mended")?;
            scene.plant_names()
        };
        run().with_context(|| format!("{uplink:?}"))?;
    }
    Ok(())
}

#[test]
fn leak_of_each_kind_is_seen_on_a_veth() -> Result<()> {
    planted(Kind::Veth)
}

#[test]
fn leak_of_each_kind_is_seen_on_a_bridge() -> Result<()> {
    planted(Kind::Bridge)
}

#[test]
fn leak_of_each_kind_is_seen_on_a_macvlan() -> Result<()> {
    planted(Kind::Macvlan)
}

#[test]
fn leak_in_the_shape_of_wireguard_is_told_from_wireguard() -> Result<()> {
    for uplink in every_uplink() {
        frames::judged(uplink).with_context(|| format!("{uplink:?}"))?;
    }
    Ok(())
}
