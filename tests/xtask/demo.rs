//! `cargo xtask demo`: the promise, shown. A world, a program of a person without privileges in a tunnel, and a line for each thing that was measured. `--break`
//! gets one thing wrong, and its line must say so: a proof that cannot fail proves nothing.

use std::{cell::RefCell, collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use lab::{
    ALICE, Marker, Program, Spec, World, addr, fakes, identity, net::VPN_EXIT_V4, probe::Probe,
    product::text, programs, world::until,
};

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave a shell in the world before it ends
    #[arg(long)]
    keep: bool,
    /// Get one thing wrong: exactly its line fails
    #[arg(long, value_name = "NAME")]
    r#break: Option<Break>,
}

/// What can be got wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Break {
    /// A second way out appears in the tunnel's namespace.
    Veth,
    /// The tunnel's DNS is a file bound over `/etc/resolv.conf`, as others do it.
    ResolvConf,
    /// The program reaches the host's name service.
    HostResolver,
}

const TUNNEL: &str = "demo";
/// How long a tunnel may take to be back once its data plane can be.
const BACK: Duration = Duration::from_secs(20);

/// The command.
///
/// # Errors
/// A line does not hold, or there is no world to measure in.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "worlds need root");
    setup::require()?;
    if std::env::var_os(programs::VARIABLE).is_none() {
        build::build(false)?;
    }
    let mut world = World::new(Spec::product())?;
    let lines = Lines::default();
    let measured = measure(&mut world, arguments.r#break, &lines);
    if arguments.keep {
        println!(
            "The world is yours: `lonewire` as alice is `su - alice`. It ends with this shell."
        );
        world.shell()?;
    }
    measured?;
    let failed = lines.0.into_inner();
    ensure!(failed.is_empty(), "not so: {}", failed.join(", "));
    Ok(())
}

/// What did not hold.
#[derive(Default)]
struct Lines(RefCell<Vec<&'static str>>);

impl Lines {
    /// Prints what was measured, or what is wrong with it.
    fn tell(&self, name: &'static str, measured: Result<String>) {
        match measured {
            Ok(text) => println!("ok    {name:9} {text}"),
            Err(error) => {
                println!("FAIL  {name:9} {error:#}");
                self.0.borrow_mut().push(name);
            }
        }
    }
}

fn measure(world: &mut World, broken: Option<Break>, lines: &Lines) -> Result<()> {
    world.fakes()?;
    world.import(&ALICE, TUNNEL, 0)?;
    lines.tell("identity", who(world));
    let marker = Marker::new()?;
    let mut probe = Probe::inside(world, &ALICE, TUNNEL)?;
    lines.tell("exit", exit(world, &mut probe, &marker));
    let app = world.app_pid(&ALICE, "roles")?;
    match broken {
        Some(Break::ResolvConf) => world.inside(app, RESOLV_CONF)?,
        Some(Break::HostResolver) => world.inside(app, HOST_RESOLVER)?,
        _ => {}
    }
    lines.tell("dns", dns(world, &mut probe, &marker));
    if broken == Some(Break::Veth) {
        let script = format!("ip link add planted type veth peer name planted0 netns {app}");
        world.run_in("host", &["sh", "-c", &script])?.ok()?;
    }
    lines.tell("links", links(&mut probe));
    if broken == Some(Break::Veth) {
        world
            .run_in("host", &["ip", "link", "del", "planted"])?
            .ok()?;
    }
    lines.tell("dead", dead(world, &mut probe));
    lines.tell("back", back(world, &mut probe));
    lines.tell("uplink", uplink(world, &marker));
    Ok(())
}

/// What others do: the tunnel's file is bound over the host's. It is gone as soon as the host replaces its own.
const RESOLV_CONF: &str =
    "cp /etc/resolv.conf /tmp/bound; umount /etc; mount --bind /tmp/bound /etc/resolv.conf";
/// The host's own `/run` again.
const HOST_RESOLVER: &str = "umount -l /run";

fn who(world: &World) -> Result<String> {
    let [mut inside, mut outside] = Probe::of_login(world, &ALICE, TUNNEL)?;
    let (inside, outside) = (inside.ask("identity")?, outside.ask("identity")?);
    let different = identity::differences(&inside, &outside, identity::ALLOWED);
    ensure!(different.is_empty(), "{}", different.join("; "));
    let id = |key| text(&inside, key);
    Ok(format!(
        "as after `su -l {}`: uid {}, groups {}, capabilities {}, {} things compared",
        ALICE.name,
        id("Uid").split(' ').next().unwrap_or_default(),
        id("Groups"),
        id("CapEff"),
        inside.as_object().map_or(0, serde_json::Map::len)
    ))
}

fn exit(world: &World, probe: &mut Probe, marker: &Marker) -> Result<String> {
    let answer = probe.ask(&format!("http whoami.demo /{}", marker.hex()))?;
    let seen: BTreeSet<IpAddr> = world
        .requests("web")?
        .iter()
        .map(|asked| asked.peer.ip().to_canonical())
        .collect();
    let own = [IpAddr::from(addr::vpn_v4(0)), addr::vpn_v6(0).into()];
    ensure!(
        !seen.is_empty() && seen.iter().all(|ip| own.contains(ip)),
        "the server saw {seen:?}, not the tunnel's {VPN_EXIT_V4}"
    );
    Ok(format!(
        "the server saw {}; without the tunnel it would have seen {}",
        text(&answer, "body"),
        addr::ROUTER_EXIT_V4
    ))
}

/// A look-up; the host replaces its `resolv.conf`; a look-up again.
fn dns(world: &World, probe: &mut Probe, marker: &Marker) -> Result<String> {
    let names = ["a", "b"].map(|first| format!("{first}{}.probe.demo", marker.hex()));
    let ours = [addr::WEB_V4.to_string(), addr::WEB_V6.to_string()];
    for (index, name) in names.iter().enumerate() {
        if index == 1 {
            world.replace_resolv_conf()?;
        }
        let answer = probe.ask(&format!("lookup {name}"))?;
        let told: Vec<_> = answer
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one.as_str())
            .collect();
        ensure!(
            !told.is_empty() && told.iter().all(|one| ours.contains(&(*one).to_owned())),
            "answered {told:?}, not by the tunnel's DNS"
        );
        ensure!(
            world
                .queries("vpn0-dns")?
                .iter()
                .any(|asked| asked.what == *name),
            "the tunnel's DNS was not asked"
        );
    }
    for place in ["host-dns", fakes::LOG] {
        let asked = world.queries(place)?;
        let ours = asked.iter().filter(|one| one.what.contains(&marker.hex()));
        ensure!(ours.count() == 0, "{place} was asked");
    }
    Ok(format!(
        "{} answered, in the tunnel, before and after the host replaced its resolv.conf; the host's DNS, nscd, resolved and avahi were not asked",
        addr::INSIDE_SERVER_V4
    ))
}

fn links(probe: &mut Probe) -> Result<String> {
    let answer = probe.ask("links")?;
    let names: Vec<_> = answer
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str())
        .collect();
    match names[..] {
        ["lo", link] if link.starts_with("lw-") => Ok(format!("lo and {link}, nothing else")),
        _ => bail!("{}", names.join(", ")),
    }
}

fn dead(world: &mut World, probe: &mut Probe) -> Result<String> {
    let before = world.requests("web")?.len();
    world.stop(Program::DataPlane)?;
    for address in [IpAddr::from(addr::WEB_V4), addr::WEB_V6.into()] {
        let answer = probe.ask(&format!("http {address} /"));
        ensure!(answer.is_err(), "{address} was reached");
    }
    ensure!(probe.ask("lookup whoami.demo").is_err(), "a name was found");
    world.wait_state(&ALICE, TUNNEL, "blocked", BACK)?;
    ensure!(
        world.requests("web")?.len() == before,
        "the server was reached"
    );
    Ok("data plane killed: nothing was reached, no name was found, the tunnel is told to be blocked".into())
}

fn back(world: &mut World, probe: &mut Probe) -> Result<String> {
    world.restart(Program::DataPlane)?;
    world.wait_state(&ALICE, TUNNEL, "protected", BACK)?;
    let mut body = String::new();
    until(BACK, "an answer", || {
        if let Ok(answer) = probe.ask(&format!("http {} /", addr::WEB_V4)) {
            text(&answer, "body").clone_into(&mut body);
        }
        Ok(!body.is_empty())
    })?;
    ensure!(body == VPN_EXIT_V4, "the server saw {body}");
    Ok(format!(
        "data plane back: the same program goes on, the server saw {body}"
    ))
}

fn uplink(world: &mut World, marker: &Marker) -> Result<String> {
    let report = world.uplinks_report(std::slice::from_ref(marker))?;
    report.assert_clean()?;
    ensure!(report.frames("WireGuard") > 0, "no WireGuard was seen");
    Ok(format!("{report}; nothing else, from first to last"))
}
