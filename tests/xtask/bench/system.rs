//! A launch under the machine's own systemd, through the shipped socket units, against the shortest way in for root there. Its limits
//! are none: it is printed.

use std::path::Path;

use anyhow::Result;
use lab::{
    World,
    system::{Place, System, vpn::Vpn},
};

use super::{Limit, Row, TUNNEL, median, milliseconds, stopwatch::Stopwatch};

/// A namespace made by hand, for the baseline.
const NETNS: &str = "by-hand";

/// `lonewire run` in a login session, and `ip netns exec` as root.
pub fn run(_: &mut World, folder: &Path, pairs: usize) -> Result<Vec<Row>> {
    let system = System::boot_with(folder)?;
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let session = system.login("anna", Place::Seat)?;
    vpn.import(&session, 0, TUNNEL)?;
    session.check(&["lonewire", "up", TUNNEL])?;
    system.check(&["ip", "netns", "add", NETNS])?;

    let theirs = [
        "ip", "netns", "exec", NETNS, "runuser", "-u", "anna", "--", "true",
    ];
    let ours = ["lonewire", "run", "-t", TUNNEL, "--", "true"];
    let roles = system.roles()?;
    let whole = |line: &[&'static str]| [&[roles, "stopwatch", "--"], line].concat();
    let mut ours = Stopwatch::start(session.command(&whole(&ours)), &ours)?;
    let mut theirs = Stopwatch::start(system.command(&whole(&theirs)), &theirs)?;
    let (mut our_times, mut their_times) = (vec![], vec![]);
    for pair in 0..=pairs {
        let time = ours.once()?;
        let their_time = theirs.once()?;
        // The first pair is for the caches.
        if pair > 0 {
            our_times.push(milliseconds(time));
            their_times.push(milliseconds(their_time));
        }
    }
    let (ours, theirs) = (median(our_times)?, median(their_times)?);
    Ok(vec![Row {
        work: "the same under systemd",
        ours: format!("{ours:.2} ms"),
        theirs: format!("{theirs:.2} ms"),
        figure: ours / theirs,
        limit: Limit::None,
    }])
}
