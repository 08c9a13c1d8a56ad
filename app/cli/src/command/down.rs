//! `down`: take a tunnel down.

use super::{DONE, Outcome};
use crate::{context::Context, helper_error::About, select};

#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  lonewire down\n  lonewire down home")]
pub struct Args {
    /// Name or id of the tunnel; without it the default tunnel
    tunnel: Option<String>,
    /// Although apps run in it: they are offline until they end
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel_or_default(context, args.tunnel.as_deref())?;
    context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.disconnect(&tunnel.id, args.force).await
    })?;
    DONE
}
