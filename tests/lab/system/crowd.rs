//! Two users of a booted system, each with a tunnel, who launch very many programs: what the ring's test and the bench have in common.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{Place, Session, System, vpn::Vpn};

/// As README in `polkit/` shows it: the second user is on no seat.
const RULE: &str = r#"polkit.addRule(function (action, subject) {
    if (subject.isInGroup("vpn") && action.id.indexOf("org.lonewire.helper1.") == 0 && action.id.endsWith("-own")) {
        return polkit.Result.YES;
    }
});"#;

/// Two users, a tunnel each, which is up.
///
/// # Errors
/// The system's or the command line's.
pub fn two_users(system: &System) -> Result<[Session<'_>; 2]> {
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

/// What many launches took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub time: Duration,
    /// Of all processes of the system together.
    pub processors: Duration,
}

/// Each user launches so many programs, eight at a time.
///
/// # Errors
/// One was lost, or it did not end within the time that a command of a session has.
pub fn launch_many(system: &System, users: &[Session<'_>], each: usize) -> Result<Taken> {
    let script =
        format!("seq {each} | xargs -P 8 -I N lonewire run -t demo -- sh -c 'echo done N'");
    let (began, before) = (Instant::now(), system.processor_time()?);
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
        ensure!(
            done.iter().copied().eq(1..=each) && output.status.success(),
            "{} of {each}, {}\n{}",
            done.len(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(Taken {
        time: began.elapsed(),
        processors: system.processor_time()?.saturating_sub(before),
    })
}
