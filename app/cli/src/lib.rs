//! The command line of Lonewire. Everything goes through the helper's D-Bus API as the calling user.

mod agent;
pub mod context;
pub mod failure;
pub mod helper_error;
pub mod select;
pub mod settings;
pub mod time;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use context::{Context, Format};
use failure::{Exit, Failure};
use helper_error::{About, snake};

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
    /// List the tunnels
    List,
    /// Give a tunnel another name
    Rename { tunnel: String, name: String },
    /// Delete a tunnel that is off
    Remove { tunnel: String },
    /// Choose the tunnel that is meant where none is named
    Default { tunnel: String },
    /// Bring a tunnel up and wait for its handshake
    Up {
        tunnel: Option<String>,
        /// Seconds to wait
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=20))]
        wait: u32,
    },
    /// Take a tunnel down
    Down {
        tunnel: Option<String>,
        /// Although apps run in it: they stay offline
        #[arg(long)]
        force: bool,
    },
}

/// The definition, for man pages and completions.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = match (cli.json, cli.terse) {
        (true, _) => Format::Json,
        (_, true) => Format::Terse,
        _ => Format::Human,
    };
    let result = refuse_set_uid().and_then(|()| run(&Context::new(format, cli.no_input), cli.verb));
    match result {
        Ok(()) => ExitCode::SUCCESS,
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

fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => list(context),
        Verb::Rename { tunnel, name } => {
            let tunnel = select::tunnel(context, &tunnel)?;
            context.call(About::Tunnel(&tunnel.info.name), async |client| {
                client.rename(&tunnel.id, &name).await
            })
        }
        Verb::Remove { tunnel } => {
            let tunnel = select::tunnel(context, &tunnel)?;
            context.call(About::Tunnel(&tunnel.info.name), async |client| {
                client.remove(&tunnel.id).await
            })
        }
        Verb::Default { tunnel } => {
            let tunnel = select::tunnel(context, &tunnel)?;
            let mut settings = context.settings()?;
            settings.set_default_tunnel(Some(&tunnel.id));
            settings.save()
        }
        Verb::Up { tunnel, wait } => up(context, tunnel.as_deref(), wait),
        Verb::Down { tunnel, force } => {
            let tunnel = select::tunnel_or_default(context, tunnel.as_deref())?;
            context.call(About::Tunnel(&tunnel.info.name), async |client| {
                client.disconnect(&tunnel.id, force).await
            })
        }
    }
}

fn up(context: &Context, word: Option<&str>, wait: u32) -> Result<(), Failure> {
    let tunnel = select::tunnel_or_default(context, word)?;
    let about = About::Tunnel(&tunnel.info.name);
    let info = context.call(about, async |client| client.connect(&tunnel.id, wait).await)?;
    if info.state == lonewire_api::TunnelState::Protected || wait == 0 {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Timeout,
        "not_protected",
        format!(
            "{} is {}: there is no handshake yet",
            info.name,
            info.state.as_str()
        ),
    )
    .hint("Connecting goes on. See: lonewire list"))
}

fn list(context: &Context) -> Result<(), Failure> {
    let tunnels = select::tunnels(context)?;
    if context.json() {
        let rows: Vec<_> = tunnels
            .iter()
            .map(|tunnel| {
                serde_json::json!({
                    "id": tunnel.id, "name": tunnel.info.name, "state": tunnel.info.state.as_str(),
                    "since": time::rfc3339(tunnel.info.since), "reason": tunnel.info.reason.as_deref().map(snake),
                    "apps": tunnel.info.apps, "shared": tunnel.info.shared, "public_key": tunnel.info.public_key,
                })
            })
            .collect();
        anstream::println!("{}", serde_json::json!({ "schema": 1, "tunnels": rows }));
        return Ok(());
    }
    let width = tunnels
        .iter()
        .map(|tunnel| tunnel.info.name.chars().count())
        .max()
        .unwrap_or(0);
    for tunnel in &tunnels {
        let (name, state, id) = (&tunnel.info.name, tunnel.info.state.as_str(), &tunnel.id);
        match context.format {
            Format::Terse => anstream::println!("{id}\t{name}\t{state}\t{}", tunnel.info.apps),
            _ => anstream::println!("{name:width$}  {state:10}  {}", select::short(id)),
        }
    }
    Ok(())
}
