//! `up`: bring a tunnel up and wait for it to be protected.

use lonewire_api::{TunnelInfo, TunnelState};
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    complete,
    context::Context,
    failure::{Exit, Failure},
    helper_error::{About, quoted, reason_words},
    print, select, time,
};

const NOTES: &str = "\
If there is no handshake in time, connecting goes on and the exit status is 3. The exit status is 0 only when the \
tunnel is protected, or with --wait 0.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire up\n  lonewire up home --wait 20",
    after_help = NOTES
)]
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
    let waiting = (args.wait > 0).then(|| handshake_of(about));
    let info = context.call_waiting(waiting, about, async |client| {
        client.connect(&tunnel.id, args.wait).await
    })?;
    if info.state == TunnelState::Protected || args.wait == 0 {
        if context.json() {
            print::json(&json!({
                "schema": 1, "id": tunnel.id, "name": info.name, "state": info.state.as_str(),
                "since": time::rfc3339(info.since),
            }))?;
        }
        return DONE;
    }
    Err(not_protected(&info))
}

/// It has come up, and there is no handshake yet.
pub fn not_protected(info: &TunnelInfo) -> Failure {
    Failure::new(
        Exit::Timeout,
        "not_protected",
        format!(
            "“{}” is {}: {}",
            info.name,
            info.state.as_str(),
            info.reason
                .as_deref()
                .map_or("the server has not answered yet", reason_words),
        ),
    )
    .hint("Connecting goes on, and its programs are offline until there is one.")
    .hint(format!(
        "See what it says: lonewire status {0}; what was: lonewire log {0}",
        quoted(&info.name)
    ))
}

/// What a person waits for, while a tunnel comes up.
pub fn handshake_of(about: About<'_>) -> String {
    format!("Waiting for a handshake of {}…", about.words())
}
