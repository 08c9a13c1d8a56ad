//! Ring system: the helper's own life: it ends when nobody needs it, comes back when somebody does, and is ended when it hangs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::system::{Place, System, poll, vpn::Vpn};

const HELPER: &str = "lonewire-helper.service";

#[test]
fn it_ends_when_nobody_needs_it_and_comes_back_for_whoever_asks() -> Result<()> {
    let system = System::boot()?;
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    // Somebody who listens is somebody who needs it.
    let mut monitor = anna.command(&["lonewire", "monitor"]).spawn()?;
    let helper = || system.property(HELPER, "MainPID");
    let first = helper()?;
    let ended = |within| {
        let inactive =
            || (system.property(HELPER, "ActiveState").ok()? == "inactive").then_some(());
        poll(within, inactive)
    };
    assert!(
        ended(Duration::from_secs(25)).is_none(),
        "under a subscriber"
    );
    let end = "kill $(pgrep -u anna -x lonewire)";
    system.check(&["sh", "-c", end])?;
    monitor.wait()?;
    ended(Duration::from_secs(60)).context("it does not end")?;
    assert_eq!(system.property(HELPER, "Result")?, "success");
    // Nobody sees a difference, however many ask at once.
    let list = "for i in 1 2 3 4 5 6 7 8; do lonewire list & done; wait";
    assert_eq!(anna.check(&["sh", "-c", list])?.matches("demo").count(), 8);
    assert_ne!(helper()?, first);
    // A tunnel that is up needs it, whoever has asked how long ago.
    anna.check(&["lonewire", "up", "demo"])?;
    assert!(ended(Duration::from_secs(25)).is_none(), "with a tunnel up");
    Ok(())
}

#[test]
fn one_that_hangs_is_ended_and_the_next_adopts_what_runs() -> Result<()> {
    let system = System::boot()?;
    let folder = system.root().join(format!("etc/systemd/system/{HELPER}.d"));
    std::fs::create_dir_all(&folder)?;
    // As shipped, but in seconds.
    std::fs::write(folder.join("soon.conf"), "[Service]\nWatchdogSec=3s\n")?;
    system.check(&["systemctl", "daemon-reload"])?;
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    anna.check(&[
        "lonewire", "run", "-t", "demo", "--detach", "--", "sleep", "300",
    ])?;
    let before = anna.check(&["lonewire", "ps", "--json"])?;
    let helper = || system.property(HELPER, "MainPID");
    // One that works is left alone for longer than the watchdog waits.
    let first = helper()?;
    let other = || helper().ok().filter(|pid| *pid != first && pid != "0");
    assert_eq!(poll(Duration::from_secs(7), other), None);
    system.check(&["kill", "-STOP", &first])?;
    poll(Duration::from_secs(20), other).context("nobody took its place")?;
    assert_eq!(anna.check(&["lonewire", "ps", "--json"])?, before);
    Ok(())
}
