//! `lonewire monitor`: what happens, one JSON object a line, beginning with what is there.

use std::collections::HashMap;

use lonewire_api::{AppInfo, Event, TunnelInfo};
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    context::Context,
    failure::Failure,
    feed::Feed,
    helper_error::snake,
    print,
    select::{self, App},
    time,
};

const EXAMPLES: &str = "\
Examples:
  lonewire monitor
  lonewire monitor | jq 'select(.event == \"tunnel_changed\")'";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = "It begins with what is there, and does so again when the helper was restarted: \
event \"listed\" holds all tunnels and apps, and replaces what was told before.")]
pub struct Args {}

pub fn run(context: &Context, _args: &Args) -> Outcome {
    let feed = Feed::open(context)?;
    let mut known = list(context)?;
    print::json(&known.line())?;
    loop {
        let Some(event) = feed.next(None)? else {
            continue;
        };
        if matches!(event, Event::ServiceAppeared) {
            known = list(context)?;
            print::json(&known.line())?;
        } else if let Some(line) = known.take(event) {
            print::json(&line)?;
        }
    }
}

fn list(context: &Context) -> Result<Known, Failure> {
    Ok(Known {
        tunnels: select::tunnels(context)?
            .into_iter()
            .map(|tunnel| (tunnel.id, tunnel.info))
            .collect(),
        apps: select::apps(context)?
            .into_iter()
            .map(|app| (app.id, app.info))
            .collect(),
    })
}

/// What was told so far: a change names only what changed, and a line shows all.
#[derive(Debug, Default)]
struct Known {
    tunnels: HashMap<String, TunnelInfo>,
    apps: HashMap<String, AppInfo>,
}

impl Known {
    /// Everything, as the first line.
    fn line(&self) -> Value {
        let mut tunnels: Vec<_> = self.tunnels.iter().collect();
        tunnels.sort_by_key(|(id, info)| (&info.name, *id));
        let mut apps: Vec<_> = self.apps.iter().collect();
        apps.sort_by_key(|(id, info)| (info.since, *id));
        json!({
            "schema": 1, "event": "listed", "time": time::rfc3339(time::now()),
            "tunnels": tunnels.iter().map(|(id, info)| tunnel(id, info)).collect::<Vec<_>>(),
            "apps": apps.iter().map(|(id, info)| self.app(id, info)).collect::<Vec<_>>(),
        })
    }

    fn app(&self, id: &str, info: &AppInfo) -> Value {
        let names = self
            .tunnels
            .get(&info.tunnel)
            .map(|tunnel| (info.tunnel.clone(), tunnel.name.clone()))
            .into_iter()
            .collect();
        let app = App {
            id: id.to_owned(),
            info: info.clone(),
        };
        super::ps::to_json(&app, &names)
    }

    /// Takes an event in and tells it. A change of what was never listed (it went away in between) tells nothing.
    fn take(&mut self, event: Event) -> Option<Value> {
        let line = |event: &str, key: &str, value: Value| json!({ "schema": 1, "event": event, "time": time::rfc3339(time::now()), key: value });
        Some(match event {
            Event::TunnelAdded(id, info) => {
                let info = TunnelInfo::from(&info);
                let value = tunnel(&id, &info);
                self.tunnels.insert(id, info);
                line("tunnel_added", "tunnel", value)
            }
            Event::TunnelChanged(id, changes) => {
                let info = self.tunnels.get_mut(&id)?;
                info.apply(&changes);
                line("tunnel_changed", "tunnel", tunnel(&id, info))
            }
            Event::TunnelRemoved(id) => {
                self.tunnels.remove(&id);
                line("tunnel_removed", "tunnel", json!({ "id": id }))
            }
            Event::AppAdded(id, info) => {
                let info = AppInfo::from(&info);
                let value = self.app(&id, &info);
                self.apps.insert(id, info);
                line("app_added", "app", value)
            }
            Event::AppChanged(id, changes) => {
                self.apps.get_mut(&id)?.apply(&changes);
                let value = self.app(&id, self.apps.get(&id)?);
                line("app_changed", "app", value)
            }
            Event::AppRemoved(id) => {
                self.apps.remove(&id);
                line("app_removed", "app", json!({ "id": id }))
            }
            Event::ServiceVanished => {
                json!({ "schema": 1, "event": "service_vanished", "time": time::rfc3339(time::now()) })
            }
            // What is told then is the list.
            Event::ServiceAppeared => return None,
        })
    }
}

fn tunnel(id: &str, info: &TunnelInfo) -> Value {
    let warnings: Vec<_> = info.warnings.iter().map(|code| snake(code)).collect();
    json!({
        "id": id, "name": info.name, "state": info.state.as_str(), "since": time::rfc3339(info.since),
        "reason": info.reason.as_deref().map(snake), "apps": info.apps, "shared": info.shared,
        "public_key": info.public_key, "warnings": warnings, "switched_to": info.switched_to,
    })
}

#[cfg(test)]
mod tests {
    use lonewire_api::Dictionary;
    use zbus::{OwnedVariant, Variant};

    use super::*;

    fn dictionary<const N: usize>(entries: [(&str, Variant<'static>); N]) -> Dictionary {
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), OwnedVariant::try_from(value).unwrap()))
            .collect()
    }

    fn told(known: &mut Known, event: Event) -> Value {
        let mut line = known.take(event).unwrap();
        assert!(line["time"].take().is_string());
        line
    }

    #[test]
    fn a_change_is_told_with_all_that_is_known() {
        let mut known = Known::default();
        let info = dictionary([("name", "home".into()), ("state", 2_u32.into())]);
        told(&mut known, Event::TunnelAdded("t1".to_owned(), info));
        let changes = dictionary([("state", 4_u32.into()), ("reason", "no-handshake".into())]);
        assert_eq!(
            told(&mut known, Event::TunnelChanged("t1".to_owned(), changes)),
            json!({
                "schema": 1, "event": "tunnel_changed", "time": null,
                "tunnel": {
                    "id": "t1", "name": "home", "state": "blocked", "since": null, "reason": "no_handshake",
                    "apps": 0, "shared": false, "public_key": "", "warnings": [],
                    "switched_to": null,
                },
            })
        );
        let info = dictionary([("tunnel", "t1".into()), ("pid", 7_u32.into())]);
        let line = told(&mut known, Event::AppAdded("a1".to_owned(), info));
        assert_eq!(
            (&line["app"]["tunnel_name"], &line["app"]["pid"]),
            (&json!("home"), &json!(7))
        );
        assert_eq!(
            told(&mut known, Event::AppRemoved("a1".to_owned()))["app"],
            json!({ "id": "a1" })
        );
        assert!(known.apps.is_empty());
    }

    #[test]
    fn a_change_of_something_unknown_tells_nothing() {
        let mut known = Known::default();
        let event = Event::AppChanged("a1".to_owned(), dictionary([("state", 3_u32.into())]));
        assert_eq!(known.take(event), None);
    }
}
