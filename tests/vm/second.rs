//! After the reboot, which was not announced to anybody: what was saved is there, what ran is not; then upgrade and removal, in the order of names.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::system::{poll, vpn::INSIDE};

use super::Scene;

#[test]
fn a_saved_tunnels_are_there_and_nothing_else_is_left_of_before() -> Result<()> {
    let scene = Scene::get()?;
    assert!(
        !scene
            .system
            .check(&["ip", "netns", "list"])?
            .contains("lw-")
    );
    scene.fetch()
}

#[test]
fn b_an_upgrade_and_a_downgrade_leave_a_stream_alone() -> Result<()> {
    let scene = Scene::get()?;
    let ping = [
        "lonewire", "run", "-t", "demo", "--", "ping", "-n", "-i", "0.5", INSIDE,
    ];
    let mut stream = scene
        .anna
        .command(&ping)
        .stdin(Stdio::null())
        .stdout(fs::File::create("/run/stream")?)
        .spawn()?;
    let answers = || -> Vec<u32> {
        let text = fs::read_to_string("/run/stream").unwrap_or_default();
        let number = |line: &str| {
            line.split_once("icmp_seq=")?
                .1
                .split(' ')
                .next()?
                .parse()
                .ok()
        };
        text.lines().filter_map(number).collect()
    };
    let flows = || {
        let so_far = answers().last().copied().unwrap_or_default();
        let arrived = || {
            answers()
                .last()
                .is_some_and(|last| *last > so_far + 2)
                .then_some(())
        };
        poll(Duration::from_secs(30), arrived).context("the stream does not flow")
    };
    flows()?;
    let pid = scene.sh("pgrep -x -u anna ping")?;
    for version in ["old", "new"] {
        scene.sh(&format!(
            "DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes --allow-downgrades install /payload/{version}/lonewire_*.deb"
        ))?;
        flows().context(version)?;
        assert_eq!(scene.sh("pgrep -x -u anna ping")?, pid);
        scene.fetch()?;
    }
    let all = answers();
    ensure!(
        all.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "an answer is missing: {all:?}"
    );
    scene.anna.check(&["lonewire", "stop", "--all"])?;
    stream.wait()?;
    Ok(())
}

#[test]
fn c_the_journal_holds_no_secret_and_no_warning() -> Result<()> {
    let scene = Scene::get()?;
    // Of both boots.
    let journal = scene.system.journal()?;
    for secret in scene.vpn.secrets() {
        ensure!(!journal.contains(secret), "a private key");
    }
    // Of the first boot's, whose keys nobody knows any more: nothing that looks like one.
    let looks_so = |word: &str| {
        word.len() == 44
            && word.ends_with('=')
            && word[..43]
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+/".contains(c))
    };
    let found: Vec<_> = journal
        .lines()
        .filter(|line| {
            line.split(|c: char| c.is_whitespace() || "\"'=:".contains(c) && c != '=')
                .any(looks_so)
        })
        .collect();
    ensure!(found.is_empty(), "{found:?}");
    // The setting that older ones do not know is said in the units.
    let warnings = scene.sh(
        "journalctl --no-pager --priority=warning --output=cat -u 'lonewire*' | grep -v \"'PollLimitIntervalSec'\" || true",
    )?;
    ensure!(warnings.is_empty(), "{warnings}");
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
    Ok(())
}
