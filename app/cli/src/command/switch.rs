//! `switch`: a tunnel that is up takes over another one's configuration, under the apps that run in it.

use lonewire_api::TunnelState;
use serde_json::json;

use super::{DONE, Outcome, up};
use crate::{
    complete,
    context::Context,
    failure::{Exit, Failure},
    helper_error::{About, quoted},
    print, select, time,
};

const NOTES: &str = "\
Apps that run in TUNNEL go on. From one moment to the next their packets go to OTHER's server, with OTHER's keys, addresses and DNS; connections that were \
open end with an error, so that programs make new ones at once. Nothing leaves any other way meanwhile, and if the switch fails, TUNNEL goes on as before.

What is saved of both stays: TUNNEL has its own configuration again when it next comes up, or with “lonewire switch TUNNEL TUNNEL”. Until then OTHER cannot be \
brought up itself or removed.

If there is no handshake in time, connecting goes on and the exit status is 3. The exit status is 0 only when the tunnel is protected, or with --wait 0.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire switch home mullvad-se1\n  lonewire switch home home",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel, which is up
    #[arg(add = complete::tunnels())]
    tunnel: String,
    /// Name or id of the tunnel whose configuration it takes over
    #[arg(add = complete::tunnels())]
    other: String,
    /// Seconds to wait for the handshake; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=20))]
    wait: u32,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnels = select::tunnels(context)?;
    let tunnel = select::choose(&tunnels, &args.tunnel)?;
    let other = select::choose(&tunnels, &args.other)?;
    if !super::is_up(tunnel.info.state) {
        let message = format!("“{}” is not up: no app uses it", tunnel.info.name);
        return Err(Failure::new(Exit::Failure, "not_up", message)
            .hint(format!("Try: lonewire up {}", quoted(&other.info.name))));
    }
    // What can go wrong is mostly about the other.
    let about = About::Tunnel(&other.info.name);
    let waiting = (args.wait > 0).then(|| up::handshake_of(about));
    let info = context.call_waiting(waiting, about, async |client| {
        client.switch(&tunnel.id, &other.id, args.wait).await
    })?;
    if info.state != TunnelState::Protected && args.wait > 0 {
        return Err(up::not_protected(&info));
    }
    if context.json() {
        print::json(&json!({
            "schema": 1, "id": tunnel.id, "name": info.name, "state": info.state.as_str(),
            "since": time::rfc3339(info.since), "switched_to": info.switched_to,
        }))?;
    }
    DONE
}
