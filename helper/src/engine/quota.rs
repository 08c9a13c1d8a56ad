//! How much a user and all users together may have and ask. Pure bookkeeping: the time comes in, a wait goes out.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use super::view::Quotas;

/// Longest wait for a turn; beyond it a request is refused.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// `/etc/lonewire/config.toml`, as far as the engine looks at it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AdminFile {
    quotas: Quotas,
}

/// The admin file's quotas; what it does not name has its default.
///
/// # Errors
/// A file that is no TOML, or `[quotas]` with an unknown word or a value that is no number.
pub fn from_admin_file(text: &str) -> Result<Quotas, toml::de::Error> {
    toml::from_str::<AdminFile>(text).map(|file| file.quotas)
}

/// So many a second, as many at once, the rest spread (generic cell rate algorithm).
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    interval: Duration,
    burst: Duration,
    /// When the last turn given would be due if turns came evenly.
    due: Duration,
}

impl Rate {
    pub fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let interval = Duration::from_secs(1) / per_second;
        Self {
            interval,
            burst: interval * (per_second - 1),
            due: Duration::ZERO,
        }
    }

    /// Takes a turn: how long to wait for it. `None` (and no turn taken) when that is more than `patience`.
    pub fn take(&mut self, now: Duration, patience: Duration) -> Option<Duration> {
        let due = self.due.max(now);
        let wait = due.saturating_sub(now).saturating_sub(self.burst);
        if wait > patience {
            return None;
        }
        self.due = due + self.interval;
        Some(wait)
    }

    fn is_fresh(&self, now: Duration) -> bool {
        self.due <= now
    }
}

/// Rates of launches by user.
#[derive(Debug, Default)]
pub struct Launches(HashMap<u32, Rate>);

impl Launches {
    pub fn take(&mut self, uid: u32, per_second: u32, now: Duration) -> Option<Duration> {
        // Whoever has not launched lately need not be remembered.
        self.0.retain(|_, rate| !rate.is_fresh(now));
        self.0
            .entry(uid)
            .or_insert_with(|| Rate::new(per_second))
            .take(now, PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_is_spread() {
        let mut rate = Rate::new(50);
        let now = Duration::from_secs(100);
        for _ in 0..50 {
            assert_eq!(rate.take(now, PATIENCE), Some(Duration::ZERO));
        }
        assert_eq!(rate.take(now, PATIENCE), Some(Duration::from_millis(20)));
        // Five seconds' worth may wait, no more.
        let waiting = std::iter::from_fn(|| rate.take(now, PATIENCE))
            .take(1000)
            .count();
        assert_eq!(waiting, 249);
        assert_eq!(
            rate.take(now + Duration::from_millis(20), PATIENCE),
            Some(PATIENCE)
        );
        assert_eq!(
            rate.take(now + Duration::from_secs(60), PATIENCE),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn one_users_launches_do_not_wait_for_anothers() {
        let mut launches = Launches::default();
        let now = Duration::from_secs(1);
        while launches.take(1, 2, now).is_some() {}
        assert_eq!(launches.take(2, 2, now), Some(Duration::ZERO));
        assert!(launches.take(1, 2, now + Duration::from_secs(30)).is_some());
        assert_eq!(launches.0.len(), 1);
    }

    #[test]
    fn the_admin_file_overrides_quotas_one_by_one() {
        let quotas = from_admin_file("[quotas]\napps = 7\n[other]\nx = 1\n").unwrap();
        assert_eq!(
            quotas,
            Quotas {
                apps: 7,
                ..Quotas::default()
            }
        );
        assert_eq!(from_admin_file("").unwrap(), Quotas::default());
        assert!(from_admin_file("[quotas]\nappz = 7\n").is_err());
        assert!(from_admin_file("[quotas]\napps = -1\n").is_err());
    }
}
