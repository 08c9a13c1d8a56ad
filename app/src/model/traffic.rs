//! The traffic of a tunnel over the last minute, of counters that were read now and then.

use std::collections::VecDeque;

/// How many rates are kept: a minute of them.
pub const SAMPLES: usize = 60;

/// Bytes a second, in and out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    pub rx: u64,
    pub tx: u64,
}

/// Counters and what they say about speed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// When they were last read, and what they said.
    last: Option<(u64, u64, u64)>,
    rates: VecDeque<Rate>,
}

impl Traffic {
    /// Takes in the counters at a time in milliseconds. Counters that went back began anew.
    pub fn add(&mut self, now: u64, rx: u64, tx: u64) {
        if let Some((then, old_rx, old_tx)) = self.last {
            let past = now.saturating_sub(then);
            // Two answers in a row tell nothing about speed.
            if past < 250 {
                return;
            }
            let rate = |new: u64, old: u64| {
                u64::try_from(u128::from(new.saturating_sub(old)) * 1_000 / u128::from(past))
                    .unwrap_or(u64::MAX)
            };
            if self.rates.len() == SAMPLES {
                self.rates.pop_front();
            }
            self.rates.push_back(Rate {
                rx: rate(rx, old_rx),
                tx: rate(tx, old_tx),
            });
        }
        self.last = Some((now, rx, tx));
    }

    /// Oldest first, at most [`SAMPLES`].
    pub fn rates(&self) -> impl ExactSizeIterator<Item = Rate> + '_ {
        self.rates.iter().copied()
    }

    /// The newest.
    pub fn now(&self) -> Rate {
        self.rates.back().copied().unwrap_or_default()
    }

    /// Bytes in and out since the tunnel came up.
    pub fn totals(&self) -> (u64, u64) {
        self.last.map_or((0, 0), |(_, rx, tx)| (rx, tx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bytes_a_second_of_what_went_between_two_readings() {
        let mut traffic = Traffic::default();
        traffic.add(1_000, 5_000, 100);
        assert_eq!(
            (traffic.now(), traffic.totals()),
            (Rate::default(), (5_000, 100))
        );
        traffic.add(3_000, 9_000, 300);
        assert_eq!(traffic.now(), Rate { rx: 2_000, tx: 100 });
        traffic.add(3_001, 90_000, 300);
        assert_eq!(traffic.rates().len(), 1, "a second answer at once");
        traffic.add(4_000, 10, 0);
        assert_eq!(traffic.now(), Rate::default(), "counters that began anew");
    }

    #[test]
    fn no_more_than_a_minute_is_kept() {
        let mut traffic = Traffic::default();
        for second in 0..200 {
            traffic.add(second * 1_000, second * second, 0);
        }
        assert_eq!(traffic.rates().len(), SAMPLES);
        assert_eq!(traffic.now().rx, 199 + 198);
    }
}
