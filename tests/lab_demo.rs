//! Ring lab: the demonstration holds, and each thing that is got wrong fails exactly its line.

use std::process::Command;

use anyhow::Result;
use lab::programs;

/// Names of the lines that fail, and of all.
fn lines(arguments: &[&str]) -> Result<(Vec<String>, usize)> {
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
    let failed: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("FAIL "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert_eq!(
        out.status.success(),
        failed.is_empty(),
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok((failed, text.lines().count()))
}

#[test]
fn the_demonstration_holds_and_what_is_got_wrong_is_told() -> Result<()> {
    assert_eq!(lines(&[])?, (vec![], 7));
    for (name, line) in [
        ("veth", "links"),
        ("resolv-conf", "dns"),
        ("host-resolver", "dns"),
    ] {
        assert_eq!(
            lines(&["--break", name])?,
            (vec![line.to_owned()], 7),
            "{name}"
        );
    }
    Ok(())
}
