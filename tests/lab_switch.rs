//! Ring lab: a tunnel takes over another one's configuration under an app with traffic of every kind. Nothing by the old server after the first to the new,
//! nothing outside at any time; connections that were open end; names are looked up at the new server's DNS.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, Marker, Spec, World,
    addr::{self, vpn_v4, vpn_v6},
    probe::Probe,
    product::text,
    world::{READY, until},
};
use serde_json::Value;

/// Two servers; the tunnel to the second has another address inside, and a search domain by which its `resolv.conf` is known.
fn ready() -> Result<World> {
    let mut world = World::new(Spec {
        servers: 2,
        ..Spec::product()
    })?;
    world.import(&ALICE, "one", 0)?;
    // Not the same address inside at both.
    world.client(1)?;
    let other = world.client(1)?;
    let text = other.replace("DNS = 10.66.0.1", "DNS = 10.66.0.1, other.example");
    ensure!(text != other && text.contains("10.66.0.3/32"));
    world.import_text(&ALICE, "two", &text)?;
    Ok(world)
}

/// What the internet sees of a server's clients.
fn exits(index: usize) -> [IpAddr; 2] {
    [vpn_v4(index).into(), vpn_v6(index).into()]
}

fn count(probe: &mut Probe, kind: &str) -> Result<u64> {
    let counts = probe.ask("counts")?;
    counts
        .get(kind)
        .and_then(Value::as_u64)
        .with_context(|| counts.to_string())
}

fn flows(probe: &mut Probe) -> Result<()> {
    for kind in ["udp", "tcp", "dns", "stream"] {
        let before = count(probe, kind)?;
        until(READY, kind, || Ok(count(probe, kind)? > before))?;
    }
    Ok(())
}

/// What an app that runs since before reads as `resolv.conf`.
fn resolv_conf(world: &World, app: &str) -> Result<String> {
    let pid = world.app_pid(&ALICE, app)?.to_string();
    let line = [
        "nsenter",
        "--target",
        &pid,
        "--mount",
        "cat",
        "/etc/resolv.conf",
    ];
    Ok(world.run_in("host", &line)?.ok()?.stdout)
}

fn json(world: &World, line: &[&str]) -> Result<Value> {
    let out = world.cli(&ALICE, line)?.ok();
    let out = out
        .with_context(|| format!("{}\n{}", world.log("helper"), world.log("data-plane")))?
        .stdout;
    serde_json::from_str(&out).context(out)
}

/// Places in the capture where the host sent to a server, by server.
fn sent(world: &World) -> Result<[Vec<usize>; 2]> {
    let all = world.datagrams(0)?;
    let to = |index| {
        let matches = |(place, (_, to, _)): (usize, &(_, std::net::SocketAddr, u8))| {
            (to.ip() == vpn_v4(index)).then_some(place)
        };
        all.iter().enumerate().filter_map(matches).collect()
    };
    Ok([to(0), to(1)])
}

#[test]
fn a_switch_under_a_running_app_changes_server_address_and_dns_at_once() -> Result<()> {
    let mut world = ready()?;
    let marker = Marker::new()?;
    let mut probe = Probe::with_traffic(&world, &ALICE, "one", &marker)?;
    flows(&mut probe)?;
    ensure!(!resolv_conf(&world, "roles")?.contains("other.example"));
    let streams = count(&mut probe, "streams")?;
    let link = text(&json(&world, &["show", "one", "--json"])?, "link").to_owned();

    let told = json(&world, &["switch", "one", "two", "--json"])?;
    ensure!(text(&told, "state") == "protected", "{told}");
    ensure!(
        text(&told, "switched_to") == world.tunnel(&ALICE, "two", "id")?,
        "{told}"
    );
    // Without being ended, a stream that only reads would wait for ever.
    until(READY, "another stream", || {
        Ok(count(&mut probe, "streams")? > streams)
    })?;
    flows(&mut probe)?;
    ensure!(resolv_conf(&world, "roles")?.contains("search other.example"));
    let show = json(&world, &["show", "one", "--json"])?;
    ensure!(text(&show, "link") == link, "{show}");
    ensure!(show["addresses"][0] == "10.66.0.3/32", "{show}");
    ensure!(text(&show, "config").contains("10.66.0.2/32"), "{show}");
    let answered = || -> Result<bool> {
        let asked = world.queries("vpn1-dns")?;
        Ok(asked.iter().any(|one| one.what.contains(&marker.hex())))
    };
    ensure!(answered()?, "the new server's DNS was not asked");

    // The order on the wire.
    let [old, new] = sent(&world)?;
    let (last, first) = (old.last().copied(), new.first().copied());
    ensure!(last < first && last.is_some(), "{last:?} {first:?}");
    // By no address of before inside: the server would not take it.
    let by: Vec<_> = world
        .requests("web")?
        .iter()
        .map(|asked| asked.peer.ip())
        .collect();
    let switched = by.iter().position(|ip| exits(1).contains(ip));
    let (_, after) = by.split_at(switched.context("no request by the new server")?);
    ensure!(!after.iter().any(|ip| exits(0).contains(ip)), "{after:?}");

    // And back, and down: its own is what it comes up with.
    let told = json(&world, &["switch", "one", "one", "--json"])?;
    ensure!(told["switched_to"].is_null(), "{told}");
    flows(&mut probe)?;
    ensure!(!resolv_conf(&world, "roles")?.contains("other.example"));
    world.cli(&ALICE, &["switch", "one", "two"])?.ok()?;
    probe.close()?;
    until(READY, "the end of the app", || {
        Ok(world.cli(&ALICE, &["down", "one"])?.code == 0)
    })?;
    world.cli(&ALICE, &["up", "one"])?.ok()?;
    let show = json(&world, &["show", "one", "--json"])?;
    ensure!(show["addresses"][0] == "10.66.0.2/32" && show["switched_to"].is_null());
    let report = world.uplinks_report(&[marker])?;
    report.assert_clean()?;
    ensure!(report.frames("WireGuard") > 20, "{report}");
    Ok(())
}

#[test]
fn a_switched_tunnel_is_adopted_and_a_refused_switch_changes_nothing() -> Result<()> {
    let mut world = ready()?;
    let switch = |world: &World| world.cli(&ALICE, &["switch", "one", "two"]);
    let refused = switch(&world)?;
    ensure!(
        refused.code == 1 && refused.stderr.contains("is not up"),
        "{refused:?}"
    );
    let marker = Marker::new()?;
    let mut probe = Probe::with_traffic(&world, &ALICE, "one", &marker)?;
    flows(&mut probe)?;
    world.cli(&ALICE, &["up", "two"])?.ok()?;
    let refused = switch(&world)?;
    ensure!(
        refused.code == 1 && refused.stderr.contains("same key"),
        "{refused:?}"
    );
    ensure!(world.cli(&ALICE, &["switch", "one", "three"])?.code == 10);
    let streams = count(&mut probe, "streams")?;
    flows(&mut probe)?;
    ensure!(count(&mut probe, "streams")? == streams, "it was disturbed");
    world.cli(&ALICE, &["down", "two"])?.ok()?;

    switch(&world)?.ok()?;
    flows(&mut probe)?;
    world.kill(lab::Program::Helper)?;
    world.restart(lab::Program::Helper)?;
    world.wait_state(&ALICE, "one", "protected", READY)?;
    flows(&mut probe)?;
    let two = world.tunnel(&ALICE, "two", "id")?;
    let show = json(&world, &["show", "one", "--json"])?;
    ensure!(text(&show, "switched_to") == two, "{show}");
    let rows = world.cli(&ALICE, &["show", "one"])?.ok()?.stdout;
    ensure!(
        rows.lines()
            .any(|row| row.starts_with("Switched to") && row.ends_with("two")),
        "{rows}"
    );
    ensure!(
        world.cli(&ALICE, &["up", "two"])?.code == 1,
        "its key is in use"
    );
    ensure!(world.cli(&ALICE, &["remove", "two"])?.code == 1);
    // A data plane that comes after it has what the tunnel was switched to.
    world.kill(lab::Program::DataPlane)?;
    flows(&mut probe)?;
    let by = world.requests("web")?;
    let last = by.last().context("no request")?.peer.ip();
    ensure!(exits(1).contains(&last), "{last}");

    // A server that is silent: offline by the new one, and not online by the old.
    world.cli(&ALICE, &["switch", "one", "one"])?.ok()?;
    flows(&mut probe)?;
    world.set_silent(1, true)?;
    let out = world.cli(&ALICE, &["switch", "one", "two", "--wait", "2"])?;
    ensure!(out.code == 3, "{out:?}");
    let before = count(&mut probe, "udp")?;
    ensure!(probe.ask(&format!("http {} /", addr::WEB_V4)).is_err());
    ensure!(count(&mut probe, "udp")? == before, "something came back");
    world.set_silent(1, false)?;
    world.wait_state(&ALICE, "one", "protected", Duration::from_secs(20))?;
    flows(&mut probe)?;
    let report = world.uplinks_report(&[marker])?;
    report.assert_clean()
}
