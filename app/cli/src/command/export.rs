//! `export`: a tunnel's configuration as text. The secret keys never leave the helper; this writes the text anew from what was
//! parsed, so that there is no place for one.

use std::path::PathBuf;

use lonewire_client::config::check;
use lonewire_core::wgconf::{self, Keys};
use serde_json::json;

use super::{DONE, Outcome};
use crate::{complete, context::Context, file::write_new, helper_error::About, print, select};

const NOTES: &str = "\
The lines of secret keys are left out: those keys never leave the helper.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire export home\n  lonewire export home -o home.conf",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel
    #[arg(add = complete::tunnels())]
    tunnel: String,
    /// A new file, instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel(context, &args.tunnel)?;
    let name = &tunnel.info.name;
    let detail = context.call(About::Tunnel(name), async |client| {
        client.show(&tunnel.id).await
    })?;
    let parsed = check::replacing(name, detail.config.as_bytes())?;
    let text = wgconf::to_text(&parsed.config, Keys::Omitted);
    if let Some(path) = &args.output {
        write_new(path, text.as_bytes())?;
    }
    if context.json() {
        let config = args.output.is_none().then_some(&**text);
        let file = args.output.as_ref().map(|path| path.to_string_lossy());
        print::json(
            &json!({ "schema": 1, "id": tunnel.id, "name": name, "config": config, "file": file }),
        )?;
    } else if args.output.is_none() {
        print::text(&text)?;
    }
    DONE
}
