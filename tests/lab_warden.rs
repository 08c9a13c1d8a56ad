//! Ring lab: the warden by itself. What goes wrong on a program's road keeps it from starting, and what it starts with is its user's alone. SECURITY §5 and
//! its threats are named at the tests.

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    ALICE,
    warden::{Alone, Files, Outcome, ask, event, message, pair, wait, wrapped},
    world::until,
};
use lonewire_core::{
    launch::{Event, Exit, Launch, Request, Stage},
    name::LinkName,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

const PATIENCE: Duration = Duration::from_secs(10);

/// A program that leaves a trace where it starts.
const TRACE: &str = "/tmp/started";

/// Launches it, and sees that it has not started; where the warden said no.
fn refused(alone: &Alone, request: Launch) -> Result<Option<Stage>> {
    let outcome = alone.run(&alone.warden, request)?;
    ensure!(
        !alone.world.path(TRACE).exists(),
        "it has started: {outcome:?}"
    );
    match outcome {
        Outcome::Refused(stage, _) => Ok(Some(stage)),
        Outcome::HungUp => Ok(None),
        Outcome::Ran(..) => bail!("{outcome:?}"),
    }
}

fn trace(alone: &Alone) -> Launch {
    alone.request(&["/usr/bin/touch", TRACE])
}

/// The control: with nothing wrong the same program starts.
fn starts(alone: &Alone) -> Result<()> {
    assert_eq!(alone.output(trace(alone))?, "");
    fs::remove_file(alone.world.path(TRACE)).context("it has not started")
}

#[test]
fn t50_a_namespace_that_is_not_as_prepared_starts_nothing() -> Result<()> {
    let alone = Alone::new()?;
    starts(&alone)?;
    let broken = |what: &str, script: &str, stage: Stage| -> Result<()> {
        let out = alone.world.run_in("host", &["sh", "-ec", script])?.ok();
        out.context(what.to_owned())?;
        let found = refused(&alone, trace(&alone)).context(what.to_owned())?;
        assert_eq!(found, Some(stage), "{what}");
        Ok(())
    };
    let name = &alone.namespace;
    let dns = format!("/run/lonewire/dns/{name}");
    for (what, script) in [
        ("no resolv.conf", format!("rm {dns}/resolv.conf")),
        ("no hosts", format!("rm {dns}/hosts")),
        ("an empty resolv.conf", format!(": > {dns}/resolv.conf")),
    ] {
        broken(what, &script, Stage::Verify)?;
        alone.write_dns()?;
    }
    broken("no folder", &format!("rm -r {dns}"), Stage::Etc)?;
    alone.write_dns()?;
    let add = format!(
        "ip -n {name} link add odd type dummy || ip -n {name} link add odd type veth peer name odder"
    );
    broken("another link", &add, Stage::Verify)?;
    alone
        .world
        .run_in("host", &["ip", "-n", name.as_str(), "link", "del", "odd"])?
        .ok()?;
    starts(&alone)?;

    // The request's own words.
    let other = LinkName::from_random([9; 6]);
    let request = Launch {
        link: other.clone(),
        ..trace(&alone)
    };
    assert_eq!(
        refused(&alone, request)?,
        Some(Stage::Verify),
        "another link's name"
    );
    let request = Launch {
        namespace: other,
        ..trace(&alone)
    };
    assert_eq!(
        refused(&alone, request)?,
        Some(Stage::Namespace),
        "no such namespace"
    );
    let request = Launch {
        namespace_inode: alone.inode + 1,
        ..trace(&alone)
    };
    assert_eq!(
        refused(&alone, request)?,
        Some(Stage::Verify),
        "another namespace"
    );
    let request = Launch {
        program: b"/nonexistent".to_vec(),
        ..trace(&alone)
    };
    assert_eq!(refused(&alone, request)?, Some(Stage::Exec), "no program");
    let request = Launch {
        program: b"bin/true".to_vec(),
        ..trace(&alone)
    };
    assert_eq!(
        refused(&alone, request)?,
        Some(Stage::Exec),
        "a path that is not absolute"
    );
    let request = Launch {
        argv: Vec::new(),
        ..trace(&alone)
    };
    assert_eq!(
        refused(&alone, request)?,
        Some(Stage::Exec),
        "no arguments at all"
    );
    // Whose program it would be: never root's, and limits of nobody else's process.
    let mut request = trace(&alone);
    request.user.uid = 0;
    assert_eq!(refused(&alone, request)?, Some(Stage::Limits), "root");
    let mut request = trace(&alone);
    (request.user.uid, request.caller_pid) = (0, 1);
    assert_eq!(
        refused(&alone, request)?,
        Some(Stage::Privileges),
        "root for root"
    );
    let request = Launch {
        caller_pid: 1,
        ..trace(&alone)
    };
    assert_eq!(
        refused(&alone, request)?,
        Some(Stage::Limits),
        "root's limits"
    );
    starts(&alone)?;

    // A pin that leads back to the host, or nowhere.
    let pin = format!("/run/netns/{name}");
    let host = format!("umount {pin}; mount --bind /proc/1/ns/net {pin}");
    broken("the host's namespace", &host, Stage::Namespace)?;
    broken("a file", &format!("umount {pin}"), Stage::Namespace)?;
    let link = format!("rm {pin}; ln -s /proc/self/ns/net {pin}");
    broken("a link", &link, Stage::Namespace)
}

#[test]
fn t50_an_etc_that_takes_no_overlay_starts_nothing() -> Result<()> {
    let alone = Alone::new()?;
    starts(&alone)?;
    // The kernel stacks two.
    let script = "mount -t tmpfs t /mnt
        for n in 1 2; do mkdir /mnt/u$n /mnt/w$n; mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u$n,workdir=/mnt/w$n o /etc; done";
    alone.world.run_in("host", &["sh", "-ec", script])?.ok()?;
    assert_eq!(refused(&alone, trace(&alone))?, Some(Stage::Etc));
    Ok(())
}

#[test]
fn t50_each_step_that_fails_keeps_the_program_from_starting() -> Result<()> {
    // What strace(1) answers in the kernel's place, and where the warden must stop. None: before it can say why.
    const FAIL: &[(&str, Option<Stage>)] = &[
        ("close_range", None),
        ("prlimit64", None),
        ("socketpair", Some(Stage::Request)),
        ("signalfd4", Some(Stage::Request)),
        ("setsid", Some(Stage::Terminal)),
        ("setns", Some(Stage::Namespace)),
        ("unshare", Some(Stage::Mounts)),
        ("mount", Some(Stage::Mounts)),
        ("open_tree", Some(Stage::Mounts)),
        ("fsopen", Some(Stage::Mounts)),
        ("fsmount", Some(Stage::Mounts)),
        ("move_mount", Some(Stage::Mounts)),
        ("umount2", Some(Stage::Mounts)),
        ("keyctl", Some(Stage::Privileges)),
        ("setpriority", Some(Stage::Limits)),
        ("ioprio_set", Some(Stage::Limits)),
        ("personality", Some(Stage::Limits)),
        ("setgroups", Some(Stage::Privileges)),
        ("setresgid", Some(Stage::Privileges)),
        ("setresuid", Some(Stage::Privileges)),
        ("capset", Some(Stage::Privileges)),
        ("getresuid", Some(Stage::Privileges)),
        ("getgroups", Some(Stage::Privileges)),
        ("fchdir", Some(Stage::Privileges)),
        ("dup2", Some(Stage::Stdio)),
    ];
    // Calls that say that they were done, and were not: seen by looking, not by trusting.
    const LIE: &[(&str, Stage)] = &[
        ("setns", Stage::Namespace),
        ("setgroups", Stage::Privileges),
        ("setresgid", Stage::Privileges),
        ("setresuid", Stage::Privileges),
    ];
    let mut alone = Alone::new()?;
    starts(&alone)?;
    let fails = FAIL
        .iter()
        .map(|(call, stage)| (*call, "error=EPERM", *stage));
    let lies = LIE
        .iter()
        .map(|(call, stage)| (*call, "retval=0", Some(*stage)));
    let mut wrong = Vec::new();
    for (call, answer, stage) in fails.chain(lies) {
        let (only, inject) = (format!("trace={call}"), format!("inject={call}:{answer}"));
        let strace = [
            "strace",
            "-f",
            "-qqq",
            "-o",
            "/dev/null",
            "-e",
            &only,
            "-e",
            &inject,
        ];
        let name = format!("{call}-{}", answer.len());
        let own = std::mem::replace(
            &mut alone.warden,
            wrapped(&mut alone.world, &name, &strace)?,
        );
        let found = refused(&alone, trace(&alone));
        alone.warden = own;
        let _ = fs::remove_file(alone.world.path(TRACE));
        match found {
            Ok(found) if found == stage => {}
            other => wrong.push(format!("{call} {answer}: {other:?} instead of {stage:?}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    starts(&alone)
}

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
fn t35_a_socket_with_a_network_of_its_own_is_no_standard_stream() -> Result<()> {
    let alone = Alone::new()?;
    let (null, record) = (File::open("/dev/null")?, tempfile::tempfile()?);
    let answer = |stream: BorrowedFd<'_>, number: usize| -> Result<Event> {
        let mut files = Files {
            streams: [null.as_fd(); 3],
            hold: None,
            tie: None,
            record: record.as_fd(),
        };
        files.streams[number] = stream;
        let app = alone.send(&alone.warden, trace(&alone), &files)?;
        Ok(event(&app)?.0)
    };
    let socket = |family, kind| -> Result<OwnedFd> {
        Ok(rustix::net::socket_with(
            family,
            kind,
            SocketFlags::CLOEXEC,
            None,
        )?)
    };
    let odd = [
        ("INET", socket(AddressFamily::INET, SocketType::STREAM)?),
        (
            "INET datagrams",
            socket(AddressFamily::INET, SocketType::DGRAM)?,
        ),
        ("INET6", socket(AddressFamily::INET6, SocketType::STREAM)?),
        ("NETLINK", socket(AddressFamily::NETLINK, SocketType::RAW)?),
        ("PACKET", socket(AddressFamily::PACKET, SocketType::RAW)?),
        ("VSOCK", socket(AddressFamily::VSOCK, SocketType::STREAM)?),
        (
            "UNIX datagrams",
            socket(AddressFamily::UNIX, SocketType::DGRAM)?,
        ),
        ("UNIX messages", pair()?.0),
        ("a folder", File::open("/")?.into()),
        ("a TUN", File::open("/dev/net/tun")?.into()),
        (
            "a process",
            rustix::process::pidfd_open(
                rustix::process::getpid(),
                rustix::process::PidfdFlags::empty(),
            )?,
        ),
    ];
    for (what, stream) in &odd {
        for number in 0..3 {
            let found = answer(stream.as_fd(), number)?;
            ensure!(
                matches!(
                    found,
                    Event::Failed {
                        stage: Stage::Stdio,
                        ..
                    }
                ),
                "{what} as {number}: {found:?}"
            );
        }
    }
    ensure!(!alone.world.path(TRACE).exists(), "it has started");

    // As the journal's is: what a program writes comes out of it.
    let (ours, theirs) = UnixStream::pair()?;
    let files = Files {
        streams: [null.as_fd(), theirs.as_fd(), theirs.as_fd()],
        hold: None,
        tie: None,
        record: record.as_fd(),
    };
    let app = alone.send(
        &alone.warden,
        alone.request(&["/bin/echo", "to the journal"]),
        &files,
    )?;
    drop(theirs);
    ensure!(
        matches!(event(&app)?.0, Event::Started { .. }),
        "not started"
    );
    assert_eq!(wait(&app)?, Exit::Code(0));
    assert_eq!(std::io::read_to_string(ours)?, "to the journal\n");
    // Hold and tie are pairs of their kind and nothing else.
    let files = Files {
        streams: [null.as_fd(); 3],
        hold: None,
        tie: Some(odd[0].1.as_fd()),
        record: record.as_fd(),
    };
    let found = event(&alone.send(&alone.warden, trace(&alone), &files)?)?.0;
    ensure!(
        matches!(
            found,
            Event::Failed {
                stage: Stage::Descriptors,
                ..
            }
        ),
        "{found:?}"
    );
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

/// A process that ends with this value.
struct Other(std::process::Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn t36_a_terminal_that_is_not_the_programs_takes_nothing_from_it() -> Result<()> {
    let alone = Alone::new()?;
    let terminal = nix::pty::openpty(None, None)?;
    // Somebody else's: a shell, say, that leads its session.
    let shell = Other(
        std::process::Command::new("setsid")
            .args(["--ctty", "sleep", "600"])
            .stdin(terminal.slave.try_clone()?)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?,
    );
    let path = format!("/proc/{}/stat", shell.0.id());
    until(PATIENCE, "a terminal's session", || {
        let stat = fs::read_to_string(&path)?;
        let (_, rest) = stat.rsplit_once(") ").context("stat")?;
        Ok(rest
            .split(' ')
            .nth(4)
            .is_some_and(|terminal| terminal != "0"))
    })?;
    let inject = "$c = 'x'; print defined(ioctl(STDERR, 0x5412, $c)) ? 'injected' : 0 + $!";
    // The control: root may.
    let root = std::process::Command::new("perl")
        .args(["-e", inject])
        .stderr(terminal.slave.try_clone()?)
        .output()?;
    if root.stdout != b"injected" {
        println!("this kernel has no TIOCSTI: nothing can be injected by anybody");
    }
    let (null, record, mut out) = (
        File::open("/dev/null")?,
        tempfile::tempfile()?,
        tempfile::tempfile()?,
    );
    let files = Files {
        streams: [null.as_fd(), out.as_fd(), terminal.slave.as_fd()],
        hold: None,
        tie: None,
        record: record.as_fd(),
    };
    let steal = "print ' ', defined(ioctl(STDERR, 0x540E, 1)) ? 'stolen' : 0 + $!";
    let request = alone.request(&["/usr/bin/perl", "-e", &format!("{inject}; {steal}")]);
    let app = alone.send(&alone.warden, request, &files)?;
    ensure!(
        matches!(event(&app)?.0, Event::Started { .. }),
        "not started"
    );
    assert_eq!(wait(&app)?, Exit::Code(0));
    std::io::Seek::rewind(&mut out)?;
    assert_eq!(
        std::io::read_to_string(out)?,
        format!("{0} {0}", libc::EPERM)
    );
    Ok(())
}

#[test]
fn t44_the_end_of_a_terminal_is_passed_on_to_its_programs() -> Result<()> {
    let alone = Alone::new()?;
    let terminal = nix::pty::openpty(None, None)?;
    let record = tempfile::tempfile()?;
    let files = Files {
        streams: [terminal.slave.as_fd(); 3],
        hold: None,
        tie: None,
        record: record.as_fd(),
    };
    let script = "trap 'kill $!; exit 3' HUP; sleep 60 & echo ready; wait";
    let request = Launch {
        pty: true,
        ..alone.request(&["/bin/sh", "-c", script])
    };
    let app = alone.send(&alone.warden, request, &files)?;
    ensure!(
        matches!(event(&app)?.0, Event::Started { .. }),
        "not started"
    );
    drop(terminal.slave);
    let mut text = [0; 5];
    std::io::Read::read_exact(&mut File::from(terminal.master.try_clone()?), &mut text)?;
    assert_eq!(&text, b"ready");
    drop(terminal.master);
    assert_eq!(wait(&app)?, Exit::Code(3));
    Ok(())
}

#[test]
fn a_keeper_does_not_wait_for_a_helper_that_reads_nothing() -> Result<()> {
    const ROUNDS: usize = 400;
    let alone = Alone::new()?;
    let (ours, theirs) = pair()?;
    let (null, record) = (File::open("/dev/null")?, tempfile::tempfile()?);
    let files = Files {
        streams: [null.as_fd(); 3],
        hold: None,
        tie: Some(theirs.as_fd()),
        record: record.as_fd(),
    };
    let app = alone.send(&alone.warden, alone.request(&["/bin/sleep", "600"]), &files)?;
    let (Event::Started { pid, .. }, handed) = event(&app)? else {
        bail!("not started")
    };
    let keeper = handed.first().context("no pidfd")?;
    drop(theirs);
    // From here on nothing is read of what the keeper tells the helper; the client's tie shows that it goes on.
    let script = format!("$| = 1; while (<STDIN>) {{ kill $_ =~ /c/ ? 'CONT' : 'STOP', {pid} }}");
    let mut killer = lab::warden::beside(alone.world.init, &["perl", "-e", &script]);
    let mut killer = killer.stdin(std::process::Stdio::piped()).spawn()?;
    let mut line = killer.stdin.take().context("no standard input")?;
    let mut tell = |text: &str| std::io::Write::write_all(&mut line, text.as_bytes());
    for round in 0..ROUNDS {
        tell("s\n")?;
        assert_eq!(
            message(&ours).context(round)?,
            Some(format!("stopped {}", libc::SIGSTOP))
        );
        tell("c\n")?;
        assert_eq!(message(&ours).context(round)?.as_deref(), Some("continued"));
    }
    tell("s\n")?;
    assert_eq!(message(&ours)?, Some(format!("stopped {}", libc::SIGSTOP)));
    // It reads again: in the end it knows how things stand.
    let mut last = None;
    app.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut heard = 0;
    while let Ok((found, _)) = event(&app) {
        last = Some(found);
        heard += 1;
    }
    assert_eq!(
        last,
        Some(Event::Stopped {
            signal: libc::SIGSTOP
        })
    );
    ensure!(
        heard < 2 * ROUNDS,
        "the keeper never met a full socket: {heard}"
    );
    // And one that never does: the keeper ends with its app, and leaves how it ended.
    for _ in 0..ROUNDS {
        tell("c\n")?;
        message(&ours)?;
        tell("s\n")?;
        message(&ours)?;
    }
    alone
        .world
        .run_in("host", &["kill", "-KILL", &pid.to_string()])?
        .ok()?;
    assert_eq!(message(&ours)?.as_deref(), Some("killed 9"));
    assert_eq!(message(&ours)?.as_deref(), Some("ended"));
    let mut polled = [rustix::event::PollFd::new(
        keeper,
        rustix::event::PollFlags::IN,
    )];
    let limit = rustix::time::Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    assert_eq!(
        rustix::event::poll(&mut polled, Some(&limit))?,
        1,
        "the keeper stays"
    );
    let mut record = record;
    std::io::Seek::rewind(&mut record)?;
    assert_eq!(std::io::read_to_string(record)?, "killed 9\n");
    drop(line);
    killer.wait()?;
    Ok(())
}

#[test]
fn t71_many_first_namespaces_at_once_are_one_mount_each() -> Result<()> {
    const MANY: u8 = 64;
    let alone = Alone::new()?;
    // A /run of its own, shared as systemd's is, in which nobody has pinned anything; and a service that followed it before anybody did.
    let script = "mount -t tmpfs run /run; mount --make-shared /run; mkdir -m 700 /run/lonewire
        unshare --mount --propagation slave sleep 600 & exec \"$@\"";
    let unit = format!("{}/lonewire-warden@.service", lab::init::UNITS);
    let socket = "/run/lonewire/first.sock";
    let roles = lab::init::ROLES;
    let line = [
        "unshare", "--mount", "sh", "-ec", script, "sh", roles, "role", "activate", socket, &unit,
    ];
    let mut command = alone.world.command("host", None, &line)?;
    let mut service = command.stdout(std::process::Stdio::piped()).spawn()?;
    let mut said = [0; 10];
    std::io::Read::read_exact(service.stdout.as_mut().context("no output")?, &mut said)?;
    assert_eq!(&said, b"listening\n");
    let children = |pid: u32| -> Result<Vec<u32>> {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok(text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?)
    };
    let place = *children(service.id())?.first().context("no service")?;
    let follower = *children(place)?.first().context("no follower")?;
    let lines = |pid: u32| -> Result<usize> {
        Ok(fs::read_to_string(format!("/proc/{pid}/mountinfo"))?
            .lines()
            .count())
    };
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm"));
    until(
        PATIENCE,
        "the follower",
        || Ok(name(follower)? == "sleep\n"),
    )?;
    let before = [lines(place)?, lines(follower)?];

    let connect = lab::warden::beside(i32::try_from(place)?, &[roles, "role", "connect", socket]);
    let warden = lab::system::connector::Connector::with(connect)?;
    let request = |number: u8| Request::Create {
        namespace: LinkName::from_random([number; 6]),
    };
    let make = |number: u8| -> Result<u64> {
        match event(&ask(&warden, &request(number), &[])?)?.0 {
            Event::Namespace { inode } => Ok(inode),
            other => bail!("{other:?}"),
        }
    };
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY)
            .map(|number| scope.spawn(move || make(number)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<u64>>| {
            thread.join().map_err(|_| anyhow::anyhow!("a panic"))?
        };
        threads
            .into_iter()
            .map(join)
            .collect::<Result<std::collections::BTreeSet<_>>>()
    })?;
    assert_eq!(made.len(), usize::from(MANY), "not a namespace each");
    // One line a pin, and one for their folder.
    let wanted = usize::from(MANY) + 1;
    assert_eq!(lines(place)? - before[0], wanted);
    // Who followed /run before has them all too, and none twice.
    assert_eq!(lines(follower)? - before[1], wanted);
    // A name is given once.
    ensure!(
        matches!(
            event(&ask(&warden, &request(0), &[])?)?.0,
            Event::Failed {
                errno: libc::EEXIST,
                ..
            }
        ),
        "given twice"
    );
    for number in 0..MANY {
        let remove = Request::Remove {
            namespace: LinkName::from_random([number; 6]),
        };
        ensure!(
            matches!(event(&ask(&warden, &remove, &[])?)?.0, Event::Done),
            "not removed"
        );
    }
    assert_eq!(
        [lines(place)? - before[0], lines(follower)? - before[1]],
        [1, 1]
    );
    drop(warden);
    alone.world.end(&[i32::try_from(place)?])?;
    service.wait()?;
    Ok(())
}
