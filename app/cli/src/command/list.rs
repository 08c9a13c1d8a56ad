//! `list`: the tunnels and their states.

use serde_json::{Value, json};

use super::{DONE, Outcome};
use crate::{
    context::{Context, Format},
    helper_error::snake,
    print,
    select::{self, Tunnel},
    time,
};

const NOTES: &str = "\
With --terse the columns are id, name, state, number of apps, and \"default\" for the default tunnel.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire list\n  lonewire list --json",
    after_help = NOTES
)]
pub struct Args {}

pub fn run(context: &Context, _args: &Args) -> Outcome {
    let tunnels = select::tunnels(context)?;
    // A settings file that cannot be read is no reason to hide the tunnels.
    let settings = context.settings().unwrap_or_default();
    let default = settings.default_tunnel();
    if context.json() {
        let rows: Vec<Value> = tunnels
            .iter()
            .map(|tunnel| to_json(tunnel, default))
            .collect();
        print::json(&json!({ "schema": 1, "tunnels": rows }))?;
        return DONE;
    }
    if tunnels.is_empty() && context.format == Format::Human {
        print::note("There are no tunnels yet. Add one: lonewire import FILE.conf");
        return DONE;
    }
    let now = time::now();
    let rows: Vec<_> = tunnels
        .iter()
        .map(|tunnel| row(tunnel, default, context.format, now))
        .collect();
    print::table(
        context,
        &["NAME", "STATE", "SINCE", "APPS", "ID", ""],
        &rows,
    )?;
    DONE
}

fn row(tunnel: &Tunnel, default: Option<&str>, format: Format, now: u64) -> Vec<String> {
    let (info, state) = (&tunnel.info, tunnel.info.state.as_str().to_owned());
    let is_default = default == Some(&tunnel.id);
    if format == Format::Terse {
        return vec![
            tunnel.id.clone(),
            info.name.clone(),
            state,
            info.apps.to_string(),
            if is_default { "default" } else { "" }.to_owned(),
        ];
    }
    let mut notes = Vec::new();
    if is_default {
        notes.push("default");
    }
    if info.shared {
        notes.push("shared");
    }
    if info.switched_to.is_some() {
        notes.push("switched");
    }
    vec![
        info.name.clone(),
        state,
        match info.since {
            0 => "-".to_owned(),
            since => time::ago(since, now),
        },
        info.apps.to_string(),
        select::short(&tunnel.id).to_owned(),
        notes.join(", "),
    ]
}

fn to_json(tunnel: &Tunnel, default: Option<&str>) -> Value {
    let info = &tunnel.info;
    json!({
        "id": tunnel.id, "name": info.name, "state": info.state.as_str(), "since": time::rfc3339(info.since),
        "reason": info.reason.as_deref().map(snake), "apps": info.apps, "shared": info.shared,
        "public_key": info.public_key, "switched_to": info.switched_to, "default": default == Some(&tunnel.id),
    })
}

#[cfg(test)]
mod tests {
    use lonewire_api::{TunnelInfo, TunnelState};

    use super::*;

    const NOW: u64 = 1_790_000_060_000;

    fn tunnels() -> Vec<Tunnel> {
        let tunnel = |id: &str, name: &str, state, since| Tunnel {
            id: id.to_owned(),
            info: TunnelInfo {
                name: name.to_owned(),
                state,
                since,
                apps: 2,
                ..TunnelInfo::default()
            },
        };
        vec![
            tunnel("aaaaaaaa11", "home", TunnelState::Protected, NOW - 30_000),
            tunnel("bbbbbbbb22", "a long name", TunnelState::Off, 0),
        ]
    }

    fn rows(format: Format) -> Vec<Vec<String>> {
        let row = |tunnel: &Tunnel| row(tunnel, Some("aaaaaaaa11"), format, NOW);
        tunnels().iter().map(row).collect()
    }

    #[test]
    fn people_see_which_one_is_the_default() {
        insta::assert_snapshot!(print::columns(&["NAME", "STATE", "SINCE", "APPS", "ID", ""], &rows(Format::Human)), @r"
        NAME         STATE      SINCE  APPS  ID
        home         protected  30 s   2     aaaaaaaa  default
        a long name  off        -      2     bbbbbbbb
        ");
    }

    #[test]
    fn scripts_get_the_same_columns_for_ever() {
        assert_eq!(
            print::tabbed(&rows(Format::Terse)),
            "aaaaaaaa11\thome\tprotected\t2\tdefault\nbbbbbbbb22\ta long name\toff\t2\t\n"
        );
    }

    #[test]
    fn programs_see_the_default_too() {
        let objects: Vec<_> = tunnels()
            .iter()
            .map(|tunnel| to_json(tunnel, Some("bbbbbbbb22"))["default"].clone())
            .collect();
        assert_eq!(objects, [json!(false), json!(true)]);
    }
}
