//! One line on standard error that says what is being waited for: on a terminal only, only once it takes long enough to be noticed,
//! and gone before anything else is written.

use std::{
    io::IsTerminal as _,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done by then needs no line.
const UNNOTICED: Duration = Duration::from_millis(400);

/// The line; dropping it takes it away.
#[derive(Debug)]
pub struct Waiting {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// `None` where nobody would see it.
    pub fn start(what: String) -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if is_dumb || !std::io::stderr().is_terminal() {
            return None;
        }
        let (over, is_over) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("waiting".to_owned())
            .spawn(move || {
                if is_over.recv_timeout(UNNOTICED) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                    line.set_style(style);
                }
                // What others named is part of it.
                line.set_message(crate::print::clean(&what));
                line.enable_steady_tick(Duration::from_millis(100));
                let _ = is_over.recv();
                line.finish_and_clear();
            })
            .ok()?;
        Some(Self {
            over: Some(over),
            thread: Some(thread),
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.over = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
