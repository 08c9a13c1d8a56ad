//! `--listen`: what a socket unit with `Accept=yes` does, where there is no systemd. Each connection gets a process of its own that has executed this program
//! afresh, with an empty environment; what it then does is the same.

use std::os::{fd::OwnedFd, unix::net::UnixListener};

use lonewire_core::launch::Stage;
use rustix::fs::Mode;

use crate::{
    connection::{DESCRIPTOR, is_root},
    failure::{At as _, Failure},
    namespace::gone,
    raw,
};

/// Listens for ever; the socket is root's alone.
pub fn listen(path: &str) -> Result<(), Failure> {
    gone(std::fs::remove_file(path)).at(Stage::Request)?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path).at(Stage::Request)?;
    rustix::process::umask(before);
    // Nobody here waits for the keepers; what they see goes to the helper.
    raw::ignore_children();
    loop {
        match listener.accept() {
            Ok((stream, _)) => start(OwnedFd::from(stream)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).at(Stage::Request),
        }
    }
}

/// One that is not root's is closed unanswered; so is one for which there is no process: its helper sees it reset.
fn start(stream: OwnedFd) {
    if !is_root(&stream) {
        return;
    }
    match raw::fork() {
        Ok(None) => {
            let nothing: [&std::ffi::CStr; 0] = [];
            if raw::place(&stream, DESCRIPTOR).is_ok() {
                // A descriptor that is already number 3 stays marked for closing by dup2(2).
                let _ = rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::empty());
                let _ = nix::unistd::execve(c"/proc/self/exe", &[c"lonewire-warden"], &nothing);
            }
            raw::exit(127)
        }
        Ok(Some(_)) => {}
        Err(errno) => eprintln!("lonewire-warden: no process for a request: {errno}"),
    }
}
