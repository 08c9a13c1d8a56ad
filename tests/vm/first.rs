//! After the first boot: the packages were installed a moment ago.

mod window;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::system::{
    Place, poll,
    vpn::{HOST, INSIDE, NAME, SERVER, host_asked, host_dns, tunnel_asked},
};

use super::{PASSWORD, Scene, Stream, Watch, ask, is_loaded, person};

/// Exit code of the command line for "not authorised".
const NOT_AUTHORISED: i32 = 4;

#[test]
fn the_main_job_goes_through_the_kernels_wireguard_whose_link_the_host_never_sees() -> Result<()> {
    let scene = Scene::get()?;
    scene.down()?;
    let links = Watch::start(&["ip", "monitor", "link"])?;
    scene.fetch()?;
    let link = scene.link()?;
    let details = scene.sh(&format!("ip -n {link} -details link show {link}"))?;
    assert!(details.contains("wireguard"), "{details}");
    let inside = scene.inside("ls /sys/class/net")?;
    assert_eq!(inside.lines().collect::<Vec<_>>(), ["lo", &link]);
    // The same person, inside and outside.
    let id = "id; umask; pwd";
    assert_eq!(scene.inside(id)?, scene.anna.check(&["sh", "-c", id])?);
    let check = scene.anna.check(&["lonewire", "check", "demo"])?;
    println!("{check}");
    scene.down()?;
    let gone = || {
        let list = scene.system.check(&["ip", "netns", "list"]).ok()?;
        (!list.contains("lw-")).then_some(())
    };
    poll(Duration::from_secs(60), gone).context("the namespace stays")?;
    assert_eq!(links.end()?, "");
    Ok(())
}

#[test]
fn the_module_is_loaded_when_the_first_tunnel_is_made() -> Result<()> {
    let scene = Scene::get()?;
    scene.down()?;
    // The server in this machine uses it too.
    scene.sh("ip -n vpn link delete wg0")?;
    scene.unload(&["wireguard"])?;
    // Asked once when it starts, the helper has to find it also later.
    scene.sh("systemctl restart lonewire-helper")?;
    let up = scene.anna.run(&["lonewire", "up", "demo", "--wait", "0"])?;
    println!("{}", String::from_utf8_lossy(&up.stderr));
    ensure!(is_loaded("wireguard"), "it was not loaded");
    let link = scene.link()?;
    let details = scene.sh(&format!("ip -n {link} -details link show {link}"))?;
    assert!(details.contains("wireguard"), "{details}");
    scene.sh(&format!(
        "ip -n vpn link add wg0 type wireguard; ip netns exec vpn wg setconf wg0 /run/vpn.conf
         ip -n vpn addr add {INSIDE}/24 dev wg0; ip -n vpn link set wg0 mtu 1420 up"
    ))?;
    scene.down()?;
    scene.fetch()
}

#[test]
fn fallback_tunnels_of_the_kernel_are_told_from_leaks() -> Result<()> {
    let scene = Scene::get()?;
    scene.down()?;
    // From now on each new namespace has their devices.
    scene.sh("modprobe -a sit ipip ip_gre ip6_tunnel")?;
    scene.up()?;
    let link = scene.link()?;
    let inside = scene.sh(&format!("ip -n {link} -brief link"))?;
    ensure!(
        inside.contains("sit0") && inside.contains("gre0"),
        "nothing to tell: {inside}"
    );
    scene.fetch()?;
    scene.down()?;
    scene.unload(&["sit", "ipip", "ip_gre", "ip6_tunnel"])
}

#[test]
fn the_units_are_as_exposed_as_promised_and_no_more() -> Result<()> {
    let scene = Scene::get()?;
    // As this machine's systemd counts, in tenths; SECURITY.md sets the limits.
    for (unit, limit) in [("lonewire-helper", 25), ("lonewire-wireguard@0", 15)] {
        let line =
            format!("systemd-analyze security --no-pager --threshold={limit} {unit}.service");
        let told = scene.sh(&line)?;
        let last = told.lines().last().unwrap_or_default();
        ensure!(last.contains("Overall exposure level"), "{told}");
        println!("{last}");
    }
    Ok(())
}

#[test]
fn polkit_asks_for_a_password_where_nobody_is_at_the_screen() -> Result<()> {
    let scene = Scene::get()?;
    person(scene.system, "bob", 61002, &[])?;
    let bob = scene.system.login("bob", Place::Remote)?;
    let path = bob.write("bobs.conf", &scene.vpn.config(2)?)?;
    let import = |name: &str, answers: &[&str]| {
        ask(
            &bob,
            &["lonewire", "import", &path, "--name", name],
            answers,
        )
    };
    // Nothing was answered: end of input, as Ctrl-C's neighbour; then a wrong word; then the right one.
    let names = || bob.check(&["lonewire", "list", "--json"]);
    assert_eq!(import("dismissed", &["\u{3}"])?, 130);
    assert_eq!(import("wrong", &["guess\r"])?, NOT_AUTHORISED);
    assert_eq!(names()?.matches("\"name\"").count(), 0);
    assert_eq!(import("bobs", &[&format!("{PASSWORD}\r")])?, 0);
    assert!(names()?.contains("bobs"));

    // Two users: neither sees or gets what is the other's.
    scene.up()?;
    assert!(!names()?.contains("demo"));
    assert!(
        !scene
            .anna
            .check(&["lonewire", "list", "--json"])?
            .contains("bobs")
    );
    let run = bob.run(&["lonewire", "--no-input", "run", "-t", "demo", "--", "true"])?;
    let why = String::from_utf8_lossy(&run.stderr);
    assert!(why.contains("there is no tunnel"), "{run:?}");
    Ok(())
}

#[test]
fn an_administrator_lets_a_tunnel_start_with_the_machine() -> Result<()> {
    let scene = Scene::get()?;
    person(scene.system, "carol", 61003, &["sudo"])?;
    let set = ["lonewire", "edit", "demo", "--start", "boot"];
    assert_eq!(ask(&scene.anna, &set, &["guess\r"])?, NOT_AUTHORISED);
    assert_eq!(ask(&scene.anna, &set, &[&format!("{PASSWORD}\r")])?, 0);
    // And one with her login, which needs nobody's word; an app of hers waits for it, once it is on its way up without having been asked for.
    scene.vpn.import(&scene.anna, 1, "other")?;
    scene
        .anna
        .check(&["lonewire", "edit", "other", "--start", "login"])?;
    let unit = format!(
        "[Service]\nType=oneshot\nTimeoutStartSec=300\nWorkingDirectory=%h\n\
         ExecStartPre=sh -c 'until [ $(ls /run/netns | grep -c lw-) = 2 ]; do sleep 0.2; done; touch waits'\n\
         ExecStart=lonewire run -t other --wait=20 -- curl -sS --max-time 20 -o page http://{NAME}/\n\
         [Install]\nWantedBy=default.target\n"
    );
    scene.anna.check(&["mkdir", "-p", ".config/systemd/user"])?;
    scene
        .anna
        .write(".config/systemd/user/waits.service", &unit)?;
    scene
        .anna
        .check(&["systemctl", "--user", "enable", "waits.service"])?;
    Ok(())
}

#[test]
fn names_go_to_the_tunnel_though_resolved_nscd_and_avahi_run() -> Result<()> {
    let scene = Scene::get()?;
    host_dns(scene.system)?;
    for unit in ["systemd-resolved", "nscd", "avahi-daemon"] {
        scene.sh(&format!(
            "systemctl start {unit} && systemctl is-active {unit}"
        ))?;
    }
    let asked = || host_asked(scene.system).unwrap_or_default();
    // That the host's own lookups are seen is what gives the rest its meaning.
    let control = || {
        let found = scene
            .system
            .run(&["getent", "hosts", "control.demo"])
            .ok()?;
        (found.status.success() && asked().contains("control.demo")).then_some(())
    };
    poll(Duration::from_secs(60), control)
        .with_context(|| format!("the host does not ask where it is told to: {}", asked()))?;
    scene.fetch()?;
    for way in [
        "getent hosts",
        "getent ahosts",
        "ping -c 1 -W 1",
        "curl -sS --max-time 3",
    ] {
        let name = format!("leak-{}.demo", way.len());
        let _ = scene.inside(&format!("{way} {name}"));
        ensure!(
            tunnel_asked(scene.system)?.contains(&name),
            "{way} asked nobody"
        );
        ensure!(
            !asked().contains(&name),
            "{way} asked the host's server: {}",
            asked()
        );
    }
    // As NetworkManager and resolved do it: the file is replaced under an app that runs.
    let line = "touch ready; while [ ! -e go ]; do sleep 0.2; done; getent hosts after-rename.demo; cat /etc/resolv.conf";
    let mut app = scene
        .anna
        .command(&["lonewire", "run", "-t", "demo", "--", "sh", "-c", line])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    poll(Duration::from_secs(60), || {
        fs::exists("/home/anna/ready").ok()?.then_some(())
    })
    .context("it does not run")?;
    for name in ["resolv.conf", "nsswitch.conf", "hosts"] {
        scene.sh(&format!(
            "cp --dereference /etc/{name} /etc/{name}.new; mv /etc/{name}.new /etc/{name}"
        ))?;
    }
    fs::write("/home/anna/go", "")?;
    let mut said = String::new();
    std::io::Read::read_to_string(&mut app.stdout.take().context("asked for")?, &mut said)?;
    app.wait()?;
    ensure!(said.contains(INSIDE), "another server: {said}");
    ensure!(
        tunnel_asked(scene.system)?.contains("after-rename"),
        "{said}"
    );
    ensure!(!asked().contains("after-rename"), "{}", asked());
    fs::remove_file("/home/anna/go")?;
    fs::remove_file("/home/anna/ready")?;
    Ok(())
}

#[test]
fn a_tunnel_outlives_jumps_of_the_clock_and_sleep() -> Result<()> {
    let scene = Scene::get()?;
    scene.up()?;
    let link = scene.link()?;
    for jump in ["+2 hours", "-2 hours"] {
        scene.sh(&format!("date --set '{jump}'"))?;
        scene.fetch().with_context(|| format!("after {jump}"))?;
    }
    let before = fs::read_to_string("/sys/power/mem_sleep").unwrap_or_default();
    println!("sleeps by {before}");
    scene.sh("rtcwake --mode mem --seconds 4")?;
    assert_eq!(scene.link()?, link);
    // Both ends slept; the first packet may be lost with the session.
    poll(Duration::from_secs(60), || scene.fetch().ok()).context("offline after sleep")?;
    Ok(())
}

#[test]
fn the_uplink_changes_by_networkmanager_which_never_gets_hold_of_the_tunnel() -> Result<()> {
    let scene = Scene::get()?;
    scene.install("network-manager")?;
    scene.up()?;
    let link = scene.link()?;
    // Another way to the server, from another address of the host's.
    scene.sh(&format!(
        "ip link add other type veth peer name other netns vpn
         ip -n vpn addr add 198.51.100.2/24 dev other; ip -n vpn link set other up
         for name in uplink other; do nmcli device set $name managed yes; done
         nmcli connection add con-name first type ethernet ifname uplink ipv6.method disabled \
             ipv4.method manual ipv4.addresses {HOST}/24
         nmcli connection add con-name second type ethernet ifname other ipv6.method disabled \
             ipv4.method manual ipv4.addresses 198.51.100.1/24 ipv4.routes '{SERVER}/32 198.51.100.2'"
    ))?;
    let comes_from = |address: &str| -> Result<()> {
        let seen = || {
            scene.fetch().ok()?;
            let endpoints = scene.sh("ip netns exec vpn wg show wg0 endpoints").ok()?;
            endpoints.contains(&format!("\t{address}:")).then_some(())
        };
        poll(Duration::from_secs(60), seen).with_context(|| format!("not from {address}"))?;
        assert_eq!(scene.link()?, link);
        Ok(())
    };
    scene.sh("nmcli connection up first")?;
    comes_from(HOST)?;
    scene.sh("nmcli connection up second; nmcli connection down first")?;
    comes_from("198.51.100.1")?;
    scene.sh("systemctl restart NetworkManager")?;
    comes_from("198.51.100.1")?;
    let known = scene.sh("nmcli --terse --fields DEVICE,STATE device")?;
    ensure!(
        known.contains("other:connected") && !known.contains("lw-"),
        "{known}"
    );
    scene.sh("nmcli connection up first; nmcli connection down second")?;
    comes_from(HOST)
}

#[test]
fn z_a_stream_outlives_restarts_of_all_that_serves_it() -> Result<()> {
    let scene = Scene::get()?;
    scene.install("network-manager")?;
    scene.up()?;
    let link = scene.link()?;
    host_dns(scene.system)?;
    let asked = || host_asked(scene.system).unwrap_or_default();
    let links = Watch::start(&["ip", "monitor", "link"])?;
    let stream = Stream::start(scene)?;
    let units = [
        "polkit",
        "systemd-logind",
        "systemd-resolved",
        "nscd",
        "avahi-daemon",
        "NetworkManager",
        "systemd-udevd",
        "systemd-journald",
        "lonewire-warden.socket",
        "lonewire-helper",
    ];
    let restarts = units.map(|unit| format!("systemctl restart {unit}"));
    let managers = ["daemon-reload", "daemon-reexec"].map(|verb| format!("systemctl {verb}"));
    // The bus last, which takes more along than itself: Debian 13's logind does not look for a new one, and could not be asked for the reboot.
    let bus = ["dbus", "systemd-logind"].map(|unit| format!("systemctl restart {unit}"));
    for (number, line) in restarts.iter().chain(&managers).chain(&bus).enumerate() {
        let began = Instant::now();
        let all_well = || -> Result<()> {
            scene.sh(line)?;
            stream.flows()?;
            // A new app, and the tunnel as it was.
            scene.fetch()?;
            let listed = scene.anna.check(&["lonewire", "list", "-q"])?;
            ensure!(listed.contains("demo\tprotected"), "{listed}");
            // A name that nobody knows is looked up here, and where the host's own lookup of one is seen.
            let control = || {
                let name = format!("control-{number}.demo");
                scene.system.run(&["getent", "hosts", &name]).ok()?;
                if !asked().contains(&name) {
                    // NetworkManager takes the host's server along. Without the bus this cannot be told, and need not be.
                    let _ = host_dns(scene.system);
                    return None;
                }
                Some(())
            };
            poll(Duration::from_secs(60), control).context("the host asks nobody")?;
            let name = format!("restarted-{number}.demo");
            scene.inside(&format!("getent hosts {name} || true"))?;
            ensure!(
                tunnel_asked(scene.system)?.contains(&name),
                "nobody was asked"
            );
            ensure!(!asked().contains(&name), "the host was asked: {}", asked());
            Ok(())
        };
        all_well().with_context(|| format!("after {line}: {}", scene.system.last_words()))?;
        println!("{line}: {:?}", began.elapsed());
        assert_eq!(scene.link()?, link);
    }
    drop(stream);
    let seen = links.end()?;
    ensure!(!seen.contains("lw-") && !seen.contains(&link), "{seen}");
    Ok(())
}
