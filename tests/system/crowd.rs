//! Ring system: many launches at once and in a row, through the shipped sockets and units.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use lab::system::{
    System,
    crowd::{launch_many, two_users},
    poll,
};

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
    let taken = launch_many(&system, &users, EACH)?;
    println!(
        "{} launches in {:.1} s, with {:.1} s of processors",
        2 * EACH,
        taken.time.as_secs_f32(),
        taken.processors.as_secs_f32()
    );
    // How long it takes is measured by `cargo xtask bench` on a machine with nothing else to do. What it costs is the same on a busy one: this is
    // three times what fits into 20 s of one processor, for programs that were not optimized.
    assert!(taken.processors < Duration::from_secs(60), "{taken:?}");
    assert_sockets_listen(&system)?;
    poll(Duration::from_secs(10), || {
        (wardens(&system).ok()? == 0).then_some(())
    })
    .context("units of the warden stay")?;
    Ok(())
}
