//! `up`: bring a tunnel up and wait for it to be protected.

use lonewire_api::TunnelState;
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    complete,
    context::Context,
    failure::{Exit, Failure},
    helper_error::About,
    select, time,
};

#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  lonewire up\n  lonewire up home --wait 20")]
pub struct Args {
    /// Name or id of the tunnel; without it the default tunnel
    #[arg(add = complete::tunnels())]
    tunnel: Option<String>,
    /// Seconds to wait for the handshake; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=20))]
    wait: u32,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel_or_default(context, args.tunnel.as_deref())?;
    let about = About::Tunnel(&tunnel.info.name);
    let info = context.call(about, async |client| {
        client.connect(&tunnel.id, args.wait).await
    })?;
    if info.state == TunnelState::Protected || args.wait == 0 {
        if context.json() {
            anstream::println!(
                "{}",
                json!({
                    "schema": 1, "id": tunnel.id, "name": info.name, "state": info.state.as_str(),
                    "since": time::rfc3339(info.since),
                })
            );
        }
        return DONE;
    }
    Err(Failure::new(
        Exit::Timeout,
        "not_protected",
        format!(
            "{} is {}: there is no handshake yet",
            info.name,
            info.state.as_str()
        ),
    )
    .hint("Connecting goes on. See: lonewire list"))
}
