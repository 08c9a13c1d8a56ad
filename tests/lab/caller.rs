//! Calls on a world's bus as one of its people, message by message: what is sent and what comes back is seen as it is on the wire, and a
//! caller can leave at any moment. The product's own client is not used: this is what somebody else would send.

use std::{
    collections::HashMap,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use lonewire_api::names::{BUS_NAME, OBJECT_PATH};
use zbus::{
    Connection, DynamicType, Message, MessageStream,
    message::{Flags, Type},
};

use crate::{Person, World, init::ROLES, system::connector::Connector};

/// Makes connections to a world's bus as a person.
#[derive(Debug)]
pub struct Door {
    connector: Connector,
    uid: u32,
}

impl Door {
    /// # Errors
    /// The lab's binary does not start as that person.
    pub fn of(world: &World, person: &Person) -> Result<Self> {
        let socket = "/run/dbus/system_bus_socket";
        let command = world.command("host", Some(person), &[ROLES, "role", "connect", socket])?;
        Ok(Self {
            connector: Connector::with(command)?,
            uid: person.uid,
        })
    }

    /// A new connection.
    ///
    /// # Errors
    /// The bus does not take it.
    pub fn enter(&self) -> Result<Caller> {
        let stream = self.connector.connect()?;
        let line = stream.try_clone()?;
        let (bus, mut messages) = zbus::block_on(async {
            let builder = zbus::connection::Builder::unix_stream(stream).user_id(self.uid);
            let bus = builder.build().await?;
            let messages = MessageStream::from(&bus);
            zbus::Result::Ok((bus, messages))
        })
        .context("a connection to the world's bus")?;
        let name = bus.unique_name().context("no name")?.to_string();
        let replies = Arc::new(Replies::default());
        let sink = replies.clone();
        // Ends with the connection.
        drop(thread::spawn(move || {
            zbus::block_on(async {
                while let Some(Ok(message)) = messages.next().await {
                    sink.add(message);
                }
            });
        }));
        Ok(Caller {
            bus,
            line,
            replies,
            name,
        })
    }
}

#[derive(Debug, Default)]
struct Replies {
    came: Mutex<HashMap<u32, (Message, Instant)>>,
    signals: Mutex<Vec<(String, String)>>,
    news: Condvar,
}

impl Replies {
    fn add(&self, message: Message) {
        if message.message_type() == Type::Signal {
            let of = message.body().deserialize::<String>();
            let header = message.header();
            let about = of.or_else(|_| first_word(&message)).unwrap_or_default();
            let member = header.member().map_or("", |member| member.as_str());
            let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
            signals.push((member.to_owned(), about));
        }
        let is_reply = matches!(message.message_type(), Type::MethodReturn | Type::Error);
        if let Some(serial) = message.header().reply_serial().filter(|_| is_reply) {
            let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
            came.insert(serial.get(), (message.clone(), Instant::now()));
            self.news.notify_all();
        }
    }
}

/// Of a signal with more than a string.
fn first_word(message: &Message) -> zbus::Result<String> {
    type Changes = HashMap<String, zbus::OwnedVariant>;
    let body = message.body();
    Ok(body.deserialize::<(String, Changes)>()?.0)
}

/// A connection to the bus. Dropping it is leaving.
#[derive(Debug)]
pub struct Caller {
    bus: Connection,
    line: UnixStream,
    replies: Arc<Replies>,
    /// Unique name on the bus.
    pub name: String,
}

/// A call that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    serial: u32,
    at: Instant,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub message: Message,
    pub after: Duration,
}

impl Reply {
    /// The error's name without the product's prefix; empty for a success.
    pub fn error(&self) -> String {
        let header = self.message.header();
        let name = header.error_name().map_or("", |name| name.as_str());
        let short = name
            .strip_prefix(lonewire_api::names::ERROR_PREFIX)
            .and_then(|rest| rest.strip_prefix('.'));
        short.unwrap_or(name).to_owned()
    }

    /// All that it says: kind, error's name, signature, and the body byte for byte.
    pub fn says(&self) -> (Type, String, String, Vec<u8>) {
        let body = self.message.body();
        (
            self.message.message_type(),
            self.error(),
            body.signature().to_string(),
            body.data().bytes().to_vec(),
        )
    }

    /// The values of a success.
    ///
    /// # Errors
    /// It is an error, or holds something else.
    pub fn read<T>(&self) -> Result<T>
    where
        T: for<'d> serde::Deserialize<'d> + zbus::Type,
    {
        ensure!(
            self.error().is_empty(),
            "{}: {:?}",
            self.error(),
            self.message
        );
        Ok(self.message.body().deserialize()?)
    }
}

/// A call to the helper. `interface` as in the names file.
///
/// # Errors
/// The arguments cannot be put on the wire.
pub fn call(
    interface: &str,
    member: &str,
    arguments: &(impl serde::Serialize + DynamicType),
    flags: Flags,
) -> Result<Message> {
    let message = Message::method_call(OBJECT_PATH, member)
        .destination(BUS_NAME)
        .interface(interface)
        .with_flags(flags)
        .build(arguments)?;
    Ok(message)
}

impl Caller {
    /// # Errors
    /// The bus is gone.
    pub fn send(&self, message: &Message) -> Result<Sent> {
        let sent = Sent {
            serial: message.primary_header().serial_num().get(),
            at: Instant::now(),
        };
        zbus::block_on(self.bus.send(message))?;
        Ok(sent)
    }

    /// The reply to a call; `None` when it does not come in time.
    pub fn wait(&self, sent: Sent, limit: Duration) -> Option<Reply> {
        let end = Instant::now() + limit;
        let mut came = self
            .replies
            .came
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((message, at)) = came.remove(&sent.serial) {
                return Some(Reply {
                    message,
                    after: at.saturating_duration_since(sent.at),
                });
            }
            let left = end.checked_duration_since(Instant::now())?;
            let (guard, _) = self
                .replies
                .news
                .wait_timeout(came, left)
                .unwrap_or_else(PoisonError::into_inner);
            came = guard;
        }
    }

    /// Sends a call and waits for its reply, half a minute at most.
    ///
    /// # Errors
    /// None comes.
    pub fn ask(&self, message: &Message) -> Result<Reply> {
        let sent = self.send(message)?;
        self.wait(sent, Duration::from_secs(30))
            .with_context(|| format!("no reply to {message:?}"))
    }

    /// The signals that came: name, and the string that is their first argument.
    pub fn signals(&self) -> Vec<(String, String)> {
        let signals = self.replies.signals.lock();
        signals.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls the helper and waits for its reply.
    ///
    /// # Errors
    /// None comes.
    pub fn call(
        &self,
        interface: &str,
        member: &str,
        arguments: &(impl serde::Serialize + DynamicType),
    ) -> Result<Reply> {
        self.ask(&call(interface, member, arguments, Flags::empty())?)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.line.shutdown(Shutdown::Both);
    }
}
