//! The program from outside, without a helper: exit codes, where the output goes, and that bad input is refused at once.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

fn lonewire(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lonewire"));
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .stdin(Stdio::null());
    command
}

fn output(folder: &Path, words: &[&str]) -> io::Result<Output> {
    lonewire(folder).args(words).output()
}

fn code(folder: &Path, words: &[&str]) -> Option<i32> {
    output(folder, words).ok()?.status.code()
}

/// The error that stands on standard error; null if there is none.
fn error(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    let object: Value = serde_json::from_str(last).unwrap_or_default();
    object["error"].clone()
}

#[test]
fn every_verb_has_help_that_begins_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    for verb in lonewire_cli::command().get_subcommands() {
        let name = verb.get_name();
        let help = output(folder.path(), &[name, "--help"]).unwrap();
        assert_eq!(help.status.code(), Some(0), "{name}");
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(text.starts_with("Examples:\n  "), "{name}: {text}");
    }
}

#[test]
fn wrong_use_is_2() {
    let folder = tempfile::tempdir().unwrap();
    let one = format!("[Interface]\nPrivateKey = {KEY}\n");
    std::fs::write(folder.path().join("a.conf"), &one).unwrap();
    std::fs::write(folder.path().join("b.conf"), &one).unwrap();
    for words in [
        &["nonsense"][..],
        &["import"],
        &["up", "--wait", "21"],
        &["down", "--all", "home"],
        &["list", "--json", "--terse"],
        &["import", "a.conf", "b.conf", "--name", "x"],
        &["new", "--name", ""],
        &["completions", "nonsense"],
    ] {
        assert_eq!(code(folder.path(), words), Some(2), "{words:?}");
    }
}

#[test]
fn without_a_bus_it_is_8() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[Interface]\nPrivateKey = {KEY}\n");
    std::fs::write(folder.path().join("a.conf"), text).unwrap();
    for words in [
        &["list", "--json"][..],
        &["show", "x", "--json"],
        &["up", "--json"],
        &["down", "--all", "--json"],
        &["new", "--json"],
        &["edit", "x", "--json"],
        &["duplicate", "x", "--json"],
        &["export", "x", "--json"],
        &["rename", "x", "y", "--json"],
        &["remove", "x", "--json"],
        &["default", "x", "--json"],
        &["import", "a.conf", "--json"],
    ] {
        let output = output(folder.path(), words).unwrap();
        assert_eq!(output.status.code(), Some(8), "{words:?}");
        assert_eq!(error(&output)["code"], "bus_missing", "{words:?}");
    }
}

#[test]
fn a_bad_configuration_is_5_and_its_key_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        format!("[Interface]\nPrivateKey = {KEY}\nAddress = 10.0.0.300\nPresharedKey {KEY}\n");
    std::fs::write(folder.path().join("bad.conf"), text).unwrap();
    let plain = output(folder.path(), &["import", "bad.conf"]).unwrap();
    assert_eq!(plain.status.code(), Some(5));
    let shown = String::from_utf8(plain.stderr).unwrap();
    assert!(shown.contains("3 | Address = 10.0.0.300"), "{shown}");
    assert!(
        !shown.contains(&KEY[..8]) && !shown.contains('\x1b'),
        "{shown}"
    );
    let json = output(folder.path(), &["import", "bad.conf", "--json"]).unwrap();
    assert_eq!(error(&json)["line"], 3);
}

#[test]
fn several_bad_ones_are_each_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.conf"), "x").unwrap();
    let output = output(
        folder.path(),
        &["import", "bad.conf", "gone.conf", "--json"],
    )
    .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(error(&output)["code"], "nothing_imported");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["schema"], 1);
    assert_eq!(object["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn whatever_is_no_configuration_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let noise: Vec<u8> = (0_u32..65_536)
        .map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    std::fs::write(path.join("noise"), &noise).unwrap();
    std::fs::write(path.join("large.conf"), vec![b'#'; 65_537]).unwrap();
    std::fs::write(path.join("a.zip"), [b"PK\x03\x04", &*noise].concat()).unwrap();
    std::fs::write(path.join("a.png"), [b"\x89PNG\r\n\x1a\n", &*noise].concat()).unwrap();
    std::fs::write(path.join("a.jpg"), [b"\xff\xd8\xff", &*noise].concat()).unwrap();
    let status = Command::new("mkfifo").arg(path.join("fifo")).status();
    assert!(status.unwrap().success());
    for (file, expected) in [
        ("noise", 5),
        ("large.conf", 5),
        ("a.zip", 5),
        ("a.png", 5),
        ("a.jpg", 5),
        ("fifo", 1),
        ("/dev/zero", 1),
        (".", 1),
        ("gone", 1),
    ] {
        let begun = Instant::now();
        assert_eq!(code(path, &["import", file]), Some(expected), "{file}");
        let taken = begun.elapsed();
        // 100 ms on a machine that is not busy.
        assert!(taken < Duration::from_secs(1), "{file}: {taken:?}");
    }
}

#[test]
fn standard_input_without_an_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let output = lonewire(folder.path())
        .args(["import", "-", "--json"])
        .stdin(zero)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(error(&output)["code"], "too_large");
}

#[test]
fn standard_input_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = lonewire(folder.path())
        .args(["import", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    write!(stdin, "[Interface]\nPrivateKey = {KEY}\n").unwrap();
    stdin.write_all(b"MTU = 1\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(error(&output)["line"], 3);
}

#[test]
fn every_shell_gets_completions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        for words in [
            &["completions", shell][..],
            &["completions", shell, "--static"],
        ] {
            let output = output(folder.path(), words).unwrap();
            assert_eq!(output.status.code(), Some(0), "{words:?}");
            let script = String::from_utf8(output.stdout).unwrap();
            assert!(script.contains("lonewire"), "{words:?}");
        }
    }
}

#[test]
fn completing_without_a_bus_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let output = lonewire(folder.path())
        .env("COMPLETE", "fish")
        .args(["--", "lonewire", "up", ""])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(script.contains("--wait"), "{script}");
}
