//! `down`: take a tunnel down, or all of them.

use super::{DONE, Outcome};
use crate::{
    complete,
    context::Context,
    failure::Failure,
    helper_error::About,
    select::{self, Tunnel},
};

#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  lonewire down\n  lonewire down home\n  lonewire down --all")]
pub struct Args {
    /// Name or id of the tunnel; without it the default tunnel
    #[arg(add = complete::tunnels())]
    tunnel: Option<String>,
    /// Every tunnel that is up
    #[arg(long, conflicts_with = "tunnel")]
    all: bool,
    /// Although apps run in it: they are offline until they end
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    if args.all {
        return all(context, args.force);
    }
    let tunnel = select::tunnel_or_default(context, args.tunnel.as_deref())?;
    down(context, &tunnel, args.force)?;
    DONE
}

/// Goes on after a failure; the exit code is that of the first.
fn all(context: &Context, force: bool) -> Outcome {
    let mut tunnels = select::tunnels(context)?;
    tunnels.retain(|tunnel| super::is_up(tunnel.info.state));
    let total = tunnels.len();
    let mut failures: Vec<Failure> = tunnels
        .iter()
        .filter_map(|tunnel| down(context, tunnel, force).err())
        .collect();
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

fn down(context: &Context, tunnel: &Tunnel, force: bool) -> Result<(), Failure> {
    context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.disconnect(&tunnel.id, force).await
    })
}
