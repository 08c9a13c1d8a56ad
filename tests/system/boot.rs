//! Ring system: the shipped files as an installed system has them: units load, folders and users are there, numbers hold.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{
    install,
    programs::project,
    system::{Place, System},
};

#[test]
fn the_shipped_files_are_installed_and_systemd_takes_them_as_they_are() -> Result<()> {
    let system = System::boot()?;
    for file in install::list(&project())? {
        let path = &file.destination;
        assert_eq!(
            system.check(&["stat", "-c", "0%a %U %G", path])?,
            format!("{} root root", file.mode),
            "{path}"
        );
    }
    for unit in ["lonewire-warden.socket", "lonewire-wireguard.socket"] {
        assert_eq!(
            system.property(unit, "ActiveState")?,
            "active",
            "{unit}: {}",
            system.log()
        );
        assert_eq!(system.check(&["systemctl", "is-enabled", unit])?, "enabled");
    }
    for (path, mode) in [
        ("/run/lonewire", "700 root"),
        ("/run/lonewire/warden.sock", "600 root"),
        ("/run/lonewire/wireguard.sock", "600 root"),
        ("/var/lib/lonewire", "700 root"),
        ("/etc/lonewire/tunnels.d", "700 root"),
    ] {
        assert_eq!(
            system.check(&["stat", "-c", "%a %U", path])?,
            mode,
            "{path}"
        );
    }
    let user = system.check(&["getent", "passwd", "lonewire-wg"])?;
    assert!(user.ends_with(":/:/usr/sbin/nologin"), "{user}");
    assert_eq!(system.check(&["id", "-Gn", "lonewire-wg"])?, "lonewire-wg");

    let units = [
        "lonewire-helper.service",
        "lonewire-warden.socket",
        "lonewire-warden@0.service",
        "lonewire-wireguard.socket",
        "lonewire-wireguard@0.service",
        "lonewire-boot.service",
        "lonewire-login@0.service",
        "lonewire.slice",
    ];
    let mut verify = vec!["systemd-analyze", "verify", "--man=no"];
    verify.extend(units);
    let verified = system.run(&verify)?;
    let told = String::from_utf8_lossy(&verified.stderr);
    // Known since systemd 255, and said in the units.
    let wrong: Vec<_> = told
        .lines()
        .filter(|line| line.contains("lonewire") && !line.contains("'PollLimitIntervalSec'"))
        .collect();
    assert!(wrong.is_empty() && verified.status.success(), "{told}");
    Ok(())
}

#[test]
fn the_units_are_as_exposed_as_promised_and_no_more() -> Result<()> {
    let system = System::boot()?;
    // In tenths, as `systemd-analyze security` counts; SECURITY.md sets the limits.
    for (unit, limit) in [
        ("lonewire-helper.service", "25"),
        ("lonewire-wireguard@0.service", "15"),
    ] {
        let output = system.run(&[
            "systemd-analyze",
            "security",
            "--no-pager",
            "--threshold",
            limit,
            unit,
        ])?;
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{}", text.lines().last().unwrap_or_default());
        assert!(output.status.success(), "{text}");
    }
    Ok(())
}

#[test]
fn a_session_on_the_seat_is_active_and_a_remote_one_is_not_asked_as_one() -> Result<()> {
    let system = System::boot()?;
    system.add_user("anna", 61001, &["plugdev", "games", "vpn"])?;
    system.add_user("bob", 61002, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    let bob = system.login("bob", Place::Remote)?;
    assert_eq!(anna.property("Seat")?, "seat0");
    assert_eq!(anna.property("Active")?, "yes");
    assert_eq!(bob.property("Seat")?, "");
    assert_eq!(anna.check(&["id", "-un"])?, "anna");
    assert_eq!(
        anna.check(&["systemctl", "--user", "is-system-running", "--wait"])?,
        "running"
    );

    // polkit sees it the same way: whose process it is, and where it sits.
    let ask = "pkcheck --action-id org.lonewire.helper1.connect-own --process $$";
    let yes = anna.run(&["sh", "-c", ask])?;
    assert!(
        yes.status.success(),
        "{}",
        String::from_utf8_lossy(&yes.stderr)
    );
    let asked = bob.run(&["sh", "-c", ask])?;
    assert_eq!(
        asked.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    Ok(())
}

#[test]
fn it_powers_off_and_leaves_nothing() -> Result<()> {
    let machine = || {
        Ok::<_, anyhow::Error>((
            fs::read("/etc/passwd")?,
            fs::read_to_string("/proc/self/mounts")?,
        ))
    };
    let before = machine()?;
    let system = System::boot()?;
    system.add_user("anna", 61001, &[])?;
    // The session is left open, with something that runs in it.
    let login = system.login("anna", Place::Seat)?;
    let mut session = login
        .command(&["sh", "-c", "echo runs; exec sleep 100"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    let stdout = session.stdout.take().context("it was asked for")?;
    BufReader::new(stdout).read_line(&mut said)?;
    assert_eq!(said, "runs\n");
    // Dropping it would end it.
    std::mem::forget(login);
    let traces = system.traces();
    assert!(traces.iter().all(|path| path.exists()), "{traces:?}");
    system.power_off(Duration::from_secs(30))?;
    assert!(!session.wait()?.success());
    assert!(!traces.iter().any(|path| path.exists()), "{traces:?}");
    assert_eq!(machine()?, before);
    Ok(())
}
