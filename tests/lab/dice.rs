//! Chance that can be had again: a test prints its seed, and with `LONEWIRE_SEED` set to that it chooses the same.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Names the seed, in decimal.
pub const VARIABLE: &str = "LONEWIRE_SEED";

/// `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// By the seed in the environment, else by a fresh one; says which on standard error.
    ///
    /// # Errors
    /// The variable is no number, or getrandom(2) fails.
    pub fn new(who: &str) -> Result<Self> {
        let state = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().context(VARIABLE)?,
            Err(_) => {
                let mut bytes = [0; 8];
                rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
                u64::from_le_bytes(bytes)
            }
        };
        eprintln!("{who}: {VARIABLE}={state}");
        Ok(Self { state })
    }

    /// By a known seed.
    pub fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The seed, before anything was chosen.
    pub fn seed(&self) -> u64 {
        self.state
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `limit`; 0 for 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    pub fn moment(&mut self, limit: Duration) -> Duration {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros))
    }
}
