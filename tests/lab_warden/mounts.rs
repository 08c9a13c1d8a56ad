//! What a program sees of the file system: T43, T51, T52, T56.

use std::{fs::File, os::fd::AsFd as _};

use anyhow::{Context as _, Result, bail, ensure};
use lab::warden::{Alone, Files, Outcome, event};
use lonewire_core::launch::{Event, Exit};

/// A host with services that answer look-ups, and with what a program needs.
const HOST: &str = "
    mkdir -p /run/nscd /run/systemd/resolve /run/avahi-daemon /run/odd /run/udev /run/media/alice /run/systemd/seats /run/opt
    for socket in nscd/socket systemd/resolve/io.systemd.Resolve avahi-daemon/socket odd/socket; do
        perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0])) or die' /run/$socket
    done
    chmod 755 /run/nscd /run/odd; echo data > /run/udev/data; chmod 777 /run/udev; ln -s /run/opt /run/current-system";

#[test]
fn t51_t56_a_program_sees_its_own_network_and_no_service_of_the_hosts() -> Result<()> {
    let alone = Alone::new()?;
    alone.world.run_in("host", &["sh", "-ec", HOST])?.ok()?;
    let look = |script: &str| alone.output(alone.request(&["/bin/sh", "-c", script]));
    let listed = look("cd /run; find . -maxdepth 2 | sort")?;
    for hidden in [
        "nscd",
        "resolve",
        "avahi",
        "odd",
        "netns",
        "wireguard",
        "lab",
        "opt",
    ] {
        ensure!(!listed.contains(hidden), "{hidden} in {listed}");
    }
    for kept in [
        "./user/61001",
        "./udev/data",
        "./media/alice",
        "./systemd/seats",
        "./systemd/system",
        "./lock",
        "./lonewire/dns",
    ] {
        ensure!(
            listed.lines().any(|line| line == kept),
            "no {kept} in {listed}"
        );
    }
    assert_eq!(look("readlink /run/current-system")?, "/run/opt");
    assert_eq!(
        look("ls /var/run/nscd /var/run/systemd/resolve 2>/dev/null | wc -l")?,
        "0"
    );
    // The network is the tunnel's by whatever way it is looked at.
    let wanted = format!("lo\n{}", alone.namespace);
    assert_eq!(look("ls /sys/class/net")?, wanted);
    assert_eq!(
        look("tail -n +3 /proc/net/dev | sed 's/:.*//; s/ //g'")?,
        wanted
    );
    // What is mounted below the host's /sys is there still.
    let groups = "stat -f -c %T /sys/fs/cgroup; ls -d /sys/class/mem";
    let host = alone
        .world
        .run_in("host", &["sh", "-c", groups])?
        .ok()?
        .stdout;
    ensure!(!host.contains("sysfs"), "no cgroups on this machine");
    assert_eq!(look(groups)?, host.trim());
    // What is to be read only is, by more than its mode: the kernel says so before it looks at that.
    for path in [
        "/run/udev/data",
        "/run/udev/new",
        "/etc/new",
        "/sys/new",
        "/run/lonewire/dns/resolv.conf",
    ] {
        let said = look(&format!("( : > {path} ) 2>&1 || true"))?;
        ensure!(said.contains("Read-only file system"), "{path}: {said}");
    }
    let names = look("cat /etc/resolv.conf; grep ^hosts: /etc/nsswitch.conf; id -un")?;
    assert_eq!(
        names,
        "nameserver 10.77.0.1\nhosts:          files myhostname dns\nalice"
    );
    Ok(())
}

#[test]
fn t52_what_the_host_plugs_in_later_appears_and_what_it_replaces_changes_nothing() -> Result<()> {
    let alone = Alone::new()?;
    alone.world.run_in("host", &["sh", "-ec", HOST])?.ok()?;
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let record = tempfile::tempfile()?;
    let null = File::open("/dev/null")?;
    let files = Files {
        streams: [theirs.as_fd(), theirs.as_fd(), null.as_fd()],
        hold: None,
        tie: None,
        record: record.as_fd(),
    };
    // A shell that runs what it is told, line by line.
    let app = alone.send(&alone.warden, alone.request(&["/bin/sh"]), &files)?;
    ensure!(
        matches!(event(&app)?.0, Event::Started { .. }),
        "not started"
    );
    drop(theirs);
    ours.set_read_timeout(Some(crate::PATIENCE))?;
    let mut lines = std::io::BufReader::new(ours.try_clone()?);
    let mut ask = |line: &str| -> Result<String> {
        std::io::Write::write_all(&mut ours, format!("{line}\n").as_bytes())?;
        let mut said = String::new();
        std::io::BufRead::read_line(&mut lines, &mut said)?;
        Ok(said.trim().to_owned())
    };
    assert_eq!(ask("ls /run/media/alice | wc -l")?, "0");
    let script = "mkdir /run/media/alice/stick; mount -t tmpfs stick /run/media/alice/stick; echo hi > /run/media/alice/stick/file
        cp /etc/resolv.conf /etc/r; echo nameserver 192.0.2.66 >> /etc/r; mv /etc/r /etc/resolv.conf
        cp /etc/nsswitch.conf /etc/n; mv /etc/n /etc/nsswitch.conf; rm -r /run/nscd; mkdir -p /run/nscd; touch /run/nscd/socket";
    alone.world.run_in("host", &["sh", "-ec", script])?.ok()?;
    assert_eq!(ask("cat /run/media/alice/stick/file")?, "hi");
    assert_eq!(ask("cat /etc/resolv.conf")?, "nameserver 10.77.0.1");
    assert_eq!(
        ask("grep ^hosts: /etc/nsswitch.conf")?,
        "hosts:          files myhostname dns"
    );
    assert_eq!(ask("[ -e /run/nscd ] && echo there || echo gone")?, "gone");
    // Another tunnel's servers are written by rename, as the helper does: the running program sees them.
    let dns = format!("/run/lonewire/dns/{}", alone.namespace);
    let script = format!("echo nameserver 10.77.0.2 > {dns}/new; mv {dns}/new {dns}/resolv.conf");
    alone.world.run_in("host", &["sh", "-ec", &script])?.ok()?;
    assert_eq!(ask("cat /etc/resolv.conf")?, "nameserver 10.77.0.2");
    // Nothing of all this went back to the host.
    let table = alone
        .world
        .run_in("host", &["cat", "/proc/self/mountinfo"])?
        .ok()?
        .stdout;
    ensure!(!table.contains(" - overlay lonewire "), "{table}");
    Ok(())
}

#[test]
fn t43_what_one_program_does_the_next_one_does_not_find() -> Result<()> {
    let alone = Alone::new()?;
    let table = || -> Result<String> {
        // Numbers of mounts are new each time; all else is as it was.
        let script = "sed 's/^[0-9]* [0-9]* [0-9:]* //; s/master:[0-9]*//; s/lowerdir.*//' /proc/self/mountinfo";
        alone.output(alone.request(&["/bin/sh", "-c", script]))
    };
    let before = table()?;
    ensure!(before.contains("overlay lonewire"), "{before}");
    let harm = "rm -rf /run/* /etc/* /sys/*; for f in /run/nscd /etc/evil /run/systemd/resolve /run/lonewire/dns/evil; do mkdir -p $f; done
        umount -l /etc /run /sys; mount -t tmpfs t /etc; unshare -Urm sh -c 'mount -t tmpfs t /etc; mount -t tmpfs t /run; echo > /etc/resolv.conf'
        ln -sfn /tmp /run/user/61001/link; exit 0";
    match alone.run(&alone.warden, alone.request(&["/bin/sh", "-c", harm]))? {
        Outcome::Ran(Exit::Code(0), _) => {}
        other => bail!("{other:?}"),
    }
    assert_eq!(table().context("the next one")?, before);
    Ok(())
}
