//! Ring system: the packages, installed with apt by a person's own command, used, upgraded while a stream runs, removed and purged.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    install::{self, Package},
    package::{Order, deb},
    programs,
    system::{
        Place, System, poll,
        vpn::{INSIDE, NAME, Vpn},
    },
};

/// Of the packages that are upgraded.
const OLDER: &str = "0.0.9";

fn order(version: &str) -> Result<Order> {
    let mut order = Order::new(programs::folder(false)?, false)?;
    version.clone_into(&mut order.version);
    Ok(order)
}

/// Makes both packages in the system, and gives the line that installs them.
fn packages(system: &System, version: &str) -> Result<Vec<String>> {
    let folder = PathBuf::from("/root/packages").join(version);
    let outside = system.root().join(folder.strip_prefix("/")?);
    fs::create_dir_all(&outside)?;
    let mut line: Vec<_> = ["apt-get", "install", "--yes", "--no-install-recommends"]
        .map(str::to_owned)
        .into();
    for package in Package::ALL {
        let made = deb(&order(version)?, package, &outside)?;
        let name = made.file_name().context("a name")?;
        line.push(folder.join(name).display().to_string());
    }
    Ok(line)
}

/// Everything below some folders that was not there before.
fn traces(system: &System) -> Result<Vec<String>> {
    let find = "find / -xdev '(' -path /root -o -path /proc -o -path /sys -o -path /tmp -o -path /home ')' -prune -o -iname '*lonewire*' -print; \
        getent passwd lonewire-wg; ls -d /run/lonewire /run/wireguard /run/netns/lw-* 2>/dev/null; true";
    let text = system.check(&["sh", "-c", find])?;
    let lines = text.lines().map(str::to_owned);
    // The test's own, and the archive of what lists once said.
    Ok(lines
        .filter(|line| !line.contains("lonewire-test") && !line.contains("lonewire-lab"))
        .collect())
}

#[test]
fn packages_are_installed_used_upgraded_under_a_stream_removed_and_purged() -> Result<()> {
    let system = System::boot_bare()?;
    // The machine's own word against starting services, where it has one, is not this system's.
    let _ = fs::remove_file(system.root().join("usr/sbin/policy-rc.d"));
    let vpn = Vpn::start(&system, 1)?;
    let clean = traces(&system)?;
    system.check(&packages(&system, OLDER)?)?;

    // What the list says, and no more than a package adds.
    for file in install::list(&programs::project())? {
        let path = match file.destination.contains("/man/") {
            true => format!("{}.gz", file.destination),
            false => file.destination,
        };
        let stat = system.check(&["stat", "-c", "0%a %U %G", &path])?;
        assert_eq!(stat, format!("{} root root", file.mode), "{path}");
    }
    for socket in ["lonewire-warden.socket", "lonewire-wireguard.socket"] {
        assert_eq!(
            system.property(socket, "ActiveState")?,
            "active",
            "{socket}"
        );
        assert_eq!(
            system.check(&["systemctl", "is-enabled", socket])?,
            "enabled"
        );
    }
    let boot = ["systemctl", "is-enabled", "lonewire-boot.service"];
    assert_eq!(system.check(&boot)?, "enabled");
    system.check(&["dpkg", "--verify", "lonewire", "lonewire-gtk"])?;
    // The main job of somebody without privileges, who is the first to ask the bus for it.
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    let curl = [
        "curl",
        "-sS",
        "--max-time",
        "10",
        &format!("http://{NAME}/"),
    ];
    let run = ["lonewire", "run", "-t", "demo", "--"];
    let seen = anna.check(&[&run[..], &curl].concat())?;
    assert!(seen.contains(vpn.address(0)?), "{seen}");
    // A file manager knows a configuration from another file of that name.
    let kind =
        |path: &str| anna.check(&["gio", "info", "--attributes=standard::content-type", path]);
    let ours = kind("demo.conf")?;
    assert!(ours.contains("application/x-wireguard-config"), "{ours}");
    anna.write("other.conf", "[Section]\nkey = value\n")?;
    let other = kind("other.conf")?;
    assert!(!other.contains("wireguard"), "{other}");

    // A stream: five packets a second, each answered.
    let mut stream = anna
        .command(&[&run[..], &["ping", "-n", "-i", "0.2", INSIDE]].concat())
        .stdin(Stdio::null())
        .stdout(fs::File::create(system.root().join("root/stream"))?)
        .spawn()?;
    let answers = || -> Result<Vec<u32>> {
        let text = fs::read_to_string(system.root().join("root/stream"))?;
        let number = |line: &str| {
            line.split_once("icmp_seq=")?
                .1
                .split(' ')
                .next()?
                .parse()
                .ok()
        };
        Ok(text.lines().filter_map(number).collect())
    };
    let flows = |beyond: u32| {
        let arrived = || {
            answers()
                .ok()?
                .last()
                .is_some_and(|last| *last > beyond)
                .then_some(())
        };
        poll(Duration::from_secs(15), arrived).context("the stream does not flow")
    };
    flows(3)?;
    let what_runs = || -> Result<_> {
        Ok((
            anna.check(&["lonewire", "ps", "--json"])?,
            system.check(&["pgrep", "-u", "anna", "-x", "ping"])?,
            system.check(&["ip", "netns", "list"])?,
            system.property("lonewire-warden.socket", "InvocationID")?,
        ))
    };
    let (before, helper) = (
        what_runs()?,
        system.property("lonewire-helper.service", "MainPID")?,
    );
    system.check(&packages(&system, env!("CARGO_PKG_VERSION"))?)?;
    assert_ne!(
        system.property("lonewire-helper.service", "MainPID")?,
        helper
    );
    assert_eq!(what_runs()?, before);
    let so_far = *answers()?.last().context("no answer")?;
    flows(so_far + 3)?;
    let all = answers()?;
    assert!(
        all.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "an answer is missing: {all:?}"
    );
    anna.check(&[&run[..], &curl].concat())?;

    // Somebody else's, whose name begins as ours do.
    let foreign = "ip netns add lw-office; ip -n lw-office link add lw-office type bridge; ip netns add lw-0123456789abc";
    system.check(&["sh", "-euc", foreign])?;
    // Removed under it: it goes on, in a place without any network, and the person is told.
    let removal = system.run(&["apt-get", "remove", "--yes", "lonewire"])?;
    let told = String::from_utf8_lossy(&[removal.stdout, removal.stderr].concat()).into_owned();
    ensure!(removal.status.success(), "{told}");
    assert!(told.contains("no network any more"), "{told}");
    let ping = system.check(&["pgrep", "-u", "anna", "-x", "ping"])?;
    let links = system.check(&[
        "nsenter", "--net", "--target", &ping, "ip", "-brief", "link",
    ])?;
    assert!(
        links.starts_with("lo ") && links.lines().count() == 1,
        "{links}"
    );
    let last = answers()?.last().copied();
    assert!(!system.check(&["ip", "-brief", "link"])?.contains("lw-"));
    let list = system.check(&["ip", "netns", "list"])?;
    let mut left: Vec<_> = list
        .split_whitespace()
        .filter(|word| word.starts_with("lw-"))
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["lw-0123456789abc", "lw-office"]);
    system.check(&["ip", "-n", "lw-office", "link", "delete", "lw-office"])?;
    system.check(&[
        "sh",
        "-euc",
        "ip netns del lw-office; ip netns del lw-0123456789abc",
    ])?;
    system.check(&["test", "!", "-e", "/run/lonewire"])?;
    assert_eq!(answers()?.last().copied(), last);
    system.check(&["kill", &ping])?;
    stream.wait()?;

    // Purged by somebody who answers nothing, keys stay; by one who says so, everything goes.
    let kept = system.run(&["apt-get", "purge", "--yes", "lonewire", "lonewire-gtk"])?;
    let told = String::from_utf8_lossy(&[kept.stdout, kept.stderr].concat()).into_owned();
    ensure!(
        kept.status.success() && told.contains("are kept in /var/lib/lonewire"),
        "{told}"
    );
    system.check(&["test", "-d", "/var/lib/lonewire/61001"])?;
    system.check(&packages(&system, env!("CARGO_PKG_VERSION"))?)?;
    let list = anna.check(&["lonewire", "list"])?;
    assert!(list.contains("demo"), "{list}");
    let answer = "echo lonewire lonewire/delete-tunnels boolean true | debconf-set-selections";
    system.check(&["sh", "-c", answer])?;
    system.check(&["apt-get", "purge", "--yes", "lonewire", "lonewire-gtk"])?;
    assert_eq!(traces(&system)?, clean);
    Ok(())
}

#[test]
fn no_page_of_the_manual_is_left_out() -> Result<()> {
    let pages = fs::read_dir(programs::folder(false)?.join("man/man1"))?;
    let written: BTreeSet<_> = pages
        .map(|page| {
            let name = page?.file_name();
            Ok(format!("man/man1/{}", name.to_string_lossy()))
        })
        .collect::<Result<_>>()?;
    let listed: BTreeSet<_> = install::list(&programs::project())?
        .into_iter()
        .filter_map(|file| file.built)
        .filter(|path| path.starts_with("man/"))
        .collect();
    assert_eq!(listed, written);
    Ok(())
}

#[test]
fn the_same_programs_give_the_same_bytes() -> Result<()> {
    let work = tempfile::tempdir()?;
    let order = order(env!("CARGO_PKG_VERSION"))?;
    let make = |name: &str| -> Result<Vec<PathBuf>> {
        let folder = work.path().join(name);
        fs::create_dir(&folder)?;
        let packages = Package::ALL.into_iter();
        packages
            .map(|package| deb(&order, package, &folder))
            .collect()
    };
    let (one, two) = (make("one")?, make("two")?);
    for (one, two) in one.iter().zip(&two) {
        assert!(fs::read(one)? == fs::read(two)?, "{}", one.display());
    }
    Ok(())
}
