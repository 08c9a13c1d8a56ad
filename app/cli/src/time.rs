//! Times in output: RFC 3339 for programs, short words for people; and what `--since` takes.

use jiff::{SignedDuration, Timestamp, Zoned, civil, tz::TimeZone};

/// Milliseconds of Unix time as RFC 3339 in UTC; 0 is never.
pub fn rfc3339(milliseconds: u64) -> Option<String> {
    if milliseconds == 0 {
        return None;
    }
    let time = Timestamp::from_millisecond(i64::try_from(milliseconds).ok()?).ok()?;
    Some(time.to_string())
}

/// Milliseconds of Unix time in the person's own zone, to the second.
pub fn local(milliseconds: u64) -> String {
    i64::try_from(milliseconds)
        .ok()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .map_or_else(
            || "never".to_owned(),
            |time| {
                time.to_zoned(TimeZone::system())
                    .strftime("%Y-%m-%d %H:%M:%S")
                    .to_string()
            },
        )
}

/// How long ago, in one unit: "12 s", "3 min", "5 h", "2 d".
pub fn ago(milliseconds: u64, now: u64) -> String {
    let seconds = now.saturating_sub(milliseconds) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Now, in milliseconds of Unix time.
pub fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Bytes for a person: "1.2 MiB".
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// What `--since` takes: "90s", "15m", "2h", "3d", a date, a local time or a full RFC 3339 time. Milliseconds of Unix time.
///
/// # Errors
/// A sentence for clap.
pub fn parse_since(text: &str) -> Result<u64, String> {
    let refused = || {
        "use a span such as 15m, 2h or 3d, a date, or a time such as 2026-11-22T10:00:00".to_owned()
    };
    let time = if let Some(span) = span(text) {
        Timestamp::now().checked_sub(span).map_err(|_| refused())?
    } else if let Ok(time) = text.parse::<Timestamp>() {
        time
    } else if let Ok(time) = text.parse::<Zoned>() {
        time.timestamp()
    } else {
        let time: civil::DateTime = text.parse().map_err(|_| refused())?;
        time.to_zoned(TimeZone::system())
            .map_err(|_| refused())?
            .timestamp()
    };
    u64::try_from(time.as_millisecond()).map_err(|_| refused())
}

fn span(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|n| *n >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    Some(SignedDuration::from_secs(number.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_and_zero_is_never() {
        assert_eq!(
            rfc3339(1_790_000_000_123).as_deref(),
            Some("2026-09-21T14:13:20.123Z")
        );
        assert_eq!(rfc3339(0), None);
        assert_eq!(rfc3339(u64::MAX), None);
    }

    #[test]
    fn spans_and_dates_are_understood() {
        let hour_ago = parse_since("1h").unwrap();
        assert!(now() - hour_ago >= 3_600_000 && now() - hour_ago < 3_700_000);
        assert_eq!(parse_since("1970-01-01T00:00:01Z"), Ok(1000));
        assert!(parse_since("2026-11-22").is_ok());
        for bad in ["", "h", "-3d", "yesterday", "99999999999999999d"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(ago(1_000, 13_500), "12 s");
        assert_eq!(ago(0, 7_200_000), "2 h");
    }
}
