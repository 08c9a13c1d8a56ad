//! The command line of Lonewire. Everything goes through the helper's D-Bus API as the calling user.

mod agent;
mod command;
mod complete;
pub mod context;
mod doctor;
pub mod failure;
mod feed;
mod file;
pub mod helper_error;
mod inside;
pub mod man;
mod notice;
mod picture;
mod print;
pub mod run;
pub mod select;
pub mod time;
mod usage;
mod wait;
mod words;
mod wrong;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use context::{Context, Format};
use failure::{Exit, Failure};

#[derive(Debug, Parser)]
#[command(
    name = "lonewire",
    version,
    about = "Run chosen programs through a WireGuard tunnel and nothing else",
    subcommand_value_name = "COMMAND",
    before_help = "Examples:\n  lonewire import home.conf\n  lonewire run -t home -- curl https://example.org/\n  lonewire status --watch"
)]
struct Cli {
    /// Print one JSON object, errors too; the same fields for ever
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Print tab-separated columns without headings
    #[arg(
        short = 'q',
        long,
        global = true,
        help_heading = "Global options",
        conflicts_with = "json"
    )]
    terse: bool,
    /// Never ask anything: no password, no question
    #[arg(long, global = true, help_heading = "Global options")]
    no_input: bool,
    /// When to colour what is printed
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    color: Color,
    #[command(subcommand)]
    verb: Verb,
}

/// NO_COLOR, CLICOLOR and TERM=dumb count where it is left to us.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl From<Color> for anstream::ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a program in a tunnel
    Run(command::run::Args),
    /// Open a shell in a tunnel
    Shell(command::shell::Args),
    /// Add tunnels from configurations, archives or pictures of QR codes
    Import(command::import::Args),
    /// Add a tunnel with a fresh key pair and print its public key
    New(command::new::Args),
    /// List the tunnels
    List(command::list::Args),
    /// Show everything about a tunnel but its keys
    Show(command::show::Args),
    /// Give a tunnel another name
    Rename(command::rename::Args),
    /// Delete a tunnel that is off
    Remove(command::remove::Args),
    /// Change a tunnel's configuration in an editor, or when it starts
    Edit(command::edit::Args),
    /// Copy a tunnel, its keys too
    Duplicate(command::duplicate::Args),
    /// Write a tunnel's configuration without its secret keys
    Export(command::export::Args),
    /// Choose the tunnel that is meant where none is named
    Default(command::default::Args),
    /// Bring a tunnel up and wait for its handshake
    Up(command::up::Args),
    /// Take a tunnel down
    Down(command::down::Args),
    /// Give a tunnel that is up another one's configuration, under its apps
    Switch(command::switch::Args),
    /// Show state, handshake, traffic and apps of the tunnels that are up
    Status(command::status::Args),
    /// Show when a tunnel was up, blocked or off, and why
    Log(command::log::Args),
    /// Check from inside that a tunnel's namespace is sealed
    Check(command::check::Args),
    /// List the apps that run in tunnels
    Ps(command::ps::Args),
    /// Stop apps and every process that came from them
    Stop(command::stop::Args),
    /// Tell what happens as JSON lines until interrupted
    Monitor(command::monitor::Args),
    /// Check what Lonewire needs on this machine, and say what to do where something is missing
    Doctor(command::doctor::Args),
    /// Print a script that makes a shell complete lonewire
    Completions(command::completions::Args),
}

fn run(context: &Context, verb: Verb) -> command::Outcome {
    match verb {
        Verb::Run(args) => command::run::run(context, args),
        Verb::Shell(args) => command::shell::run(context, args),
        Verb::Import(args) => command::import::run(context, &args),
        Verb::New(args) => command::new::run(context, &args),
        Verb::List(args) => command::list::run(context, &args),
        Verb::Show(args) => command::show::run(context, &args),
        Verb::Rename(args) => command::rename::run(context, &args),
        Verb::Remove(args) => command::remove::run(context, &args),
        Verb::Edit(args) => command::edit::run(context, &args),
        Verb::Duplicate(args) => command::duplicate::run(context, &args),
        Verb::Export(args) => command::export::run(context, &args),
        Verb::Default(args) => command::default::run(context, &args),
        Verb::Up(args) => command::up::run(context, &args),
        Verb::Down(args) => command::down::run(context, &args),
        Verb::Switch(args) => command::switch::run(context, &args),
        Verb::Status(args) => command::status::run(context, &args),
        Verb::Log(args) => command::log::run(context, &args),
        Verb::Check(args) => command::check::run(context, &args),
        Verb::Ps(args) => command::ps::run(context, &args),
        Verb::Stop(args) => command::stop::run(context, &args),
        Verb::Monitor(args) => command::monitor::run(context, &args),
        Verb::Doctor(args) => command::doctor::run(context, &args),
        Verb::Completions(args) => command::completions::run(&args),
    }
}

/// The definition, for man pages and completions.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// The whole program.
pub fn main() -> ExitCode {
    if let Err(failure) = refuse_set_uid() {
        failure.show(false);
        return ExitCode::from(failure.exit as u8);
    }
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == run::guardian::ARGUMENT)
    {
        return run::guardian::guard();
    }
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == lonewire_core::check::ARGUMENT)
    {
        return inside::look_around();
    }
    if let Some(code) = manual() {
        return code;
    }
    // Nothing else is done where a shell asks for completions.
    clap_complete::CompleteEnv::with_factory(command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
    };
    anstream::ColorChoice::from(cli.color).write_global();
    let format = match (cli.json, cli.terse) {
        (true, _) => Format::Json,
        (_, true) => Format::Terse,
        _ => Format::Human,
    };
    match run(&Context::new(format, cli.no_input), cli.verb) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.show(cli.json);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Writes the manual, where that is what is wanted.
fn manual() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let folder = words
        .next()
        .filter(|word| word == man::ARGUMENT)
        .and(words.next())?;
    let written = man::write(std::path::Path::new(&folder));
    Some(match written {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::system(folder.display(), error);
            failure.show(false);
            ExitCode::from(failure.exit as u8)
        }
    })
}

fn refuse_set_uid() -> Result<(), Failure> {
    if rustix::process::geteuid() == rustix::process::getuid() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failure,
        "set_uid",
        "lonewire must not be installed set-user-ID: it never needs another user's rights",
    )
    .hint("Take that away: chmod u-s /usr/bin/lonewire"))
}
