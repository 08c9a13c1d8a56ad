//! `remove`: a tunnel that is off goes, with its keys.

use super::Outcome;
use crate::{complete, context::Context, helper_error::About, select};

const NOTES: &str = "\
Its keys are deleted with it; there is no way back. A tunnel that is up is taken down first: lonewire down.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire remove old-vpn",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel
    #[arg(add = complete::tunnels())]
    tunnel: String,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel(context, &args.tunnel)?;
    context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.remove(&tunnel.id).await
    })?;
    super::done(context, &tunnel.id, &tunnel.info.name)
}
