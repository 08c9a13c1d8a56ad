//! After the reboot, which was not announced to anybody: what was saved is there, what ran is not; then upgrade and removal, in the order of names.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::system::poll;

use super::{Scene, Stream, served};

#[test]
fn a_what_starts_with_the_machine_is_there_before_anybody_and_nothing_else_is() -> Result<()> {
    let (system, vpn) = served()?;
    let up = || -> Result<usize> {
        let list = system.check(&["ip", "netns", "list"])?;
        Ok(list.matches("lw-").count())
    };
    // The addresses of whom the server has had a handshake with: columns 4 and 5, as wg(8) has them.
    let heard = || -> Result<Vec<String>> {
        let dump = system.check(&["ip", "netns", "exec", "vpn", "wg", "show", "wg0", "dump"])?;
        let peers = dump.lines().skip(1).filter_map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            (*columns.get(4)? != "0").then(|| columns[3].to_owned())
        });
        Ok(peers.collect())
    };
    let address = format!("{}/32", vpn.address(0)?);
    let comes = || heard().ok()?.contains(&address).then_some(());
    poll(Duration::from_secs(120), comes)
        .with_context(|| format!("{address} does not come: {}", system.last_words()))?;
    assert_eq!(heard()?, [&*address]);
    assert_eq!(up()?, 1);
    assert_eq!(
        system.check(&["loginctl", "--no-legend", "list-sessions"])?,
        ""
    );

    // She logs in where there is no network yet: an app of hers waits for a tunnel that comes up by itself.
    system.check(&["ip", "-n", "vpn", "link", "set", "uplink", "down"])?;
    let scene = Scene::get()?;
    let waits = || fs::exists("/home/anna/waits").ok()?.then_some(());
    poll(Duration::from_secs(120), waits)
        .with_context(|| format!("{:?}: {}", up(), system.last_words()))?;
    assert_eq!(heard()?, [&*address]);
    system.check(&["ip", "-n", "vpn", "link", "set", "uplink", "up"])?;
    let page = || {
        let page = fs::read_to_string("/home/anna/page").ok()?;
        (!page.is_empty()).then_some(page)
    };
    let page = poll(Duration::from_secs(120), page).with_context(|| system.last_words())?;
    assert_eq!(up()?, 2);
    ensure!(page.contains(vpn.address(1)?), "{page}");
    scene.fetch()
}

#[test]
fn b_an_upgrade_and_a_downgrade_leave_a_stream_alone() -> Result<()> {
    let scene = Scene::get()?;
    let stream = Stream::start(scene)?;
    for version in ["old", "new"] {
        scene.install(&format!("/payload/{version}/lonewire_*.deb"))?;
        stream.flows().context(version)?;
        scene.fetch()?;
    }
    Ok(())
}

#[test]
fn c_the_journal_holds_no_secret_and_no_warning() -> Result<()> {
    is_journal_clean(Scene::get()?)
}

/// Whether a line holds 32 bytes in base64, as keys are written; `FIELD=` may stand before them.
fn holds_key(line: &str) -> bool {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    line.split(|c| !is_of_word(c)).any(|word| {
        let word = word.strip_suffix('=');
        word.and_then(|word| word.rsplit('=').next())
            .is_some_and(|last| last.len() == 43)
    })
}

#[test]
fn a_key_is_found_wherever_it_stands_in_a_line() {
    let key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    for line in [
        "K",
        "MESSAGE=K",
        "PrivateKey = K",
        "\"K\",",
        "key=K, of",
        "[K]",
    ] {
        assert!(holds_key(&line.replace('K', key)), "{line}");
    }
    assert!(!holds_key(
        "_BOOT_ID=0123456789abcdef0123456789abcdef_MACHINE="
    ));
}

fn is_journal_clean(scene: &Scene) -> Result<()> {
    // Of both boots.
    let journal = scene.system.journal()?;
    for secret in scene.vpn.secrets() {
        ensure!(!journal.contains(secret), "a private key");
    }
    // Nor one that nobody told the suite of.
    let found: Vec<_> = journal.lines().filter(|line| holds_key(line)).collect();
    ensure!(found.is_empty(), "{found:?}");
    let warnings =
        scene.sh("journalctl --no-pager --quiet --priority=warning --output=cat -u 'lonewire*'")?;
    // The setting that older ones do not know is said in the units.
    let mut warnings: Vec<_> = warnings
        .lines()
        .filter(|line| !line.contains("'PollLimitIntervalSec'"))
        .collect();
    // The suite restarted the bus, without which the helper ends, to be started anew: that may be said of it once.
    let of_bus = "lonewire-helper.service: Failed with result 'exit-code'.";
    if journal.contains("the bus has gone")
        && let Some(at) = warnings.iter().position(|line| *line == of_bus)
    {
        warnings.remove(at);
    }
    ensure!(warnings.is_empty(), "{warnings:?}");
    let failed = scene.sh("systemctl --failed --no-legend --plain")?;
    ensure!(!failed.contains("lonewire"), "{failed}");
    Ok(())
}

#[test]
fn d_removed_under_an_app_it_leaves_it_without_network_and_says_so() -> Result<()> {
    let scene = Scene::get()?;
    scene.anna.check(&[
        "lonewire", "run", "-t", "demo", "--detach", "--", "sleep", "600",
    ])?;
    let pid = scene.sh("pgrep -x -u anna sleep -n")?;
    let told = scene.sh("DEBIAN_FRONTEND=noninteractive apt-get --yes remove lonewire 2>&1")?;
    ensure!(told.contains("no network any more"), "{told}");
    let links = scene.sh(&format!("nsenter --net --target {pid} ip -brief link"))?;
    ensure!(
        links.starts_with("lo ") && !links.contains("lw-"),
        "{links}"
    );
    ensure!(
        !scene.sh("ip -brief link; ip netns list")?.contains("lw-"),
        "it came back to the host"
    );
    ensure!(
        scene.sh("ls /var/lib/lonewire")?.contains("61001"),
        "the saved tunnels are gone"
    );
    scene.sh("test ! -e /run/lonewire; test ! -e /run/wireguard")?;
    is_journal_clean(scene)
}
