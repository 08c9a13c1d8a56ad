//! `rename`: another name for a tunnel.

use super::Outcome;
use crate::{complete, context::Context, helper_error::About, select};

const NOTES: &str = "\
Upper and lower case are one: no two names differ in that alone.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire rename wg0 home",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel
    #[arg(add = complete::tunnels())]
    tunnel: String,
    /// Its new name
    name: String,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel(context, &args.tunnel)?;
    context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.rename(&tunnel.id, &args.name).await
    })?;
    super::done(context, &tunnel.id, &args.name)
}
