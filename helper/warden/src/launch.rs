//! Launching: this process becomes the keeper, its child the app. The order of the child's steps is that of the design: namespace, mounts, a look
//! at both, then the user, then the program. Whatever fails, the program does not start.

use std::{
    ffi::CString,
    fs::File,
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use lonewire_core::launch::{self, Launch, Stage};
use nix::{
    sys::signal::{SigSet, Signal},
    unistd::Pid,
};
use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
    net::{RecvFlags, SendFlags},
};

use crate::{
    bus,
    connection::Connection,
    failure::{At as _, Failure},
    identity::{self, Caller},
    keeper, mounts, namespace, proc, raw, stdio,
};

/// On the status pipe: all is done but execve; then the number of the bus's proxy, or 0. No encoded failure begins so.
const RUNS: u8 = 0xff;

/// How long a program may take to say that it runs, and again to do so: its folders may lie on a file system that does not answer. Both together are less
/// than the helper waits: what it was not told of must not run.
const PATIENCE: Duration = Duration::from_secs(9);

/// How long a program waits to be put into its scope.
const HOLD: Duration = Duration::from_secs(5);

/// Descriptors of a launch, in their order.
struct Files {
    streams: [OwnedFd; 3],
    exit_record: OwnedFd,
    socket: OwnedFd,
    hold: Option<OwnedFd>,
    tie: Option<OwnedFd>,
}

/// Launches, and keeps. Returns when the app has ended, or after telling why it did not start.
pub fn launch(
    mut connection: Connection,
    request: Launch,
    descriptors: Vec<OwnedFd>,
) -> Result<(), Failure> {
    match start(&request, descriptors) {
        Ok((app, kept)) => {
            // Its arguments are not needed any more, and a keeper may live long.
            drop(request);
            keeper::keep(app, connection, kept)
        }
        Err(failure) => crate::refuse(&mut connection, failure),
    }
}

/// Starts the program and waits until it runs.
fn start(request: &Launch, descriptors: Vec<OwnedFd>) -> Result<(Pid, keeper::Kept), Failure> {
    let files = sort(request, descriptors)?;
    files.streams.iter().try_for_each(stdio::check_stream)?;
    files.hold.iter().chain(&files.tie).try_for_each(stdio::check_pair)?;
    let caller = Caller::of(request.caller_pid, request.user.uid)?;
    let program = program(request)?;

    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).at(Stage::Request)?;
    // The session's leader is the keeper: an app that led its own would be an orphaned process group, which Ctrl-Z does not stop.
    let me = nix::unistd::getpid();
    if nix::unistd::getsid(None).at(Stage::Terminal)? != me {
        nix::unistd::setsid().at(Stage::Terminal)?;
    }
    if request.pty {
        let [terminal, ..] = &files.streams;
        raw::control_terminal(terminal).at(Stage::Terminal)?;
    }
    // Before there is a child, so that none of its signals is lost.
    let signals = keeper::signals().at(Stage::Request)?;
    let (mut report, status) = UnixStream::pair().at(Stage::Request)?;
    report.set_read_timeout(Some(PATIENCE)).at(Stage::Request)?;
    let (told, line) = UnixStream::pair().at(Stage::Request)?;
    let (status, told, line) = (OwnedFd::from(status), told.into(), line.into());
    let Some(app) = raw::fork().at(Stage::Request)? else {
        let Err(failure) = become_app(request, &files, &caller, &program, &status, (&told, line));
        let text = launch::encode(&(failure.stage, failure.errno)).unwrap_or_default();
        let _ = File::from(status).write_all(&text);
        raw::exit(125)
    };
    drop((status, files.streams, files.hold, line));
    let dropped = identity::keep_only_keeping();

    let mut text = Vec::new();
    // Nothing but its time can end this early.
    let late = Failure::new(Stage::Exec, Errno::TIMEDOUT);
    let read = report.read_to_end(&mut text).map_err(|_| late);
    let started = dropped.and(read).and_then(|_| match text.as_slice() {
        // Closed by execve.
        [RUNS, bus @ ..] if let Ok(bus) = bus.try_into() => {
            compare(app).map(|()| i32::from_ne_bytes(bus))
        }
        [RUNS, _, _, _, _, failed @ ..] | failed => Err(match launch::decode(failed) {
            Ok((stage, errno)) => Failure { stage, errno },
            // It was killed on the way.
            Err(_) => Failure::new(Stage::Exec, Errno::SRCH),
        }),
    });
    let bus = match started {
        Ok(bus) => Some(Pid::from_raw(bus)).filter(|bus| bus.as_raw() > 0),
        Err(failure) => {
            proc::signal_all(rustix::process::Signal::KILL, None);
            let _ = nix::sys::wait::waitpid(app, None);
            return Err(failure);
        }
    };
    let kept = keeper::Kept {
        socket: files.socket,
        tie: files.tie,
        exit_record: files.exit_record,
        signals,
        bus,
        _line: told,
    };
    Ok((app, kept))
}

fn sort(request: &Launch, descriptors: Vec<OwnedFd>) -> Result<Files, Failure> {
    let mut rest = descriptors.into_iter();
    let mut next = || rest.next().ok_or(Failure::new(Stage::Descriptors, Errno::BADF));
    let files = Files {
        streams: [next()?, next()?, next()?],
        exit_record: next()?,
        socket: next()?,
        hold: request.hold.then(&mut next).transpose()?,
        tie: request.tie.then(&mut next).transpose()?,
    };
    rest.next().map_or(Ok(files), |_| Err(Failure::new(Stage::Descriptors, Errno::MFILE)))
}

/// That the running program is not in the host's network, where this keeper is. One that made a namespace of its own is further in, and one that has ended
/// already looked at itself before.
fn compare(app: Pid) -> Result<(), Failure> {
    let is_outside = proc::namespace_of(app) == Some(namespace::own_inode()?);
    if is_outside { Err(Failure::new(Stage::Verify, Errno::XDEV)) } else { Ok(()) }
}

/// What execve gets: path, arguments, environment.
type Program = (CString, Vec<CString>, Vec<CString>);

fn program(request: &Launch) -> Result<Program, Failure> {
    let invalid = Failure::new(Stage::Exec, Errno::INVAL);
    let text = |bytes: &Vec<u8>| CString::new(bytes.clone()).map_err(|_| invalid);
    let all = |list: &[Vec<u8>]| list.iter().map(text).collect::<Result<_, _>>();
    if !request.program.starts_with(b"/") || request.argv.is_empty() {
        return Err(invalid);
    }
    Ok((text(&request.program)?, all(&request.argv)?, all(&request.environment)?))
}

/// The child's road to the program; it comes back only with what went wrong.
fn become_app(
    request: &Launch,
    files: &Files,
    caller: &Caller,
    (path, argv, environment): &Program,
    status: &OwnedFd,
    (told, line): (&OwnedFd, OwnedFd),
) -> Result<std::convert::Infallible, Failure> {
    let terminal = request.pty.then_some(&files.streams[0]);
    own_group(terminal)?;
    raw::default_signals();

    if namespace::enter(&namespace::open(&request.namespace)?)? != request.namespace_inode {
        return Err(Failure::new(Stage::Verify, Errno::STALE));
    }
    let bus = mounts::make(request, |host| bus::start(request, caller, [host, &line]))?;
    drop(line);
    if namespace::own_inode()? != request.namespace_inode {
        return Err(Failure::new(Stage::Verify, Errno::XDEV));
    }

    identity::become_caller(request, caller)?;
    if let Some(hold) = &files.hold {
        wait_for_release(hold, bus);
    }
    if bus.is_some() {
        bus::wait(told);
    }
    for (stream, number) in files.streams.iter().zip(0..) {
        raw::place(stream, number).at(Stage::Stdio)?;
    }
    raw::close_from(3, libc::CLOSE_RANGE_CLOEXEC).at(Stage::Descriptors)?;
    SigSet::empty().thread_set_mask().at(Stage::Exec)?;
    let [a, b, c, d] = bus.map_or(0, Pid::as_raw).to_ne_bytes();
    rustix::io::write(status, &[RUNS, a, b, c, d]).at(Stage::Exec)?;
    nix::unistd::execve(path, argv, environment).at(Stage::Exec)
}

/// A process group of its own, in front of its terminal where it has one; without one, a session of its own.
fn own_group(terminal: Option<&OwnedFd>) -> Result<(), Failure> {
    let Some(terminal) = terminal else {
        return nix::unistd::setsid().map(drop).at(Stage::Terminal);
    };
    let me = nix::unistd::getpid();
    nix::unistd::setpgid(me, me).at(Stage::Terminal)?;
    // A group in the background that comes to the front is stopped by SIGTTOU otherwise.
    SigSet::from(Signal::SIGTTOU).thread_block().at(Stage::Terminal)?;
    nix::unistd::tcsetpgrp(terminal, me).at(Stage::Terminal)
}

/// Tells who holds it its number and that of the proxy of its bus, and waits until it is let go; a holder that takes too long has lost.
fn wait_for_release(hold: &OwnedFd, bus: Option<Pid>) {
    let bus = bus.map(|bus| format!(" {bus}")).unwrap_or_default();
    let text = format!("held {}{bus}", nix::unistd::getpid());
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    if rustix::net::send(hold, text.as_bytes(), flags).is_err() {
        return;
    }
    let until = Instant::now() + HOLD;
    loop {
        // Whoever keeps talking has no more time than others.
        let Some(left) = until.checked_duration_since(Instant::now()) else { return };
        let Ok(left) = left.try_into() else { return };
        let mut polled = [PollFd::new(hold, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&left)) {
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return,
            Ok(_) => match rustix::net::recv(hold, &mut [0_u8; 16], RecvFlags::DONTWAIT) {
                Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR) => {}
                Ok((0, _)) | Err(_) => return,
            },
        }
    }
}
