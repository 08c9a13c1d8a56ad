//! What a program is when it runs, and what it may not have: T30, T34, T39 to T42.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    ALICE,
    warden::{Alone, Files, Outcome, caller, event, message, pair, wait, wrapped},
};
use lonewire_core::launch::{Event, Exit, Launch};

#[test]
fn t30_t34_t40_t42_a_program_has_its_users_identity_and_nothing_of_the_wardens() -> Result<()> {
    let mut alone = Alone::new()?;
    // A warden of a unit that is set up oddly: nothing of that stays with the program.
    let odd = [
        "nice", "-n", "7", "ionice", "-c", "3", "choom", "-n", "500", "--", "setarch", "-R",
    ];
    alone.warden = wrapped(&mut alone.world, "odd", &odd)?;
    let script = "cat /proc/self/status; echo slack $(cat /proc/self/timerslack_ns)
        echo oom $(cat /proc/self/oom_score_adj) nice $(nice) io $(ionice) personality $(cat /proc/self/personality)
        echo keyring $(keyctl rdescribe @s); cd /proc/$$/fd; for fd in *; do [ -e $fd ] && echo fd $fd; done
        unshare -Ur true && echo namespaces work; grep -c . /proc/self/mountinfo > /dev/null; umask";
    let text = alone.output(alone.request(&["/bin/sh", "-c", script]))?;
    let uid = format!("Uid:\t{0}\t{0}\t{0}\t{0}", ALICE.uid);
    let gid = format!("Gid:\t{0}\t{0}\t{0}\t{0}", ALICE.gid);
    for line in [
        &uid,
        &gid,
        "Groups:\t61001 61101 61102 61103 ",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t0",
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "slack 50000",
        "oom 0 nice 0 io none: prio 0 personality 00000000",
        "namespaces work",
        "0022",
    ] {
        ensure!(
            text.lines().any(|found| found == line),
            "{line:?} is not in {text}"
        );
    }
    let open: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("fd "))
        .collect();
    assert_eq!(open, ["0", "1", "2"]);
    // The bounding set is that of the world, so that ping and its like start.
    let bounding = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("CapBnd"))
            .map(String::from)
    };
    let host = alone
        .world
        .run_in("host", &["cat", "/proc/1/status"])?
        .ok()?
        .stdout;
    assert_eq!(bounding(&text), bounding(&host));
    ensure!(
        !text.contains("_ses;") || text.contains("keyring"),
        "no keyring: {text}"
    );

    // What the caller has lowered for itself stays lowered: its niceness, its limits.
    let line = [
        "nice",
        "-n",
        "5",
        "prlimit",
        "--nofile=77:99",
        "--core=0",
        "sleep",
        "600",
    ];
    let (_sleeper, lowered) = caller(&alone.world, "sleep", &line)?;
    let mut request = alone.request(&["/bin/sh", "-c", "nice; ulimit -Sn; ulimit -Hn; ulimit -Hc"]);
    request.caller_pid = lowered;
    assert_eq!(alone.output(request)?, "5\n77\n99\n0");

    // And whatever its name is: the kernel cuts it in the middle of a letter.
    let line = ["perl", "-e", "$0 = qq(\\xe6\\x97); sleep 600"];
    let (_odd, odd) = caller(&alone.world, "\u{fffd}", &line)?;
    let request = Launch {
        caller_pid: odd,
        ..alone.request(&["/bin/true"])
    };
    assert_eq!(alone.output(request)?, "");

    // Lifted by an administrator's grant alone.
    let mut request = alone.request(&["/bin/grep", "NoNewPrivs", "/proc/self/status"]);
    request.allow_new_privileges = true;
    assert_eq!(alone.output(request)?, "NoNewPrivs:\t0");
    Ok(())
}

#[test]
fn t34_who_waits_to_run_can_be_looked_into_by_nobody() -> Result<()> {
    let alone = Alone::new()?;
    let (ours, theirs) = pair()?;
    let (null, record) = (File::open("/dev/null")?, tempfile::tempfile()?);
    let files = Files {
        streams: [null.as_fd(); 3],
        hold: Some(theirs.as_fd()),
        tie: None,
        record: record.as_fd(),
    };
    let app = alone.send(&alone.warden, alone.request(&["/bin/sleep", "60"]), &files)?;
    drop(theirs);
    let held = message(&ours)?.context("not held")?;
    let pid: i32 = held.strip_prefix("held ").context("no pid")?.parse()?;
    // Another process of the same user's: pidfd_open(2), pidfd_getfd(2) of every descriptor, and the way by /proc.
    let steal = format!(
        "$p = syscall(434, {pid}, 0); die if $p < 0; for (0..64) {{ $f = syscall(438, $p, $_, 0); print \"$_ \" if $f >= 0 }}
         print -e '/proc/{pid}/cwd/.' ? 'in' : 'out'"
    );
    let perl = ["perl", "-e", &steal];
    assert_eq!(alone.world.run_as(&ALICE, &perl)?.ok()?.stdout, "out");
    drop(ours);
    let (
        Event::Started {
            pid: runs, keeper, ..
        },
        _,
    ) = event(&app)?
    else {
        bail!("not started")
    };
    assert_eq!(runs, pid);
    // Once it is the user's program it holds nothing that is not the user's.
    assert_eq!(alone.world.run_as(&ALICE, &perl)?.ok()?.stdout, "0 1 2 in");
    // What its keeper has kept of root: to signal (5) and to look (19).
    let keeper = alone
        .world
        .run_in("host", &["cat", &format!("/proc/{keeper}/status")])?
        .ok()?;
    for set in ["CapPrm", "CapEff"] {
        ensure!(
            keeper
                .stdout
                .contains(&format!("{set}:\t0000000000080020\n")),
            "{}",
            keeper.stdout
        );
    }
    alone
        .world
        .run_in("host", &["kill", "-KILL", &pid.to_string()])?
        .ok()?;
    assert_eq!(wait(&app)?, Exit::Signal(9));
    Ok(())
}

#[test]
fn t41_a_working_folder_is_entered_as_the_user_and_not_by_a_link_of_procs() -> Result<()> {
    let alone = Alone::new()?;
    alone
        .world
        .run_in(
            "host",
            &[
                "sh",
                "-ec",
                "mkdir -m 700 /tmp/roots /tmp/mine; chown 61001 /tmp/mine",
            ],
        )?
        .ok()?;
    let host = format!("/proc/{}/root/tmp", alone.caller);
    for (cwd, found) in [
        ("/tmp/mine", "/tmp/mine"),
        ("/tmp/roots", ALICE.home),
        ("/nonexistent", ALICE.home),
        ("/proc/self/fd/3", ALICE.home),
        ("/proc/self/root/tmp", ALICE.home),
        ("/proc/self/cwd", ALICE.home),
        (host.as_str(), ALICE.home),
        ("/proc/self/task", ALICE.home),
    ] {
        let request = Launch {
            cwd: cwd.into(),
            ..alone.request(&["/bin/pwd", "-P"])
        };
        let there = alone.output(request)?;
        // Where a path of proc's is no link it is entered like any other: it is of the warden's child then.
        let own = cwd == "/proc/self/task" && there.starts_with("/proc/");
        ensure!(there == found || own, "{cwd}: {there}");
    }
    let mut request = Launch {
        cwd: b"/nonexistent".to_vec(),
        ..alone.request(&["/bin/pwd"])
    };
    request.user.home = b"/nonexistent".to_vec();
    assert_eq!(alone.output(request)?, "/");
    Ok(())
}

#[test]
fn t39_the_warden_is_static_and_asks_no_user_database() -> Result<()> {
    let mut alone = Alone::new()?;
    let ldd = alone.world.run_in("host", &["ldd", lab::warden::PROGRAM])?;
    let said = ldd.stdout + &ldd.stderr;
    ensure!(
        said.contains("statically linked") || said.contains("not a dynamic"),
        "{said}"
    );
    // What a host's administrator may have there is text to the warden, and no code.
    let odd = "printf 'passwd: evil\ngroup: evil\nhosts: evil files\n' > /etc/nsswitch.conf";
    alone.world.run_in("host", &["sh", "-ec", odd])?.ok()?;
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=execve,open,openat,openat2",
        "-o",
        "/run/lab/opened",
    ];
    let traced = wrapped(&mut alone.world, "traced", &strace)?;
    let request = alone.request(&["/bin/true"]);
    assert_eq!(
        alone.run(&traced, request)?,
        Outcome::Ran(Exit::Code(0), String::new())
    );
    let trace = fs::read_to_string(alone.world.path("/run/lab/opened"))?;
    let (before, _) = trace
        .split_once("execve(\"/bin/true\"")
        .context("no program in the trace")?;
    ensure!(
        before.contains("\"/run/netns/") || before.contains("ns/net"),
        "nothing is traced: {before}"
    );
    for word in [
        ".so",
        "/etc/passwd",
        "/etc/group",
        "gconv",
        "locale",
        "nscd",
    ] {
        ensure!(!before.contains(word), "{word}: {before}");
    }
    Ok(())
}
