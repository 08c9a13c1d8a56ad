//! `cargo xtask demo`: the promise, shown. A world, a program of a person without privileges in a tunnel, and a line for each thing that was measured. `--break`
//! gets one thing wrong, and its line must say so: a proof that cannot fail proves nothing.

mod measure;
mod window;

use std::io::IsTerminal as _;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use lab::{ALICE, Baseline, Marker, Program, Spec, World, net::Sabotage, probe::Probe, programs};

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave a shell in the world before it ends
    #[arg(long)]
    keep: bool,
    /// Open the window in the world, on this screen, before it ends
    #[arg(long)]
    window: bool,
    /// Get one thing wrong: exactly its line fails
    #[arg(long, value_name = "NAME")]
    r#break: Option<Break>,
    /// Install what this machine lacks without asking
    #[arg(long, short)]
    yes: bool,
}

/// What can be got wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Break {
    /// A second way out appears in the tunnel's namespace
    Veth,
    /// The tunnel's DNS is a file bound over `/etc/resolv.conf`, as others do it
    ResolvConf,
    /// The program reaches the host's name service, which answers
    HostResolver,
    /// The data plane sends packets as they are, and says that all is well
    PlainForwarder,
    /// The program is started as another user
    WrongUid,
    /// The program keeps a capability
    KeptCapability,
}

impl Break {
    /// What is wrong from the start. The others come when their line is measured.
    fn sabotage(self) -> Option<Sabotage> {
        match self {
            Self::PlainForwarder => Some(Sabotage::PlainForwarder),
            Self::WrongUid => Some(Sabotage::WrongUid),
            Self::KeptCapability => Some(Sabotage::KeptCapability),
            Self::Veth | Self::ResolvConf | Self::HostResolver => None,
        }
    }
}

const TUNNEL: &str = "demo";

const KEPT: &str = "
A shell on the world's host, as root. alice's program is in the tunnel `demo`. For example:
  su - alice -c 'lonewire status'
  su - alice -c 'lonewire run -- curl -s http://whoami.demo/'   the address that the server sees
  ip netns                                                      the router, internet, VPN server, and the tunnel's namespace
The world ends with this shell.";

const SHOWN: &str = "
alice's window. The tunnel `demo` is on, and a program of hers runs in it. Close the window to go on.";

/// The command.
///
/// # Errors
/// A line does not hold, or there is no world to measure in.
pub fn run(arguments: &Arguments) -> Result<()> {
    let screen = arguments.window.then(window::Screen::find).transpose()?;
    setup::provide(setup::Purpose::Worlds, arguments.yes)?;
    if std::env::var_os(programs::VARIABLE).is_none() {
        eprintln!("building Lonewire (minutes, the first time)");
        build::build(false)?;
    }
    let before = Baseline::take()?;
    eprintln!("making a world: host, router, VPN server, internet, D-Bus, polkitd, Lonewire");
    let mut world = World::new(Spec {
        sabotage: arguments.r#break.and_then(Break::sabotage),
        ..Spec::product()
    })?;
    let mut lines = Lines::default();
    let measured = measure(&mut world, arguments.r#break, &mut lines);
    if let Err(error) = &measured {
        lines.not_measured(error);
    }
    if let Some(screen) = screen {
        println!("{SHOWN}");
        screen.open(&world)?;
    }
    if arguments.keep {
        println!("{KEPT}");
        world.shell()?;
    }
    drop(world);
    before.assert_same()?;
    let failed = lines.failed;
    ensure!(failed.is_empty(), "not so: {}", failed.join(", "));
    println!("all {} hold, and the machine is as it was", NAMES.len());
    Ok(())
}

/// The lines, in their order.
const NAMES: [&str; 7] = ["identity", "exit", "dns", "links", "dead", "back", "uplink"];

/// What was told.
#[derive(Default)]
struct Lines {
    told: usize,
    failed: Vec<&'static str>,
}

impl Lines {
    /// Prints what was measured for the next line, or what is wrong with it.
    fn tell(&mut self, measured: Result<String>) {
        let name = NAMES.get(self.told).copied().unwrap_or("?");
        self.told += 1;
        let (mark, colour, text) = match measured {
            Ok(text) => ("ok  ", 32, text),
            Err(error) => {
                self.failed.push(name);
                ("FAIL", 31, format!("{error:#}"))
            }
        };
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let mark = if coloured {
            format!("\x1b[{colour}m{mark}\x1b[0m")
        } else {
            mark.to_owned()
        };
        println!("{mark}  {name:8}  {}", text.replace('\n', " "));
    }

    /// What could not be judged does not hold.
    fn not_measured(&mut self, error: &anyhow::Error) {
        while self.told < NAMES.len() {
            self.tell(Err(anyhow::anyhow!("not measured: {error:#}")));
        }
    }
}

fn measure(world: &mut World, broken: Option<Break>, lines: &mut Lines) -> Result<()> {
    world.fakes()?;
    world.import(&ALICE, TUNNEL, 0)?;
    lines.tell(measure::identity(world));
    let marker = Marker::new()?;
    let mut probe = Probe::inside(world, &ALICE, TUNNEL)?;
    lines.tell(measure::exit(world, &mut probe, &marker));
    let app = world.app_pid(&ALICE, "roles")?;
    match broken {
        Some(Break::ResolvConf) => world.inside(app, RESOLV_CONF)?,
        Some(Break::HostResolver) => world.graft(NSCD, app)?,
        _ => {}
    }
    lines.tell(measure::dns(world, &mut probe, &marker));
    if broken == Some(Break::HostResolver) {
        // Each of the others is judged without it.
        world.inside(app, &format!("umount {NSCD}"))?;
    }
    if broken == Some(Break::Veth) {
        world.sh(&format!(
            "ip link add planted type veth peer name planted0 netns {app}"
        ))?;
    }
    lines.tell(measure::links(&mut probe));
    if broken == Some(Break::Veth) {
        world.sh("ip link del planted")?;
    }
    lines.tell(measure::dead(world, &mut probe));
    world.restart(Program::DataPlane)?;
    lines.tell(measure::back(world, &mut probe));
    lines.tell(measure::uplink(world, &marker));
    Ok(())
}

/// What others do: the tunnel's file is bound over the host's. It is gone as soon as the host replaces its own.
const RESOLV_CONF: &str =
    "cp /etc/resolv.conf /tmp/bound; umount /etc; mount --bind /tmp/bound /etc/resolv.conf";
/// Where the host's name service listens.
const NSCD: &str = "/run/nscd";
