//! A stand-in for polkitd on a world's bus: it notes every question, and answers as a script says, wrongly too. It decides nothing of
//! itself: without a script it says no.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use zbus::{
    Connection, Message, MessageStream, OwnedVariant, Variant,
    message::{Header, Type},
};

use crate::{Program, World, bus, world::until};

const NAME: &str = "org.freedesktop.PolicyKit1";
const ERROR: &str = "org.freedesktop.PolicyKit1.Error.Failed";

/// What the stand-in needs: root may have polkit's name, and the bus starts no other polkitd when it is gone.
const POLICY: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy user="root"><allow own="org.freedesktop.PolicyKit1"/></policy></busconfig>
"#;

/// A `CheckAuthorization`, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom it is about: `system-bus-name`, `unix-process`, …
    pub kind: String,
    /// Details of the subject: key, signature of the value, and the value where it is a string.
    pub subject: Vec<(String, String, String)>,
    pub action: String,
    pub details: BTreeMap<String, String>,
    /// 1: a person may be asked.
    pub flags: u32,
    pub cancellation: String,
}

impl Question {
    /// The name on the bus that it is about.
    pub fn about(&self) -> &str {
        self.subject
            .iter()
            .find(|(key, ..)| key == "name")
            .map_or("", |(.., value)| value)
    }

    /// Whether a person may be asked.
    pub fn may_prompt(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    /// Not authorised, but a person could be asked: also when one may be asked, as where there is no agent.
    Challenge,
    /// The person closed the prompt.
    Dismissed,
    Error,
    /// None, until the question is cancelled.
    Hang,
    /// The connection is closed.
    Drop,
    /// A reply that is no answer, see [`MALFORMED`].
    Malformed(usize),
}

/// Replies that are none: each would be a yes to a reader who looks only at what he expects.
pub const MALFORMED: [&str; 7] = ["nothing", "b", "s", "u", "(bb)", "(uua{ss})", "(bsa{ss})"];

type Script = Box<dyn FnMut(&Question) -> Answer + Send>;

struct State {
    script: Script,
    questions: Vec<Question>,
    cancelled: Vec<String>,
    /// Questions without an answer, by cancellation id.
    hanging: BTreeMap<String, Message>,
}

/// Stands for polkitd as long as it lives.
pub struct Polkit {
    state: Arc<Mutex<State>>,
    serving: Option<(Connection, JoinHandle<()>)>,
    watcher: Connection,
    address: std::path::PathBuf,
}

impl Polkit {
    /// Takes the place of a world's polkitd.
    ///
    /// # Errors
    /// The bus does not let it.
    pub fn replace(world: &mut World) -> Result<Self> {
        world.stop(Program::Polkit)?;
        let activation = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service";
        let script = format!(
            "rm -f {activation}; mkdir -p /etc/dbus-1/system.d; cat > /etc/dbus-1/system.d/lab.conf <<'EOF'\n{POLICY}EOF\n"
        );
        world.run_in("host", &["sh", "-ec", &script])?.ok()?;
        let watcher = bus::connect(world)?;
        zbus::block_on(async {
            let bus = Some("org.freedesktop.DBus");
            let path = "/org/freedesktop/DBus";
            watcher
                .call_method(bus, path, bus, "ReloadConfig", &())
                .await
        })?;
        let mut polkit = Self {
            state: Arc::new(Mutex::new(State {
                script: Box::new(|_| Answer::No),
                questions: Vec::new(),
                cancelled: Vec::new(),
                hanging: BTreeMap::new(),
            })),
            serving: None,
            watcher,
            address: world.path("/run/dbus/system_bus_socket"),
        };
        polkit.come_back()?;
        Ok(polkit)
    }

    /// What it answers from now on.
    pub fn script(&self, script: impl FnMut(&Question) -> Answer + Send + 'static) {
        self.state().script = Box::new(script);
    }

    /// The same answer to all.
    pub fn always(&self, answer: Answer) {
        self.script(move |_| answer);
    }

    /// The questions since this was called last.
    pub fn take(&self) -> Vec<Question> {
        std::mem::take(&mut self.state().questions)
    }

    /// Waits until there are so many questions since the last [`Polkit::take`].
    ///
    /// # Errors
    /// They do not come.
    pub fn wait_for(&self, count: usize) -> Result<()> {
        until(Duration::from_secs(10), "questions to polkit", || {
            Ok(self.state().questions.len() >= count)
        })
    }

    /// Whether a question was cancelled.
    pub fn is_cancelled(&self, question: &Question) -> bool {
        self.state().cancelled.contains(&question.cancellation)
    }

    /// Leaves the bus, as after a crash; nothing has its name then.
    ///
    /// # Errors
    /// It cannot.
    pub fn leave(&mut self) -> Result<()> {
        if let Some((connection, thread)) = self.serving.take() {
            // It may have left of itself.
            let _ = zbus::block_on(connection.close());
            let _ = thread.join();
        }
        until(Duration::from_secs(5), "polkit to leave the bus", || {
            Ok(!bus::has_owner(&self.watcher, NAME)?)
        })
    }

    /// Comes (back) onto the bus.
    ///
    /// # Errors
    /// Something has its name.
    pub fn come_back(&mut self) -> Result<()> {
        self.leave()?;
        let address = format!("unix:path={}", self.address.display());
        let (connection, stream) = zbus::block_on(async {
            let connection = zbus::connection::Builder::address(address.as_str())
                .build()
                .await?;
            let stream = MessageStream::from(&connection);
            connection.request_name(NAME).await?;
            zbus::Result::Ok((connection, stream))
        })
        .context("taking polkit's name")?;
        let (ours, state) = (connection.clone(), self.state.clone());
        let thread = thread::spawn(move || zbus::block_on(serve(ours, stream, &state)));
        self.serving = Some((connection, thread));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Polkit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Polkit").finish_non_exhaustive()
    }
}

impl Drop for Polkit {
    fn drop(&mut self) {
        let _ = self.leave();
    }
}

async fn serve(connection: Connection, mut stream: MessageStream, state: &Mutex<State>) {
    while let Some(Ok(message)) = stream.next().await {
        if message.message_type() != Type::MethodCall {
            continue;
        }
        let header = message.header();
        let member = header.member().map(|member| member.as_str());
        let done = match member {
            Some("CheckAuthorization") => {
                let Ok(question) = read(&message) else {
                    // What cannot be read is noted as it is not: the test's count is wrong then.
                    let _ = connection.reply_error(&header, ERROR, &"unreadable").await;
                    continue;
                };
                let answer = {
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    let answer = (state.script)(&question);
                    if answer == Answer::Hang {
                        let id = question.cancellation.clone();
                        state.hanging.insert(id, message.clone());
                    }
                    state.questions.push(question);
                    answer
                };
                if answer == Answer::Drop {
                    let _ = connection.close().await;
                    return;
                }
                say(&connection, &header, answer).await
            }
            Some("CancelCheckAuthorization") => {
                let mut question = None;
                if let Ok(id) = message.body().deserialize::<String>() {
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    question = state.hanging.remove(&id);
                    state.cancelled.push(id);
                }
                // As the real one does.
                if let Some(question) = question {
                    let name = "org.freedesktop.PolicyKit1.Error.Cancelled";
                    let _ = connection
                        .reply_error(&question.header(), name, &"cancelled")
                        .await;
                }
                connection.reply(&header, &()).await
            }
            _ => {
                let unknown = "org.freedesktop.DBus.Error.UnknownMethod";
                connection.reply_error(&header, unknown, &"unknown").await
            }
        };
        if done.is_err() {
            return;
        }
    }
}

fn read(message: &Message) -> Result<Question> {
    type Body = (
        (String, BTreeMap<String, OwnedVariant>),
        String,
        BTreeMap<String, String>,
        u32,
        String,
    );
    let body = message.body();
    let ((kind, subject), action, details, flags, cancellation): Body = body.deserialize()?;
    let subject = subject
        .into_iter()
        .map(|(key, value)| {
            let text = match &*value {
                Variant::Str(text) => text.to_string(),
                _ => String::new(),
            };
            (key, value.value_signature().to_string(), text)
        })
        .collect();
    Ok(Question {
        kind,
        subject,
        action,
        details,
        flags,
        cancellation,
    })
}

async fn say(connection: &Connection, call: &Header<'_>, answer: Answer) -> zbus::Result<()> {
    let none = BTreeMap::<String, String>::new();
    // A structure as the one argument.
    let result = match answer {
        Answer::Yes => (true, false, none),
        Answer::No => (false, false, none),
        Answer::Challenge => (false, true, none),
        Answer::Dismissed => {
            let details = [("polkit.dismissed".to_owned(), "true".to_owned())];
            (false, false, details.into())
        }
        Answer::Error => return connection.reply_error(call, ERROR, &"scripted").await,
        Answer::Hang | Answer::Drop => return Ok(()),
        Answer::Malformed(kind) => return mumble(connection, call, kind).await,
    };
    connection.reply(call, &(result,)).await
}

async fn mumble(connection: &Connection, call: &Header<'_>, kind: usize) -> zbus::Result<()> {
    let none = BTreeMap::<String, String>::new();
    match MALFORMED.get(kind).copied().unwrap_or_default() {
        "b" => connection.reply(call, &(true,)).await,
        "s" => connection.reply(call, &("yes",)).await,
        "u" => connection.reply(call, &(1_u32,)).await,
        "(bb)" => connection.reply(call, &((true, false),)).await,
        "(uua{ss})" => connection.reply(call, &((1_u32, 0_u32, none),)).await,
        "(bsa{ss})" => connection.reply(call, &((true, "", none),)).await,
        _ => connection.reply(call, &()).await,
    }
}
