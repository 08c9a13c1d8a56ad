//! `default`: the tunnel that is meant where none is named. A setting of the user's, not of the helper's.

use super::Outcome;
use crate::{complete, context::Context, select};

const NOTES: &str = "\
Where there is only one tunnel, it is meant without this.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire default home",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel
    #[arg(add = complete::tunnels())]
    tunnel: String,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel(context, &args.tunnel)?;
    let mut settings = context.settings()?;
    settings.set_default_tunnel(Some(&tunnel.id));
    settings.save()?;
    super::done(context, &tunnel.id, &tunnel.info.name)
}
