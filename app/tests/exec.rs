//! Command lines of desktop entries are those that GLib starts: each line is launched by both, and the program says what it was given.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of one test, which fails by them"
)]

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use gio_unix::prelude::*;
use gtk::gio;
use lonewire_client::desktop::{Entry, Target, exec::command_lines};

/// Writes its arguments, each with a zero byte behind it, beside itself.
const SAY: &str = "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done > \"$0.new\"\nmv \"$0.new\" \"$0.out\"\n";

/// Without a field code in quotes, which the specification leaves undefined.
const TABLE: &[&str] = &[
    "",
    "a  b\tc ",
    r#""a b" c"d e"f """#,
    r#""\\$HOME \\`x\\` \\"q\\" a\\\\b""#,
    r#""a\\nb""#,
    "'$x' '\"' \"'\"",
    r"C:\\\\w a\\ b",
    "a\\sb\\tc",
    "%f",
    "%F",
    "%u",
    "%U",
    "-x %f -y",
    "--file=%f",
    "--open=%u --",
    "100%% %%f",
    "%d %D %n %N %v %m z",
    "%i",
    "--title %c",
    "%k",
    "%c %i %k %u",
    "~ * $HOME ; | & > <",
    "ä ü€",
];

/// Parts that a line of an entry may have in any order.
const PARTS: &[&str] = &[
    " ",
    " ",
    " ",
    "a",
    "b c",
    "\"d e\"",
    "\"\"",
    "''",
    "'f'",
    "\\\\$",
    "\"\\\\\\\\\"",
    "%%",
    "=",
    "-",
    "#x",
    "\\s",
];

fn glib_argv(folder: &Path, number: usize, line: &str, uris: &[&str]) -> (Entry, Vec<Vec<u8>>) {
    let program = folder.join(format!("say-{number}"));
    fs::write(&program, SAY).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.join(format!("app {number}.desktop"));
    let text = format!(
        "[Desktop Entry]\nType=Application\nName=My \"App\"\nIcon=a pic\nExec={} {line}\n",
        program.display()
    );
    fs::write(&path, &text).unwrap();
    let entry = Entry::parse("app", &path, &text);
    let info = gio_unix::DesktopAppInfo::from_filename(&path).unwrap_or_else(|| panic!("{line}"));
    info.launch_uris(uris, gio::AppLaunchContext::NONE)
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    let out = program.with_extension("out");
    let end = Instant::now() + Duration::from_secs(20);
    while !out.exists() {
        assert!(Instant::now() < end, "{line}: it said nothing");
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut said: Vec<Vec<u8>> = fs::read(out)
        .unwrap()
        .split(|byte| *byte == 0)
        .map(<[u8]>::to_vec)
        .collect();
    said.pop();
    (entry, said)
}

#[track_caller]
fn compare(folder: &Path, number: usize, line: &str, uris: &[&str]) {
    let (entry, expected) = glib_argv(folder, number, line, uris);
    let targets: Vec<_> = uris
        .iter()
        .map(|uri| Target::new(uri.as_ref(), folder))
        .collect();
    let lines = command_lines(&entry, &entry.exec(None).unwrap(), &targets, "").unwrap();
    let [ours] = &*lines else {
        panic!("{line}: {lines:?}")
    };
    let ours: Vec<Vec<u8>> = ours[1..]
        .iter()
        .map(|word| word.as_bytes().to_vec())
        .collect();
    let show = |words: &[Vec<u8>]| -> Vec<String> {
        words
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    };
    assert_eq!(show(&ours), show(&expected), "{line} with {uris:?}");
}

#[test]
fn command_lines_are_glibs() {
    // Names are in no language here: GLib would take the machine's.
    let again = std::env::var_os("EXEC_TEST_AGAIN").is_some();
    if !again {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "command_lines_are_glibs"])
            .envs([("EXEC_TEST_AGAIN", "1"), ("LC_ALL", "C.UTF-8")])
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    for line in TABLE {
        for uris in [
            &[][..],
            &["https://x.org/?a=1&b=%20'\"$c"],
            &["file:///tmp/a%20b%25'c.txt"],
        ] {
            // An address needs a way to be handed over; and GLib still gives folders and names of files to the codes that were for
            // them once, which the specification says are to be removed.
            let takes = |codes: &[&str]| codes.iter().any(|code| line.contains(code));
            let is_address = uris.first().is_some_and(|uri| uri.starts_with("https"));
            let is_old = !uris.is_empty() && takes(&["%d"]);
            if is_old || is_address && !takes(&["%u", "%U"]) {
                continue;
            }
            number += 1;
            compare(folder.path(), number, line, uris);
        }
    }
    // Lines that nobody thought of, the same in each run.
    let mut dice = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..150 {
        let mut line = String::new();
        for _ in 0..6 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let at = usize::try_from(dice % PARTS.len() as u64).unwrap();
            line.push_str(PARTS[at]);
        }
        number += 1;
        compare(folder.path(), number, &line, &[]);
    }
}
