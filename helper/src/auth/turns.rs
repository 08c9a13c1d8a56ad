//! Turns for what is asked of others: each key (a user, a sender) may have so many open, few of them under way at a time, and of
//! all keys together so many more. One key's wait for each other, not for another key's. It only counts: it must decide nothing.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

#[derive(Debug)]
pub(super) struct Turns<K> {
    keys: Arc<Mutex<HashMap<K, Key>>>,
    each: usize,
    all: Semaphore,
}

/// What a key has.
#[derive(Debug)]
struct Key {
    open: u32,
    turns: Arc<Semaphore>,
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// `each`, `all`: under way at a time, of a key and together.
    pub(super) fn new(each: usize, all: usize) -> Self {
        Self {
            keys: Arc::default(),
            each,
            all: Semaphore::new(all),
        }
    }

    /// A place for one more of a key; `None` where it has `limit` already.
    pub(super) fn place(&self, key: K, limit: u32) -> Option<Place<K>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let own = keys.entry(key.clone()).or_insert_with(|| Key {
            open: 0,
            turns: Arc::new(Semaphore::new(self.each)),
        });
        if own.open >= limit {
            return None;
        }
        own.open += 1;
        Some(Place {
            keys: self.keys.clone(),
            key,
            turns: own.turns.clone(),
        })
    }

    /// Waits until it is a place's turn, which lasts as long as what comes back.
    ///
    /// # Errors
    /// Never: nothing closes them.
    pub(super) async fn turn<'a>(
        &'a self,
        place: &'a Place<K>,
    ) -> Result<[SemaphorePermit<'a>; 2], AcquireError> {
        // The own one first: what waits for it holds nothing of the others'.
        let own = place.turns.acquire().await?;
        Ok([own, self.all.acquire().await?])
    }
}

/// One of a key's that is open, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Place<K: Eq + Hash> {
    keys: Arc<Mutex<HashMap<K, Key>>>,
    key: K,
    turns: Arc<Semaphore>,
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = keys.get_mut(&self.key) {
            own.open -= 1;
            if own.open == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::*;

    /// What a future is when it is first looked at.
    async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn a_keys_places_are_counted_to_the_unit_and_given_back() {
        let turns = Turns::new(1, 9);
        let first = turns.place(1, 2).unwrap();
        let second = turns.place(1, 2).unwrap();
        assert!(turns.place(1, 2).is_none());
        let other = turns.place(2, 2).unwrap();
        drop(first);
        let third = turns.place(1, 2).unwrap();
        assert!(turns.place(1, 2).is_none());
        drop((second, third, other));
        assert!(turns.keys.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_keys_turns_wait_for_each_other_and_not_for_anothers() {
        let turns = Turns::new(2, 3);
        let places: Vec<_> = (0..3).map(|_| turns.place('a', 9).unwrap()).collect();
        let first = now(turns.turn(&places[0])).await.unwrap();
        let second = now(turns.turn(&places[1])).await.unwrap();
        assert!(now(turns.turn(&places[2])).await.is_none());
        let other = turns.place('b', 9).unwrap();
        let others = now(turns.turn(&other)).await.unwrap();
        // Together they are as many as there may be.
        let another = turns.place('c', 9).unwrap();
        assert!(now(turns.turn(&another)).await.is_none());
        drop(first);
        assert!(now(turns.turn(&places[2])).await.is_some());
        drop((second, others));
        assert!(now(turns.turn(&another)).await.is_some());
    }
}
