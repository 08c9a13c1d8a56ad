//! Ring lab: private and preshared keys stay where they belong.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use lab::{
    ALICE, Program, Spec, World,
    evidence::{self, BusTap, Sampler},
    keys::Pair,
    probe::Probe,
    secret::Secrets,
    world::{READY, until},
};
use nix::sys::signal::{Signal, kill};

/// What is looked for below would be found.
#[test]
fn a_key_is_found_in_every_form_and_nothing_else_is() -> Result<()> {
    let (one, other) = (Pair::new()?, Pair::new()?);
    let secrets = Secrets::new(&[("private", &one.private)])?;
    let raw = STANDARD.decode(&one.private)?;
    let list = |separator: &str, form: &dyn Fn(&u8) -> String| {
        raw.iter().map(form).collect::<Vec<_>>().join(separator)
    };
    let hex = |byte: &u8| format!("{byte:02x}");
    let mut forms: Vec<Vec<u8>> = [
        STANDARD.encode(&raw),
        STANDARD_NO_PAD.encode(&raw),
        URL_SAFE.encode(&raw),
        URL_SAFE_NO_PAD.encode(&raw),
        // In the middle of something that was encoded as a whole.
        STANDARD.encode([b"x", raw.as_slice(), b"xyz"].concat()),
        STANDARD.encode([b"xy", raw.as_slice(), b"z"].concat()),
        list("", &hex),
        list("", &hex).to_uppercase(),
        list(" ", &hex),
        list(":", &|byte| format!("{byte:02X}")),
        list(", ", &|byte| format!("0x{byte:02x}")),
        format!("{raw:?}"),
        format!("{raw:#?}"),
        list(",", &u8::to_string),
        list(" ", &u8::to_string),
        list("", &|byte| format!("BYTE {byte};\n")),
        // A piece of it.
        one.private[..24].into(),
        one.private[20..].into(),
        format!("{:?}", &raw[16..]),
    ]
    .map(String::into_bytes)
    .into();
    forms.push(raw.clone());
    forms.push(raw[..16].to_vec());
    for form in forms {
        let text = [b"before ", form.as_slice(), b" after"].concat();
        let found = secrets.find(&text).unwrap_or_default();
        assert!(
            found.starts_with("private key"),
            "{}",
            String::from_utf8_lossy(&form)
        );
    }
    for innocent in [
        &other.private,
        &other.public,
        &one.public,
        &one.private[..10].to_owned(),
    ] {
        assert_eq!(secrets.find(innocent.as_bytes()), None);
    }
    Ok(())
}

/// The keys of a world whose only tunnel is to `vpn0`: in a file, and known.
struct Keys {
    private: String,
    preshared: String,
    /// Of the configuration that replaces it.
    second: String,
}

/// Files of alice's that hold keys, by her own wish.
const OWN: &str = "/home/alice/keys";

fn keys(world: &mut World) -> Result<Keys> {
    let text = world.client(0)?;
    let private = text
        .lines()
        .find_map(|line| line.strip_prefix("PrivateKey = "))
        .context("no key")?
        .to_owned();
    let (preshared, second) = (Pair::new()?.private, Pair::new()?.private);
    let script = format!(
        "printf %s '{preshared}' | wg set vpn0 peer \"$(printf %s '{private}' | wg pubkey)\" preshared-key /dev/stdin"
    );
    world.run_in("vpn0", &["sh", "-ec", &script])?.ok()?;
    let good = text.replace(
        "AllowedIPs",
        &format!("PresharedKey = {preshared}\nAllowedIPs"),
    );
    let files = [
        ("good.conf", good.clone()),
        ("second.conf", good.replace(&private, &second)),
        (
            "other.conf",
            good.replace(&private, &second).replace(&preshared, &second),
        ),
        // Keys where none are expected, and broken ones.
        (
            "broken-1.conf",
            good.replace("PrivateKey = ", "PrivateKey = !"),
        ),
        ("broken-2.conf", good.replace(&private, &private[..43])),
        (
            "broken-3.conf",
            good.replace("Address = ", &format!("Address = {private}, ")),
        ),
        (
            "broken-4.conf",
            good.replace("PrivateKey = ", "PrivateKey "),
        ),
        (
            "broken-5.conf",
            good.replace("Endpoint = ", &format!("Endpoint = {preshared}:")),
        ),
        (
            "broken-6.conf",
            format!("{private}\n{good}\nPostUp = echo {private}\n{preshared} = 1\n"),
        ),
        (
            "hooks.conf",
            good.replace("[Peer]", &format!("PostUp = echo {private}\n[Peer]")),
        ),
    ];
    fs::create_dir(world.path(OWN))?;
    for (name, text) in files {
        fs::write(world.path(&format!("{OWN}/{name}")), text)?;
    }
    world
        .run_in("host", &["chown", "-R", "alice:", OWN])?
        .ok()?;
    Ok(Keys {
        private,
        preshared,
        second,
    })
}

/// Something that is told everywhere, like a key that slipped would be: where it is not found, nothing would be.
fn canary() -> Result<(String, Secrets)> {
    let key = Pair::new()?.private;
    let raw = STANDARD.decode(&key)?;
    let name = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((name, Secrets::new(&[("canary", &key)])?))
}

/// The main job and what fails; what the command line told.
fn everything(world: &World, canary: &str) -> Result<Vec<u8>> {
    let mut told = Vec::new();
    let mut run = |line: &str, works: bool| -> Result<()> {
        let line = line.replace("CANARY", canary);
        let out = world.run_as(&ALICE, &["sh", "-c", &line])?;
        ensure!(
            (out.code == 0) == works,
            "{line}: {} {}{}",
            out.code,
            out.stdout,
            out.stderr
        );
        told.extend(out.stdout.into_bytes());
        told.extend(out.stderr.into_bytes());
        Ok(())
    };
    for line in [
        "lonewire import keys/good.conf --name demo",
        "lonewire import - --name CANARY < keys/other.conf",
        "lonewire import keys/hooks.conf --name hooks",
        "lonewire new --name fresh",
        "lonewire list",
        "lonewire list --json",
        "lonewire show demo",
        "lonewire show demo --json",
        "lonewire export demo",
        "lonewire export demo --json",
        "lonewire duplicate demo copy",
        "EDITOR=cat lonewire edit demo",
        "EDITOR='sed -i s/keepalive/keepalive/I' lonewire edit demo",
        "EDITOR=\"sed -i '/^Address/iMTU=1380'\" lonewire edit demo",
        "lonewire up demo",
        "lonewire run -t demo -- curl -sS -m 10 http://whoami.demo/",
        "SEEN=CANARY lonewire run -t demo --name CANARY -- env",
        "lonewire check demo",
        "lonewire status",
        "lonewire status --json",
        "lonewire log demo",
        "lonewire ps --all --json",
        "lonewire down demo",
        "lonewire edit demo --from keys/second.conf",
        "lonewire rename copy again",
        "lonewire remove again",
    ] {
        run(line, true)?;
    }
    for number in 1..=6 {
        run(&format!("lonewire import keys/broken-{number}.conf"), false)?;
        run(
            &format!("lonewire import --json keys/broken-{number}.conf"),
            false,
        )?;
        run(
            &format!("lonewire edit demo --from keys/broken-{number}.conf"),
            false,
        )?;
    }
    // Without a desktop some of its checks fail.
    for line in [
        "lonewire doctor",
        "lonewire doctor --json",
        "lonewire up hooks --wait 1; lonewire down hooks",
    ] {
        let out = world.run_as(&ALICE, &["sh", "-c", line])?;
        told.extend([out.stdout, out.stderr].concat().into_bytes());
    }
    Ok(told)
}

#[test]
fn keys_are_nowhere_but_in_the_saved_files_whatever_is_done_and_logged() -> Result<()> {
    let mut world = World::new(Spec {
        log: Some("trace".into()),
        ..Spec::product()
    })?;
    let known = keys(&mut world)?;
    let (name, canary) = canary()?;
    let bus = BusTap::new(&world)?;
    let sampler = Sampler::start(&world)?;
    let monitor = "exec lonewire monitor > ~/monitor.log 2>&1";
    let monitor = world.spawn_as(&ALICE, &["sh", "-c", monitor])?;
    let told = everything(&world, &name)?;
    // Again with programs inside and all processes of ours there, which then die as they would by a fault of their own.
    // The server does not know the second key.
    world.cli(&ALICE, &["up", "demo", "--wait", "1"])?;
    world.cli(&ALICE, &["down", "demo"])?.ok()?;
    let own = format!("{OWN}/good.conf");
    world.cli(&ALICE, &["edit", "demo", "--from", &own])?.ok()?;
    let probe = Probe::inside(&world, &ALICE, "demo")?;
    let run_time = evidence::files(&world, "/run", &["/run/netns", "/run/lab"])?;
    let before = cores(&world)?;
    for program in [Program::Helper, Program::DataPlane, Program::Warden] {
        for pid in world.processes(program.name())? {
            leaves_no_core(pid)?;
        }
    }
    let faulty = [Program::DataPlane, Program::Helper];
    for program in faulty {
        let pids = world.processes(program.name())?;
        ensure!(!pids.is_empty(), "{} does not run", program.name());
        until(READY, "the end of a faulty process", || {
            let mut left = world.processes(program.name())?;
            left.retain(|pid| pids.contains(pid));
            // The first one only takes away the handler by which Rust tells of stack overflows.
            for pid in &left {
                let _ = kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGSEGV);
            }
            Ok(left.is_empty())
        })?;
    }
    // The next one begins another.
    let first_log = world.log("helper");
    ensure!(first_log.contains("DEBUG"), "the helper tells little");
    world.restart(Program::Helper)?;
    ensure!(cores(&world)? == before, "a core file was left");
    probe.close()?;
    world.cli(&ALICE, &["down", "--all", "--force"])?.ok()?;
    monitor.signal(Signal::SIGTERM)?;
    let seen = sampler.stop()?;

    let mut places: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    places.insert("the bus".into(), bus.bytes()?);
    places.insert("the command line".into(), told);
    let lines: Vec<_> = seen.command_lines.into_iter().collect();
    places.insert("a command line of a process".into(), lines.join(&b"\n"[..]));
    let environments: Vec<_> = seen.environments.into_iter().collect();
    places.insert("an environment".into(), environments.join(&b"\n"[..]));
    for service in ["helper", "warden", "data-plane", "bus", "polkit"] {
        places.insert(
            format!("the log of {service}"),
            world.log(service).into_bytes(),
        );
    }
    places.insert("the first log of helper".into(), first_log.into_bytes());
    // Whatever was written anywhere else in the world is in the upper halves of its overlays.
    let rest = [
        "/run",
        "/tmp",
        "/home",
        "/root",
        "/etc/lonewire",
        "/dev/shm",
        "/mnt/upper",
    ];
    let but = ["/run/netns", "/run/lab", "/mnt/upper/var/lib/lonewire", OWN];
    let shown = evidence::files(&world, "/mnt/upper/var/lib/lonewire", &[])?;
    ensure!(!shown.is_empty(), "the overlays are not where they were");
    for folder in rest {
        for (path, bytes) in evidence::files(&world, folder, &but)? {
            places.insert(path.display().to_string(), bytes);
        }
    }
    for (path, bytes) in run_time {
        places.insert(format!("{} while it ran", path.display()), bytes);
    }

    // What was saved is where keys belong, and tells those that the helper made.
    let saved = evidence::files(&world, "/var/lib/lonewire", &[])?;
    let mut all = vec![
        ("private".to_owned(), known.private),
        ("preshared".to_owned(), known.preshared),
        ("second".to_owned(), known.second),
    ];
    for (path, bytes) in &saved {
        belongs_to_root(&world, path)?;
        for line in String::from_utf8_lossy(bytes).lines() {
            if let Some((key, value)) = line.split_once(" = ")
                && matches!(key, "PrivateKey" | "PresharedKey")
            {
                all.push((format!("saved {key}"), value.to_owned()));
            }
        }
    }
    let all: Vec<_> = all.iter().map(|(name, key)| (&**name, &**key)).collect();
    let secrets = Secrets::new(&all)?;
    ensure!(
        saved.iter().any(|(_, bytes)| secrets.find(bytes).is_some()),
        "no key is saved"
    );
    for (place, bytes) in &places {
        if let Some(key) = secrets.find(bytes) {
            bail!("{place} holds the {key}");
        }
    }
    // And it would have been found there.
    for place in [
        "the bus",
        "the command line",
        "a command line of a process",
        "an environment",
        "/home/alice/monitor.log",
    ] {
        let bytes = places.get(place).with_context(|| place.to_owned())?;
        ensure!(
            canary.find(bytes).is_some(),
            "{place} is not looked at well"
        );
    }
    ensure!(
        places
            .iter()
            .any(|(place, bytes)| place.starts_with("/run/lonewire/")
                && canary.find(bytes).is_some()),
        "/run/lonewire is not looked at well"
    );
    Ok(())
}

/// A file of the helper's own: nobody else can read it or look into its folder.
fn belongs_to_root(world: &World, path: &std::path::Path) -> Result<()> {
    for (path, mode) in [(Some(path), 0o600), (path.parent(), 0o700)] {
        let path = path.context("no folder")?;
        let found = fs::metadata(world.path(&path.to_string_lossy()))?;
        ensure!(
            found.uid() == 0 && found.permissions().mode() & 0o777 == mode,
            "{}: {:o} of {}",
            path.display(),
            found.permissions().mode(),
            found.uid()
        );
    }
    Ok(())
}

/// The limit that the kernel goes by.
fn leaves_no_core(pid: i32) -> Result<()> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .context("no limit of core files")?;
    ensure!(core.split_whitespace().next() == Some("0"), "{pid}: {core}");
    // Of a process that may not be dumped or looked at, /proc is root's, whoever it runs as.
    let owner = fs::metadata(format!("/proc/{pid}/environ"))?.uid();
    ensure!(owner == 0, "{pid} is user {owner}'s to look at");
    Ok(())
}

/// Files that could be what a fault left.
fn cores(world: &World) -> Result<Vec<String>> {
    let script = "ls -d /core* 2>/dev/null; ls /run/lonewire /var/lib/lonewire";
    let out = world.run_in("host", &["sh", "-c", script])?;
    Ok(out.stdout.lines().map(String::from).collect())
}
