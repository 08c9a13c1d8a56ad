//! `cargo xtask bench vm`: Lonewire as its package installs it, with the kernel's WireGuard, in a virtual machine, against what else does the same there:
//! vopono, wg-quick(8), and the commands that a person would type. Only the machine measures; what is outside tells what it said.

use std::{
    fs, ops::ControlFlow, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    package::Order,
    programs,
    system::{
        Place, Session, System, poll,
        vpn::{self, INSIDE, Vpn},
    },
};

use super::{Limit, Row, TUNNEL, head, median, milliseconds, rows, stopwatch::Stopwatch, tell};
use crate::{
    build,
    cargo::{self, cargo},
    setup, vm,
};

/// The peer, in the version that the figures of the README are of.
const VOPONO: &str = "vopono@1.0.2";
/// Pairs of every row, if none are named: an emulated machine is slow.
pub const PAIRS: usize = 10;
/// For all of it, in emulation.
const WITHIN: Duration = Duration::from_mins(40);
const RUN: &str = include_str!("vm.sh");
/// What the machine says when everything was measured, and how many rows are over their limit.
const MEASURED: &str = "rows over their limit: ";

/// What a program says as soon as it runs.
const RUNS: &str = "runs";
/// A namespace made by hand, for the baselines.
const NETNS: &str = "by-hand";
/// Where Anna's programs run: what is compared with one of hers has its share of the machine.
const PLACE: &str =
    "/sys/fs/cgroup/user.slice/user-61001.slice/user@61001.service/app.slice/plain.scope";
/// Where the other clients' configurations are; `wg-quick` names its link after the file.
const CONFIG: &str = "/run/peer0.conf";

/// Makes a machine, and has it measure; how many rows are over their limit.
///
/// # Errors
/// The machine did not measure everything.
pub fn run(pairs: usize) -> Result<usize> {
    setup::provide(setup::Purpose::Ci, false)?;
    build::build(true)?;
    let order = Order::new(programs::folder(true)?, false)?;
    let work = tempfile::tempdir()?;
    let root = work.path().join("payload");
    vm::pack(&root, &order, RUN)?;
    fs::copy(vopono()?, root.join("vopono"))?;
    fs::write(root.join("pairs"), pairs.to_string())?;
    let disk = work.path().join("payload.img");
    vm::image::disk(&root, &disk, "512M")?;
    let image = vm::image::get(vm::RELEASES[0])?;
    let mut machine =
        vm::machine::Machine::start(&image, [&disk, &vm::tape(work.path())?], work.path(), false)?;
    println!("Debian {}, by {}", vm::RELEASES[0], machine.processor);
    let mut over = None;
    machine.listen(WITHIN, |line| {
        println!("{line}");
        if let Some(count) = line.strip_prefix(MEASURED) {
            over = count.parse().ok();
        }
        ControlFlow::Continue(())
    })?;
    over.context("the machine did not measure everything")
}

/// The peer's program: from the cache, or built, which takes minutes.
fn vopono() -> Result<PathBuf> {
    let folder = vm::image::cache()?.join(VOPONO);
    let program = folder.join("bin/vopono");
    if !program.exists() {
        println!("building {VOPONO}");
        cargo::run(
            cargo()
                .env_remove("CARGO_TARGET_DIR")
                .args(["install", "--quiet", "--locked", VOPONO, "--root"])
                .arg(&folder),
        )?;
    }
    Ok(program)
}

/// In the machine: measures, and tells.
///
/// # Errors
/// Something could not be measured.
pub fn inside(pairs: usize) -> Result<()> {
    let system = System::here()?;
    let vpn = Vpn::start_in_kernel(&system, 2)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, TUNNEL)?;
    fs::write(CONFIG, vpn.config(1)?)?;
    fs::set_permissions(CONFIG, fs::Permissions::from_mode(0o600))?;
    // For `wg setconf`, which knows neither addresses nor servers of names.
    system.check(&[
        "sh",
        "-euc",
        &format!("umask 077; wg-quick strip {CONFIG} > /run/by-hand.conf"),
    ])?;
    let address = vpn.address(1)?;
    println!("{}", super::machine()?);
    head();
    let mut over = tell(&up_and_launch(&system, &anna, address, pairs)?);
    over += tell(&[throughput(&system, &anna, address, pairs)?]);
    for line in facts(&system, &anna)? {
        println!("{line}");
    }
    println!("{MEASURED}{over}");
    Ok(())
}

/// Recipe of a person's own: eight commands, without names, routes of the other family or a care for what fails.
fn recipe(address: &str) -> String {
    format!(
        "ip netns add {NETNS}; ip link add hand netns {NETNS} type wireguard; ip netns exec {NETNS} wg setconf hand /run/by-hand.conf
         ip -n {NETNS} address add {address}/32 dev hand; ip -n {NETNS} link set lo up; ip -n {NETNS} link set hand mtu 1420 up
         ip -n {NETNS} route add default dev hand"
    )
}

/// Another way to the same.
struct Peer {
    work: &'static str,
    /// A shell's line that says [`RUNS`] as soon as a program runs in it.
    line: String,
    /// What makes it as it was.
    undo: &'static str,
    limit: Limit,
}

fn peers(address: &str) -> [Peer; 3] {
    let as_anna = format!("ip netns exec {NETNS} runuser -u anna -- echo {RUNS}");
    [
        Peer {
            work: "  against `vopono exec`",
            line: format!("{} 'echo {RUNS}'", vopono_exec()),
            undo: "true",
            limit: Limit::AtMost(0.1),
        },
        Peer {
            // Its link is on the host and everything goes there: the namespace is what a program would be in at least.
            work: "  against `wg-quick up; ip netns exec`",
            line: format!("ip netns add {NETNS}; wg-quick up {CONFIG} 2>/dev/null; {as_anna}"),
            undo: "wg-quick down /run/peer0.conf 2>/dev/null; ip netns del by-hand",
            limit: Limit::AtMost(0.5),
        },
        Peer {
            work: "  against ip(8) and wg(8) by hand",
            line: format!("{}; {as_anna}", recipe(address)),
            undo: "ip -n by-hand link del hand; ip netns del by-hand",
            limit: Limit::None,
        },
    ]
}

/// From the command, with the tunnel off, to a program that runs in it.
fn up_and_launch(
    system: &System,
    anna: &Session<'_>,
    address: &str,
    pairs: usize,
) -> Result<Vec<Row>> {
    let roles = system.roles()?;
    let role = [roles, "stopwatch", "--until", RUNS, "--"];
    let run = ["lonewire", "run", "-t", TUNNEL, "--", "echo", RUNS];
    let peers = peers(address);
    // Anew each time: what is run in the system ends with its time, however well it does.
    let once = |command: Command, line: &[&str]| -> Result<f64> {
        Ok(milliseconds(Stopwatch::start(command, line)?.once()?))
    };
    let mut times = vec![];
    let mut their_times = [const { Vec::new() }; 3];
    for pair in 0..=pairs {
        let time = once(anna.command(&[&role[..], &run].concat()), &run)?;
        anna.check(&["lonewire", "down", TUNNEL])?;
        // The first of each is for the caches.
        if pair > 0 {
            times.push(time);
        }
        for (peer, times) in peers.iter().zip(&mut their_times) {
            let line = ["sh", "-ec", &peer.line];
            let time = once(system.command(&[&role[..], &line].concat()), &line)?;
            system.check(&["sh", "-euc", peer.undo])?;
            if pair > 0 {
                times.push(time);
            }
        }
    }
    let ours = median(times)?;
    let mut list = vec![Row {
        work: "lonewire run, the tunnel off, to a program",
        ours: format!("{ours:.0} ms"),
        theirs: String::new(),
        figure: ours,
        limit: Limit::None,
    }];
    for (peer, times) in peers.into_iter().zip(their_times) {
        let theirs = median(times)?;
        list.push(Row {
            work: peer.work,
            ours: format!("{ours:.0} ms"),
            theirs: format!("{theirs:.0} ms"),
            figure: ours / theirs,
            limit: peer.limit,
        });
    }
    Ok(list)
}

/// The peer's command, less the program.
fn vopono_exec() -> String {
    format!(
        "/payload/vopono exec --interface uplink --custom {CONFIG} --protocol wireguard --user anna"
    )
}

/// One stream of TCP to the server, through ours and through a plain link in a namespace made by hand.
fn throughput(system: &System, anna: &Session<'_>, address: &str, pairs: usize) -> Result<Row> {
    vpn::serve(system, "iperf", &["iperf3", "--server", "--bind", INSIDE])?;
    anna.check(&["lonewire", "up", TUNNEL])?;
    system.check(&["sh", "-euc", &recipe(address)])?;
    let measure = ["iperf3", "--client", INSIDE, "--time", "2", "--json"];
    let ours = [&["lonewire", "run", "-t", TUNNEL, "--"], measure.as_slice()].concat();
    let plain = format!(
        "mkdir -p {PLACE}; echo $$ > {PLACE}/cgroup.procs; exec ip netns exec {NETNS} {}",
        measure.join(" ")
    );
    let theirs = ["sh", "-euc", &plain];
    let listens = || system.check(&theirs).ok();
    poll(Duration::from_secs(60), listens).context("nothing measures at the other end")?;
    let (mut our_rates, mut their_rates) = (vec![], vec![]);
    for _ in 0..pairs {
        our_rates.push(rows::received(&anna.check(&ours)?)?);
        their_rates.push(rows::received(&system.check(&theirs)?)?);
    }
    system.check(&["ip", "netns", "del", NETNS])?;
    anna.check(&["lonewire", "down", TUNNEL])?;
    let (ours, theirs) = (median(our_rates)?, median(their_rates)?);
    Ok(Row {
        work: "TCP through the kernel, against a plain link",
        ours: format!("{ours:.0} Mbit/s"),
        theirs: format!("{theirs:.0} Mbit/s"),
        figure: ours / theirs,
        limit: Limit::AtLeast(0.95),
    })
}

/// What a program sees of links in each, and whom a name that it looks up is told to besides the tunnel.
fn facts(system: &System, anna: &Session<'_>) -> Result<Vec<String>> {
    vpn::host_dns(system)?;
    let look = |name: &str| {
        format!("sh -c 'ls /sys/class/net | xargs echo links; getent hosts {name}.demo || true'")
    };
    let mut lines = vec![];
    for (who, name) in [("Lonewire", "from-lonewire"), ("vopono", "from-vopono")] {
        let seen = if who == "vopono" {
            // Not in /run, from which nothing is executed.
            let file = "/usr/local/bin/look";
            fs::write(file, format!("#!/bin/sh\n{}\n", look(name)))?;
            system.check(&[
                "sh",
                "-euc",
                &format!("chmod 755 {file}; {} {file}", vopono_exec()),
            ])?
        } else {
            let line = format!("lonewire run -t {TUNNEL} -- {}", look(name));
            anna.check(&["sh", "-euc", &line])?
        };
        let links = seen
            .lines()
            .find_map(|line| line.split_once("links "))
            .with_context(|| format!("{who}: {seen}"))?
            .1;
        let asked = vpn::host_asked(system)?.contains(name);
        let whom = if asked {
            "the host's DNS server was asked"
        } else {
            "the host's DNS server was not asked"
        };
        lines.push(format!(
            "{who}: links {links}; a name that libc looks up: {whom}"
        ));
    }
    ensure!(
        lines[0].ends_with("was not asked") && lines[0].contains("links lo lw-"),
        "{}",
        lines[0]
    );
    Ok(lines)
}
