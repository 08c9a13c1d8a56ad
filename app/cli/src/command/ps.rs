//! `lonewire ps`: the apps that run in tunnels.

use std::collections::HashMap;

use lonewire_api::{AppInfo, AppState};
use serde_json::{Value, json};

use super::{DONE, Outcome};
use crate::{
    context::{Context, Format},
    print,
    select::{self, App},
    time,
};

const EXAMPLES: &str = "\
Examples:
  lonewire ps
  lonewire ps --all --json";

const NOTES: &str = "\
With --terse the columns are id, name, tunnel, process id, state, since, and how the first process ended.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = EXAMPLES,
    after_help = NOTES
)]
pub struct Args {
    /// Also those that ended in the last ten minutes
    #[arg(short, long)]
    all: bool,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let names: HashMap<String, String> = select::tunnels(context)?
        .into_iter()
        .map(|tunnel| (tunnel.id, tunnel.info.name))
        .collect();
    let mut apps = select::apps(context)?;
    apps.retain(|app| args.all || app.info.state != AppState::Ended);
    if context.json() {
        let rows: Vec<Value> = apps.iter().map(|app| to_json(app, &names)).collect();
        print::json(&json!({ "schema": 1, "apps": rows }))?;
        return DONE;
    }
    if apps.is_empty() && context.format == Format::Human {
        print::note("No app runs in a tunnel.");
        return DONE;
    }
    let now = time::now();
    let rows: Vec<_> = apps
        .iter()
        .map(|app| row(app, &names, context.format, now))
        .collect();
    print::table(
        context,
        &["ID", "NAME", "TUNNEL", "PID", "STATE", "SINCE"],
        &rows,
    )?;
    DONE
}

fn row(app: &App, names: &HashMap<String, String>, format: Format, now: u64) -> Vec<String> {
    let info = &app.info;
    let tunnel = names.get(&info.tunnel).unwrap_or(&info.tunnel).clone();
    let (name, pid) = (info.name.clone(), info.pid.to_string());
    if format == Format::Terse {
        return vec![
            app.id.clone(),
            name,
            tunnel,
            pid,
            info.state.as_str().to_owned(),
            time::rfc3339(info.since).unwrap_or_default(),
            exit(info).unwrap_or_default(),
        ];
    }
    vec![
        select::short(&app.id).to_owned(),
        name,
        tunnel,
        pid,
        match exit(info) {
            Some(exit) if info.state == AppState::Ended => exit,
            // The first process is gone and others go on.
            Some(exit) => format!("{}, first {exit}", info.state.as_str()),
            None => info.state.as_str().to_owned(),
        },
        time::ago(info.since, now),
    ]
}

/// How the first process ended, once it has.
fn exit(info: &AppInfo) -> Option<String> {
    match (info.exit_code, info.exit_signal) {
        (_, Some(signal)) => Some(match nix::sys::signal::Signal::try_from(signal) {
            Ok(signal) => format!("killed by {}", signal.as_str()),
            Err(_) => format!("killed by {signal}"),
        }),
        (Some(code), None) => Some(format!("exited {code}")),
        (None, None) => None,
    }
}

/// An app as programs read it.
pub fn to_json(app: &App, names: &HashMap<String, String>) -> Value {
    let info = &app.info;
    json!({
        "id": app.id, "name": info.name, "tunnel": info.tunnel, "tunnel_name": names.get(&info.tunnel),
        "program": String::from_utf8_lossy(&info.program), "pid": info.pid, "state": info.state.as_str(),
        "since": time::rfc3339(info.since), "exit_code": info.exit_code, "exit_signal": info.exit_signal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> (Vec<App>, HashMap<String, String>) {
        let app = |id: &str, state, exit_code, exit_signal| App {
            id: id.to_owned(),
            info: AppInfo {
                tunnel: "f00d".to_owned(),
                program: b"/usr/bin/curl".to_vec(),
                name: "curl".to_owned(),
                pid: 7,
                state,
                since: 1_790_000_000_000,
                exit_code,
                exit_signal,
                ..AppInfo::default()
            },
        };
        (
            vec![
                app("aaaaaaaa11", AppState::Running, None, None),
                app("bbbbbbbb22", AppState::Running, Some(1), None),
                app("cccccccc33", AppState::Ended, None, Some(9)),
            ],
            HashMap::from([("f00d".to_owned(), "home".to_owned())]),
        )
    }

    #[test]
    fn people_see_short_ids_and_how_apps_ended() {
        let (apps, names) = apps();
        let rows: Vec<_> = apps
            .iter()
            .map(|app| row(app, &names, Format::Human, 1_790_000_005_000).join("|"))
            .collect();
        assert_eq!(
            rows,
            [
                "aaaaaaaa|curl|home|7|running|5 s",
                "bbbbbbbb|curl|home|7|running, first exited 1|5 s",
                "cccccccc|curl|home|7|killed by SIGKILL|5 s",
            ]
        );
    }

    #[test]
    fn scripts_see_whole_ids_and_times() {
        let (apps, names) = apps();
        assert_eq!(
            row(&apps[0], &names, Format::Terse, 0).join("|"),
            "aaaaaaaa11|curl|home|7|running|2026-09-21T14:13:20Z|"
        );
        assert_eq!(
            to_json(&apps[2], &names),
            json!({
                "id": "cccccccc33", "name": "curl", "tunnel": "f00d", "tunnel_name": "home", "program": "/usr/bin/curl",
                "pid": 7, "state": "ended", "since": "2026-09-21T14:13:20Z", "exit_code": null, "exit_signal": 9,
            })
        );
    }
}
