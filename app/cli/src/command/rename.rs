//! `rename`: another name for a tunnel.

use lonewire_core::name::TunnelName;

use super::Outcome;
use crate::{complete, context::Context, failure::Failure, helper_error::About, select};

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
    let name = TunnelName::new(&args.name).map_err(|error| Failure::usage(error.to_string()))?;
    let name = name.as_str();
    let tunnel = select::tunnel(context, &args.tunnel)?;
    context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.rename(&tunnel.id, name).await
    })?;
    super::done(context, &tunnel.id, name)
}
