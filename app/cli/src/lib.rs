//! The command line of Lonewire. Everything goes through the helper's D-Bus API as the calling user.

mod agent;
mod command;
pub mod context;
pub mod failure;
pub mod helper_error;
pub mod run;
pub mod select;
pub mod settings;
pub mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use context::{Context, Format};
use failure::{Exit, Failure};

#[derive(Debug, Parser)]
#[command(
    name = "lonewire",
    version,
    about = "Run chosen programs through a WireGuard tunnel and nothing else"
)]
struct Cli {
    /// Print JSON, one object with a schema number
    #[arg(long, global = true)]
    json: bool,
    /// Print tab-separated columns without headings
    #[arg(short = 'q', long, global = true, conflicts_with = "json")]
    terse: bool,
    /// Never ask anything
    #[arg(long, global = true)]
    no_input: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a program in a tunnel
    Run(command::run::Args),
    /// Open a shell in a tunnel
    Shell(command::shell::Args),
    /// List the tunnels
    List(command::list::Args),
    /// Give a tunnel another name
    Rename(command::rename::Args),
    /// Delete a tunnel that is off
    Remove(command::remove::Args),
    /// Choose the tunnel that is meant where none is named
    Default(command::default::Args),
    /// Bring a tunnel up and wait for its handshake
    Up(command::up::Args),
    /// Take a tunnel down
    Down(command::down::Args),
}

fn run(context: &Context, verb: Verb) -> command::Outcome {
    match verb {
        Verb::Run(args) => command::run::run(context, args),
        Verb::Shell(args) => command::shell::run(context, args),
        Verb::List(args) => command::list::run(context, &args),
        Verb::Rename(args) => command::rename::run(context, &args),
        Verb::Remove(args) => command::remove::run(context, &args),
        Verb::Default(args) => command::default::run(context, &args),
        Verb::Up(args) => command::up::run(context, &args),
        Verb::Down(args) => command::down::run(context, &args),
    }
}

/// The definition, for man pages and completions.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// The whole program.
pub fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == run::guardian::ARGUMENT)
    {
        return run::guardian::guard();
    }
    let cli = Cli::parse();
    let format = match (cli.json, cli.terse) {
        (true, _) => Format::Json,
        (_, true) => Format::Terse,
        _ => Format::Human,
    };
    let outcome =
        refuse_set_uid().and_then(|()| run(&Context::new(format, cli.no_input), cli.verb));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.show(cli.json);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn refuse_set_uid() -> Result<(), Failure> {
    if rustix::process::geteuid() == rustix::process::getuid() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failure,
        "set_uid",
        "lonewire must not be installed set-user-ID",
    ))
}
