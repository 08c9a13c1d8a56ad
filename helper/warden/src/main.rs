//! lonewire-warden: one request a process. It makes and pins network namespaces, and launches programs in them as the
//! user, staying beside each as its keeper. It listens to root alone, parses no configuration, starts no thread and loads no library.

mod connection;
mod descendants;
mod failure;
mod identity;
mod keeper;
mod launch;
mod listen;
mod mounts;
mod namespace;
mod raw;
mod stdio;

use std::{ffi::OsString, os::fd::OwnedFd, process::ExitCode};

use connection::Connection;
use failure::{At as _, Failure};
use lonewire_core::launch::{Event, Request, Stage};
use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit},
};

const HELP: &str = "\
lonewire-warden: makes network namespaces and starts programs in them, for lonewire-helper.

  lonewire-warden                 answer the one request on descriptor 3, as a unit with Accept=yes
  lonewire-warden --listen PATH   listen there, and start one of these for each connection
  lonewire-warden --version | --help
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let done = match words.as_slice() {
        [] if arguments.is_empty() => serve(),
        ["--listen", path] => listen::listen(path),
        ["--help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["--version"] => {
            println!("lonewire-warden {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lonewire-warden: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Answers the request on descriptor 3; after a launch, as its keeper, until the app has ended.
fn serve() -> Result<(), Failure> {
    let connection = Connection::inherited()?;
    harden()?;
    let (request, descriptors) = match connection.request() {
        Ok(request) => request,
        Err(failure) => return refuse(&connection, failure),
    };
    let answer: Result<(Event, Vec<OwnedFd>), Failure> = match request {
        Request::Create { namespace } => namespace::create(&namespace),
        Request::OpenTun { namespace, link } => namespace::open_tun(&namespace, &link),
        Request::Remove { namespace } => namespace::remove(&namespace),
        Request::Survey { namespace } => namespace::survey(&namespace),
        Request::Launch(request) => return launch::launch(connection, *request, descriptors),
    };
    match answer {
        Ok((event, descriptors)) => connection.send(&event, &descriptors),
        Err(failure) => refuse(&connection, failure),
    }
}

/// Tells the helper why not; the log has it too.
fn refuse(connection: &Connection, failure: Failure) -> Result<(), Failure> {
    let Failure { stage, errno } = failure;
    connection.send(&Event::Failed { stage, errno }, &[])?;
    Err(failure)
}

/// What this process is to be, whoever started it: root, no core file, no leftovers (an ignored SIGCHLD would hide the end of an app).
fn harden() -> Result<(), Failure> {
    raw::default_signals();
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(Stage::Request, rustix::io::Errno::PERM));
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Stage::Request)?;
    // The hard limit stays: without CAP_SYS_RESOURCE the app could not have the user's again.
    let mut core = rustix::process::getrlimit(Resource::Core);
    core.current = Some(0);
    rustix::process::setrlimit(Resource::Core, core).at(Stage::Request)?;
    // unix(7), ETOOMANYREFS: a keeper, which has no CAP_SYS_ADMIN left, may pass a descriptor on only while root has no more of them under way
    // than this; two hundred launches at once are past the usual 1,024.
    let files = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, most).at(Stage::Request)?;
    rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::chdir("/").at(Stage::Request)
}
