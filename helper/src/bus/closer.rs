//! Closes what callers sent, on threads of its own: a file may lie on a caller's FUSE mount, whose close can block for ever.
//! Never on the loop.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use zbus::Message;

/// Threads that may hang at a time; what comes after them waits.
const THREADS: usize = 32;

#[derive(Debug, Clone, Default)]
pub struct Closer(Arc<Mutex<Work>>);

#[derive(Debug, Default)]
struct Work {
    waiting: VecDeque<Message>,
    threads: usize,
}

impl Closer {
    /// Drops a message, and with it its descriptors, once the task that calls this has let go of it as well.
    pub fn close(&self, message: Message) {
        let closer = self.clone();
        // The loop runs one task at a time: this one comes after the caller's, which drops its own hold on returning.
        drop(tokio::spawn(async move { closer.hand_over(message) }));
    }

    fn hand_over(self, message: Message) {
        let mut work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work.waiting.push_back(message);
        if work.threads >= THREADS {
            return;
        }
        work.threads += 1;
        drop(work);
        let closer = self.clone();
        let started = thread::Builder::new()
            .name("closer".to_owned())
            .spawn(move || closer.work());
        if started.is_err() {
            // Left in the queue for the next thread rather than closed here.
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .threads -= 1;
        }
    }

    fn work(self) {
        loop {
            let mut work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(message) = work.waiting.pop_front() else {
                work.threads -= 1;
                return;
            };
            drop(work);
            drop(message);
        }
    }
}
