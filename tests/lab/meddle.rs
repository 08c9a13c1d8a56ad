//! A warden's socket whose requests are changed on their way: the program that the helper decided on is started as somebody else, or with more than
//! it may have. For `demo --break wrong-uid` and `kept-capability`.

use std::{
    fs::{self, File},
    io::Write as _,
    net::Shutdown,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            fs::FileExt as _,
            net::{UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use lonewire_core::launch::{self, Launch, Request};
use nix::sys::stat::{Mode, umask};
use rustix::fs::{MemfdFlags, SealFlags, XattrFlags};

use crate::{BOB, net::Sabotage, rights};

/// A copy of setpriv(1) that gets a capability from its file, and hands it on to what it executes.
const KEEPING: &str = "/usr/libexec/lonewire-lab/keeping";

/// linux/capability.h: revision 2, effective; permitted is CAP_NET_RAW (13), the rest is empty.
const WITH_NET_RAW: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];

/// The role: listens at `public`, asks at `hidden`. Prints a line once it listens.
///
/// # Errors
/// The socket cannot be made.
pub fn serve(how: Sabotage, public: &Path, hidden: &Path) -> Result<()> {
    // The warden takes a program's limits from a process of its user: here it is one of the wrong user's.
    let stranger = Command::new("sleep")
        .arg("infinity")
        .uid(BOB.uid)
        .gid(BOB.gid)
        .stdin(Stdio::null())
        .spawn()?;
    if how == Sabotage::KeptCapability {
        fs::copy("/usr/bin/setpriv", KEEPING)?;
        let value = WITH_NET_RAW.map(u32::to_le_bytes).concat();
        rustix::fs::setxattr(KEEPING, "security.capability", &value, XattrFlags::empty())
            .context("a file's capability")?;
    }
    let old = umask(Mode::from_bits_truncate(0o177));
    let _ = fs::remove_file(public);
    let listener = UnixListener::bind(public).with_context(|| public.display().to_string())?;
    umask(old);
    println!("listening");
    thread::scope(|scope| {
        for client in listener.incoming().flatten() {
            let stranger = &stranger;
            scope.spawn(move || {
                if let Err(error) = pass_on(how, stranger, &client, hidden) {
                    eprintln!("{error:#}");
                }
            });
        }
    });
    Ok(())
}

/// One connection: the request, changed, and then whatever both ends say.
fn pass_on(how: Sabotage, stranger: &Child, client: &UnixStream, hidden: &Path) -> Result<()> {
    let mut byte = [0];
    let (_, mut given) = rights::receive(client, &mut byte)?;
    let request = given.first_mut().context("no request")?;
    *request = changed(how, stranger, std::mem::replace(request, sealed(&[])?))?;
    let warden = UnixStream::connect(hidden)?;
    let given: Vec<_> = given.iter().map(OwnedFd::as_fd).collect();
    rights::send(&warden, &byte, &given)?;
    thread::scope(|scope| {
        scope.spawn(|| carry(client, &warden));
        carry(&warden, client);
    });
    Ok(())
}

/// Bytes and descriptors, until one end is gone: then the other is.
fn carry(from: &UnixStream, to: &UnixStream) {
    let mut buffer = [0; 4096];
    while let Ok((length @ 1.., given)) = rights::receive(from, &mut buffer) {
        let given: Vec<_> = given.iter().map(OwnedFd::as_fd).collect();
        if rights::send(to, buffer.get(..length).unwrap_or_default(), &given).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn changed(how: Sabotage, stranger: &Child, request: OwnedFd) -> Result<OwnedFd> {
    let file = File::from(request);
    let mut text = vec![0; usize::try_from(file.metadata()?.len())?];
    file.read_exact_at(&mut text, 0)?;
    let mut request: Request = launch::decode(&text)?;
    if let Request::Launch(launch) = &mut request {
        match how {
            Sabotage::WrongUid => {
                launch.user.uid = BOB.uid;
                launch.caller_pid = i32::try_from(stranger.id())?;
            }
            Sabotage::KeptCapability => keep_capability(launch),
            Sabotage::PlainForwarder => bail!("nothing to change for {how:?}"),
        }
    }
    sealed(&launch::encode(&request)?)
}

fn keep_capability(launch: &mut Launch) {
    let own = std::mem::replace(&mut launch.program, KEEPING.into());
    let mut line: Vec<Vec<u8>> = [
        "setpriv",
        "--inh-caps=+net_raw",
        "--ambient-caps=+net_raw",
        "--",
    ]
    .map(Vec::from)
    .into();
    line.push(own);
    line.extend(launch.argv.drain(..).skip(1));
    launch.argv = line;
    launch.allow_new_privileges = true;
}

/// A memfd as the warden takes it.
fn sealed(text: &[u8]) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("request", flags)?);
    file.write_all(text)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}
