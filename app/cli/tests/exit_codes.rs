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
fn wrong_use_is_told_to_programs_as_an_object() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["--json", "nonsense"][..],
        &["import", "--json"],
        &["up", "--wait", "21", "--json"],
        &["--json"],
    ] {
        let output = output(folder.path(), words).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(error(&output)["code"], "usage", "{words:?}");
        assert_eq!(output.stdout, b"", "{words:?}");
    }
}

#[test]
fn a_terminal_gets_no_control_characters_of_a_word() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["li\x1b[2Jst"][..],
        &["list", "--\x1b]0;x\x07"],
        &["up", "--wait", "\x1b[A"],
    ] {
        let output = output(folder.path(), words).unwrap();
        let shown = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{shown}");
        let is_plain = |c: char| c == '\n' || !c.is_control();
        assert!(shown.chars().all(is_plain), "{shown:?}");
    }
}

#[test]
fn what_keeps_run_from_starting_a_program_is_125() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["run"][..],
        &["run", "--no-such-option", "--", "true"],
        &["shell", "--wait=99"],
        &["run", "--", "true"],
        &["shell", "-t", "home"],
    ] {
        assert_eq!(code(folder.path(), words), Some(125), "{words:?}");
    }
    assert_eq!(
        code(folder.path(), &["run", "--", "no-such-program"]),
        Some(127)
    );
    assert_eq!(
        code(folder.path(), &["run", "--", "/etc/passwd"]),
        Some(126)
    );
    assert_eq!(code(folder.path(), &["run", "--help"]), Some(0));
}

#[test]
fn colour_is_used_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let has_colour = |words: &[&str], no_color: bool| {
        let mut command = lonewire(folder.path());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let output = command.args(words).output().unwrap();
        output.stderr.contains(&0x1b)
    };
    assert!(!has_colour(&["list"], false));
    assert!(has_colour(&["list", "--color", "always"], false));
    assert!(has_colour(&["--color=always", "list"], true));
    assert!(!has_colour(&["list", "--color", "never"], false));
    assert_eq!(code(folder.path(), &["list", "--color", "red"]), Some(2));
}

/// A pipe that nobody reads.
fn closed() -> io::Result<Stdio> {
    let (reader, writer) = io::pipe()?;
    drop(reader);
    Ok(writer.into())
}

#[test]
fn nothing_panics_where_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.conf"), "x").unwrap();
    let verbs = lonewire_cli::command();
    let mut lines: Vec<Vec<&str>> = verbs
        .get_subcommands()
        .flat_map(|verb| [vec![verb.get_name()], vec![verb.get_name(), "--help"]])
        .collect();
    lines.extend([
        vec!["--version"],
        vec!["nonsense", "--json"],
        vec!["completions", "bash"],
        vec!["import", "bad.conf", "gone.conf"],
        vec!["import", "bad.conf", "gone.conf", "--json"],
        vec!["doctor", "--bundle", "-"],
    ]);
    for line in lines {
        for both in [false, true] {
            let mut command = lonewire(folder.path());
            command.args(&line).stdout(closed().unwrap());
            command.stderr(if both {
                closed().unwrap()
            } else {
                Stdio::piped()
            });
            let output = command.spawn().unwrap().wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            let status = output.status.code();
            assert!(
                status.is_some_and(|code| code != 101),
                "{line:?}: {status:?} {text}"
            );
            assert!(!text.contains("panicked"), "{line:?}: {text}");
        }
    }
}

/// The macros of std and anstream panic where nobody reads.
#[test]
fn only_one_module_writes_to_the_standard_streams() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            seen += 1;
            for word in ["println!", "print!("] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
    assert!(seen > 40);
}

#[test]
fn a_report_without_a_helper_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = output(folder.path(), &["doctor", "--bundle", "report.json"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["helper"], Value::Null);
    assert_eq!(report["checks"][0]["check"], "system_bus");
    // Another one is not overwritten.
    assert_eq!(
        code(folder.path(), &["doctor", "--bundle", "report.json"]),
        Some(1)
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("report.json")).unwrap(),
        text
    );
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
            // A script that never calls lonewire knows its verbs itself.
            let is_static = words.contains(&"--static");
            assert!(!is_static || script.contains("duplicate"), "{words:?}");
        }
    }
}

/// A script for a shell that loads completions and completes `lonewire up --wa`.
#[test]
fn shells_load_the_completions() {
    let folder = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_lonewire")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(programs.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let bash = |how: &str| {
        format!(
            "set -eu; source <(lonewire completions bash {how}); \
             spec=$(complete -p lonewire); [[ $spec =~ -F\\ ([^ ]+) ]]; \
             COMP_WORDS=(lonewire up --wa); COMP_CWORD=2; COMP_LINE='lonewire up --wa'; COMP_POINT=16; COMP_TYPE=9; \
             \"${{BASH_REMATCH[1]}}\" lonewire --wa up || true; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
    };
    for (shell, script) in [
        ("bash", bash("")),
        ("bash", bash("--static")),
        (
            "zsh",
            "autoload -U compinit; compinit -u -D; source <(lonewire completions zsh); print -- ${_comps[lonewire]:+--wait}".to_owned(),
        ),
        (
            "fish",
            "lonewire completions fish | source; complete -C 'lonewire up --wa'".to_owned(),
        ),
    ] {
        let mut command = Command::new(shell);
        command
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", &path)
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .args(["-c", &script])
            .stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("{shell}: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{shell}: {told}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("--wait"), "{shell}: {shown}\n{script}");
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
