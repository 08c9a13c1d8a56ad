//! Ring system: a person without privileges runs a program in a tunnel, on an installed system.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::system::{
    Place, System, poll,
    vpn::{NAME, Vpn},
};

/// Exit code of the command line for "not authorised".
const NOT_AUTHORISED: i32 = 4;
/// Of `run` for all that went wrong before the program started.
const RUN_FAILED: i32 = 125;

#[test]
fn the_bus_starts_the_helper_for_whoever_asks_first() -> Result<()> {
    let system = System::boot()?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    assert_eq!(
        system.property("lonewire-helper.service", "ActiveState")?,
        "inactive"
    );
    let get = [
        "busctl",
        "--system",
        "get-property",
        "org.lonewire.Helper1",
        "/org/lonewire/Helper1",
    ];
    let version = anna.check(&[&get[..], &["org.lonewire.Helper1.Service", "Version"]].concat())?;
    assert_eq!(version, format!("s \"{}\"", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        system.property("lonewire-helper.service", "ActiveState")?,
        "active"
    );
    assert_eq!(
        system.property("lonewire-helper.service", "Type")?,
        "notify"
    );

    // Nobody else may have the name, and what is not in the contract is refused by the bus.
    let own = anna.run(&[
        "busctl",
        "--system",
        "call",
        "org.freedesktop.DBus",
        "/",
        "org.freedesktop.DBus",
        "RequestName",
        "su",
        "org.lonewire.Helper1",
        "0",
    ])?;
    // What busctl says of org.freedesktop.DBus.Error.AccessDenied; a name that is only taken would be answered with a number.
    assert!(
        String::from_utf8_lossy(&own.stderr).contains("Access denied"),
        "{own:?}"
    );
    let other = anna.run(
        &[
            &[
                "busctl",
                "--system",
                "call",
                "org.lonewire.Helper1",
                "/org/lonewire/Helper1",
            ][..],
            &["org.freedesktop.DBus.ObjectManager", "GetManagedObjects"],
        ]
        .concat(),
    )?;
    let why = String::from_utf8_lossy(&other.stderr);
    assert!(why.contains("Access denied"), "{other:?}");
    Ok(())
}

#[test]
fn a_user_at_the_screen_runs_a_program_and_a_remote_one_is_refused() -> Result<()> {
    let system = System::boot()?;
    let vpn = Vpn::start(&system, 2)?;
    system.add_user("anna", 61001, &["games", "plugdev", "vpn"])?;
    system.add_user("bob", 61002, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    let bob = system.login("bob", Place::Remote)?;

    vpn.import(&anna, 0, "demo")?;
    anna.check(&["lonewire", "up", "demo"])?;
    let seen = anna.check(&[
        "lonewire",
        "run",
        "-t",
        "demo",
        "--",
        "curl",
        "-sS",
        "--max-time",
        "10",
        &format!("http://{NAME}/"),
    ])?;
    assert!(seen.contains(vpn.address(0)?), "{seen}");
    // The same person inside and outside; nothing on the system's side but the tunnel's WireGuard leads out.
    let id = ["sh", "-c", "id; umask; pwd"];
    let inside = anna.check(&[&["lonewire", "run", "-t", "demo", "--"][..], &id].concat())?;
    assert_eq!(inside, anna.check(&id)?);
    let links = anna.check(&[
        "lonewire",
        "run",
        "-t",
        "demo",
        "--",
        "ls",
        "/sys/class/net",
    ])?;
    let links: Vec<_> = links.lines().collect();
    assert!(
        matches!(links[..], ["lo", link] if link.starts_with("lw-")),
        "{links:?}"
    );

    // What she may as one who sits there she may from inside too: polkit finds her session by the proxy that stands before the bus.
    let path = anna.write("second.conf", &vpn.config(1)?)?;
    let import = [
        "lonewire",
        "--no-input",
        "import",
        "--name",
        "second",
        &path,
    ];
    anna.check(&[&["lonewire", "run", "-t", "demo", "--"][..], &import].concat())?;
    anna.check(&["lonewire", "remove", "second"])?;

    // No agent can ask bob for his password: that is a no.
    let path = bob.write("demo.conf", &vpn.config(1)?)?;
    let import = bob.run(&["lonewire", "--no-input", "import", &path])?;
    assert_eq!(import.status.code(), Some(NOT_AUTHORISED), "{import:?}");
    assert_eq!(
        bob.check(&["lonewire", "list", "--json"])?
            .matches("public_key")
            .count(),
        0
    );
    // Anna's tunnel is nothing to him.
    let run = bob.run(&["lonewire", "--no-input", "run", "-t", "demo", "--", "true"])?;
    assert_eq!(run.status.code(), Some(RUN_FAILED), "{run:?}");
    let why = String::from_utf8_lossy(&run.stderr);
    assert!(why.contains("there are no tunnels yet"), "{run:?}");

    // A service user without a session sees nothing and may nothing.
    let nobody = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        "--uid=nobody",
        "--",
    ];
    let list = system.check(&[&nobody[..], &["lonewire", "list", "--json"]].concat())?;
    assert!(!list.contains("demo"), "{list}");
    Ok(())
}

#[test]
fn an_app_lives_in_the_session_of_its_user() -> Result<()> {
    let system = System::boot()?;
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    let cgroup = anna.check(&[
        "lonewire",
        "run",
        "-t",
        "demo",
        "--",
        "grep",
        "^0::",
        "/proc/self/cgroup",
    ])?;
    assert!(
        cgroup.contains("/user@61001.service/app.slice/app-") && cgroup.ends_with(".scope"),
        "{cgroup}"
    );
    // Under the id by which menus, portals and system monitors know an installed app.
    let entry = "[Desktop Entry]\nType=Application\nName=Probe\nExec=grep ^0:: /proc/self/cgroup\n";
    anna.check(&["mkdir", "-p", ".local/share/applications"])?;
    anna.write(".local/share/applications/org.example.Probe.desktop", entry)?;
    let cgroup = anna.check(&[
        "lonewire",
        "run",
        "-t",
        "demo",
        "--desktop-id",
        "org.example.Probe",
    ])?;
    assert!(
        cgroup.contains("/user@61001.service/app.slice/app-lonewire-org.example.Probe-"),
        "{cgroup}"
    );
    // So polkit sees it as part of the active session: from inside, a program may what its user may.
    let ask = "pkcheck --action-id org.lonewire.helper1.connect-own --process $$";
    anna.check(&["lonewire", "run", "-t", "demo", "--", "sh", "-c", ask])?;
    // And the user's service manager can end it.
    anna.check(&[
        "lonewire", "run", "-t", "demo", "--detach", "--", "sleep", "300",
    ])?;
    let scopes = [
        "systemctl",
        "--user",
        "--no-legend",
        "--plain",
        "list-units",
        "app-*.scope",
    ];
    let listed = anna.check(&scopes)?;
    let scope = listed
        .split_whitespace()
        .next()
        .context("no scope")?
        .to_owned();
    anna.check(&["systemctl", "--user", "stop", &scope])?;
    let ended = || {
        anna.check(&["lonewire", "ps"])
            .ok()
            .filter(|list| !list.contains("sleep"))
    };
    poll(Duration::from_secs(10), ended).context("the app is still told")?;
    Ok(())
}

#[test]
fn a_helper_that_is_restarted_adopts_tunnels_and_apps() -> Result<()> {
    let system = System::boot()?;
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    anna.check(&[
        "lonewire", "run", "-t", "demo", "--detach", "--", "sleep", "300",
    ])?;
    let pid = || system.check(&["pgrep", "-u", "anna", "-x", "sleep", "-n"]);
    let netns = || system.check(&["ip", "netns", "list"]);
    let before = (anna.check(&["lonewire", "ps", "--json"])?, pid()?, netns()?);

    let helper = system.property("lonewire-helper.service", "MainPID")?;
    system.check(&["systemctl", "restart", "lonewire-helper.service"])?;
    assert_ne!(
        system.property("lonewire-helper.service", "MainPID")?,
        helper
    );
    assert_eq!(
        (anna.check(&["lonewire", "ps", "--json"])?, pid()?, netns()?),
        before
    );
    let seen = anna.check(&[
        "lonewire",
        "run",
        "-t",
        "demo",
        "--",
        "curl",
        "-sS",
        "--max-time",
        "10",
        &format!("http://{NAME}/"),
    ])?;
    assert!(seen.contains(vpn.address(0)?), "{seen}");

    // Killed, it comes back by itself, and knows them all the same.
    system.check(&[
        "systemctl",
        "kill",
        "--signal=KILL",
        "lonewire-helper.service",
    ])?;
    assert_eq!(
        (anna.check(&["lonewire", "ps", "--json"])?, pid()?, netns()?),
        before
    );
    anna.check(&["lonewire", "stop", "--all"])?;
    anna.check(&["lonewire", "down", "demo"])?;
    let gone = || netns().ok().filter(|list| !list.contains("lw-"));
    poll(Duration::from_secs(10), gone).context("the namespace is still there")?;
    Ok(())
}
