//! Running a program in a tunnel: what `run` and `shell` share. The program gets our standard streams, or, where all three are one terminal, a
//! terminal of its own that we relay; it goes on by itself if the helper dies, and gets SIGHUP if we do.

pub mod guardian;
pub mod instance;
mod relay;
mod signals;
mod target;
mod terminal;
mod tie;

use std::{
    ffi::OsString,
    io::IsTerminal as _,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt},
    },
    path::PathBuf,
    time::Instant,
};

use lonewire_api::{AppInfo, Launch};
use lonewire_client::{
    launch::{environment, program, scope},
    profile,
};
use rustix::fs::FileType;

use crate::{
    command::up::handshake_of,
    context::Context,
    failure::{Exit, Failure},
    helper_error::About,
    print, select,
};
use instance::Watch;
use signals::Signals;
use terminal::Terminal;

/// What to run, and how.
#[derive(Debug)]
pub struct Wish {
    /// As the user wrote it; `None` is the default tunnel.
    pub tunnel: Option<String>,
    /// Seconds to wait for a handshake.
    pub wait: u32,
    pub detach: bool,
    pub clean_env: bool,
    pub name: Option<String>,
    /// The id of the installed app that it is.
    pub app: Option<String>,
    /// A browser gets a profile of its own for the tunnel.
    pub separate_profile: bool,
    /// What tells whether it is handed over to an instance elsewhere.
    pub watch: Option<Watch>,
    /// Where it starts, if not here.
    pub folder: Option<PathBuf>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// What the program is told it is called, where that is not `command[0]`.
    pub called: Option<OsString>,
}

/// Runs it; answers the program's exit code, or 0 once it runs with `detach`.
///
/// # Errors
/// What keeps the program from starting: 76, 77, 125, 126 or 127; or 76, where it was handed over.
pub fn run(context: &Context, wish: Wish) -> Result<u8, Failure> {
    // Before there is a second thread: each inherits what is blocked, so that no signal ends us half-way.
    let signals = Signals::block()?;
    start(context, &signals, wish).map_err(Failure::before_program)
}

fn start(context: &Context, signals: &Signals, mut wish: Wish) -> Result<u8, Failure> {
    let watch = signals.while_launching();
    let program = wish
        .command
        .first()
        .map(|command| program::find(command))
        .transpose()?
        .unwrap_or_default();
    let tunnel = tunnel(context, wish.tunnel.as_deref())?;
    if wish.separate_profile {
        separate(&mut wish.command, &tunnel.0)?;
    }
    if let Some(watch) = &wish.watch {
        watch.before(context, &tunnel.0)?;
    }
    let mut argv: Vec<Vec<u8>> = wish
        .command
        .into_iter()
        .map(OsStringExt::into_vec)
        .collect();
    if let (Some(first), Some(called)) = (argv.first_mut(), wish.called) {
        *first = called.into_vec();
    }

    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let all_terminals = stdin.is_terminal() && stdout.is_terminal() && stderr.is_terminal();
    let terminal = (all_terminals && !wish.detach)
        .then(Terminal::new)
        .transpose()?;
    let null = wish.detach.then(null).transpose()?;
    let stdio: [BorrowedFd<'_>; 3] = match (&terminal, &null) {
        (Some(terminal), _) => [terminal.inner(); 3],
        (None, Some(null)) => [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].map(|stream| {
            if outlives_us(stream) {
                stream
            } else {
                null.as_fd()
            }
        }),
        (None, None) => [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
    };

    let unit = match &wish.app {
        Some(app) => app.as_bytes(),
        None => argv.first().map(Vec::as_slice).unwrap_or_default(),
    };
    let tie = (!wish.detach).then(tie::pair).transpose()?;
    let (hold, holder) = scope::Holder::start(unit)
        .map_err(|error| Failure::system(tie::NO_PAIR, error))?
        .unzip();
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    let cwd = wish
        .folder
        .or_else(|| std::env::current_dir().ok())
        .unwrap_or_else(|| "/".into());
    let launch = Launch {
        environment: environment::ours(),
        cwd: cwd.as_os_str().as_bytes().to_vec(),
        umask: umask.as_raw_mode(),
        hold: hold.as_ref().map(OwnedFd::as_fd),
        tie: tie.as_ref().map(|(theirs, _)| theirs.as_fd()),
        pty: terminal.is_some(),
        clean_env: wish.clean_env,
        name: wish.name,
        wait: wish.wait,
        ..Launch::new(
            program.into_os_string().into_vec(),
            argv,
            [&stdio[0], &stdio[1], &stdio[2]],
        )
    };

    let (tunnel, name) = tunnel;
    let about = name.as_deref().map_or(About::DefaultTunnel, About::Tunnel);
    let waiting = (launch.wait > 0).then(|| handshake_of(about));
    let launched = context.call_waiting(waiting, about, async |client| {
        client.launch(&tunnel, &launch).await
    });
    drop(watch);
    drop(launch);
    // Our copy of the hold's end first, also where the launch failed: the holder waits for the end of the last one.
    drop((hold, holder, null));
    let (id, info) = launched?;
    let began = Instant::now();
    let Some((theirs, ours)) = tie else {
        return detached(context, &id, &info);
    };
    drop(theirs);
    let code = match terminal {
        Some(terminal) => relay::terminal(context, signals, terminal, &ours, &info, &id),
        None => relay::streams(context, signals, &ours, &info, &id),
    }?;
    if let Some(watch) = wish.watch.filter(|_| code == 0) {
        watch.after(context, &tunnel, began.elapsed())?;
    }
    Ok(code)
}

/// Gives a browser a profile of the tunnel's.
fn separate(command: &mut Vec<OsString>, tunnel: &str) -> Result<(), Failure> {
    let done = profile::separate(command, tunnel)
        .map_err(|error| Failure::system("a separate profile cannot be made", error))?;
    if done {
        return Ok(());
    }
    let name = command.first().map(|word| word.to_string_lossy());
    let name = lonewire_client::text::printable(&name.unwrap_or_default());
    Err(Failure::new(
        Exit::Refused,
        "no_profiles",
        format!("{name} is no browser that can be given a separate profile"),
    )
    .hint("Firefox, LibreWolf, Chromium, Chrome, Brave and Vivaldi can."))
}

/// Id and name of the tunnel. A default that is known by its id costs no question, and has no name here: if it has gone, the launch says so.
fn tunnel(context: &Context, word: Option<&str>) -> Result<(String, Option<String>), Failure> {
    if word.is_none()
        && let Some(id) = context.settings()?.default_tunnel()
    {
        return Ok((id.to_owned(), None));
    }
    let found = select::tunnel_or_default(context, word)?;
    Ok((found.id, Some(found.info.name)))
}

fn detached(context: &Context, id: &str, info: &AppInfo) -> Result<u8, Failure> {
    if context.json() {
        let app = serde_json::json!({ "schema": 1, "app": { "id": id, "pid": info.pid, "name": info.name } });
        print::json(&app)?;
    } else {
        print::text(&format!("{id}\n"))?;
    }
    Ok(0)
}

/// Whether a stream may stay with a program that goes on without us: whoever reads our pipe waits for its end, and a terminal is somebody else's then.
fn outlives_us(stream: BorrowedFd<'_>) -> bool {
    let kind = rustix::fs::fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode));
    matches!(kind, Ok(FileType::RegularFile | FileType::Socket))
}

fn null() -> Result<OwnedFd, Failure> {
    std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
        .map_err(|error| Failure::system("/dev/null cannot be opened", error))
}
