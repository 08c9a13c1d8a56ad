//! `list`: the tunnels and their states.

use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    context::{Context, Format},
    helper_error::snake,
    select, time,
};

#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  lonewire list\n  lonewire list --json")]
pub struct Args {}

pub fn run(context: &Context, _args: &Args) -> Outcome {
    let tunnels = select::tunnels(context)?;
    if context.json() {
        let rows: Vec<_> = tunnels
            .iter()
            .map(|tunnel| {
                json!({
                    "id": tunnel.id, "name": tunnel.info.name, "state": tunnel.info.state.as_str(),
                    "since": time::rfc3339(tunnel.info.since), "reason": tunnel.info.reason.as_deref().map(snake),
                    "apps": tunnel.info.apps, "shared": tunnel.info.shared, "public_key": tunnel.info.public_key,
                })
            })
            .collect();
        anstream::println!("{}", json!({ "schema": 1, "tunnels": rows }));
        return DONE;
    }
    let width = tunnels
        .iter()
        .map(|tunnel| tunnel.info.name.chars().count())
        .max()
        .unwrap_or(0);
    for tunnel in &tunnels {
        let (name, state, id) = (&tunnel.info.name, tunnel.info.state.as_str(), &tunnel.id);
        match context.format {
            Format::Terse => anstream::println!("{id}\t{name}\t{state}\t{}", tunnel.info.apps),
            _ => anstream::println!("{name:width$}  {state:10}  {}", select::short(id)),
        }
    }
    DONE
}
