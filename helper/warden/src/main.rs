//! lonewire-warden: one request a process. It makes and pins network namespaces, and launches programs in them as the
//! user, staying beside each as its keeper. It listens to root alone, parses no configuration, starts no thread and loads no library.

mod bus;
mod connection;
mod failure;
mod identity;
mod keeper;
mod launch;
mod listen;
mod mounts;
mod namespace;
mod proc;
mod raw;
mod stdio;

use std::process::ExitCode;

use connection::Connection;
use failure::{At as _, Failure};
use lonewire_core::launch::{Event, Request, Stage};
use rustix::{fs::Mode, io::Errno, process::DumpableBehavior};

const HELP: &str = "\
lonewire-warden: makes network namespaces and starts programs in them, for lonewire-helper.

  lonewire-warden                 answer the one request on descriptor 3, as a unit with Accept=yes
  lonewire-warden --listen PATH   listen there, and start one of these for each connection
  lonewire-warden --version | --help
";

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let words: Vec<String> = arguments.map(|word| word.to_string_lossy().into()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] => serve(),
        ["--listen", path] => listen::listen(path),
        ["--help"] => {
            print!("{HELP}");
            Ok(())
        }
        ["--version"] => {
            println!("lonewire-warden {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Err(failure) = &done {
        eprintln!("lonewire-warden: {failure}");
    }
    ExitCode::from(u8::from(done.is_err()))
}

/// Answers the request on descriptor 3; after a launch, as its keeper, until the app has ended.
fn serve() -> Result<(), Failure> {
    let mut connection = Connection::inherited()?;
    harden()?;
    let answer = match connection.request() {
        // Nobody waits for an answer: the launch that this was started ahead of came to nothing, or whoever asked has given up.
        _ if connection.is_closed() => return Ok(()),
        Ok((Request::Launch(request), descriptors)) => {
            return launch::launch(connection, *request, descriptors);
        }
        Ok((Request::Create { namespace }, _)) => namespace::create(&namespace),
        Ok((Request::OpenTun { namespace, link }, _)) => namespace::open_tun(&namespace, &link),
        Ok((Request::Remove { namespace }, _)) => namespace::remove(&namespace),
        Ok((Request::Survey { namespace }, _)) => namespace::survey(&namespace),
        Err(failure) => Err(failure),
    };
    match answer {
        Ok((event, descriptors)) => connection.send(&event, &descriptors),
        Err(failure) => refuse(&mut connection, failure),
    }
}

/// Tells the helper why not; the log has it too.
fn refuse(connection: &mut Connection, failure: Failure) -> Result<(), Failure> {
    let Failure { stage, errno } = failure;
    connection.send(&Event::Failed { stage, errno }, &[]).and(Err(failure))
}

/// What this process is to be, whoever started it: root, alone, no core file, no leftovers (an ignored SIGCHLD would hide the end of an app).
fn harden() -> Result<(), Failure> {
    raw::default_signals();
    let threads = std::fs::read_dir("/proc/self/task").at(Stage::Request)?.count();
    if threads != 1 || !rustix::process::geteuid().is_root() {
        return Err(Failure::new(Stage::Request, Errno::PERM));
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Stage::Request)?;
    // The hard limit of core files stays: without CAP_SYS_RESOURCE the app could not have the user's again. Open files: unix(7), ETOOMANYREFS: a
    // keeper, which has no CAP_SYS_ADMIN left, may pass a descriptor on only while root has no more of them under way than this; two hundred
    // launches at once are past the usual 1,024.
    for (resource, wanted) in [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_NOFILE, u64::MAX)] {
        let (_, most) = raw::limit(resource, None).at(Stage::Request)?;
        raw::limit(resource, Some((wanted.min(most), most))).at(Stage::Request)?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::chdir("/").at(Stage::Request)
}
