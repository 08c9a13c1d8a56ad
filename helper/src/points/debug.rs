//! The points, where they are. A test writes `WHAT NUMBER` into a file: while that is there, each point of WHAT is noted in another file, and at point NUMBER
//! the process kills itself, as if somebody had killed it there.

use std::{
    cell::Cell,
    fs::{self, OpenOptions},
    io::Write as _,
    pin::Pin,
    task::{Context, Poll},
};

use lonewire_api::names::RUNTIME_DIR;

use super::Side;

struct Asked {
    what: &'static str,
    kill_at: usize,
    reached: Cell<usize>,
}

tokio::task_local! {
    static ASKED: Asked;
}

/// Carries out what was asked for; each time it waits is a point, and each time it goes on.
pub async fn during<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    let wish = fs::read_to_string(format!("{RUNTIME_DIR}/points")).unwrap_or_default();
    let mut words = wish.split_whitespace();
    let kill_at = match (words.next(), words.next()) {
        (Some(word), Some(number)) if word == what => number.parse().ok(),
        _ => None,
    };
    let Some(kill_at) = kill_at else {
        return work.await;
    };
    let asked = Asked {
        what,
        kill_at,
        reached: Cell::new(0),
    };
    ASKED.scope(asked, Awaits(Box::pin(work))).await
}

struct Awaits<F>(Pin<Box<F>>);

impl<F: Future> Future for Awaits<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        reached("await", Side::After);
        let polled = self.0.as_mut().poll(context);
        if polled.is_pending() {
            reached("await", Side::Before);
        }
        polled
    }
}

/// Notes the point, and dies where it is the one.
pub fn reached(step: &'static str, side: Side) {
    // Of what nobody asked for, a renewal for one, there are none.
    let _ = ASKED.try_with(|asked| {
        let number = asked.reached.get();
        asked.reached.set(number + 1);
        let line = format!("{} {number} {step} {side:?}\n", asked.what);
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(format!("{RUNTIME_DIR}/points.log"));
        let _ = log.and_then(|mut log| log.write_all(line.as_bytes()));
        if number == asked.kill_at {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    });
}
