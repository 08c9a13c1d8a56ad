//! Ring lab: the demonstration holds, and each thing that is got wrong fails exactly its line.

use std::process::Command;

use anyhow::{Result, ensure};
use lab::programs;

/// Lines of the demonstration, in their order.
const NAMES: [&str; 7] = ["identity", "exit", "dns", "links", "dead", "back", "uplink"];

/// Plays it; all lines as (holds, name, text). It exits well if all hold, and only then.
fn play(arguments: &[&str]) -> Result<Vec<(bool, String, String)>> {
    let folder = match std::env::var_os(programs::VARIABLE) {
        Some(path) => path.into(),
        None => programs::folder(false)?,
    };
    let out = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("demo")
        .args(arguments)
        .env(programs::VARIABLE, folder)
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
