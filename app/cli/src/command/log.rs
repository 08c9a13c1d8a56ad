//! `lonewire log`: the states a tunnel was in.

use lonewire_api::LogEntry;
use serde_json::{Value, json};

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    helper_error::{About, quoted, reason_words, snake},
    print, select, time,
};

const EXAMPLES: &str = "\
Examples:
  lonewire log home
  lonewire log home --since 1h
  lonewire log home --since 2026-11-22T10:00:00Z";

const NOTES: &str = "\
The states of the last 7 days are kept; of what apps reached nothing is recorded. With --terse the columns are time, \
state and why.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = EXAMPLES,
    after_help = NOTES
)]
pub struct Args {
    /// Name or id; the default tunnel without one
    #[arg(add = complete::tunnels())]
    tunnel: Option<String>,
    /// From then on: a span such as 15m, 2h or 3d, a date or a time; 7 days are kept
    #[arg(long, value_name = "TIME", value_parser = time::parse_since)]
    since: Option<u64>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel_or_default(context, args.tunnel.as_deref())?;
    let since = args.since.unwrap_or(0);
    let entries = context.call(About::Tunnel(&tunnel.info.name), async |client| {
        client.log(&tunnel.id, since).await
    })?;
    if context.json() {
        let rows: Vec<Value> = entries.iter().map(to_json).collect();
        print::json(&json!({
            "schema": 1, "tunnel": tunnel.id, "name": tunnel.info.name, "entries": rows,
        }))?;
        return DONE;
    }
    if entries.is_empty() && context.format == Format::Human {
        print::note(&match args.since {
            Some(_) => format!("Nothing happened to “{}” since then.", tunnel.info.name),
            None => format!(
                "“{0}” was not up in the last 7 days. Bring it up: lonewire up {1}",
                tunnel.info.name,
                quoted(&tunnel.info.name)
            ),
        });
        return DONE;
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| row(entry, context.format))
        .collect();
    print::table(context, &["TIME", "STATE", "WHY"], &rows)?;
    DONE
}

fn row(entry: &LogEntry, format: Format) -> Vec<String> {
    let state = entry.state.as_str().to_owned();
    match format {
        Format::Terse => vec![
            time::rfc3339(entry.time).unwrap_or_default(),
            state,
            snake(&entry.reason),
        ],
        _ => vec![
            time::local(entry.time),
            state,
            reason_words(&entry.reason).to_owned(),
        ],
    }
}

fn to_json(entry: &LogEntry) -> Value {
    let reason = (!entry.reason.is_empty()).then(|| snake(&entry.reason));
    json!({ "time": time::rfc3339(entry.time), "state": entry.state.as_str(), "reason": reason })
}

#[cfg(test)]
mod tests {
    use lonewire_api::TunnelState;

    use super::*;

    #[test]
    fn an_entry_tells_its_reason_to_people_and_its_code_to_programs() {
        let mut entry = LogEntry {
            time: 1_790_000_000_000,
            state: TunnelState::Blocked,
            reason: "no-handshake".to_owned(),
        };
        assert_eq!(
            row(&entry, Format::Human)[1..],
            ["blocked", "the server does not answer"]
        );
        assert_eq!(
            row(&entry, Format::Terse),
            ["2026-09-21T14:13:20Z", "blocked", "no_handshake"]
        );
        entry.reason.clear();
        assert_eq!(
            to_json(&entry),
            json!({ "time": "2026-09-21T14:13:20Z", "state": "blocked", "reason": null })
        );
    }
}
