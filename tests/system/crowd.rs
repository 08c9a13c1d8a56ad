//! Ring system: many launches at once and in a row, through the shipped sockets and units.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use lab::system::{Place, Session, System, poll, vpn::Vpn};

/// As README in `polkit/` shows it: the second user is on no seat.
const RULE: &str = r#"polkit.addRule(function (action, subject) {
    if (subject.isInGroup("vpn") && action.id.indexOf("org.lonewire.helper1.") == 0 && action.id.endsWith("-own")) {
        return polkit.Result.YES;
    }
});"#;

/// A system with two users, a tunnel each.
fn two_users(system: &System) -> Result<[Session<'_>; 2]> {
    let vpn = Vpn::start(system, 2)?;
    std::fs::write(
        system.root().join("etc/polkit-1/rules.d/50-lonewire.rules"),
        RULE,
    )?;
    system.add_user("anna", 61001, &[])?;
    system.add_user("bob", 61002, &["vpn"])?;
    let users = [
        system.login("anna", Place::Seat)?,
        system.login("bob", Place::Remote)?,
    ];
    for (number, user) in users.iter().enumerate() {
        vpn.import(user, number, "demo")?;
        user.check(&["lonewire", "up", "demo"])?;
    }
    Ok(users)
}

fn assert_sockets_listen(system: &System) -> Result<()> {
    for unit in ["lonewire-warden.socket", "lonewire-wireguard.socket"] {
        assert_eq!(system.property(unit, "ActiveState")?, "active", "{unit}");
    }
    Ok(())
}

/// How many units of the warden are there.
fn wardens(system: &System) -> Result<usize> {
    let units = system.check(&[
        "systemctl",
        "--no-legend",
        "--plain",
        "--all",
        "list-units",
        "lonewire-warden@*",
    ])?;
    Ok(units.lines().count())
}

#[test]
fn two_hundred_apps_run_at_once() -> Result<()> {
    const APPS: usize = 200;
    let system = System::boot()?;
    let [anna, _bob] = two_users(&system)?;
    // Each app says so once it runs, and goes on until it is told to end.
    anna.check(&["mkdir", "apps"])?;
    let app = "touch apps/$$; while [ ! -e end ]; do sleep 1; done; echo ended";
    let script =
        format!("for i in $(seq {APPS}); do lonewire run -t demo -- sh -c '{app}' & done; wait");
    let crowd = anna
        .command(&["bash", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let folder = system.root().join("home/anna/apps");
    let running = || (std::fs::read_dir(&folder).ok()?.count() == APPS).then_some(());
    let all = poll(Duration::from_secs(100), running);
    let told = anna
        .check(&["lonewire", "ps", "--json"])?
        .matches("\"pid\"")
        .count();
    let count = std::fs::read_dir(&folder)?.count();
    anna.check(&["touch", "end"])?;
    let output = crowd.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        all.is_some() && told == APPS,
        "{count} of {APPS} started, {told} are told\n{errors}"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout)
            .matches("ended")
            .count(),
        APPS,
        "{errors}"
    );
    assert_sockets_listen(&system)?;
    poll(Duration::from_secs(10), || {
        (wardens(&system).ok()? == 0).then_some(())
    })
    .context("units of the warden stay")?;
    Ok(())
}

#[test]
fn a_thousand_launches_by_two_users_are_all_done() -> Result<()> {
    const EACH: usize = 500;
    let system = System::boot()?;
    let users = two_users(&system)?;
    let script =
        format!("seq {EACH} | xargs -P 8 -I N lonewire run -t demo -- sh -c 'echo done N'");
    let began = Instant::now();
    let started: Vec<_> = users
        .iter()
        .map(|user| {
            user.command(&["bash", "-c", &script])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    for child in started {
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut done: Vec<usize> = text
            .lines()
            .filter_map(|line| line.strip_prefix("done ")?.parse().ok())
            .collect();
        done.sort_unstable();
        assert!(
            done.iter().copied().eq(1..=EACH),
            "{} of {EACH}\n{}",
            done.len(),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success());
    }
    let took = began.elapsed();
    println!("{} launches in {:.1} s", 2 * EACH, took.as_secs_f32());
    assert_sockets_listen(&system)?;
    poll(Duration::from_secs(10), || {
        (wardens(&system).ok()? == 0).then_some(())
    })
    .context("units of the warden stay")?;
    Ok(())
}
