//! The helper's events with a time limit: a thread waits for them, so that a command can do something now and then. After a
//! restart of the helper it subscribes again; whoever reads lists again.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use lonewire_api::Event;

use crate::{
    context::Context,
    failure::{Exit, Failure},
    helper_error::About,
};

/// Events from when it was opened.
#[derive(Debug)]
pub struct Feed<'a> {
    context: &'a Context,
    events: Receiver<Event>,
}

impl<'a> Feed<'a> {
    /// Subscribes. What is listed afterwards misses nothing.
    ///
    /// # Errors
    /// The helper's.
    pub fn open(context: &'a Context) -> Result<Self, Failure> {
        let mut stream = context.call(About::Nothing, async |client| client.events().await)?;
        subscribe(context)?;
        // Bounded: whoever does not read makes the thread wait, not the memory grow.
        let (sender, events) = mpsc::sync_channel(64);
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                while let Some(event) = zbus::block_on(stream.next()) {
                    if sender.send(event).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Failure::system("a thread cannot be started", error))?;
        Ok(Self { context, events })
    }

    /// The next event; `None` where none came in time. Without a limit it waits for ever.
    ///
    /// # Errors
    /// The bus is gone; the helper's, when it has come back.
    pub fn next(&self, limit: Option<Duration>) -> Result<Option<Event>, Failure> {
        let event = match limit {
            Some(limit) => self.events.recv_timeout(limit),
            None => self
                .events
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(Event::ServiceAppeared) => {
                subscribe(self.context)?;
                Ok(Some(Event::ServiceAppeared))
            }
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(
                    Failure::new(Exit::NotRunning, "bus_missing", "the system bus went away")
                        .hint("Is D-Bus running? See: systemctl status dbus"),
                )
            }
        }
    }
}

fn subscribe(context: &Context) -> Result<(), Failure> {
    context.call(About::Nothing, async |client| client.subscribe().await)
}
