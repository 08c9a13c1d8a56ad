//! Whether anybody uses the service: each call that is open and each subscription is a use of it.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// Counts uses.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<watch::Sender<usize>>);

/// A use of the service, until it is dropped.
#[derive(Debug)]
pub struct Use(Activity);

impl Activity {
    pub fn begin(&self) -> Use {
        self.0.send_modify(|uses| *uses += 1);
        Use(self.clone())
    }

    /// Answers once there was no use of it for so long.
    pub async fn quiet(&self, time: Duration) {
        let mut uses = self.0.subscribe();
        loop {
            // The sender is held here: waiting does not fail.
            let _ = uses.wait_for(|uses| *uses == 0).await;
            // Also one that has already ended is a change.
            if tokio::time::timeout(time, uses.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.0.send_modify(|uses| *uses = uses.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn it_is_quiet_once_every_use_has_ended_for_long_enough() {
        let activity = Activity::default();
        let quiet = activity.clone();
        let first = activity.begin();
        let second = activity.begin();
        let waits = tokio::spawn(async move { quiet.quiet(PATIENCE).await });
        drop(first);
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(!waits.is_finished(), "one is open");
        drop(second);
        // A short one begins the time anew.
        let ended = std::time::Instant::now();
        tokio::time::sleep(PATIENCE / 3).await;
        drop(activity.begin());
        waits.await.unwrap();
        assert!(ended.elapsed() >= PATIENCE + PATIENCE / 3);
    }
}
