//! `down`: take a tunnel down, or all of them.

use lonewire_api::AppState;
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    failure::Failure,
    helper_error::About,
    print,
    select::{self, Tunnel},
};

/// Apps that are named where they keep a tunnel up.
const MOST_NAMED: usize = 10;

const NOTES: &str = "\
Apps that run in a tunnel keep it up: stop them first (lonewire stop), or use --force.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire down\n  lonewire down home\n  lonewire down --all",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel; without it the default tunnel
    #[arg(add = complete::tunnels())]
    tunnel: Option<String>,
    /// Every tunnel that is up
    #[arg(long, conflicts_with = "tunnel")]
    all: bool,
    /// Also if apps run in it: they stay offline until they end
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    if args.all {
        return all(context, args.force);
    }
    let tunnel = select::tunnel_or_default(context, args.tunnel.as_deref())?;
    down(context, &tunnel, args.force)?;
    done(context, &[&tunnel])
}

/// Goes on after a failure; the exit code is that of the first.
fn all(context: &Context, force: bool) -> Outcome {
    let mut tunnels = select::tunnels(context)?;
    tunnels.retain(|tunnel| super::is_up(tunnel.info.state));
    let total = tunnels.len();
    let mut taken_down = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
    for tunnel in &tunnels {
        match down(context, tunnel, force) {
            Ok(()) => taken_down.push(tunnel),
            Err(failure) => failures.push(failure),
        }
    }
    if tunnels.is_empty() && context.format == Format::Human {
        print::note("No tunnel is up.");
        return DONE;
    }
    done(context, &taken_down)?;
    if failures.len() <= 1 {
        return failures.pop().map_or(DONE, Err);
    }
    if !context.json() {
        for failure in &failures {
            failure.show(false);
        }
    }
    let first = failures.swap_remove(0);
    let left = failures.len() + 1;
    let message = format!("{left} of {total} tunnels are still up");
    Err(Failure::new(first.exit, &first.code, message))
}

fn done(context: &Context, tunnels: &[&Tunnel]) -> Outcome {
    if context.json() {
        let rows: Vec<_> = tunnels
            .iter()
            .map(|tunnel| json!({ "id": tunnel.id, "name": tunnel.info.name }))
            .collect();
        print::json(&json!({ "schema": 1, "tunnels": rows }))?;
    }
    DONE
}

fn down(context: &Context, tunnel: &Tunnel, force: bool) -> Result<(), Failure> {
    let done = context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.disconnect(&tunnel.id, force).await
    });
    done.map_err(|failure| match &*failure.code {
        "apps_running" => list(context, tunnel, failure),
        _ => failure,
    })
}

/// Names the apps that keep it up; without an answer the number has to do.
fn list(context: &Context, tunnel: &Tunnel, failure: Failure) -> Failure {
    let apps = context.call(About::Nothing, async |client| client.apps().await);
    let mut apps = apps.unwrap_or_default();
    apps.retain(|(_, info)| info.tunnel == tunnel.id && info.state != AppState::Ended);
    let shown = apps.iter().take(MOST_NAMED);
    let failure = shown.fold(failure, |failure, (_, info)| {
        failure.hint(format!("{}, pid {}", info.name, info.pid))
    });
    match apps.len().saturating_sub(MOST_NAMED) {
        0 => failure,
        more => failure.hint(format!("and {more} more")),
    }
}
