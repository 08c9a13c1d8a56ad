//! Userspace WireGuard for one tunnel, on the TUN and the control socket that it is handed. Holds no privilege, opens no
//! file but its own `/proc/self/stat`, and writes nothing that came over the control socket: keys pass there.
//!
//! Started by systemd with one connection (`Accept=yes`, descriptor 3), or by hand with `--listen PATH --uid UID --gid GID`,
//! which binds the socket (0600), gives up root for good, and runs itself afresh with each connection as standard input.

mod control;
mod handover;
mod listen;
mod offload;
mod privilege;
mod serve;
mod tun;
mod udp;

use std::{
    os::{
        fd::{AsFd as _, FromRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
};

use anyhow::{Context as _, bail};

/// Where `sd_listen_fds(3)` begins.
const FIRST_PASSED: i32 = 3;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lonewire-wireguard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    match arguments {
        Arguments::Serve => {
            privilege::have_none()?;
            privilege::hide_memory()?;
            serve::serve(connection()?)
        }
        Arguments::Listen { path, uid, gid } => listen::listen(&path, uid, gid),
    }
}

/// The connection to the helper: what systemd passed, else standard input.
fn connection() -> anyhow::Result<UnixStream> {
    let passed = std::env::var("LISTEN_FDS").is_ok_and(|count| count == "1")
        && std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let fd = if passed {
        #[expect(
            unsafe_code,
            reason = "the only way to own a descriptor that systemd passes by its number"
        )]
        // SAFETY: LISTEN_FDS and LISTEN_PID say that descriptor 3 was passed to this very process; nothing has been
        // opened yet, no other thread runs, and this is the only place that takes it.
        unsafe {
            OwnedFd::from_raw_fd(FIRST_PASSED)
        }
    } else {
        std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .context("standard input")?
    };
    match rustix::net::sockopt::socket_domain(&fd) {
        Ok(rustix::net::AddressFamily::UNIX) => Ok(UnixStream::from(fd)),
        _ => bail!(
            "was given no connection to the helper: see lonewire-wireguard.socket, or use --listen"
        ),
    }
}

enum Arguments {
    Serve,
    Listen {
        path: std::path::PathBuf,
        uid: u32,
        gid: u32,
    },
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (mut path, mut uid, mut gid) = (None, None, None);
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .with_context(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--listen" => path = Some(value.into()),
                "--uid" => uid = Some(value.parse().context("--uid")?),
                "--gid" => gid = Some(value.parse().context("--gid")?),
                _ => bail!("usage: lonewire-wireguard [--listen PATH --uid UID --gid GID]"),
            }
        }
        match (path, uid, gid) {
            (None, None, None) => Ok(Self::Serve),
            (Some(path), Some(uid), Some(gid)) => Ok(Self::Listen { path, uid, gid }),
            _ => bail!("--listen, --uid and --gid go together"),
        }
    }
}
