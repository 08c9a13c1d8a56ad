//! A keeper goes on whatever its helper does.

use std::{
    fs::File,
    io::PipeReader,
    os::fd::{AsFd as _, BorrowedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::warden::{Alone, Files, event, message, pair};
use lonewire_core::launch::{Event, Launch};
use rustix::{
    event::{PollFd, PollFlags},
    time::Timespec,
};

use crate::{PATIENCE, TRACE, starts, trace};

#[test]
fn what_nobody_is_told_of_does_not_run() -> Result<()> {
    let alone = Alone::new()?;
    let (ours, theirs) = pair()?;
    let (null, record) = (File::open("/dev/null")?, tempfile::tempfile()?);
    // The end of what it writes is the end of all that have to do with it.
    let launched = |request: Launch, hold: Option<BorrowedFd<'_>>| -> Result<_> {
        let (end, stream) = std::io::pipe()?;
        let files = Files {
            streams: [null.as_fd(), stream.as_fd(), stream.as_fd()],
            hold,
            tie: None,
            record: record.as_fd(),
        };
        Ok((alone.send(&alone.warden, request, &files)?, end))
    };
    let all_end = |end: PipeReader| -> Result<()> {
        let mut polled = [PollFd::new(&end, PollFlags::empty())];
        let limit = Timespec::try_from(PATIENCE)?;
        ensure!(
            rustix::event::poll(&mut polled, Some(&limit))? == 1,
            "it runs: {}",
            alone.world.log("warden")
        );
        Ok(())
    };

    // The helper goes before the warden has begun.
    let (connection, end) = launched(trace(&alone), None)?;
    drop(connection);
    all_end(end)?;
    ensure!(!alone.world.path(TRACE).exists(), "it has started");

    // It goes while the program is held.
    let sleep = alone.request(&["/bin/sleep", "600"]);
    let (connection, end) = launched(sleep, Some(theirs.as_fd()))?;
    let held = message(&ours)?.context("not held")?;
    ensure!(held.starts_with("held "), "{held}");
    drop((connection, theirs, ours));
    all_end(end)?;
    starts(&alone)
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
