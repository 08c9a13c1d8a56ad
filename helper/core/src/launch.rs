// SPDX-License-Identifier: MIT OR Apache-2.0
//! What helper and warden say to each other, and how a keeper reports. Both ends are ours and of one version: the
//! encoding is `postcard`, without a schema of its own.
//!
//! The road: the helper connects to the warden's socket and sends one byte ([`REQUEST`]) with file descriptors: first a memfd,
//! sealed against everything, that holds a [`Request`], then those that the request's documentation lists.
//! The warden answers with frames (a little-endian u32 length, then a postcard [`Event`]); descriptors, where an event has
//! any, come with the frame's first byte. After a launch the connection stays, and belongs to the keeper.

use serde::{Deserialize, Serialize};

use crate::name::LinkName;

/// The one byte that carries a request's descriptors.
pub const REQUEST: u8 = b'L';

/// Bytes a request may have: argv of 1 MiB, environment of 256 KiB, and the rest.
pub const MAX_REQUEST: u64 = 2 * 1024 * 1024;

/// Bytes a frame may have.
pub const MAX_FRAME: u32 = 64 * 1024;

/// Where namespaces are pinned; `ip netns` lists this folder.
pub const NETNS_DIR: &str = "/run/netns";

/// Where the control sockets of userspace WireGuard are bound: `<link>.sock`, root 0600.
pub const CONTROL_DIR: &str = "/run/wireguard";

/// Where the helper writes `<namespace>/resolv.conf` and `<namespace>/hosts`; inside, an app sees its own namespace's
/// folder as [`DNS_INSIDE`].
pub const DNS_DIR: &str = "/run/lonewire/dns";

/// Where an app sees the folder of its namespace's resolver files.
pub const DNS_INSIDE: &str = "/run/lonewire/dns";

/// What the helper asks of the warden.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Make a network namespace with `lo` up and the plan's sysctls, and pin it at `/run/netns/<namespace>` (EXCL).
    /// No descriptors. Answer: [`Event::Namespace`], read back from it, with one: the namespace.
    Create { namespace: LinkName },
    /// Open the TUN `link` inside the pinned namespace (made if it is missing, persistent), and bind its control socket afresh.
    /// Answer: [`Event::Tun`] with two: the TUN, the listening socket.
    OpenTun { namespace: LinkName, link: LinkName },
    /// Unpin the namespace and remove its control socket. What is already gone is no error. Answer: [`Event::Done`].
    Remove { namespace: LinkName },
    /// Look at what only root without a sandbox sees of a pinned namespace. Answer: [`Event::Survey`].
    Survey { namespace: LinkName },
    /// Start a program. Descriptors after the memfd: standard input, output, error; the file for the exit status; the
    /// keeper's listening socket (`/run/lonewire/apps/<id>.sock`, where a restarted helper connects); then hold and tie where `hold`, `tie` say so.
    /// Answers: [`Event::Started`] with one descriptor, a pidfd of the keeper, or [`Event::Failed`]; then what the keeper sees.
    Launch(Box<Launch>),
}

/// A program to start, all of it decided and checked by the helper; the warden checks again what could harm.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub namespace: LinkName,
    /// Name of the tunnel's link, the only one beside `lo` that may be in `/sys/class/net`.
    pub link: LinkName,
    /// Inode of the namespace as it was when the helper had it made.
    pub namespace_inode: u64,
    /// Process that asked, as the bus says it: the app gets its resource limits, once it is seen to be `user`'s.
    pub caller_pid: i32,
    pub user: User,
    /// Absolute path.
    pub program: Vec<u8>,
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value`, final: nothing is added or left out later.
    pub environment: Vec<Vec<u8>>,
    /// Absolute path; then the home folder, then `/`.
    pub cwd: Vec<u8>,
    /// 0 to 0o777.
    pub umask: u32,
    /// stdio is a terminal made for this app.
    pub pty: bool,
    pub allow_new_privileges: bool,
    /// A descriptor `hold` comes along: one end of a SOCK_SEQPACKET pair (checked as `tie` is). The child, its privileges dropped,
    /// sends `held <pid>` to it (never blocking) and waits before execve until the other end is closed, at most 5 s.
    pub hold: bool,
    /// A descriptor `tie` comes along: one end of a SOCK_SEQPACKET pair. The keeper sends `stopped N`, `continued`, `exited N`,
    /// `killed N`, `ended` to it, never blocking, never reading; when its other end is closed the app's processes get SIGHUP and SIGCONT.
    pub tie: bool,
    /// Rules of the proxy that stands before the system bus ([`crate::bus::rules`]); with none, or without the proxy, there is no bus inside.
    pub bus: Vec<String>,
}

/// Who the program runs as, from the host's user database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// All of them, the primary one too.
    pub groups: Vec<u32>,
    pub name: String,
    pub home: Vec<u8>,
    pub shell: Vec<u8>,
}

/// What the warden answers and a keeper reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Namespace(Survey),
    Tun,
    Done,
    Survey(Survey),
    /// The request could not be done; whatever was begun has been undone. No program of the user ran.
    Failed {
        stage: Stage,
        /// errno(3); 0 where none tells it.
        errno: i32,
    },
    /// execve succeeded and the program's namespace is the tunnel's.
    Started {
        pid: i32,
        keeper: i32,
        /// Field 22 of `/proc/<keeper>/stat`: with the pid it names one process for ever.
        keeper_start: u64,
    },
    Stopped {
        signal: i32,
    },
    Continued,
    /// The first process ended; others may go on.
    Exited(Exit),
    /// The last process ended; the keeper ends after this.
    Ended,
    /// Answer to [`Command::Processes`]: pids, and how many of them are in another network namespace of the host's kind.
    Processes {
        pids: Vec<i32>,
        outside: u32,
    },
}

/// What can be asked of a keeper, on its launch connection or on its socket (frames as events; no descriptors).
/// Its newest connection is the one that is answered; on connecting a keeper first reports where it stands: `Started`, then `Stopped`, `Exited` if so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// To the first process only (nothing once it has ended), or to every descendant.
    Signal {
        signal: i32,
        all: bool,
    },
    Processes,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(u8),
    Signal(i32),
}

/// Where a request failed; the numbers are those of SECURITY's launch order only in spirit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    Request,
    Descriptors,
    Namespace,
    Tun,
    ControlSocket,
    /// A standard stream is of a kind that could leak.
    Stdio,
    Mounts,
    /// The overlay on `/etc` was refused.
    Etc,
    /// The namespace or the mounts did not hold what they must.
    Verify,
    Limits,
    Terminal,
    Privileges,
    Exec,
}

/// A namespace seen by the warden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    pub inode: u64,
    /// Every sysctl of [`crate::plan::SYSCTLS`] with its value, trimmed; absent ones are absent.
    pub sysctls: Vec<(String, String)>,
}

/// Encodes a request or an event.
///
/// # Errors
/// Only where the value is larger than memory allows.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_stdvec(value)
}

/// Decodes a request or an event; trailing bytes are an error.
///
/// # Errors
/// Anything that [`encode`] does not write.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// A frame: what goes over a connection after the request.
///
/// # Errors
/// As [`encode`]; or it is longer than [`MAX_FRAME`].
pub fn frame<T: Serialize>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    let body = encode(value)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length <= MAX_FRAME);
    let length = length.ok_or(postcard::Error::SerializeBufferFull)?;
    Ok([length.to_le_bytes().as_slice(), &body].concat())
}

/// Takes the first frame off what has come; `None` while it is not whole.
///
/// # Errors
/// It is too long, or is not what [`frame`] makes.
pub fn take_frame<T: for<'a> Deserialize<'a>>(
    bytes: &mut Vec<u8>,
) -> Result<Option<T>, postcard::Error> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*head);
    if length > MAX_FRAME {
        return Err(postcard::Error::DeserializeBadEncoding);
    }
    let Some(body) = rest.get(..length as usize) else {
        return Ok(None);
    };
    let value = decode(body)?;
    bytes.drain(..4 + length as usize);
    Ok(Some(value))
}

/// Text of an exit-status file, and what it means.
impl Exit {
    pub fn to_record(self) -> String {
        match self {
            Self::Code(code) => format!("exited {code}\n"),
            Self::Signal(signal) => format!("killed {signal}\n"),
        }
    }

    pub fn from_record(text: &str) -> Option<Self> {
        let (word, number) = text.trim_end().split_once(' ')?;
        match word {
            "exited" => number.parse().ok().map(Self::Code),
            "killed" => number.parse().ok().map(Self::Signal),
            _ => None,
        }
    }
}
