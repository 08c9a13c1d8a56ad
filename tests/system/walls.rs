//! Ring system: what the units of helper and data plane let through, tried from inside: a script in the program's place, under the shipped unit.

use std::fs;

use anyhow::Result;
use lab::system::{Place, System};

/// Runs a script under a shipped unit and gives what it printed. A line a probe: `name ok` or `name no`.
fn probe(system: &System, unit: &str, script: &str) -> Result<Vec<String>> {
    let folder = system.root().join(format!("etc/systemd/system/{unit}.d"));
    fs::create_dir_all(&folder)?;
    // Everything else stays as shipped.
    let drop_in = "[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart=/bin/bash /etc/lonewire-probe\nStandardOutput=journal\n";
    fs::write(folder.join("probe.conf"), drop_in)?;
    let head = "try() { local name=$1; shift; if \"$@\" >/dev/null 2>&1; then echo $name ok; else echo $name no; fi; }\n";
    fs::write(
        system.root().join("etc/lonewire-probe"),
        format!("{head}{script}"),
    )?;
    system.check(&["systemctl", "daemon-reload"])?;
    system.check(&["systemctl", "start", unit])?;
    system.check(&["journalctl", "--sync"])?;
    let text = system.check(&[
        "journalctl",
        "--no-pager",
        "--output=cat",
        "--identifier=bash",
        &format!("--unit={unit}"),
    ])?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[test]
fn the_helper_reaches_what_it_needs_and_nothing_else() -> Result<()> {
    let system = System::boot()?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    let mut app = anna.command(&["sleep", "60"]).spawn()?;
    system.check(&["ip", "netns", "add", "lw-probe"])?;
    let user = system.check(&["pgrep", "-u", "anna", "-x", "-n", "sleep"])?;
    let found = probe(
        &system,
        "lonewire-helper.service",
        &format!(
            r#"try namespace nsenter --net=/run/netns/lw-probe true
            try state touch /var/lib/lonewire/x
            try runtime touch /run/lonewire/x
            for path in /run/x /run/systemd/system/x /run/dbus/x /run/netns/x /etc/x /etc/lonewire/x /usr/x /var/lib/x /root/x /home/anna/x /proc/sys/net/ipv4/ip_forward; do
                try "$path" bash -c 'echo 0 >> "$0"' "$path"
            done
            try home ls /home/anna
            try mounts unshare --mount true
            try users unshare --user true
            try mount mount -t tmpfs tmpfs /mnt
            try device test -e /dev/net/tun
            try packets perl -e 'socket(S, 17, 3, 0) or die'
            try kill kill -TERM {user}
            try look readlink /proc/{user}/ns/net
            try root ls /proc/{user}/root/
            try environment bash -c 'cat /proc/{user}/environ | grep .'
            try setuid setpriv --reuid 61001 --clear-groups true
            try module modprobe dummy
            echo caps $(grep CapBnd /proc/self/status)
            echo swap $(ulimit -c)
            "#
        ),
    )?;
    let wanted = [
        "namespace ok",
        "state ok",
        "runtime ok",
        "/run/x no",
        "/run/systemd/system/x no",
        "/run/dbus/x no",
        "/run/netns/x no",
        "/etc/x no",
        "/etc/lonewire/x no",
        "/usr/x no",
        "/var/lib/x no",
        "/root/x no",
        "/home/anna/x no",
        "/proc/sys/net/ipv4/ip_forward no",
        "home no",
        "mounts no",
        "users no",
        "mount no",
        "device no",
        "packets no",
        "kill no",
        "look no",
        "root no",
        "environment no",
        "setuid no",
        "module no",
        // CAP_NET_ADMIN is bit 12, CAP_SYS_ADMIN bit 21.
        "caps CapBnd: 0000000000201000",
        "swap 0",
    ];
    assert_eq!(found, wanted);
    assert!(app.try_wait()?.is_none(), "the user's program was ended");
    app.kill()?;
    app.wait()?;
    Ok(())
}

#[test]
fn the_data_plane_can_send_and_nothing_else() -> Result<()> {
    let system = System::boot()?;
    let found = probe(
        &system,
        "lonewire-wireguard@probe.service",
        r#"echo user $(id -un) $(id -Gn)
        try udp bash -c 'echo x > /dev/udp/127.0.0.1/9'
        try netlink perl -e 'socket(S, 16, 3, 0) or die'
        try state ls /var/lib/lonewire
        try runtime ls /run/lonewire
        try bus ls /run/dbus
        try write bash -c 'echo 0 > /run/x || echo 0 > /var/x || echo 0 > /etc/x'
        try users unshare --user true
        try device test -e /dev/net/tun
        echo caps $(grep CapBnd /proc/self/status)
        echo privileges $(grep NoNewPrivs /proc/self/status)
        "#,
    )?;
    let wanted = [
        "user lonewire-wg lonewire-wg",
        "udp ok",
        "netlink no",
        "state no",
        "runtime no",
        "bus no",
        "write no",
        "users no",
        "device no",
        "caps CapBnd: 0000000000000000",
        "privileges NoNewPrivs: 1",
    ];
    assert_eq!(found, wanted);
    Ok(())
}
