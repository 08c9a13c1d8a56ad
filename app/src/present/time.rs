//! Points in time as people say them. All are Unix times in milliseconds; 0 is never. The local time zone is the only thing taken from outside.

use gettextrs::{gettext, ngettext};
use gtk::glib;

use super::fill;

const SECOND: u64 = 1_000;
const TEN_SECONDS: u64 = 10 * SECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// WireGuard makes a new handshake every two minutes while there is traffic, and sends nothing without one that is younger than this.
pub const HANDSHAKE_LIMIT: u64 = 180 * SECOND;

/// The clock. For callers outside of this folder: nothing here asks for the time.
pub fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        })
}

/// "30 seconds ago", "5 minutes ago"; "Never" for 0. A time to come is told as now.
pub fn ago(then: u64, now: u64) -> String {
    if then == 0 {
        return gettext("Never");
    }
    let past = now.saturating_sub(then);
    let count = |unit: u64| u32::try_from(past / unit).unwrap_or(u32::MAX);
    let (text, count) = match past {
        // By tens: what says another thing each second has the window laid out each second.
        ..TEN_SECONDS => return gettext("Just now"),
        TEN_SECONDS..MINUTE => {
            let count = count(TEN_SECONDS) * 10;
            (
                ngettext("{count} second ago", "{count} seconds ago", count),
                count,
            )
        }
        MINUTE..HOUR => {
            let count = count(MINUTE);
            (
                ngettext("{count} minute ago", "{count} minutes ago", count),
                count,
            )
        }
        HOUR..DAY => {
            let count = count(HOUR);
            (
                ngettext("{count} hour ago", "{count} hours ago", count),
                count,
            )
        }
        _ => {
            let count = count(DAY);
            (
                ngettext("{count} day ago", "{count} days ago", count),
                count,
            )
        }
    };
    fill(&text, &[("count", &count.to_string())])
}

/// "5 min": how long something has gone on, short.
pub fn length(since: u64, now: u64) -> String {
    let past = now.saturating_sub(since);
    let (text, count) = match past {
        ..MINUTE => (gettext("{count} s"), past / SECOND),
        MINUTE..HOUR => (gettext("{count} min"), past / MINUTE),
        HOUR..DAY => (gettext("{count} h"), past / HOUR),
        _ => (gettext("{count} d"), past / DAY),
    };
    fill(&text, &[("count", &count.to_string())])
}

/// The time of day of a time of today, else date and time, as the language has it.
pub fn clock(then: u64, now: u64) -> String {
    let local = |time: u64| {
        glib::DateTime::from_unix_local(i64::try_from(time / SECOND).unwrap_or(i64::MAX))
    };
    let Ok(then) = local(then) else {
        return gettext("Unknown");
    };
    let today = local(now).is_ok_and(|now| now.ymd() == then.ymd());
    // Time of day, or date and time: strftime(3).
    let format = if today {
        gettext("%H:%M")
    } else {
        gettext("%x, %H:%M")
    };
    then.format(&format).map(Into::into).unwrap_or_default()
}

/// Date and time to the second, for a tooltip; `None` for never.
pub fn exact(then: u64) -> Option<String> {
    if then == 0 {
        return None;
    }
    let then = glib::DateTime::from_unix_local(i64::try_from(then / SECOND).ok()?).ok()?;
    then.format("%c").ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn what_is_past_is_told_in_the_largest_unit_that_fits() {
        for (past, expected) in [
            (0, "Just now"),
            (999, "Just now"),
            (9 * SECOND, "Just now"),
            (TEN_SECONDS, "10 seconds ago"),
            (34 * SECOND, "30 seconds ago"),
            (MINUTE, "1 minute ago"),
            (59 * MINUTE, "59 minutes ago"),
            (HOUR, "1 hour ago"),
            (23 * HOUR, "23 hours ago"),
            (DAY, "1 day ago"),
            (3 * DAY, "3 days ago"),
        ] {
            assert_eq!(ago(NOW - past, NOW), expected);
        }
        assert_eq!(ago(0, NOW), "Never");
        assert_eq!(ago(NOW + HOUR, NOW), "Just now");
    }

    #[test]
    fn lengths_are_short() {
        for (past, expected) in [
            (5 * SECOND, "5 s"),
            (5 * MINUTE, "5 min"),
            (2 * HOUR, "2 h"),
            (4 * DAY, "4 d"),
        ] {
            assert_eq!(length(NOW - past, NOW), expected);
        }
        assert_eq!(length(NOW + HOUR, NOW), "0 s");
    }

    #[test]
    fn an_earlier_day_is_told_with_its_date() {
        assert!(clock(NOW, NOW).len() < clock(NOW - 3 * DAY, NOW).len());
        assert_eq!(exact(0), None);
        assert!(exact(NOW).is_some());
    }
}
