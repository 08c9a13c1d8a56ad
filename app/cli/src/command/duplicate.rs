//! `duplicate`: a copy of a tunnel with its keys. Of the two one can be up at a time.

use lonewire_core::name::TunnelName;
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    failure::Failure,
    helper_error::About,
    print, select,
};

const NOTES: &str = "\
Both have the same key, so that only one of them can be up at a time.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire duplicate home\n  lonewire duplicate home home-test",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel
    #[arg(add = complete::tunnels())]
    tunnel: String,
    /// What the copy is called; without it the same with a number
    name: Option<String>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnels = select::tunnels(context)?;
    let tunnel = select::choose(&tunnels, &args.tunnel)?;
    let name = match &args.name {
        Some(name) => TunnelName::new(name).map_err(|error| Failure::usage(error.to_string()))?,
        None => select::free_name(&tunnels, &TunnelName::from_file_name(&tunnel.info.name)),
    };
    let name = name.as_str();
    let id = context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.duplicate(&tunnel.id, name).await
    })?;
    match context.format {
        Format::Json => print::json(&json!({ "schema": 1, "id": id, "name": name }))?,
        Format::Terse => print::text(&format!("{id}\t{name}\n"))?,
        Format::Human => {
            print::text(&format!("{name} ({})\n", select::short(&id)))?;
            print::note("  The two have one key: one of them can be up at a time.");
        }
    }
    DONE
}
