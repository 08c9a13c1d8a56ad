//! `lonewire status`: how tunnels do, once or until it is interrupted.

use std::{io::IsTerminal as _, time::Duration};

use lonewire_api::{Event, TunnelDetail, TunnelState};
use serde_json::{Value, json};

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    failure::Failure,
    feed::Feed,
    helper_error::{About, reason_words, snake},
    print, select, time,
};

const EXAMPLES: &str = "\
Examples:
  lonewire status
  lonewire status home --watch
  lonewire status --watch --json";

/// Counters and the age of a handshake come with no event.
const REFRESH: Duration = Duration::from_secs(2);

const NOTES: &str = "\
With --terse the columns are id, name, state, since, last handshake, bytes received, bytes sent, number of apps, and \
why.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = EXAMPLES,
    after_help = NOTES
)]
pub struct Args {
    /// Name or id; without one every tunnel that is not off
    #[arg(add = complete::tunnels())]
    tunnel: Option<String>,
    /// Go on until interrupted; with --json one line for every change
    #[arg(short, long)]
    watch: bool,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    // Resolved once, so that a rename changes nothing.
    let only = match &args.tunnel {
        Some(word) => Some(select::tunnel(context, word)?.id),
        None => None,
    };
    if args.watch {
        return watch(context, only.as_deref());
    }
    let rows = read(context, only.as_deref())?;
    if rows.is_empty() && context.format == Format::Human {
        print::note("No tunnel is up.");
        return DONE;
    }
    let aligned = std::io::stdout().is_terminal();
    print::text(&render(context.format, aligned, &rows, time::now()))?;
    DONE
}

/// A tunnel with its id.
type Row = (String, TunnelDetail);

/// What is to be shown, by name. A tunnel that went away between two calls is left out, unless it is the one that was named.
fn read(context: &Context, only: Option<&str>) -> Result<Vec<Row>, Failure> {
    if let Some(id) = only {
        let detail = context.call(About::Nothing, async |client| client.show(id).await)?;
        return Ok(vec![(id.to_owned(), detail)]);
    }
    let mut rows = Vec::new();
    for tunnel in select::tunnels(context)? {
        if tunnel.info.state == TunnelState::Off {
            continue;
        }
        let about = About::Tunnel(&tunnel.info.name);
        match context.call(about, async |client| client.show(&tunnel.id).await) {
            Ok(detail) => rows.push((tunnel.id, detail)),
            Err(failure) if failure.code == "not_found" => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(rows)
}

/// In columns where `aligned`, else with tabs between.
fn render(format: Format, aligned: bool, rows: &[Row], now: u64) -> String {
    match format {
        Format::Json => {
            let rows: Vec<Value> = rows.iter().map(to_json).collect();
            format!("{}\n", json!({ "schema": 1, "tunnels": rows }))
        }
        Format::Terse => print::tabbed(&rows.iter().map(terse).collect::<Vec<_>>()),
        Format::Human => {
            let cells: Vec<_> = rows.iter().map(|row| human(row, now)).collect();
            if !aligned {
                return print::tabbed(&cells);
            }
            print::columns(
                &[
                    "NAME",
                    "STATE",
                    "SINCE",
                    "HANDSHAKE",
                    "RECEIVED",
                    "SENT",
                    "APPS",
                    "WHY",
                ],
                &cells,
            )
        }
    }
}

fn human((_, detail): &Row, now: u64) -> Vec<String> {
    let info = &detail.info;
    vec![
        info.name.clone(),
        info.state.as_str().to_owned(),
        time::ago(info.since, now),
        match detail.handshake {
            0 => "never".to_owned(),
            time => format!("{} ago", time::ago(time, now)),
        },
        time::bytes(detail.rx),
        time::bytes(detail.tx),
        info.apps.to_string(),
        info.reason
            .as_deref()
            .map_or_else(String::new, |reason| reason_words(reason).to_owned()),
    ]
}

fn terse((id, detail): &Row) -> Vec<String> {
    let info = &detail.info;
    vec![
        id.clone(),
        info.name.clone(),
        info.state.as_str().to_owned(),
        time::rfc3339(info.since).unwrap_or_default(),
        time::rfc3339(detail.handshake).unwrap_or_default(),
        detail.rx.to_string(),
        detail.tx.to_string(),
        info.apps.to_string(),
        info.reason.as_deref().map(snake).unwrap_or_default(),
    ]
}

fn to_json((id, detail): &Row) -> Value {
    let info = &detail.info;
    json!({
        "id": id, "name": info.name, "state": info.state.as_str(), "since": time::rfc3339(info.since),
        "reason": info.reason.as_deref().map(snake), "handshake": time::rfc3339(detail.handshake),
        "rx": detail.rx, "tx": detail.tx, "apps": info.apps, "backend": detail.backend.as_str(),
    })
}

/// Shows it again for every change, until the bus is gone or nobody reads. Ctrl-C ends us as it ends any program.
fn watch(context: &Context, only: Option<&str>) -> Outcome {
    let feed = Feed::open(context)?;
    let aligned = std::io::stdout().is_terminal();
    let redraw = context.format == Format::Human && aligned;
    let mut shown = String::new();
    loop {
        let rows = read(context, only)?;
        let mut text = render(context.format, aligned, &rows, time::now());
        if text.is_empty() && context.format == Format::Human {
            "No tunnel is up.\n".clone_into(&mut text);
        }
        // Nothing but an age may differ: that is news on a screen and none in a file.
        if redraw || text != shown {
            print::text(&if redraw {
                over(&shown, &text)
            } else {
                text.clone()
            })?;
            shown = text;
        }
        if let Some(Event::ServiceVanished) = feed.next(Some(REFRESH))? {
            // No call until it is back: a call would start what somebody may just have stopped.
            print::note("Lonewire's helper stopped. Tunnels and apps live on.");
            while !matches!(feed.next(None)?, Some(Event::ServiceAppeared)) {}
            shown.clear();
        }
    }
}

/// `new` in place of `old` on a terminal: lines are cut and not wrapped, so that as many go up as went down.
fn over(old: &str, new: &str) -> String {
    let up = match old.lines().count() {
        0 => String::new(),
        lines => format!("\x1b[{lines}F"),
    };
    format!("{up}\x1b[J\x1b[?7l{new}\x1b[?7h")
}

#[cfg(test)]
mod tests {
    use lonewire_api::{Backend, TunnelInfo};

    use super::*;

    const NOW: u64 = 1_790_000_060_000;

    fn rows() -> Vec<Row> {
        let detail = |name: &str, state, reason: Option<&str>, handshake| TunnelDetail {
            info: TunnelInfo {
                name: name.to_owned(),
                state,
                since: NOW - 30_000,
                reason: reason.map(str::to_owned),
                apps: 2,
                ..TunnelInfo::default()
            },
            backend: Backend::Userspace,
            handshake,
            rx: 1536,
            tx: 10,
            ..TunnelDetail::default()
        };
        vec![
            (
                "aa".to_owned(),
                detail("home", TunnelState::Protected, None, NOW - 12_000),
            ),
            (
                "bb".to_owned(),
                detail("work", TunnelState::Blocked, Some("no-handshake"), 0),
            ),
        ]
    }

    #[test]
    fn people_get_a_table_with_sentences() {
        insta::assert_snapshot!(render(Format::Human, true, &rows(), NOW), @r"
        NAME  STATE      SINCE  HANDSHAKE  RECEIVED  SENT  APPS  WHY
        home  protected  30 s   12 s ago   1.5 KiB   10 B  2
        work  blocked    30 s   never      1.5 KiB   10 B  2     the server does not answer
        ");
    }

    #[test]
    fn programs_get_codes_times_and_bytes() {
        insta::assert_snapshot!(render(Format::Json, true, &rows()[1..], NOW), @r#"{"schema":1,"tunnels":[{"apps":2,"backend":"userspace","handshake":null,"id":"bb","name":"work","reason":"no_handshake","rx":1536,"since":"2026-09-21T14:13:50Z","state":"blocked","tx":10}]}"#);
        assert_eq!(
            render(Format::Terse, true, &rows()[..1], NOW),
            "aa\thome\tprotected\t2026-09-21T14:13:50Z\t2026-09-21T14:14:08Z\t1536\t10\t2\t\n"
        );
    }

    #[test]
    fn a_new_text_goes_over_as_many_lines_as_the_old_had() {
        assert_eq!(over("", "a\n"), "\x1b[J\x1b[?7la\n\x1b[?7h");
        assert!(over("a\nb\n", "c\n").starts_with("\x1b[2F\x1b[J"));
    }
}
