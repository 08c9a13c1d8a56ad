//! Ring lab: a program in a tunnel at a terminal is as one beside it: keys, job control and window size reach it, its end is `lonewire`'s, and the
//! terminal is given back whatever happens. Without a terminal its streams are passed through untouched.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    ALICE, Program, Spec, World,
    init::ROLES,
    tty::{A_MOMENT, Desk, keys_can_be_pushed},
    world::{READY, until},
};
use nix::{
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, Termios},
    },
    unistd::Pid,
};

fn ready() -> Result<World> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.cli(&ALICE, &["up", "demo"])?.ok()?;
    Ok(world)
}

/// A file in Alice's home.
fn file(world: &World, name: &str) -> PathBuf {
    world.path(&format!("{}/{name}", ALICE.home))
}

/// Waits until a file of Alice's has a text.
fn wait_for(world: &World, name: &str, text: &str) -> Result<()> {
    let path = file(world, name);
    until(READY, &format!("{text:?} in {name}"), || {
        Ok(std::fs::read_to_string(&path).is_ok_and(|found| found.contains(text)))
    })
}

fn settings(modes: &Termios) -> [u32; 4] {
    [
        modes.input_flags.bits(),
        modes.output_flags.bits(),
        modes.control_flags.bits(),
        modes.local_flags.bits(),
    ]
}

fn is_raw(desk: &Desk) -> Result<bool> {
    let flags = desk.modes()?.local_flags;
    Ok(!flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG))
}

/// The one process of a name that is a child of nobody in the list: `lonewire` and not its guardian.
fn cli(world: &World) -> Result<Pid> {
    let is_guardian = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.windows(7).any(|part| part == b"--guard"))
    };
    let mut pids = world.processes("lonewire")?;
    pids.retain(|pid| !is_guardian(pid));
    ensure!(pids.len() == 1, "not one lonewire: {pids:?}");
    Ok(Pid::from_raw(pids[0]))
}

#[test]
fn keys_and_window_size_reach_the_program() -> Result<()> {
    let world = ready()?;
    let mut desk = Desk::shell(&world, &ALICE)?;
    desk.resize(33, 77)?;
    desk.line(
        "lonewire run -- sh -c 'stty size; tty; echo in-$LONEWIRE_TUNNEL; exit 7'; echo code=$?",
    )?;
    desk.expect("33 77")?;
    desk.expect("/dev/pts/")?;
    desk.expect(&format!("in-{}", world.tunnel(&ALICE, "demo", "id")?))?;
    desk.expect("code=7")?;

    desk.line("lonewire run -- bash -c 'trap \"stty size\" WINCH; trap \"exit 130\" INT; echo u\"\"p; while :; do sleep 0.1; done'; echo code=$?")?;
    desk.expect("up")?;
    ensure!(is_raw(&desk)?);
    desk.resize(44, 99)?;
    desk.expect("44 99")?;
    desk.press("\x03")?;
    desk.expect("code=130")?;

    desk.line("lonewire run -- sh -c 'echo u\"\"p; exec sleep 100'; echo code=$?")?;
    desk.expect("up")?;
    desk.press("\x1c")?;
    desk.expect("code=131")?;

    desk.line("lonewire run -- sh -c 'echo u\"\"p; cat; exit 9'; echo code=$?")?;
    desk.expect("up")?;
    desk.line("a line")?;
    desk.expect("a line\r\na line")?;
    desk.press("\x04")?;
    desk.expect("code=9")?;

    // The last words of a program that ends at once are shown, all of them.
    desk.line("lonewire run -- sh -c 'seq 3000; echo e\"\"nd'; echo code=$?")?;
    let shown = desk.expect("code=0")?;
    ensure!(shown.contains("2999\r\n3000\r\nend\r\n"), "{shown}");

    // A shell inside is one with its own jobs.
    desk.line("lonewire shell -t demo; echo code=$?")?;
    desk.line("PS1='inside> '")?;
    desk.expect("inside> ")?;
    desk.line("sleep 100")?;
    until(READY, "sleep", || Ok(!world.processes("sleep")?.is_empty()))?;
    desk.press("\x1a")?;
    desk.expect("Stopped")?;
    desk.expect("inside> ")?;
    desk.line("fg")?;
    desk.expect("sleep 100\r\n")?;
    desk.press("\x03")?;
    desk.expect("inside> ")?;
    // Ctrl-C at the prompt is for the shell: the system bus inside stays.
    desk.press("\x03")?;
    desk.expect("inside> ")?;
    desk.line("lonewire list; echo code=$?")?;
    desk.expect("demo")?;
    desk.expect("code=0")?;
    desk.line("exit 3")?;
    desk.expect("code=3")?;
    desk.line("exit 0")?;
    ensure!(desk.end()? == 0);
    Ok(())
}

#[test]
fn jobs_are_stopped_and_go_on_as_the_shell_says() -> Result<()> {
    let world = ready()?;
    let mut desk = Desk::shell(&world, &ALICE)?;
    let before = settings(&desk.modes()?);
    // bash, and then a shell that leaves terminals as they are.
    for shell in ["bash", "dash"] {
        if shell == "dash" {
            desk.line("dash")?;
            desk.expect("ready> ")?;
        }
        desk.line("lonewire run -- sh -c 'echo u\"\"p; read x; echo got-$x; read x; exit 5'")?;
        desk.expect("up")?;
        desk.press("\x1a")?;
        desk.expect("Stopped")?;
        desk.expect("ready> ")?;
        ensure!(!is_raw(&desk)?, "{shell}");
        desk.line("echo shell-$((20 + 3))")?;
        desk.expect("shell-23")?;
        desk.expect("ready> ")?;
        desk.line("fg")?;
        until(READY, "the terminal to be raw", || is_raw(&desk))?;
        desk.line("hello")?;
        desk.expect("got-hello")?;
        desk.press("\x04")?;
        desk.expect("ready> ")?;
        desk.line("echo code=$?")?;
        desk.expect("code=5")?;
        desk.expect("ready> ")?;

        // In the background it goes on, and leaves terminal and keys to the shell. Not by dash, whose vfork(2) a stop can catch half-way.
        desk.line(
            "lonewire run -- bash -c 'echo u\"\"p; while :; do sleep 0.1; echo t\"\"ick; done'",
        )?;
        desk.expect("up")?;
        desk.press("\x1a")?;
        desk.expect("Stopped")?;
        desk.line("bg")?;
        desk.expect("tick")?;
        desk.expect("tick")?;
        ensure!(!is_raw(&desk)?, "{shell}");
        desk.line("echo shell-$((20 + 4))")?;
        desk.expect("shell-24")?;
        desk.expect("ready> ")?;
        desk.line("fg")?;
        until(READY, "the terminal to be raw", || is_raw(&desk))?;
        desk.press("\x03")?;
        desk.expect("ready> ")?;
        desk.line("echo code=$?")?;
        desk.expect("code=130")?;
        desk.expect("ready> ")?;

        // Started in the background, it comes to the front without being told.
        desk.line("lonewire run -- sh -c 'echo u\"\"p; read x; echo got-$x; exit 6' &")?;
        desk.expect("up")?;
        std::thread::sleep(A_MOMENT);
        ensure!(!is_raw(&desk)?, "{shell}");
        desk.line("echo shell-$((20 + 5))")?;
        desk.expect("shell-25")?;
        desk.expect("ready> ")?;
        desk.line("fg")?;
        until(READY, "the terminal to be raw", || is_raw(&desk))?;
        desk.line("late")?;
        desk.expect("got-late")?;
        desk.expect("ready> ")?;
        desk.line("echo code=$?")?;
        desk.expect("code=6")?;
        desk.expect("ready> ")?;
    }
    desk.line("exit")?;
    desk.expect("ready> ")?;
    ensure!(settings(&desk.modes()?) == before);

    // Where no shell could wake it, Ctrl-Z stops nothing, as everywhere.
    let mut alone = Desk::start(
        &world,
        &ALICE,
        &[
            "lonewire",
            "run",
            "--",
            "sh",
            "-c",
            "echo up; read x; echo got-$x",
        ],
    )?;
    alone.expect("up")?;
    until(READY, "the terminal to be raw", || is_raw(&alone))?;
    alone.press("\x1a")?;
    alone.line("still")?;
    alone.expect("got-still")?;
    ensure!(alone.end()? == 0);
    Ok(())
}

#[test]
fn the_terminal_is_given_back_whatever_happens() -> Result<()> {
    let world = ready()?;
    // No shell: nobody else would set it right.
    let script = "trap 'echo hangup >> ~/hups; exit' HUP; stty -echo raw; echo up; while :; do sleep 0.05; done";
    for (signal, code) in [
        (None, 0),
        (Some(Signal::SIGTERM), 143),
        (Some(Signal::SIGKILL), 137),
    ] {
        let line = match signal {
            None => "stty -echo raw; echo up",
            Some(_) => script,
        };
        let mut desk = Desk::start(
            &world,
            &ALICE,
            &[
                "sh",
                "-c",
                "sleep 0.1; exec \"$0\" \"$@\"",
                "lonewire",
                "run",
                "--",
                "sh",
                "-c",
                line,
            ],
        )?;
        let before = settings(&desk.modes()?);
        desk.expect("up")?;
        if let Some(signal) = signal {
            until(READY, "the terminal to be raw", || is_raw(&desk))?;
            kill(cli(&world)?, signal)?;
        }
        ensure!(desk.end()? == code, "{signal:?}");
        until(READY, "the terminal as it was", || {
            Ok(settings(&desk.modes()?) == before)
        })?;
        if signal == Some(Signal::SIGKILL) {
            // The program is told that its terminal has gone.
            wait_for(&world, "hups", "hangup")?;
        }
        until(READY, "the program's end", || {
            Ok(world
                .apps(&ALICE)?
                .iter()
                .all(|app| app["state"] != "running"))
        })?;
    }

    // A window that is closed.
    std::fs::remove_file(file(&world, "hups"))?;
    let mut desk = Desk::start(
        &world,
        &ALICE,
        &["lonewire", "run", "--", "sh", "-c", script],
    )?;
    desk.expect("up")?;
    desk.close();
    wait_for(&world, "hups", "hangup")?;
    until(READY, "its end", || {
        Ok(world.processes("lonewire")?.is_empty())
    })?;

    // One that was killed while it was stopped has no say any more: the shell and what runs in front are.
    let mut desk = Desk::shell(&world, &ALICE)?;
    desk.line("lonewire run -- sh -c 'echo u\"\"p; exec sleep 100'")?;
    desk.expect("up")?;
    desk.press("\x1a")?;
    desk.expect("Stopped")?;
    let killed = cli(&world)?;
    desk.line("stty -echo; echo q\"\"uiet; sleep 1; stty -a | grep -o -e '-echo ' ; stty echo")?;
    desk.expect("quiet")?;
    kill(killed, Signal::SIGKILL)?;
    desk.expect("-echo ")?;
    Ok(())
}

#[test]
fn pushed_keys_reach_no_shell() -> Result<()> {
    let world = ready()?;
    let mut desk = Desk::shell(&world, &ALICE)?;
    let push = |answer: u32| format!("{ROLES} role inject 'echo pushed-$(({answer} * 2))\n'");
    let pushable = keys_can_be_pushed();
    // The control: it works where nothing is in between.
    desk.line(&push(11))?;
    if pushable {
        desk.expect("stdin: pushed; /dev/tty: pushed")?;
        desk.expect("\npushed-22")?;
    } else {
        desk.expect("stdin: ")?;
    }
    // On a terminal of its own, and on the shell's.
    desk.line(&format!("lonewire run -- {}", push(12)))?;
    desk.expect("stdin: ")?;
    desk.expect("ready> ")?;
    desk.line(&format!("lonewire run -- {} 2> /dev/null", push(13)))?;
    let told = desk.expect("ready> ")?;
    ensure!(
        told.contains("stdin: Operation not permitted")
            && told.contains("/dev/tty: No such device"),
        "{told}"
    );
    std::thread::sleep(A_MOMENT);
    desk.line("echo done-$((1 + 1))")?;
    desk.expect("done-2")?;
    let all = desk.all()?;
    ensure!(
        !all.contains("pushed-24") && !all.contains("pushed-26"),
        "{all}"
    );
    Ok(())
}

#[test]
fn streams_and_signals_are_passed_on_untouched() -> Result<()> {
    let world = ready()?;
    // Every byte, 1 MiB of them, both ways.
    let bytes: Vec<u8> = (0_u32..1 << 20)
        .map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let mut running = world.spawn_as(&ALICE, &["lonewire", "run", "-t", "demo", "--", "cat"])?;
    let mut stdin = running.waiter.stdin.take().context("stdin")?;
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent));
    let mut got = Vec::new();
    let mut stdout = running.waiter.stdout.take().context("stdout")?;
    stdout.read_to_end(&mut got)?;
    writer.join().ok().context("writer")??;
    ensure!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
    ensure!(running.wait(READY)? == 0);

    let shell = |line: &str| world.run_as(&ALICE, &["bash", "-c", line]);
    // Who reads no more ends the program, as beside a tunnel, and nobody complains.
    let out = shell("lonewire run -- yes | head -1; echo ${PIPESTATUS[0]}")?;
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("y\n141\n", ""));
    let out = shell("lonewire run -- sh -c 'tty; echo out; echo err >&2; exit 44' < /dev/null")?;
    assert_eq!(
        (out.stdout.as_str(), out.stderr.as_str(), out.code),
        ("not a tty\nout\n", "err\n", 44)
    );
    let out = shell("lonewire run -- sh -c 'kill -SEGV $$'")?;
    assert_eq!(out.code, 139);

    // Signals to the command are the program's.
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGHUP,
    ] {
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!(
            "trap 'echo got {name}; exit 12' {name}; echo up; while :; do sleep 0.05; done"
        );
        let mut running = world.spawn_as(
            &ALICE,
            &["lonewire", "run", "-t", "demo", "--", "sh", "-c", &script],
        )?;
        let mut stdout = std::io::BufReader::new(running.waiter.stdout.take().context("stdout")?);
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line)?;
        assert_eq!(line, "up\n");
        running.signal(signal)?;
        let mut rest = String::new();
        stdout.read_to_string(&mut rest)?;
        assert_eq!(rest, format!("got {name}\n"));
        assert_eq!(running.wait(READY)?, 12);
    }
    Ok(())
}

#[test]
fn a_helper_that_does_not_answer_keeps_nobody_from_ending_a_launch() -> Result<()> {
    const BLOCKED: &str = "SigBlk:";
    let world = ready()?;
    let hung = world.hang(Program::Helper)?;
    let line = ["lonewire", "run", "-t", "demo", "--", "true"];
    let mut running = world.spawn_as(&ALICE, &line)?;
    let status = format!("/proc/{}/status", running.pid);
    until(READY, "the command waits for signals", || {
        let status = std::fs::read_to_string(&status)?;
        let blocked = status.lines().find_map(|line| line.strip_prefix(BLOCKED));
        let blocked = u64::from_str_radix(blocked.unwrap_or("0").trim(), 16)?;
        Ok(blocked & 1 << (Signal::SIGINT as u32 - 1) != 0)
    })?;
    running.signal(Signal::SIGINT)?;
    let code = running.wait(READY)?;
    drop(hung);
    ensure!(code == 130, "{code}");
    Ok(())
}

#[test]
fn a_program_ends_with_its_command_unless_it_was_detached() -> Result<()> {
    let world = ready()?;
    let script = |name: &str| {
        format!(
            "trap 'echo hangup > ~/{name}; exit' HUP; echo up > ~/{name}; while :; do sleep 0.05; done"
        )
    };
    let detached = world.cli(
        &ALICE,
        &["run", "--detach", "--", "sh", "-c", &script("detached")],
    )?;
    let id = detached.ok()?.stdout.trim().to_owned();
    wait_for(&world, "detached", "up")?;

    // However the command ends, its program hears of it as from a terminal.
    for (name, signal) in [("killed", Signal::SIGKILL), ("hung-up", Signal::SIGHUP)] {
        let mut command = world.command(
            "host",
            Some(&ALICE),
            &["lonewire", "run", "--", "sh", "-c", &script(name)],
        )?;
        let mut waiter = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        wait_for(&world, name, "up")?;
        kill(cli(&world)?, signal)?;
        wait_for(&world, name, "hangup")?;
        waiter.wait()?;
    }

    let apps = world.cli(&ALICE, &["ps", "-q"])?.ok()?.stdout;
    ensure!(apps.lines().count() == 1 && apps.starts_with(&id), "{apps}");
    assert_eq!(std::fs::read_to_string(file(&world, "detached"))?, "up\n");
    world.cli(&ALICE, &["stop", &id])?.ok()?;
    until(READY, "its end", || Ok(world.processes("sh")?.is_empty()))?;
    Ok(())
}
