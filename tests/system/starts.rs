//! Ring system: tunnels that come up by themselves, with the machine or with a login, and what goes with the last session of a user.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use lab::system::{Place, Session, System, poll, vpn::Vpn};

const HELPER: &str = "lonewire-helper.service";
/// Exit code of the command line for "not authorised".
const NOT_AUTHORISED: i32 = 4;
/// An app that ends of itself long after the test.
const APP: [&str; 3] = ["--", "sleep", "987"];
/// Runs a program from where no service manager of the user's is found: it ends no app of his.
const ALONE: [&str; 5] = [
    "env",
    "-u",
    "XDG_RUNTIME_DIR",
    "-u",
    "DBUS_SESSION_BUS_ADDRESS",
];
const DETACHED: [&str; 5] = ["lonewire", "run", "-t", "demo", "--detach"];

/// What is seen from outside, without asking the helper: asking would start it.
struct Seen<'a>(&'a System);

impl Seen<'_> {
    fn tunnels(&self) -> Result<usize> {
        Ok(self
            .0
            .check(&["ip", "netns", "list"])?
            .matches("lw-")
            .count())
    }

    /// Waits for so many tunnels.
    fn wait(&self, count: usize) -> Result<()> {
        let there = || (self.tunnels().ok()? == count).then_some(());
        poll(Duration::from_secs(40), there).with_context(|| {
            format!(
                "{:?} tunnels, not {count}: {}",
                self.tunnels(),
                self.0.last_words()
            )
        })
    }

    fn runs(&self, user: &str) -> Result<bool> {
        let found = self.0.run(&["pgrep", "-u", user, "-x", "sleep", "-a"])?;
        Ok(String::from_utf8_lossy(&found.stdout).contains("987"))
    }

    fn helper(&self) -> Result<String> {
        self.0.property(HELPER, "ActiveState")
    }

    /// Waits until the helper has done what it does for a lingering user who has logged in, or out: it notes it then, 0 for one who is not there.
    fn noted(&self, uid: u32, is_there: bool) -> Result<()> {
        let file = self.0.root().join("run/lonewire/starts.toml");
        let noted = || {
            let text = fs::read_to_string(&file).ok()?;
            let of_user = text.split_once(&format!("[{uid}, "))?.1;
            let since = of_user.split_once(']')?.0;
            ((since != "0") == is_there).then_some(())
        };
        poll(Duration::from_secs(20), noted)
            .with_context(|| format!("{:?}", fs::read_to_string(&file)))
    }

    /// Ends the helper: nobody is there until somebody starts it.
    fn stop(&self) -> Result<()> {
        self.0.check(&["systemctl", "stop", HELPER])?;
        Ok(())
    }
}

/// Ends a session, and waits until its user's service manager is gone too.
fn log_out(system: &System, session: Session<'_>) -> Result<()> {
    let manager = format!("user@{}.service", session.uid);
    drop(session);
    let gone = || (system.property(&manager, "ActiveState").ok()? == "inactive").then_some(());
    poll(Duration::from_secs(60), gone).with_context(|| format!("{manager} goes on"))
}

/// As an administrator who lets everybody do it.
fn allow_start_at_boot(system: &System) -> Result<()> {
    let rule = "polkit.addRule(function (action) {
        if (action.id == 'org.lonewire.helper1.install-autostart') { return polkit.Result.YES; }
    });";
    let folder = system.root().join("etc/polkit-1/rules.d");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("10-lonewire-test.rules"), rule)?;
    system.check(&["systemctl", "restart", "polkit.service"])?;
    Ok(())
}

#[test]
fn a_login_brings_a_tunnel_up_and_the_last_logout_ends_it_with_its_apps() -> Result<()> {
    let system = System::boot()?;
    let seen = Seen(&system);
    let vpn = Vpn::start(&system, 2)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    vpn.import(&anna, 1, "other")?;
    anna.check(&["lonewire", "edit", "demo", "--start", "login"])?;
    let told = anna.check(&["lonewire", "show", "demo", "--json"])?;
    assert!(told.contains("\"start\":\"login\""), "{told}");
    assert_eq!(seen.tunnels()?, 0, "it is set for the next login");
    seen.stop()?;
    log_out(&system, anna)?;
    assert_eq!(seen.helper()?, "inactive");

    // Nobody asks for anything: no prompt, no program of hers.
    let anna = system.login("anna", Place::Remote)?;
    seen.wait(1)?;
    let protected = || {
        let listed = anna.check(&["lonewire", "list", "-q"]).ok()?;
        listed.contains("demo\tprotected").then_some(())
    };
    poll(Duration::from_secs(20), protected).context("it has no handshake")?;

    // One of two sessions is not the last.
    let second = system.login("anna", Place::Seat)?;
    second.check(&[&ALONE[..], &DETACHED, &APP].concat())?;
    second.check(&["lonewire", "up", "other"])?;
    drop(second);
    let one = || {
        let list = system.check(&["loginctl", "--no-legend", "list-sessions"]);
        list.ok().filter(|list| list.matches("anna").count() == 1)
    };
    poll(Duration::from_secs(20), one).context("the session does not end")?;
    // Longer than its end would take.
    let ended = || (seen.tunnels().ok()? < 2 || !seen.runs("anna").ok()?).then_some(());
    assert!(poll(Duration::from_secs(8), ended).is_none());

    drop(anna);
    seen.wait(0)?;
    assert!(!seen.runs("anna")?, "{}", system.last_words());
    Ok(())
}

#[test]
fn who_lingers_keeps_tunnel_and_app_until_that_ends_too() -> Result<()> {
    let system = System::boot()?;
    let seen = Seen(&system);
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    anna.check(&["lonewire", "edit", "demo", "--start", "login"])?;
    anna.check(&[&DETACHED[..], &APP].concat())?;
    system.check(&["loginctl", "enable-linger", "anna"])?;
    drop(anna);
    // Logind gives a service manager 10 s before it ends.
    let ended = || (seen.tunnels().ok()? == 0 || !seen.runs("anna").ok()?).then_some(());
    assert!(poll(Duration::from_secs(14), ended).is_none());

    // Taken down, it is there with her next login, though her service manager never ended.
    let anna = system.login("anna", Place::Seat)?;
    seen.noted(61001, true)?;
    anna.check(&["lonewire", "stop", "--all"])?;
    anna.check(&["lonewire", "down", "demo", "--force"])?;
    drop(anna);
    seen.wait(0)?;
    seen.noted(61001, false)?;
    let _anna = system.login("anna", Place::Seat)?;
    seen.wait(1)?;
    Ok(())
}

#[test]
fn a_tunnel_that_starts_at_boot_is_there_before_anybody_and_stays() -> Result<()> {
    let system = System::boot()?;
    let seen = Seen(&system);
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    // Nobody is there to ask for an administrator's password.
    let set = ["lonewire", "--no-input", "edit", "demo", "--start", "boot"];
    let refused = anna.run(&set)?;
    assert_eq!(refused.status.code(), Some(NOT_AUTHORISED), "{refused:?}");
    seen.stop()?;
    system.check(&["systemctl", "start", "lonewire-boot.service"])?;
    assert_eq!(
        system.property("lonewire-boot.service", "ConditionResult")?,
        "no"
    );
    assert_eq!(seen.helper()?, "inactive", "there is no such tunnel");

    allow_start_at_boot(&system)?;
    anna.check(&set)?;
    log_out(&system, anna)?;
    seen.stop()?;
    let wanted = system.property("multi-user.target", "Wants")?;
    assert!(wanted.contains("lonewire-boot.service"), "{wanted}");
    // What another boot begins with: the folders are on a tmpfs.
    system.check(&[
        "sh",
        "-c",
        "rm /run/lonewire/starts.toml /run/lonewire/boot-id",
    ])?;
    system.check(&["systemctl", "start", "lonewire-boot.service"])?;
    seen.wait(1)?;
    let anna = system.login("anna", Place::Seat)?;
    // A program waits for it as for any.
    anna.check(&["lonewire", "run", "-t", "demo", "--", "true"])?;
    anna.check(&[&ALONE[..], &DETACHED, &APP].concat())?;
    log_out(&system, anna)?;
    assert_eq!(seen.tunnels()?, 1);
    assert!(seen.runs("anna")?);
    Ok(())
}
