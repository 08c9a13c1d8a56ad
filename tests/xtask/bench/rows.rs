//! What is measured, and the baseline of each row, verbatim.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{ALICE, Person, Program, Spec, World, addr, keys::Pair};

use super::{Limit, Row, TUNNEL, median, milliseconds, stopwatch::Stopwatch};

/// A namespace made by hand, for the baselines.
const NETNS: &str = "by-hand";

/// `lonewire run` against the shortest way in for root, and where ours goes.
pub fn run(world: &mut World, folder: &Path, pairs: usize) -> Result<Vec<Row>> {
    world.run_in("host", &["ip", "netns", "add", NETNS])?.ok()?;
    let theirs = [
        "ip", "netns", "exec", NETNS, "runuser", "-u", ALICE.name, "--", "true",
    ];
    let mut ours = Stopwatch::in_world(
        world,
        Some(&ALICE),
        &["lonewire", "run", "-t", TUNNEL, "--", "true"],
    )?;
    let mut theirs = Stopwatch::in_world(world, None, &theirs)?;
    // Parts of ours: starting the program, and one call over the bus with it.
    let mut bare = Stopwatch::in_world(world, Some(&ALICE), &["lonewire", "--version"])?;
    let mut call = Stopwatch::in_world(world, Some(&ALICE), &["lonewire", "list"])?;
    // The first of each reads its files from the disk.
    for watch in [&mut ours, &mut theirs, &mut bare, &mut call] {
        watch.once()?;
    }
    let mut times = [vec![], vec![], vec![], vec![]];
    for _ in 0..pairs {
        for (watch, times) in [&mut ours, &mut theirs, &mut bare, &mut call]
            .into_iter()
            .zip(&mut times)
        {
            times.push(milliseconds(watch.once()?));
        }
    }
    world.run_in("host", &["ip", "netns", "del", NETNS])?.ok()?;
    let [ours, theirs, bare, call] = times;
    let (ours, theirs) = (median(ours)?, median(theirs)?);
    let part = |work, figure: f64| Row {
        work,
        ours: format!("{figure:.2} ms"),
        theirs: String::new(),
        figure: figure / ours,
        limit: Limit::None,
    };
    let mut rows = vec![
        Row {
            work: "lonewire run -t T -- true",
            ours: format!("{ours:.2} ms"),
            theirs: format!("{theirs:.2} ms"),
            figure: ours / theirs,
            limit: Limit::AtMost(2.0),
        },
        part("  of it, as `lonewire --version`", median(bare)?),
        part("  of it, as `lonewire list`", median(call)?),
    ];
    for (work, times) in PARTS
        .iter()
        .map(|(work, ..)| *work)
        .zip(parts(folder, pairs)?)
    {
        rows.push(part(work, median(times)?));
    }
    Ok(rows)
}

/// What the helper does of a launch, each part from one line of its log to another.
const PARTS: [(&str, &str, &str); 4] = [
    (
        "  of it, who asks, and polkit's answer",
        ": asked",
        ": allowed",
    ),
    (
        "  of it, the user's entry and environment",
        "allowed",
        "is known",
    ),
    ("  of it, a look at the seal", " is known", ": sealed"),
    (
        "  of it, the warden, until the program runs",
        "sealed",
        "runs",
    ),
];

/// Milliseconds of each part, in a world whose helper says when it does what.
fn parts(folder: &Path, launches: usize) -> Result<[Vec<f64>; 4]> {
    let spec = Spec {
        log: Some("lonewire_helper=debug".to_owned()),
        ..Spec::bench()
    };
    let mut world = World::with_programs(spec, folder)?;
    world.import(&ALICE, TUNNEL, 0)?;
    world.cli(&ALICE, &["up", TUNNEL])?.ok()?;
    let line = ["lonewire", "run", "-t", TUNNEL, "--", "true"];
    let mut watch = Stopwatch::in_world(&world, Some(&ALICE), &line)?;
    for _ in 0..launches {
        watch.once()?;
    }
    let log = world.log("helper");
    let moments: Vec<_> = log.lines().filter_map(moment).collect();
    let mut parts = [const { Vec::new() }; 4];
    for (index, (_, text)) in moments.iter().enumerate() {
        if !text.contains(": runs") {
            continue;
        }
        // One launch at a time: what is nearest before is its own.
        let before = |what: &str| {
            let earlier = moments.get(..=index).unwrap_or_default();
            let line = earlier.iter().rev().find(|(_, text)| text.contains(what));
            line.map(|(time, _)| *time)
                .with_context(|| format!("the log of a launch without {what}"))
        };
        for (times, (_, from, to)) in parts.iter_mut().zip(PARTS) {
            times.push((before(to)? - before(from)?) * 1e3);
        }
    }
    ensure!(
        parts[0].len() == launches,
        "{} of {launches} launches are in the log",
        parts[0].len()
    );
    Ok(parts)
}

/// Seconds of the day, and what the line says.
fn moment(line: &str) -> Option<(f64, &str)> {
    let (time, text) = line.split_once("Z ")?;
    let (_, time) = time.split_once('T')?;
    let mut seconds = 0.0;
    for number in time.split(':') {
        seconds = seconds * 60.0 + number.parse::<f64>().ok()?;
    }
    Some((seconds, text))
}

/// `lonewire up` to the first handshake against a shell with wireguard-go.
pub fn up(world: &mut World, _: &Path, pairs: usize) -> Result<Vec<Row>> {
    let client = ByHand::new(world)?;
    let ByHand { file, address } = &client;
    // The packet that the ping sends waits for the handshake, and nothing else does.
    let script = format!(
        "ip netns add {NETNS} && wireguard-go wg-hand 2>/dev/null && wg setconf wg-hand {file} && ip link set wg-hand netns {NETNS} && \
         ip -n {NETNS} address add {address}/32 dev wg-hand && ip -n {NETNS} link set lo up && ip -n {NETNS} link set wg-hand mtu 1420 up && \
         ip -n {NETNS} route add default dev wg-hand && ip netns exec {NETNS} ping -q -c 1 -W 9 {}",
        addr::INSIDE_SERVER_V4
    );
    let undo = format!("ip -n {NETNS} link del wg-hand && ip netns del {NETNS}");
    let down = ["lonewire", "down", TUNNEL];
    world.cli(&ALICE, &["down", TUNNEL])?.ok()?;
    let mut ours = Stopwatch::in_world(world, Some(&ALICE), &["lonewire", "up", TUNNEL])?;
    let mut theirs = Stopwatch::in_world(world, None, &["sh", "-c", &script])?;
    let (mut our_times, mut their_times) = (vec![], vec![]);
    for pair in 0..=pairs {
        let time = ours.once()?;
        world.run_as(&ALICE, &down)?.ok()?;
        let their_time = theirs.once()?;
        world.run_in("host", &["sh", "-c", &undo])?.ok()?;
        // The first pair is for the caches.
        if pair > 0 {
            our_times.push(milliseconds(time));
            their_times.push(milliseconds(their_time));
        }
    }
    world.cli(&ALICE, &["up", TUNNEL])?.ok()?;
    let (ours, theirs) = (median(our_times)?, median(their_times)?);
    Ok(vec![Row {
        work: "lonewire up T to the first handshake",
        ours: format!("{ours:.1} ms"),
        theirs: format!("{theirs:.1} ms"),
        figure: ours / theirs,
        limit: Limit::AtMost(0.5),
    }])
}

/// One stream of TCP through our data plane against one through wireguard-go, both to a third tunnel of the same machine: nothing but the two is
/// between, and what is at the far end keeps up with either.
pub fn tcp(world: &mut World, _: &Path, pairs: usize) -> Result<Vec<Row>> {
    const SERVER: &str = "10.99.0.1";
    let endpoint = format!("{}:51999", addr::host_v4(0));
    let [far, ours, theirs] = [Pair::new()?, Pair::new()?, Pair::new()?];
    // By default the MTU would be that of the way to the other end, which here is short and wide.
    let server = format!(
        "[Interface]\nPrivateKey = {}\nAddress = {SERVER}/24\nMTU = 1420\nListenPort = 51999\n\
         [Peer]\nPublicKey = {}\nAllowedIPs = 10.99.0.2/32\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.99.0.3/32\n",
        far.private, ours.public, theirs.public
    );
    let peer = format!(
        "[Peer]\nPublicKey = {}\nAllowedIPs = {SERVER}/32\nEndpoint = {endpoint}\nPersistentKeepalive = 25\n",
        far.public
    );
    let client = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.99.0.2/32\nMTU = 1420\n{peer}",
        ours.private
    );
    let by_hand = format!("[Interface]\nPrivateKey = {}\n{peer}", theirs.private);
    for (name, text) in [("far-end", &server), ("tcp", &client)] {
        let file = secret_file(world, name, text, Some(&ALICE))?;
        world
            .cli(&ALICE, &["import", &file, "--name", name])?
            .ok()?;
    }
    world.cli(&ALICE, &["up", "far-end", "--wait", "0"])?.ok()?;
    let listen = ["run", "--detach", "--wait=0", "-t", "far-end", "--"];
    let listen = [listen.as_slice(), &["iperf3", "--server", "--bind", SERVER]].concat();
    world.cli(&ALICE, &listen)?.ok()?;
    world.cli(&ALICE, &["up", "tcp"])?.ok()?;
    let file = secret_file(world, "wg-hand", &by_hand, None)?;
    let script = format!(
        "wireguard-go wg-hand 2>/dev/null && wg setconf wg-hand {file} && ip address add 10.99.0.3/32 dev wg-hand && \
         ip link set wg-hand mtu 1420 up && ip route add {SERVER} dev wg-hand && ping -q -c 1 -W 9 {SERVER}"
    );
    world.run_in("host", &["sh", "-c", &script])?.ok()?;
    let measure = ["iperf3", "--client", SERVER, "--time", "1", "--json"];
    let inside = [&["lonewire", "run", "-t", "tcp", "--"], measure.as_slice()].concat();
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..pairs {
        ours.push(received(&world.run_as(&ALICE, &inside)?.ok()?.stdout)?);
        theirs.push(received(&world.run_as(&ALICE, &measure)?.ok()?.stdout)?);
    }
    world
        .run_in("host", &["ip", "link", "del", "wg-hand"])?
        .ok()?;
    for name in ["tcp", "far-end"] {
        world.cli(&ALICE, &["down", "--force", name])?.ok()?;
    }
    world.end(&world.processes("iperf3")?)?;
    let (ours, theirs) = (median(ours)?, median(theirs)?);
    Ok(vec![Row {
        work: "TCP through the tunnel, against wireguard-go",
        ours: format!("{ours:.0} Mbit/s"),
        theirs: format!("{theirs:.0} Mbit/s"),
        figure: ours / theirs,
        limit: Limit::AtLeast(1.4),
    }])
}

/// What the helper needs while nothing happens: resident memory, and how often it wakes in a minute.
pub fn idle(world: &mut World, _: &Path, _: usize) -> Result<Vec<Row>> {
    let pids = world.processes(Program::Helper.name())?;
    let [pid] = pids.as_slice() else {
        anyhow::bail!("{} helpers", pids.len());
    };
    // What came before has to be over: a tunnel that was used is looked at more often for a while.
    thread::sleep(Duration::from_secs(45));
    let before = wakes(*pid)?;
    thread::sleep(Duration::from_mins(1));
    let wakes = wakes(*pid)? - before;
    let memory = field(
        &fs::read_to_string(format!("/proc/{pid}/status"))?,
        "VmRSS:",
    )? / 1024.0;
    Ok(vec![
        Row {
            work: "helper idle with a tunnel: memory",
            ours: format!("{memory:.1} MB"),
            theirs: String::new(),
            figure: memory,
            limit: Limit::AtMost(15.0),
        },
        Row {
            work: "helper idle with a tunnel: wake-ups a minute",
            ours: format!("{wakes}"),
            theirs: String::new(),
            figure: wakes,
            limit: Limit::AtMost(12.0),
        },
    ])
}

/// How often the threads of a process have waited and gone on.
fn wakes(pid: i32) -> Result<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        sum += field(&status, "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

/// A number of `/proc/PID/status`.
fn field(status: &str, name: &str) -> Result<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("no {name}"))?;
    Ok(line
        .split_whitespace()
        .next()
        .with_context(|| format!("no value of {name}"))?
        .parse()?)
}

/// Megabits a second that arrived, of iperf3's report.
///
/// # Errors
/// Nothing did, or it is no report.
pub fn received(json: &str) -> Result<f64> {
    let report: serde_json::Value = serde_json::from_str(json)?;
    let rate = report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .context("a report without a rate")?;
    ensure!(rate > 0.0, "nothing arrived");
    Ok(rate / 1e6)
}

/// A client of the first server that a shell sets up.
struct ByHand {
    /// For `wg setconf`.
    file: String,
    address: String,
}

impl ByHand {
    fn new(world: &mut World) -> Result<Self> {
        let text = world.client(0)?;
        let address = text
            .lines()
            .find_map(|line| line.strip_prefix("Address = "))
            .and_then(|list| list.split('/').next())
            .context("a client without an address")?
            .to_owned();
        // What `wg` does not know: as `wg-quick strip` does.
        let stripped: String = text
            .lines()
            .filter(|line| !line.starts_with("Address") && !line.starts_with("DNS"))
            .map(|line| format!("{line}\n"))
            .collect();
        let file = secret_file(world, &address, &stripped, None)?;
        Ok(Self { file, address })
    }
}

/// A file that its owner alone (root where none is named) can read.
fn secret_file(world: &World, name: &str, text: &str, owner: Option<&Person>) -> Result<String> {
    let folder = owner.map_or("/run/lab", |person| person.home);
    let file = format!("{folder}/{name}.conf");
    let path = world.path(&file);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    if let Some(person) = owner {
        chown(&path, Some(person.uid), Some(person.gid))?;
    }
    Ok(file)
}
