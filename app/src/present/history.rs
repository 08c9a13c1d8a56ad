//! The states that a tunnel was in, as days of lines, newest first.

use gettextrs::gettext;
use gtk::glib;
use lonewire_api::{LogEntry, TunnelState};

use super::{fill, reason, state, time};

/// More than anybody reads; what is older is told to be left out.
pub const MOST: usize = 300;

/// A state that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub icon: &'static str,
    /// A style class of libadwaita.
    pub class: &'static str,
    /// "Blocked — no handshake".
    pub title: String,
    /// How long it lasted; empty for one that lasts.
    pub length: String,
    /// Time of day.
    pub clock: String,
    /// Date and time, for a tooltip.
    pub exact: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// "Today", "Yesterday", or the date.
    pub title: String,
    pub lines: Vec<Line>,
}

/// The history, of entries that are oldest first, at a Unix time in milliseconds.
pub fn days(entries: &[LogEntry], now: u64) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    let mut end = None;
    for entry in entries.iter().rev().take(MOST) {
        let title = day(entry.time, now);
        let line = line(entry, end);
        match days.last_mut() {
            Some(last) if last.title == title => last.lines.push(line),
            _ => days.push(Day {
                title,
                lines: vec![line],
            }),
        }
        end = Some(entry.time);
    }
    days
}

fn line(entry: &LogEntry, end: Option<u64>) -> Line {
    let look = state::look(entry.state, 0);
    let word = state::word(entry.state);
    let title = if entry.reason.is_empty() {
        word
    } else {
        fill(
            // The state, then why.
            &gettext("{state} — {reason}"),
            &[("state", &word), ("reason", &reason::short(&entry.reason))],
        )
    };
    let length = match end {
        // A state that was passed through lasted no time worth telling.
        Some(end) if entry.state != TunnelState::Off && end.saturating_sub(entry.time) >= 1_000 => {
            fill(
                &gettext("For {length}"),
                &[("length", &time::length(entry.time, end))],
            )
        }
        Some(_) => String::new(),
        None => gettext("Until now"),
    };
    Line {
        icon: look.icon,
        class: look.class,
        title,
        length,
        clock: time::clock(entry.time, entry.time),
        exact: time::exact(entry.time),
    }
}

/// The day of a time as people say it.
fn day(then: u64, now: u64) -> String {
    let local = |time: u64| {
        glib::DateTime::from_unix_local(i64::try_from(time / 1_000).unwrap_or(i64::MAX)).ok()
    };
    let (Some(then), Some(now)) = (local(then), local(now)) else {
        return gettext("Unknown");
    };
    if then.ymd() == now.ymd() {
        return gettext("Today");
    }
    if now
        .add_days(-1)
        .is_ok_and(|before| before.ymd() == then.ymd())
    {
        return gettext("Yesterday");
    }
    // The weekday and the date: strftime(3).
    let format = gettext("%A, %x");
    then.format(&format).map(Into::into).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn entry(ago: u64, state: TunnelState, reason: &str) -> LogEntry {
        LogEntry {
            time: NOW - ago,
            state,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn days_and_lines_are_newest_first_and_each_tells_how_long_it_lasted() {
        let days = days(
            &[
                entry(100 * HOUR, TunnelState::Protected, ""),
                entry(99 * HOUR, TunnelState::Off, ""),
                entry(120_000, TunnelState::Protected, ""),
                entry(60_000, TunnelState::Blocked, "no-handshake"),
            ],
            NOW,
        );
        let titles: Vec<_> = days
            .iter()
            .map(|day| day.lines.iter().map(|line| line.title.as_str()).collect())
            .collect::<Vec<Vec<_>>>();
        assert_eq!(
            titles,
            [
                vec!["Blocked — no handshake", "Protected"],
                vec!["Off", "Protected"]
            ]
        );
        assert_eq!(days[0].title, "Today");
        let lengths: Vec<_> = days
            .iter()
            .flat_map(|day| day.lines.iter().map(|line| line.length.as_str()))
            .collect();
        assert_eq!(lengths, ["Until now", "For 1 min", "", "For 1 h"]);
    }

    #[test]
    fn yesterday_has_its_name_and_nothing_is_no_day() {
        let days = days(&[entry(24 * HOUR, TunnelState::Off, "")], NOW);
        assert_eq!(days[0].title, "Yesterday");
        assert!(super::days(&[], NOW).is_empty());
    }

    #[test]
    fn no_more_is_listed_than_anybody_reads() {
        let many = vec![entry(0, TunnelState::Off, ""); MOST + 50];
        assert_eq!(days(&many, NOW)[0].lines.len(), MOST);
    }
}
