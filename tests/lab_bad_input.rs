//! Ring lab: what people give the command line by mistake or on purpose works, or is refused at once in words that help; then nothing is stored,
//! nothing half done, and no key is shown.

use std::{
    fs,
    io::{Cursor, Write as _},
    os::unix::fs::{PermissionsExt as _, chown},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{ALICE, Spec, World, keys::Pair, product::text, secret::Secrets, world::Output};
use zip::{ZipWriter, write::SimpleFileOptions};

/// How much longer than `lonewire --version` a refusal may take.
const PATIENCE: Duration = Duration::from_millis(100);

/// The best of so many counts: other programs disturb some.
const TRIES: usize = 6;

/// A line of alice's shell; its exit code; the code of the error, empty where the words are clap's; and words of it.
type Refused = (&'static str, i32, &'static str, &'static str);

#[rustfmt::skip]
const FILES: &[Refused] = &[
    ("import garbage.conf", 5, "not_utf_8", "garbage.conf: Line 1"),
    ("import text-garbage.conf", 5, "", "text-garbage.conf: Line 1"),
    ("import large.conf", 5, "too_large", "larger than 64 KiB"),
    ("import fifo", 1, "not_a_file", "lonewire import -"),
    ("import /dev/zero", 1, "not_a_file", "/dev/zero is a device"),
    ("import folder", 1, "not_a_file", "Name the files in it"),
    ("import secret.conf", 1, "unreadable", "secret.conf cannot be read: Permission denied ["),
    ("import nowhere.conf", 1, "unreadable", "nowhere.conf cannot be read: No such file"),
    ("import empty.conf", 5, "empty", "empty.conf is empty"),
    ("import nul.conf", 5, "control_character", "Line 6"),
    ("import - <&-", 5, "empty", "standard input is empty"),
    ("import - </dev/zero", 5, "too_large", "standard input is larger"),
    ("import - <folder", 1, "unreadable", "standard input cannot be read: Is a directory"),
    ("import bomb.zip", 5, "too_large", "bomb.zip: bomb.conf is larger than 64 KiB"),
    ("import none.zip", 5, "empty_archive", "there is no .conf file in none.zip"),
    ("import nothing.zip", 5, "empty_archive", "there is no .conf file in nothing.zip"),
    ("import many.zip", 5, "too_many_entries", "more than 1000 entries"),
    ("import cut.zip", 5, "bad_archive", "damaged archive"),
    ("import cut.png", 5, "bad_picture", "cut.png is damaged"),
    ("import allowed-257.conf", 5, "too_many_allowed_ips", "Line 12: this peer has more than 256"),
    ("import peers-65.conf", 5, "too_many_peers", "more than 64 peers"),
    ("import amnezia.conf", 5, "amneziawg", "Line 6: “Jc” is a setting of AmneziaWG"),
    ("import misplaced-key.conf", 5, "not_a_dns_server", "Line 4: “DNS”"),
    ("import key-short.conf", 5, "key_must_be_44_characters", "Line 2: “PrivateKey”"),
    ("import good.conf --name taken", 1, "name_in_use", "with --name"),
    (r#"import good.conf --name "$(printf 'a\033[31m')""#, 2, "usage", "U+001B"),
    (r#"import good.conf --name "$(printf 'a\nb')""#, 2, "usage", "U+000A"),
    (r#"import good.conf --name "$(printf '\342\200\256x')""#, 2, "usage", "U+202E"),
    (r#"import good.conf --name "$(printf '%065d' 0)""#, 2, "usage", "at most 64 characters"),
    ("import good.conf --name ''", 2, "usage", "at least one character"),
    ("import good.conf empty.conf --name x", 2, "usage", "these are several"),
    ("edit taken --from nowhere.conf", 1, "unreadable", "nowhere.conf cannot be read"),
    ("edit taken --from garbage.conf", 5, "not_utf_8", "garbage.conf: Line 1"),
    ("edit taken --from fifo", 1, "not_a_file", "fifo is a pipe"),
];

#[rustfmt::skip]
const LINES: &[Refused] = &[
    ("", 2, "", "Usage: lonewire"),
    ("nonsense", 2, "", "unrecognized subcommand"),
    ("import", 2, "", "<FILE>"),
    ("import good.conf --nonsense", 2, "", "'--nonsense'"),
    ("new --name taken", 1, "name_in_use", "another tunnel has that name"),
    (r#"new --name "$(printf 'a\tb')""#, 2, "usage", "U+0009"),
    ("list nonsense", 2, "", "'nonsense'"),
    ("show nowhere", 10, "no_such_tunnel", "lonewire list"),
    (r#"show "$(printf 'a\033[31m')""#, 10, "no_such_tunnel", "lonewire list"),
    ("show", 10, "no_default_tunnel", "lonewire default NAME"),
    ("rename nowhere x", 10, "no_such_tunnel", "“nowhere”"),
    ("rename taken other", 1, "name_in_use", "another tunnel has that name"),
    (r#"rename taken "$(printf 'a\033[31m')""#, 2, "usage", "U+001B"),
    ("rename taken", 2, "", "<NAME>"),
    ("remove nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("remove up", 1, "busy", "lonewire down up"),
    ("edit nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("duplicate nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("duplicate taken other", 1, "name_in_use", "another tunnel has that name"),
    ("export nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("default nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("up nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("up", 10, "no_default_tunnel", "lonewire default NAME"),
    ("up taken --wait 21", 2, "", "0..=20"),
    ("down nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("down --all taken", 2, "", "'--all'"),
    ("status nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("log nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("log taken --since yesterday-ish", 2, "", "15m"),
    ("check nowhere", 10, "no_such_tunnel", "“nowhere”"),
    ("check taken", 3, "not_protected", "lonewire up taken"),
    ("ps nonsense", 2, "", "'nonsense'"),
    ("stop", 2, "", "<APP>"),
    ("stop nowhere", 10, "no_such_app", "lonewire ps"),
    ("stop 0123456789abcdef0123456789abcdef", 10, "no_such_app", "lonewire ps"),
    ("stop 1", 10, "no_such_app", "lonewire ps"),
    ("monitor nonsense", 2, "", "'nonsense'"),
    ("doctor nonsense", 2, "", "'nonsense'"),
    ("completions nonsense", 2, "", "zsh"),
    ("shell -t nowhere", 125, "no_such_tunnel", "“nowhere”"),
    ("run", 125, "", "<COMMAND>"),
    ("run -- true", 125, "no_default_tunnel", "lonewire default NAME"),
    ("run -t nowhere -- true", 125, "no_such_tunnel", "“nowhere”"),
    ("run -t up -- nonsense", 127, "no_such_program", "folder of PATH"),
    ("run -t up -- bin/nowhere", 127, "no_such_program", "looked for at /home/alice/bin/nowhere"),
    ("run -t up -- ''", 127, "no_such_program", "empty"),
    ("run -t up -- ./good.conf", 126, "cannot_execute", "./good.conf cannot be executed"),
    ("run -t up -- ./folder", 126, "cannot_execute", "./folder cannot be executed"),
    ("run -t up -- ./no-interpreter", 126, "cannot_execute", "interpreter"),
    ("run -t up -- ./not-a-binary", 126, "cannot_execute", "no program for this machine"),
    ("run -t up -- true <folder", 125, "launch_failed", "files, pipes and Unix sockets"),
];

#[test]
fn bad_files_are_refused_at_once_and_leave_nothing() -> Result<()> {
    Scene::new()?.all_refused(FILES)
}

#[test]
fn bad_command_lines_are_refused_at_once_and_change_nothing() -> Result<()> {
    let scene = Scene::new()?;
    scene.all_refused(LINES)?;
    // What an editor makes of a configuration, and one that fails.
    let before = scene.state()?;
    let out = scene.run("EDITOR='cp ~/amnezia.conf' lonewire edit taken")?;
    scene.is_told("edit", &out, 5, "amneziawg", "Your text is in")?;
    let out = scene.run("EDITOR=false lonewire edit taken")?;
    scene.is_told("edit", &out, 1, "editor_failed", "nothing was changed")?;
    assert_eq!(scene.state()?, before);
    // A folder that has gone is no reason not to run.
    let out = scene.run("mkdir d; cd d; rmdir ../d; lonewire run -t up -- pwd")?;
    assert_eq!((out.code, out.stdout.trim()), (0, "/"), "{}", out.stderr);
    let out = scene.run("mkdir d; cd d; rmdir ../d; lonewire run -t up -- ./x")?;
    scene.is_told("run", &out, 127, "no_such_program", "./x")
}

#[test]
fn what_is_only_unusual_works_and_says_what_was_left_out() -> Result<()> {
    let scene = Scene::new()?;
    for (file, said) in [
        ("allowed-256.conf", "leave addresses out"),
        ("long-line.conf", "leave addresses out"),
        ("peers-64.conf", ""),
        (
            "hooks.conf",
            "Line 6: “PostUp” was left out: Lonewire never runs commands",
        ),
        (
            "hooks.conf",
            "Line 7: “PreDown” was left out: Lonewire never runs commands",
        ),
        ("hooks.conf", "Line 8: “Table” was left out"),
        ("hooks.conf", "Line 9: “FwMark” was left out"),
        ("hooks.conf", "Line 10: “SaveConfig” was left out"),
    ] {
        let line = format!(
            "lonewire import {file} --name it && lonewire up it && lonewire run -t it -- true; code=$?; lonewire down it; lonewire remove it; exit $code"
        );
        let out = scene.run(&line)?;
        assert_eq!(out.code, 0, "{file}: {}{}", out.stdout, out.stderr);
        assert!(out.stderr.contains(said), "{file}: {}", out.stderr);
        scene.is_clean(file, &out)?;
    }
    assert!(!scene.world.path("/tmp/hooked").exists(), "a hook was run");
    // A file's name does nothing to a terminal.
    let out = scene.run("lonewire import esc*.conf && lonewire list")?;
    assert_eq!(out.code, 0, "{}", out.stderr);
    scene.is_clean("esc", &out)
}

struct Scene {
    world: World,
    /// In every file, and nowhere in what is told.
    key: String,
    secrets: Secrets,
}

impl Scene {
    fn new() -> Result<Self> {
        let mut world = World::new(Spec::product())?;
        let text = world.client(0)?;
        let key = text
            .lines()
            .find_map(|line| line.strip_prefix("PrivateKey = "))
            .context("no key")?
            .to_owned();
        let secrets = Secrets::new(&[("private", &key)])?;
        let mut scene = Self {
            world,
            key,
            secrets,
        };
        scene.files(&text)?;
        scene.world.cli(&ALICE, &["import", "taken.conf"])?.ok()?;
        scene.world.cli(&ALICE, &["import", "other.conf"])?.ok()?;
        scene.world.import(&ALICE, "up", 0)?;
        scene.world.cli(&ALICE, &["up", "up"])?.ok()?;
        Ok(scene)
    }

    fn run(&self, line: &str) -> Result<Output> {
        self.world.run_as(&ALICE, &["sh", "-c", line])
    }

    /// Each of the lines is refused as it says, in time, and nothing has changed after all of them.
    fn all_refused(&self, lines: &[Refused]) -> Result<()> {
        let usual = self.fastest("--version", None)?.0;
        let before = self.state()?;
        for (line, code, error, words) in lines {
            let (took, out) = self.fastest(line, Some(usual + PATIENCE))?;
            self.is_told(line, &out, *code, error, words)?;
            ensure!(
                took < usual + PATIENCE,
                "{line}: {took:?}, where `lonewire --version` took {usual:?}"
            );
        }
        let after = self.state()?;
        ensure!(after == before, "{before:#?} became {after:#?}");
        Ok(())
    }

    /// The shortest of some tries; no more are made once one was short enough.
    fn fastest(&self, line: &str, enough: Option<Duration>) -> Result<(Duration, Output)> {
        let mut best: Option<(Duration, Output)> = None;
        for _ in 0..TRIES {
            let begun = Instant::now();
            let out = self.run(&format!("lonewire {line}"))?;
            let took = begun.elapsed();
            if best.as_ref().is_none_or(|(known, _)| took < *known) {
                best = Some((took, out));
            }
            if enough.is_some_and(|enough| took < enough) {
                break;
            }
        }
        best.context("not tried")
    }

    fn is_told(&self, line: &str, out: &Output, code: i32, error: &str, words: &str) -> Result<()> {
        let told = &out.stderr;
        ensure!(
            out.code == code,
            "{line}: {} instead of {code}: {told}",
            out.code
        );
        ensure!(out.stdout.is_empty(), "{line}: {}", out.stdout);
        ensure!(told.contains(words), "{line}: not “{words}”: {told}");
        ensure!(
            error.is_empty() || told.contains(&format!("[{error}]")),
            "{line}: not [{error}]: {told}"
        );
        // Nothing of the kind that programmers write for each other.
        for word in ["panicked", "os error", "Error(", "Some(", "None", "{ "] {
            ensure!(!told.contains(word), "{line}: “{word}”: {told}");
        }
        self.is_clean(line, out)
    }

    /// No key, and nothing that a terminal would take for an order.
    fn is_clean(&self, line: &str, out: &Output) -> Result<()> {
        let told = format!("{}{}", out.stdout, out.stderr);
        if let Some(found) = self.secrets.find(told.as_bytes()) {
            bail!("{line}: shows the {found}");
        }
        let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
        ensure!(told.chars().all(plain), "{line}: {told:?}");
        Ok(())
    }

    /// What is stored, noted, running and made, as names and sizes.
    fn state(&self) -> Result<Vec<String>> {
        let script = "cd /var/lib/lonewire && find . -type f ! -name '*.log' -printf '%p %s %T@\\n' | sort; \
                      ls /run/netns /run/wireguard /run/lonewire/tunnels; find /tmp /run/lonewire -name '*.sock'";
        let stored = self.world.run_in("host", &["sh", "-c", script])?.ok()?;
        let mut state: Vec<_> = stored.stdout.lines().map(String::from).collect();
        for tunnel in self.world.tunnels(&ALICE)? {
            state.push(format!(
                "{} {}",
                text(&tunnel, "name"),
                text(&tunnel, "state")
            ));
        }
        for name in ["lonewire", "lonewire-warden"] {
            state.push(format!("{} {name}", self.world.processes(name)?.len()));
        }
        Ok(state)
    }

    /// Everything that the lines name, in alice's home.
    fn files(&self, good: &str) -> Result<()> {
        let key = &self.key;
        let mut garbage = vec![0_u8; 64 * 1024];
        rustix::rand::getrandom(&mut garbage[..], rustix::rand::GetRandomFlags::empty())?;
        let text: Vec<u8> = garbage.iter().map(|byte| b' ' + byte % 95).collect();
        let line = format!("\nPrivateKey = {key}\n");
        let planted = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.splice(3000..3000 + line.len(), line.bytes());
            bytes
        };
        let networks: Vec<_> = (0..257).map(|n| format!("2001:db8:{n:x}::/48")).collect();
        let allowed = |count: usize| {
            let lines: String = networks[..count]
                .chunks(64)
                .map(|chunk| format!("AllowedIPs = {}\n", chunk.join(", ")))
                .collect();
            good.replace("AllowedIPs = 0.0.0.0/0, ::/0\n", &lines)
        };
        let one_line = good.replace("0.0.0.0/0, ::/0", &networks[..256].join(", "));
        let peers = |count: usize| -> Result<String> {
            let mut text = good.to_owned();
            for number in 1..count {
                let public = Pair::new()?.public;
                text += &format!("[Peer]\nPublicKey = {public}\nAllowedIPs = 10.9.{number}.0/24\n");
            }
            Ok(text)
        };
        let hooks = good.replace("[Peer]", "PostUp = touch /tmp/hooked\npredown = touch /tmp/hooked\nTable = off\nFwMark = 0x6d6f6c65\nSaveConfig = true\n[Peer]");
        let amnezia = good.replace("[Peer]", "Jc = 4\nJmin = 40\nS1 = 10\nH1 = 5\n[Peer]");
        let zeros = vec![0_u8; 64 * 1024 * 1024];
        let many: Vec<_> = (0..1001)
            .map(|n| (format!("{n}.conf"), good.as_bytes()))
            .collect();
        let bomb = archive(&[("bomb.conf".into(), &zeros)])?;
        let cut = bomb[..bomb.len() / 2].to_vec();
        let files: Vec<(&str, Vec<u8>)> = vec![
            ("good.conf", good.into()),
            ("taken.conf", good.into()),
            ("other.conf", good.into()),
            ("garbage.conf", planted(&garbage)),
            ("text-garbage.conf", planted(&text)),
            ("large.conf", [planted(&text), b"#".to_vec()].concat()),
            ("empty.conf", Vec::new()),
            ("nul.conf", good.replace("[Peer]", "\0[Peer]").into()),
            ("secret.conf", good.into()),
            ("allowed-256.conf", allowed(256).into()),
            ("allowed-257.conf", allowed(257).into()),
            ("long-line.conf", one_line.into()),
            ("peers-64.conf", peers(64)?.into()),
            ("peers-65.conf", peers(65)?.into()),
            ("hooks.conf", hooks.into()),
            ("amnezia.conf", amnezia.into()),
            (
                "misplaced-key.conf",
                good.replace("DNS = ", &format!("DNS = {key}, ")).into(),
            ),
            ("key-short.conf", good.replace(key, &key[..40]).into()),
            ("esc\x1b[31m.conf", good.into()),
            ("bomb.zip", bomb),
            ("cut.zip", cut),
            ("none.zip", archive(&[])?),
            ("nothing.zip", archive(&[("readme.txt".into(), b"x")])?),
            ("many.zip", archive(&many)?),
            ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec()),
            ("no-interpreter", b"#!/nowhere/sh\n".to_vec()),
            ("not-a-binary", b"\x7fELF and so on".to_vec()),
        ];
        for (name, bytes) in files {
            let path = self.world.path(&format!("{}/{name}", ALICE.home));
            fs::write(&path, bytes)?;
            chown(&path, Some(ALICE.uid), Some(ALICE.gid))?;
            let mode = match name {
                "secret.conf" => 0,
                "no-interpreter" | "not-a-binary" => 0o755,
                _ => 0o600,
            };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        self.world
            .run_as(&ALICE, &["sh", "-c", "mkfifo fifo; mkdir folder"])?
            .ok()?;
        Ok(())
    }
}

fn archive(entries: &[(String, &[u8])]) -> Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(name.as_str(), SimpleFileOptions::default())?;
        writer.write_all(bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}
