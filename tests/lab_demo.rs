//! Ring lab: the demonstration holds, and each thing that is got wrong fails exactly its line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use lab::{
    Baseline, programs,
    tty::Desk,
    world::{READY, until},
};

/// Lines of the demonstration, in their order.
const NAMES: [&str; 7] = ["identity", "exit", "dns", "links", "dead", "back", "uplink"];

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// The programs that are built already.
fn folder() -> Result<PathBuf> {
    match std::env::var_os(programs::VARIABLE) {
        Some(path) => Ok(path.into()),
        None => programs::folder(false),
    }
}

/// Plays it; all lines as (holds, name, text). It exits well if all hold, and only then.
fn play(arguments: &[&str]) -> Result<Vec<(bool, String, String)>> {
    play_with(&folder()?, arguments)
}

fn play_with(programs: &Path, arguments: &[&str]) -> Result<Vec<(bool, String, String)>> {
    let out = Command::new(XTASK)
        .arg("demo")
        .args(arguments)
        .env(programs::VARIABLE, programs)
        .env("RUST_BACKTRACE", "1")
        .output()?;
    let text = String::from_utf8(out.stdout)?;
    let mut lines = Vec::new();
    for line in text.lines() {
        let holds = line.starts_with("ok ");
        if let Some(rest) = line.strip_prefix("ok ").or(line.strip_prefix("FAIL ")) {
            let (name, measured) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
            lines.push((holds, name.to_owned(), measured.trim().to_owned()));
        }
    }
    let names: Vec<_> = lines.iter().map(|(_, name, _)| name.as_str()).collect();
    let said = format!("{text}{}", String::from_utf8_lossy(&out.stderr));
    ensure!(names == NAMES, "{said}");
    // What went wrong is for a person to read.
    ensure!(!said.contains("backtrace"), "{said}");
    let all = lines.iter().all(|(holds, ..)| *holds);
    ensure!(all == out.status.success(), "{}: {said}", out.status);
    Ok(lines)
}

/// Exactly one line fails, and says why.
fn only(name: &str, line: &str, why: &str) -> Result<()> {
    let lines = play(&["--break", name])?;
    let failed: Vec<_> = lines.iter().filter(|(holds, ..)| !holds).collect();
    ensure!(
        matches!(failed[..], [(_, failed, text)] if failed == line && text.contains(why)),
        "{lines:#?}"
    );
    Ok(())
}

#[test]
fn the_demonstration_holds() -> Result<()> {
    let lines = play(&[])?;
    ensure!(lines.iter().all(|(holds, ..)| *holds), "{lines:#?}");
    Ok(())
}

#[test]
fn a_veth_fails_the_line_of_the_links() -> Result<()> {
    only("veth", "links", "planted0")
}

#[test]
fn a_bound_resolv_conf_fails_the_line_of_dns() -> Result<()> {
    only("resolv-conf", "dns", "the host's DNS server was asked")
}

#[test]
fn the_hosts_resolver_fails_the_line_of_dns() -> Result<()> {
    only(
        "host-resolver",
        "dns",
        "the host's nscd was asked for it; answered 192.0.2.241",
    )
}

#[test]
fn a_plain_forwarder_fails_the_line_of_the_uplink() -> Result<()> {
    only("plain-forwarder", "uplink", " with a marker in the clear")
}

#[test]
fn a_wrong_uid_fails_the_line_of_identity() -> Result<()> {
    only("wrong-uid", "identity", "Uid: 61002")
}

#[test]
fn a_kept_capability_fails_the_line_of_identity() -> Result<()> {
    only("kept-capability", "identity", "CapEff: 0000000000002000")
}

fn at_a_terminal(argument: &str) -> Result<Desk> {
    let built = format!("{}={}", programs::VARIABLE, folder()?.display());
    Desk::beside(&["env", &built, XTASK, "demo", argument])
}

/// A process and all that came from it.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        all.extend(
            children
                .split(' ')
                .filter_map(|word| word.parse::<u32>().ok()),
        );
        at += 1;
    }
    all
}

/// Waits until nothing of a world is there.
fn gone(family: &[u32]) -> Result<()> {
    ensure!(family.len() > 10, "no world: {family:?}");
    until(READY, "the end of the world", || {
        Ok(!family
            .iter()
            .any(|pid| Path::new(&format!("/proc/{pid}")).exists()))
    })
}

#[test]
fn a_kept_world_is_a_shell_and_ends_with_it() -> Result<()> {
    let before = Baseline::take()?;
    let mut desk = at_a_terminal("--keep")?;
    for name in NAMES {
        desk.expect(name)?;
    }
    desk.expect("world /# ")?;
    desk.line("echo in-$(cat /etc/hostname)-$$; ip netns")?;
    desk.expect("in-worldhost-")?;
    desk.expect("lw-")?;
    desk.expect("world /# ")?;
    // Keys are the shell's: it is still there.
    desk.press("\x03")?;
    desk.expect("world /# ")?;
    desk.line("su - alice -c 'lonewire run -- curl -s http://whoami.demo/'")?;
    desk.expect(lab::net::VPN_EXIT_V4)?;
    desk.expect("world /# ")?;
    let family = family(desk.session.id());
    desk.line("exit 3")?;
    desk.expect("all 7 hold, and the machine is as it was")?;
    ensure!(desk.end()? == 0, "{}", desk.all()?);
    gone(&family)?;
    before.assert_same()
}

#[test]
fn a_closed_window_ends_the_world_too() -> Result<()> {
    let before = Baseline::take()?;
    let mut desk = at_a_terminal("--yes")?;
    desk.expect("identity")?;
    let family = family(desk.session.id());
    desk.close();
    desk.end()?;
    gone(&family)?;
    before.assert_same()
}

#[test]
fn what_was_not_measured_does_not_hold() -> Result<()> {
    // A command line that can do nothing.
    let broken = tempfile::tempdir()?;
    let copied = Command::new("cp")
        .args(["--recursive", "--no-target-directory"])
        .arg(folder()?)
        .arg(broken.path())
        .status()?;
    ensure!(copied.success(), "{copied}");
    fs::copy("/bin/false", broken.path().join("lonewire"))?;
    let lines = play_with(broken.path(), &[])?;
    ensure!(
        lines
            .iter()
            .all(|(holds, _, text)| !holds && text.starts_with("not measured: ")),
        "{lines:#?}"
    );
    Ok(())
}
