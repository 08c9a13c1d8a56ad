//! What a program may have as standard streams: T35, T36, T44.

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    warden::{Alone, Files, event, pair, wait},
    world::until,
};
use lonewire_core::launch::{Event, Exit, Launch, Stage};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::{Other, PATIENCE, TRACE, trace};

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
