//! `new`: a tunnel with a fresh key pair. The private key never leaves the helper.

use lonewire_core::name::TunnelName;
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    context::{Context, Format},
    failure::Failure,
    helper_error::{About, quoted},
    print, select,
};

const NOTES: &str = "\
The private key is made by the helper and never leaves it. Give the public key to the other side, then add a [Peer] \
with lonewire edit.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire new --name home\n  lonewire edit home",
    after_help = NOTES
)]
pub struct Args {
    /// What the tunnel is called
    #[arg(long)]
    name: Option<String>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let name = match &args.name {
        Some(name) => {
            TunnelName::new(name).map_err(|error| Failure::usage(format!("--name: {error}")))?
        }
        None => select::free_name(&select::tunnels(context)?, &TunnelName::from_file_name("")),
    };
    let name = name.as_str();
    let (id, public_key) = context.call(About::Tunnel(name), async |client| {
        client.create(name).await
    })?;
    match context.format {
        Format::Json => {
            print::json(&json!({ "schema": 1, "id": id, "name": name, "public_key": public_key }))?
        }
        Format::Terse => print::text(&format!("{id}\t{name}\t{public_key}\n"))?,
        Format::Human => {
            print::text(&format!("{public_key}\n"))?;
            print::note(&format!(
                "“{name}” has this public key: give it to the other side, then add a [Peer]: lonewire edit {}",
                quoted(name)
            ));
        }
    }
    DONE
}
