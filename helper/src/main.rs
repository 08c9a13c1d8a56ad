//! lonewire-helper: the D-Bus service. Everything it does is in the library; here it only begins and ends.

use std::process::ExitCode;

use lonewire_helper::daemon;

const HELP: &str = "\
lonewire-helper: keeps WireGuard tunnels for programs, on the system bus. Started by systemd or by the bus.

  lonewire-helper --version | --help
";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => {}
        [word] if word == "--help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [word] if word == "--version" => {
            println!("lonewire-helper {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    }
    match daemon::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lonewire-helper: {error:#}");
            ExitCode::FAILURE
        }
    }
}
