//! Ring lab: the worlds themselves. What they show must be so, and what they say of a leak must be true; else no other lab test proves anything.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Baseline, Family, Kind, Marker, Spec, Uplink, World, addr, marker::base32_form};

/// A client of `vpn0` by wireguard-go, in a network of its own with no other link: what Lonewire does, made by hand.
fn client(world: &mut World) -> Result<()> {
    let text = world.client(0)?;
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("{key} = ")))
            .map(str::to_owned)
            .with_context(|| format!("no {key} in the configuration"))
    };
    let script = format!(
        "umask 077; printf %s '{}' > /run/lab/key
         ip netns add app; ip -n app link set lo up
         WG_PROCESS_FOREGROUND=1 wireguard-go -f client > /run/lab/client.log 2>&1 &
         for i in $(seq 100); do [ -S /run/wireguard/client.sock ] && break; sleep 0.05; done
         wg set client private-key /run/lab/key peer {} endpoint {} allowed-ips 0.0.0.0/0,::/0 persistent-keepalive 1
         ip link set client netns app; ip -n app addr add {} dev client; ip -n app addr add {} dev client nodad
         ip -n app link set client mtu 1420 up; ip -n app route add default dev client; ip -n app -6 route add default dev client",
        value("PrivateKey")?,
        value("PublicKey")?,
        value("Endpoint")?,
        addr::client_v4(0),
        addr::client_v6(0),
    );
    world
        .run_in("host", &["setsid", "sh", "-ec", &script])?
        .ok()?;
    Ok(())
}

fn every_kind() -> Vec<Uplink> {
    let mut all = Vec::new();
    for kind in [Kind::Veth, Kind::Bridge, Kind::Macvlan] {
        for family in [Family::V4, Family::V6, Family::Both] {
            all.push(Uplink { kind, family });
        }
    }
    all
}

#[test]
fn a_tunnel_crosses_every_kind_of_uplink_and_only_wireguard_is_seen_there() -> Result<()> {
    let baseline = Baseline::take()?;
    for uplink in every_kind() {
        let mut world = World::new(Spec {
            uplinks: vec![uplink],
            ..Spec::networks()
        })?;
        client(&mut world)?;
        let marker = Marker::new()?;
        let ping = world.run_in(
            "app",
            &[
                "ping",
                "-c",
                "2",
                "-i",
                "0.2",
                "-W",
                "5",
                "-p",
                &marker.hex(),
                "10.66.0.1",
            ],
        )?;
        assert_eq!(ping.code, 0, "{uplink:?}: {} {}", ping.stdout, ping.stderr);
        let exit = world.run_in(
            "app",
            &[
                "curl",
                "-s",
                "-m",
                "5",
                &format!("http://{}/", addr::WEB_V4),
            ],
        )?;
        assert_eq!(exit.stdout.trim(), lab::net::VPN_EXIT_V4, "{uplink:?}");
        let exit = world.run_in(
            "app",
            &[
                "curl",
                "-s",
                "-m",
                "5",
                &format!("http://[{}]/", addr::WEB_V6),
            ],
        )?;
        assert_eq!(
            exit.stdout.trim(),
            addr::vpn_v6(0).to_string(),
            "{uplink:?}"
        );
        let report = world.uplinks_report(&[marker])?;
        report.assert_clean()?;
        assert!(report.frames("WireGuard") >= 8, "{uplink:?}: {report}");
        assert!(report.frames("control") >= 2, "{uplink:?}: {report}");
    }
    baseline.assert_same()
}

#[test]
fn the_host_without_a_tunnel_is_seen_as_the_router_and_asks_its_own_dns() -> Result<()> {
    let world = World::new(Spec::networks())?;
    let out = world
        .run_in("host", &["curl", "-s", "-m", "5", "http://whoami.demo/"])?
        .ok()?;
    assert!(
        [
            addr::ROUTER_EXIT_V4.to_string(),
            addr::ROUTER_EXIT_V6.to_string()
        ]
        .contains(&out.stdout.trim().to_owned()),
        "{out:?}"
    );
    assert!(
        world
            .queries("host-dns")?
            .iter()
            .any(|asked| asked.what == "whoami.demo")
    );
    assert!(world.queries("vpn0-dns")?.is_empty());
    Ok(())
}

#[test]
fn every_form_of_a_marker_in_the_clear_fails() -> Result<()> {
    let mut world = World::new(Spec::networks())?;
    for form in ["raw", "hex", "upper", "base32", "base64", "label"] {
        let marker = Marker::new()?;
        let text = match form {
            // printf of bash: \xNN.
            "raw" => marker
                .hex()
                .as_bytes()
                .chunks(2)
                .map(|pair| format!("\\x{}", String::from_utf8_lossy(pair)))
                .collect(),
            "hex" => marker.hex(),
            "upper" => marker.hex().to_uppercase(),
            "base32" => base32_form(&marker),
            "base64" => base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                [b"x".as_slice(), marker.bytes()].concat(),
            ),
            _ => format!("\\x10{}\\x10{}", &marker.hex()[..16], &marker.hex()[16..]),
        };
        let line = format!(
            "printf '{text}' > /dev/udp/{}/{}",
            world.spec.endpoint(0).ip(),
            addr::VPN_PORT
        );
        world.run_in("host", &["bash", "-c", &line])?.ok()?;
        let report = world.uplinks_report(std::slice::from_ref(&marker))?;
        assert!(
            report.frames("with a marker in the clear") >= 2,
            "{form}: {report}"
        );
    }
    Ok(())
}

#[test]
fn what_is_not_wireguard_fails_by_its_kind() -> Result<()> {
    for (line, kind) in [
        ("printf x > /dev/udp/198.51.100.80/4242", "other UDP"),
        (
            "printf '\\x04\\0\\0\\0 not of that length' > /dev/udp/203.0.113.10/51820",
            "other UDP to the endpoint",
        ),
        (
            "printf '\\x05\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0' > /dev/udp/203.0.113.10/51820",
            "other UDP to the endpoint",
        ),
        ("printf x > /dev/udp/198.51.100.53/53", "DNS in the clear"),
        ("exec 3<>/dev/tcp/198.51.100.80/80", "TCP in the clear"),
        ("ping -c 1 -W 2 198.51.100.80", "ICMP"),
    ] {
        let mut world = World::new(Spec::networks())?;
        world.uplinks_report(&[])?.assert_clean()?;
        world.run_in("host", &["bash", "-c", line])?.ok()?;
        let report = world.uplinks_report(&[])?;
        assert!(report.frames(kind) >= 2, "{line}: {report}");
        assert!(report.assert_clean().is_err(), "{line}");
    }
    Ok(())
}

#[test]
fn a_silent_server_answers_nothing_until_it_is_told_to() -> Result<()> {
    let mut world = World::new(Spec::networks())?;
    client(&mut world)?;
    let ping = ["ping", "-c", "1", "-W", "2", "10.66.0.1"];
    world
        .run_in("app", &["ping", "-c", "1", "-W", "8", "10.66.0.1"])?
        .ok()?;
    world.set_silent(0, true)?;
    assert_ne!(world.run_in("app", &ping)?.code, 0);
    world.set_silent(0, false)?;
    lab::world::until(Duration::from_secs(10), "the server's answer", || {
        Ok(world.run_in("app", &ping)?.code == 0)
    })?;
    Ok(())
}

#[test]
fn a_world_leaves_nothing_behind() -> Result<()> {
    let baseline = Baseline::take()?;
    let world = World::new(Spec {
        servers: 2,
        ..Spec::networks()
    })?;
    let init = world.init;
    drop(world);
    assert!(!std::path::Path::new(&format!("/proc/{init}")).exists());
    baseline.assert_same()
}

#[test]
fn a_changed_machine_is_noticed() -> Result<()> {
    // In a world, so that the machine itself stays as it is.
    let world = World::new(Spec::networks())?;
    let look = || -> Result<Baseline> {
        Ok(serde_json::from_str(
            &world
                .run_in("host", &[lab::init::ROLES, "role", "baseline"])?
                .ok()?
                .stdout,
        )?)
    };
    // Logs of the world itself are in its /run: two looks at a world at rest.
    assert_eq!(look()?.differences(&look()?), Vec::<String>::new());
    for line in [
        "ip link add d0 type bridge",
        "nft add table inet planted",
        "sysctl -w net.ipv4.ip_forward=1",
        "touch /etc/planted",
        "chmod 600 /etc/hosts",
        "ip netns add planted",
        "mount -t tmpfs planted /mnt",
    ] {
        let before = look()?;
        world.run_in("host", &["sh", "-c", line])?.ok()?;
        assert_ne!(before.differences(&look()?), Vec::<String>::new(), "{line}");
    }
    Ok(())
}
