//! A world with a tunnel and an app in it, and what faults need to do to both.

use std::{collections::BTreeSet, fs, io::Read as _, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Backend, Job, Plant};
use crate::{
    ALICE, BOB, Marker, Program, Running, Spec, World, addr,
    bus::StandIn,
    fakes,
    frame::Mac,
    net::{self, Sabotage},
    probe::Probe,
    system,
    uplinks::{ATTACKER_V4, ATTACKER_V6, ATTACKING_ROUTER},
    world::{Hung, READY, slowness, until},
};

/// Between two looks at something that changes by itself.
const PAUSE: Duration = Duration::from_millis(200);

/// They would do outside what a program inside may not.
pub(super) const SERVICES: [&str; 5] = [
    "org.freedesktop.resolve1",
    "org.freedesktop.Avahi",
    "org.freedesktop.network1",
    "org.freedesktop.systemd1",
    "org.freedesktop.NetworkManager",
];

pub(super) struct Scene {
    pub world: World,
    pub variant: usize,
    backend: Backend,
    /// The tunnel's link and namespace, once there is one.
    pub link: String,
    pub namespace: String,
    /// The app, with traffic that began before the fault.
    pub inside: Option<Probe>,
    /// Root in the tunnel's network.
    pub root: Option<Probe>,
    /// The same person beside all tunnels.
    pub outside: Probe,
    /// Services of the host's bus that look names up or reach the network for others, and what they were asked.
    bus: StandIn,
    asked: Vec<String>,
    pub hung: Vec<Hung>,
    /// Whether the tunnel has an IPv6 address.
    pub has_v6: bool,
    /// Of every interface that the host and the routers have had.
    pub macs: (BTreeSet<Mac>, BTreeSet<Mac>),
    /// Of what the fault itself lets programs send.
    pub markers: Vec<Marker>,
    held: Vec<Running>,
}

impl Scene {
    pub fn new(job: &Job) -> Result<Self> {
        let mut world = World::new(Spec {
            uplinks: job.uplinks.clone(),
            servers: 2,
            inside: true,
            sabotage: (job.plant == Some(Plant::PlainForwarder))
                .then_some(Sabotage::PlainForwarder),
            ..Spec::product()
        })?;
        // As distributions have it: without it no user could send an echo request anywhere.
        world.sh("echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range")?;
        world.fakes()?;
        let has_v6 = job.has_v6;
        let text = world.client(0)?;
        let text = if has_v6 {
            text
        } else {
            // Its peer would take IPv6 all the same.
            text.replace(&format!(", {}/128", addr::client_v6(0)), "")
        };
        world.import_text(&ALICE, "demo", &text)?;
        let outside = Probe::outside(&world, &ALICE)?;
        let bus = StandIn::take(&world, &SERVICES)?;
        let mut scene = Self {
            world,
            variant: job.variant,
            backend: job.backend,
            link: String::new(),
            namespace: String::new(),
            inside: None,
            root: None,
            outside,
            bus,
            asked: Vec::new(),
            hung: Vec::new(),
            has_v6,
            macs: (BTreeSet::new(), BTreeSet::new()),
            markers: Vec::new(),
            held: Vec::new(),
        };
        scene.note_macs()?;
        Ok(scene)
    }

    pub fn sh(&self, script: &str) -> Result<()> {
        self.world.sh(script)
    }

    /// Every call that the services of the bus have got.
    pub fn asked_by_bus(&mut self) -> &[String] {
        self.asked.extend(self.bus.calls());
        &self.asked
    }

    pub fn note_macs(&mut self) -> Result<()> {
        let oracle = self.world.oracle(&[])?;
        self.macs.0.extend(oracle.host_macs);
        self.macs.1.extend(oracle.router_macs);
        Ok(())
    }

    /// Starts the app, and root beside it in the same network.
    pub fn begin(&mut self, marker: &Marker, protected: bool) -> Result<()> {
        let mut inside = Probe::offline(&self.world, &ALICE, "demo", marker)?;
        let links = inside.ask("links")?;
        let mut names = crate::product::texts(&links);
        names.retain(|name| name.starts_with("lw-"));
        self.link = names.pop().with_context(|| format!("no link: {links}"))?;
        self.namespace = self
            .pinned()?
            .pop()
            .context("no namespace of the tunnel's")?;
        self.check_backend()?;
        self.inside = Some(inside);
        self.root = Some(Probe::of_root(&self.world, &self.namespace)?);
        if protected {
            self.flows("before the fault", Duration::ZERO)?;
        }
        Ok(())
    }

    /// The helper has chosen what the table will say.
    fn check_backend(&self) -> Result<()> {
        let line = [
            "ip",
            "-n",
            &self.namespace,
            "-details",
            "-json",
            "link",
            "show",
            &self.link,
        ];
        let text = self.world.run_in("host", &line)?.ok()?.stdout;
        let found: serde_json::Value = serde_json::from_str(&text)?;
        let kind = found.pointer("/0/linkinfo/info_kind");
        let kind = kind.and_then(serde_json::Value::as_str);
        let wanted = self.backend.link_kind();
        ensure!(
            kind == Some(wanted),
            "the helper made a link of the kind {kind:?}, not {wanted}"
        );
        Ok(())
    }

    /// Plants what the matrix has to find.
    pub fn plant(&self, plant: Plant) -> Result<()> {
        match plant {
            // From the start.
            Plant::PlainForwarder => Ok(()),
            Plant::Link => {
                let link = &self.link;
                self.sh(&format!(
                    "ip link add planted type veth peer name planted0 netns {link}
                     ip addr add 192.0.2.254/31 dev planted; ip link set planted up; sysctl -qw net.ipv4.ip_forward=1
                     ip -n {link} addr add 192.0.2.255/31 dev planted0; ip -n {link} link set planted0 up
                     ip -n {link} route replace 198.51.100.0/24 via 192.0.2.254
                     ip -n {link} route replace 169.254.0.0/16 via 192.0.2.254
                     ip addr add fd00:99::/127 dev planted nodad; sysctl -qw net.ipv6.conf.all.forwarding=1
                     ip -n {link} addr add fd00:99::1/127 dev planted0 nodad
                     ip -n {link} -6 route replace 2001:db8:80::/64 via fd00:99::"
                ))
            }
            Plant::Addresses => self.sh(&format!(
                "ip addr add {}/32 dev lo; ip addr add {}/128 dev lo",
                addr::client_v4(0),
                addr::client_v6(0)
            )),
            Plant::Services => {
                let app = self.world.app_pid(&ALICE, "roles")?;
                self.world.graft("/run/nscd", app)?;
                self.world.graft("/run/dbus", app)
            }
        }
    }

    fn pinned(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.world.path("/run/netns"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with("lw-") {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Every kind of the app's traffic gets through. `cut` is for how long it did not: TCP doubles what it waits before it tries again, so
    /// that an open connection may be silent for as long once more.
    pub fn flows(&mut self, when: &str, cut: Duration) -> Result<()> {
        let inside = self.inside.as_mut().context("no app")?;
        let count = |counts: &serde_json::Value, kind: &str| counts[kind].as_u64().unwrap_or(0);
        let before = inside.ask("counts")?;
        let mut now = before.clone();
        // What was measured here is as slow as the machine.
        let limit = cut / slowness() + 2 * READY;
        until(limit, &format!("traffic {when}"), || {
            now = inside.ask("counts")?;
            Ok(["udp", "tcp", "dns", "stream"]
                .iter()
                .all(|kind| count(&now, kind) > count(&before, kind)))
        })
        .with_context(|| format!("{before} to {now}"))
    }

    /// Takes the host's end of an uplink down, or up again with all its addresses and routes.
    pub fn uplink(&mut self, index: usize, up: bool) -> Result<()> {
        let uplink = self.world.spec.uplinks[index];
        let interface = net::host_interface(uplink.kind, index);
        if !up {
            return self.sh(&format!("ip link set {interface} down"));
        }
        let mut script = format!("ip link set {interface} up");
        let metric = 100 + index;
        if uplink.family.v4() {
            script += &format!(
                "\nip addr replace {}/27 dev {interface}; ip route replace default via {} dev {interface} metric {metric}",
                addr::host_v4(index),
                addr::router_v4(index)
            );
        }
        if uplink.family.v6() {
            script += &format!(
                "\nip addr replace {}/64 dev {interface} nodad; ip -6 route replace default via {} dev {interface} metric {metric}",
                addr::host_v6(index),
                addr::router_v6(index)
            );
        }
        self.sh(&script)?;
        self.know_attackers(index)?;
        self.note_macs()
    }

    /// The host knows the strangers of an uplink already: an answer to one would not wait for him to say where he is.
    pub fn know_attackers(&self, index: usize) -> Result<()> {
        let uplink = self.world.spec.uplinks[index];
        let interface = net::host_interface(uplink.kind, index);
        let mut script = String::new();
        for (is_there, who) in [
            (uplink.family.v4(), ATTACKER_V4.to_string()),
            (uplink.family.v6(), ATTACKER_V6.to_string()),
            (uplink.family.v6(), ATTACKING_ROUTER.to_string()),
        ] {
            if is_there {
                script += &format!(
                    "ip neigh replace {who} lladdr 02:00:00:00:00:0b dev {interface} nud permanent\n"
                );
            }
        }
        self.sh(&script)
    }

    /// The server's kernel answers that nobody listens.
    pub fn refuse(&self, refuses: bool) -> Result<()> {
        let script = if refuses {
            format!(
                "add table inet refusing; add chain inet refusing in {{ type filter hook input priority 0; }}; add rule inet refusing in udp dport {} reject",
                addr::VPN_PORT
            )
        } else {
            "delete table inet refusing".into()
        };
        self.world
            .run_in(&net::server(0), &["nft", &script])?
            .ok()?;
        Ok(())
    }

    pub fn stop_fakes(&mut self) -> Result<()> {
        if let Some(mut service) = self.world.services.remove(fakes::LOG) {
            self.world.end(&[service.pid])?;
            let _ = service.waiter.wait();
        }
        self.sh("rm -rf /run/nscd /run/avahi-daemon /run/systemd/resolve")
    }

    /// The host's file is replaced, edited and pointed elsewhere; its name services go and come back.
    pub fn change_dns(&mut self) -> Result<()> {
        for script in [
            "cp /etc/resolv.conf /etc/new; mv -f /etc/new /etc/resolv.conf",
            "echo '# edited' >> /etc/resolv.conf",
            "mkdir -p /run/systemd/resolve; cp -L /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf; ln -sf /run/systemd/resolve/stub-resolv.conf /etc/new; mv -f /etc/new /etc/resolv.conf",
            "cp -L /etc/resolv.conf /run/lab/kept; rm /etc/resolv.conf; cp /run/lab/kept /etc/resolv.conf; chmod 644 /etc/resolv.conf",
            "cp /etc/nsswitch.conf /etc/new; mv -f /etc/new /etc/nsswitch.conf; cp /etc/hosts /etc/new; mv -f /etc/new /etc/hosts",
        ] {
            self.sh(script)?;
        }
        self.stop_fakes()?;
        self.world.fakes()
    }

    /// Another user keeps the tunnel's namespace open, as anybody can.
    pub fn hold(&mut self) -> Result<()> {
        let script = format!(
            "exec 3< /run/netns/{}; echo held; exec sleep 1000",
            self.namespace
        );
        let mut running = self.world.spawn_as(&BOB, &["sh", "-c", &script])?;
        let mut said = [0; 5];
        let stdout = running.waiter.stdout.as_mut().context("no output")?;
        stdout.read_exact(&mut said)?;
        self.held.push(running);
        Ok(())
    }

    /// Launches that send, and the end of the tunnel at the same time, again and again.
    pub fn race(&mut self) -> Result<()> {
        let host = self.world.spec.web();
        for _ in 0..4 {
            let marker = Marker::new()?;
            let text: String = marker
                .bytes()
                .iter()
                .map(|byte| format!("\\x{byte:02x}"))
                .collect();
            self.markers.push(marker);
            let send = format!("printf '{text}' > /dev/udp/{host}/9");
            let line = [
                "lonewire", "run", "-t", "demo", "--wait=0", "--", "bash", "-c", &send,
            ];
            let mut launch = self.world.spawn_as(&ALICE, &line)?;
            let down = ["lonewire", "down", "--force", "demo"];
            let mut down = self.world.spawn_as(&ALICE, &down)?;
            // Either may lose; neither may hang.
            launch.wait(READY)?;
            down.wait(READY)?;
        }
        Ok(())
    }

    /// All of the product stands still, and then goes on.
    pub fn freeze(&mut self, time: Duration) -> Result<()> {
        let mut all = vec![Program::Helper, Program::Warden, Program::Bus];
        if self.backend == Backend::Userspace {
            all.push(Program::DataPlane);
        }
        let hung = self.world.hang_all(&all)?;
        thread::sleep(time);
        drop(hung);
        Ok(())
    }

    /// The helper stands still until what hangs is let go.
    pub fn hang_helper(&mut self) -> Result<()> {
        self.hung.push(self.world.hang(Program::Helper)?);
        Ok(())
    }

    /// The clock of the whole machine jumps, where that is one to throw away.
    pub fn jump(&self, by: &str) -> Result<()> {
        if !system::is_throw_away() {
            return Ok(());
        }
        self.sh(&format!("date --set '{by}'"))
    }

    /// A configuration that leaves only the server itself within reach.
    pub fn edit(&mut self) -> Result<()> {
        let text = self.world.client(0)?;
        let text = text.replace(
            "AllowedIPs = 0.0.0.0/0, ::/0",
            &format!("AllowedIPs = {}/32", addr::INSIDE_SERVER_V4),
        );
        let file = format!("{}/edited.conf", ALICE.home);
        fs::write(self.world.path(&file), text)?;
        let script = format!("chown {} {file}; chmod 600 {file}", ALICE.uid);
        self.sh(&script)?;
        self.world
            .cli(&ALICE, &["edit", "demo", "--from", &file])?
            .ok()?;
        Ok(())
    }

    /// Another saved tunnel, to the other server, whose configuration this one takes over.
    pub fn switch(&mut self) -> Result<()> {
        let text = self.world.client(1)?;
        self.world.import_text(&ALICE, "other", &text)?;
        let line = ["switch", "demo", "other"];
        self.world.cli(&ALICE, &line)?.ok()?;
        Ok(())
    }

    pub fn end_helper(&mut self, signal: Signal) -> Result<()> {
        for pid in self.world.processes(Program::Helper.name())? {
            kill(Pid::from_raw(pid), signal)?;
        }
        until(READY, "the helper's end", || {
            Ok(self.world.processes(Program::Helper.name())?.is_empty())
        })
    }

    /// Files that the helper may have open, itself and what it starts.
    pub fn limit_helper(&self, most: u32) -> Result<()> {
        for pid in self.world.processes(Program::Helper.name())? {
            let pid = pid.to_string();
            let limit = format!("--nofile={most}:4096");
            let line = ["--pid", &pid, &limit];
            let out = std::process::Command::new("prlimit").args(line).output()?;
            ensure!(
                out.status.success(),
                "prlimit: {}",
                String::from_utf8_lossy(&out.stderr).trim()
            );
        }
        if most < 100 {
            // It is asked for what it cannot do: it answers, and nothing opens.
            for _ in 0..3 {
                self.world
                    .cli(&ALICE, &["run", "-t", "demo", "--wait=0", "--", "true"])?;
            }
        }
        Ok(())
    }

    /// What the kernel does when memory ends.
    pub fn kill_keepers(&mut self) -> Result<()> {
        self.world.kill(Program::Warden)
    }

    /// Bob's tunnel to the same server, with alice's addresses.
    pub fn bobs(&mut self) -> Result<()> {
        let text = self.world.client(0)?;
        let text = text
            .replace(
                &addr::client_v4(1).to_string(),
                &addr::client_v4(0).to_string(),
            )
            .replace(
                &addr::client_v6(1).to_string(),
                &addr::client_v6(0).to_string(),
            );
        self.world.import_text(&BOB, "bobs", &text)
    }

    /// Waits a moment until something is so, or not.
    pub fn pause() {
        thread::sleep(PAUSE);
    }
}
