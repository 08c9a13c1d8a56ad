//! Starting a program in a tunnel, as far as it is the same for a terminal and a window: which file it is, what environment it gets, its place in the user's
//! session. Privileges are the helper's: nothing here has any.

pub mod environment;
pub mod program;
pub mod scope;

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::PathBuf,
};

use lonewire_api::{ApiError, AppInfo, Client, Launch};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// A program to start that goes on by itself, with nothing to read and nobody to read it.
#[derive(Debug, Clone)]
pub struct Detached {
    /// The app's id, for its place in the session; else the program's name is used.
    pub app: Option<String>,
    /// What it is called in lists; else the file's name.
    pub name: Option<String>,
    /// The program, as in PATH, and its arguments.
    pub argv: Vec<OsString>,
    /// Where it starts; else the user's home.
    pub folder: Option<PathBuf>,
    /// `NAME=value`; see [`environment::ours_with`].
    pub environment: Vec<Vec<u8>>,
    /// Seconds to wait for a handshake, 0 to 20.
    pub wait: u32,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Program(#[from] program::Error),
    #[error("the system refused something: {}", crate::text::cause(_0))]
    System(#[from] io::Error),
    #[error(transparent)]
    Helper(#[from] ApiError),
}

/// Starts it in a tunnel, by its id. Answers the app's id. It blocks nobody: the session's part is done on a thread of its own.
///
/// # Errors
/// [`Error`]; nothing runs then.
pub async fn detached(
    client: &Client,
    tunnel: &str,
    wish: Detached,
) -> Result<(String, AppInfo), Error> {
    let command = wish.argv.first().ok_or(program::Error::Empty)?;
    let program = program::find(command)?;
    let unit = wish
        .app
        .unwrap_or_else(|| command.to_string_lossy().into_owned());
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let (hold, holder) = scope::Holder::start(unit.as_bytes())?.unzip();
    let folder = wish
        .folder
        .or_else(|| std::env::var_os("HOME").map(PathBuf::from))
        .unwrap_or_else(|| "/".into());
    let launch = Launch {
        environment: wish.environment,
        cwd: folder.as_os_str().as_bytes().to_vec(),
        hold: hold.as_ref().map(OwnedFd::as_fd),
        name: wish.name,
        wait: wish.wait,
        ..Launch::new(
            program.into_os_string().into_vec(),
            wish.argv.into_iter().map(OsString::into_vec).collect(),
            [&null; 3].map(|null| null as _),
        )
    };
    let launched = client.launch(tunnel, &launch).await;
    drop(launch);
    // The holder's end is that of the last copy of the hold.
    drop(hold);
    if let Some(holder) = holder {
        holder.leave();
    }
    Ok(launched?)
}

/// Two ends of a line for short words: theirs goes with the launch.
///
/// # Errors
/// The system's.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    Ok(socketpair(AddressFamily::UNIX, kind, flags, None)?)
}
