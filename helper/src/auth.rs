//! The only authorisation file: who is calling, what is the caller's, and what polkit says. A [`Grant`] is the proof, and
//! nothing outside this file can make one. Default is no: a member that is not in [`TABLE`] is refused, and so is whoever
//! polkit or the bus cannot be asked about. No answer is kept for a second call.

use std::{
    collections::HashMap,
    future::Future,
    marker::PhantomData,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lonewire_api::names::{
    ACTION_PREFIX, APPS_INTERFACE as APPS, SERVICE_INTERFACE as SERVICE,
    TUNNELS_INTERFACE as TUNNELS,
};
use lonewire_core::name::Id;
use tokio::sync::Semaphore;
use zbus::{
    Connection,
    message::{Flags, Header},
};
use zbus_polkit::policykit1::{
    AuthorityProxy, AuthorizationResult, CheckAuthorizationFlags, Subject,
};

use crate::presence;

/// Who sent a message, as the bus says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    /// For the resource limits of a launch, never for authorisation.
    pub pid: i32,
    /// Unique name on the bus.
    pub sender: String,
}

/// Whose a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    User(u32),
    /// The administrator's, for those whom the admin file names.
    Shared,
}

/// What an id can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tunnel,
    App,
}

/// Where `auth` learns whose an id is; the engine knows.
pub trait Ownership: Send + Sync {
    fn owner(&self, kind: Kind, id: &Id) -> impl Future<Output = Option<Owner>> + Send;

    /// A tunnel's label as it is stored, for the words of a prompt.
    fn label(&self, tunnel: &Id) -> impl Future<Output = Option<String>> + Send;
}

/// Proof that the caller owns the thing (where one is named) and, for actions that ask polkit, that polkit said yes.
#[derive(Debug)]
pub struct Grant<A> {
    caller: Caller,
    action: PhantomData<fn() -> A>,
}

impl<A> Grant<A> {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn uid(&self) -> u32 {
        self.caller.uid
    }

    /// For the engine's own tests, where no bus is.
    #[cfg(test)]
    pub fn for_test(uid: u32) -> Self {
        let caller = Caller {
            uid,
            pid: 1,
            sender: format!(":1.{uid}"),
        };
        Self {
            caller,
            action: PhantomData,
        }
    }
}

/// Seeing and switching off what is one's own: the owner check is all.
#[derive(Debug)]
pub enum Own {}
/// `import-own`
#[derive(Debug)]
pub enum ImportOwn {}
/// `connect-own`
#[derive(Debug)]
pub enum ConnectOwn {}
/// `launch-own`
#[derive(Debug)]
pub enum LaunchOwn {}

/// What a member asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing but to be somebody: what it answers is the caller's own, or the same for all.
    Nobody,
    /// To own the thing it names.
    Own(Kind),
    /// polkit's yes to an action.
    Ask(&'static str),
    /// To own the thing, and polkit's yes.
    OwnAndAsk(Kind, &'static str),
}

impl Need {
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Own(kind) | Self::OwnAndAsk(kind, _) => Some(kind),
            Self::Nobody | Self::Ask(_) => None,
        }
    }

    fn action(self) -> Option<&'static str> {
        match self {
            Self::Ask(action) | Self::OwnAndAsk(_, action) => Some(action),
            Self::Nobody | Self::Own(_) => None,
        }
    }
}

const IMPORT: &str = "import-own";
const CONNECT: &str = "connect-own";
const LAUNCH: &str = "launch-own";

/// Every member of the three interfaces, properties too, and what it asks for. A test compares it with introspection.
pub const TABLE: &[(&str, &str, Need)] = &[
    (SERVICE, "Version", Need::Nobody),
    (SERVICE, "Features", Need::Nobody),
    (SERVICE, "Limits", Need::Nobody),
    (SERVICE, "Subscribe", Need::Nobody),
    (SERVICE, "Unsubscribe", Need::Nobody),
    (TUNNELS, "Import", Need::Ask(IMPORT)),
    (TUNNELS, "Create", Need::Ask(IMPORT)),
    (TUNNELS, "List", Need::Nobody),
    (TUNNELS, "Show", Need::Own(Kind::Tunnel)),
    (TUNNELS, "Rename", Need::Own(Kind::Tunnel)),
    (TUNNELS, "Replace", Need::OwnAndAsk(Kind::Tunnel, IMPORT)),
    (TUNNELS, "Duplicate", Need::OwnAndAsk(Kind::Tunnel, IMPORT)),
    (TUNNELS, "Remove", Need::OwnAndAsk(Kind::Tunnel, IMPORT)),
    (TUNNELS, "SetOptions", Need::OwnAndAsk(Kind::Tunnel, IMPORT)),
    (TUNNELS, "Connect", Need::OwnAndAsk(Kind::Tunnel, CONNECT)),
    (TUNNELS, "Disconnect", Need::Own(Kind::Tunnel)),
    (TUNNELS, "Check", Need::Own(Kind::Tunnel)),
    (TUNNELS, "Log", Need::Own(Kind::Tunnel)),
    (APPS, "Launch", Need::OwnAndAsk(Kind::Tunnel, LAUNCH)),
    (APPS, "List", Need::Nobody),
    (APPS, "Get", Need::Own(Kind::App)),
    (APPS, "Signal", Need::Own(Kind::App)),
    (APPS, "Stop", Need::Own(Kind::App)),
];

/// The row of a member; `None` is no.
pub fn need(interface: &str, member: &str) -> Option<Need> {
    TABLE
        .iter()
        .find(|(i, m, _)| *i == interface && *m == member)
        .map(|(.., need)| *need)
}

/// A kind of grant, and the action it stands for: a row and the grant its handler takes must agree.
pub trait Action: private::Sealed {
    const ASKS: Option<&'static str>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Own {}
    impl Sealed for super::ImportOwn {}
    impl Sealed for super::ConnectOwn {}
    impl Sealed for super::LaunchOwn {}
}

impl Action for Own {
    const ASKS: Option<&'static str> = None;
}
impl Action for ImportOwn {
    const ASKS: Option<&'static str> = Some(IMPORT);
}
impl Action for ConnectOwn {
    const ASKS: Option<&'static str> = Some(CONNECT);
}
impl Action for LaunchOwn {
    const ASKS: Option<&'static str> = Some(LAUNCH);
}

/// Why there is no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No such thing, another user's, or no id at all: no difference can be seen.
    #[error("no such thing of this caller")]
    NotFound,
    #[error("not authorised ({0})")]
    No(&'static str),
    /// polkit would ask a person, and the message does not allow it.
    #[error("a person would have to be asked")]
    NeedsPrompt,
    #[error("too many open questions to polkit")]
    TooMany { limit: u32 },
}

/// How long polkit may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Without a prompt.
    pub answer: Duration,
    /// While a person reads and types.
    pub prompt: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            prompt: Duration::from_secs(120),
        }
    }
}

/// Questions to polkit without a prompt that one user may have open at a time.
const CHECKS: u32 = 256;
/// Calls that this connection has under way at the bus: credentials, and questions without a prompt. The bus lets a connection wait for 128 answers
/// (`max_replies_per_connection`); the rest is for prompts and what goes with them.
const IDENTITIES: usize = 24;
const QUESTIONS: usize = 40;
/// polkit usually answers in 4 ms: only for one that takes longer it is watched whether the caller stays.
const PATIENCE: Duration = Duration::from_millis(100);

/// Decides about every call.
#[derive(Debug)]
pub struct Bouncer<O> {
    bus: Connection,
    polkit: AuthorityProxy<'static>,
    owners: O,
    deadlines: Deadlines,
    prompts: u32,
    open: Arc<Mutex<HashMap<(u32, bool), u32>>>,
    identities: Semaphore,
    questions: Semaphore,
    cancellation: AtomicU64,
}

impl<O: Ownership> Bouncer<O> {
    /// `prompts`: how many a user may have open at a time.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn new(
        bus: &Connection,
        owners: O,
        deadlines: Deadlines,
        prompts: u32,
    ) -> zbus::Result<Self> {
        let polkit = AuthorityProxy::builder(bus)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?;
        Ok(Self {
            bus: bus.clone(),
            polkit,
            owners,
            deadlines,
            prompts,
            open: Arc::default(),
            identities: Semaphore::new(IDENTITIES),
            questions: Semaphore::new(QUESTIONS),
            cancellation: AtomicU64::new(0),
        })
    }

    /// For a call that names no thing.
    ///
    /// # Errors
    /// Why not.
    pub async fn pass<A: Action>(&self, call: &Header<'_>) -> Result<Grant<A>, Denied> {
        Ok(self.judge(call, None).await?.0)
    }

    /// For a call that names a tunnel or an app. The id is parsed here, so that a malformed one answers as an unknown one.
    ///
    /// # Errors
    /// Why not.
    pub async fn pass_for<A: Action>(
        &self,
        call: &Header<'_>,
        id: &str,
    ) -> Result<(Grant<A>, Id), Denied> {
        let (grant, id) = self.judge(call, Some(id)).await?;
        Ok((grant, id.ok_or(Denied::NotFound)?))
    }

    /// The one road to a grant: row, caller, owner, polkit.
    async fn judge<A: Action>(
        &self,
        call: &Header<'_>,
        named: Option<&str>,
    ) -> Result<(Grant<A>, Option<Id>), Denied> {
        let (Some(interface), Some(member), Some(sender)) =
            (call.interface(), call.member(), call.sender())
        else {
            return Err(Denied::No("no-sender"));
        };
        let need = need(interface, member).ok_or(Denied::No("not-listed"))?;
        if need.action() != A::ASKS || need.kind().is_some() != named.is_some() {
            tracing::error!(%interface, %member, "a handler and its row of the table disagree");
            return Err(Denied::No("not-listed"));
        }
        let caller = {
            let _turn = self.identities.acquire().await;
            presence::credentials(&self.bus, sender).await
        };
        let caller = caller.ok_or(Denied::No("no-credentials"))?;
        let id = match (need.kind(), named) {
            (Some(kind), Some(text)) => Some(self.owned(kind, text, &caller).await?),
            _ => None,
        };
        if let Some(action) = need.action() {
            let label = match &id {
                Some(id) => self.owners.label(id).await,
                None => None,
            };
            self.ask(call, &caller, action, label.as_deref()).await?;
        }
        Ok((
            Grant {
                caller,
                action: PhantomData,
            },
            id,
        ))
    }

    async fn owned(&self, kind: Kind, text: &str, caller: &Caller) -> Result<Id, Denied> {
        let id = Id::try_from(text.to_owned()).map_err(|_| Denied::NotFound)?;
        match self.owners.owner(kind, &id).await {
            Some(Owner::User(uid)) if uid == caller.uid => Ok(id),
            // Shared tunnels have actions of their own, which no member here asks for.
            Some(Owner::User(_) | Owner::Shared) | None => Err(Denied::NotFound),
        }
    }

    /// Asks without a prompt first, so that prompts are counted only where there would be one.
    async fn ask(
        &self,
        call: &Header<'_>,
        caller: &Caller,
        action: &str,
        label: Option<&str>,
    ) -> Result<(), Denied> {
        let result = self.check(call, caller, action, label, false).await?;
        if result.is_authorized {
            return Ok(());
        }
        if !result.is_challenge {
            return Err(Denied::No("not-authorized"));
        }
        if !call
            .primary()
            .flags()
            .contains(Flags::ALLOW_INTERACTIVE_AUTH)
        {
            return Err(Denied::NeedsPrompt);
        }
        let result = self.check(call, caller, action, label, true).await?;
        if result.is_authorized {
            return Ok(());
        }
        let dismissed = result
            .details
            .get("polkit.dismissed")
            .is_some_and(|value| !value.is_empty());
        Err(Denied::No(if dismissed {
            "dismissed"
        } else {
            "not-authorized"
        }))
    }

    async fn check(
        &self,
        call: &Header<'_>,
        caller: &Caller,
        action: &str,
        label: Option<&str>,
        prompt: bool,
    ) -> Result<AuthorizationResult, Denied> {
        let limit = if prompt { self.prompts } else { CHECKS };
        let _slot =
            Slot::take(&self.open, (caller.uid, prompt), limit).ok_or(Denied::TooMany { limit })?;
        let _turn = match prompt {
            true => None,
            false => self.questions.acquire().await.ok(),
        };
        // Kind `system-bus-name` with the sender that the bus wrote into the header.
        let subject = Subject::new_for_message_header(call).map_err(|_| Denied::No("no-sender"))?;
        let action = format!("{ACTION_PREFIX}.{action}");
        let details = label
            .map(|label| HashMap::from([("tunnel", label)]))
            .unwrap_or_default();
        let (flags, deadline) = if prompt {
            (
                CheckAuthorizationFlags::ALLOW_USER_INTERACTION,
                self.deadlines.prompt,
            )
        } else {
            (CheckAuthorizationFlags::empty(), self.deadlines.answer)
        };
        let cancellation = format!(
            "lonewire-{}",
            self.cancellation.fetch_add(1, Ordering::Relaxed)
        );
        let answer =
            self.polkit
                .check_authorization(&subject, &action, &details, flags, &cancellation);
        let gone = async {
            tokio::time::sleep(PATIENCE).await;
            if presence::left(&self.bus, &caller.sender).await.is_none() {
                tracing::warn!("it cannot be watched whether a caller stays on the bus");
            }
        };
        let why = tokio::select! {
            answer = answer => match answer {
                Ok(result) => return Ok(result),
                Err(error) => {
                    tracing::warn!(error = %kind_of(&error), "polkit could not be asked");
                    return Err(Denied::No("polkit-failed"));
                }
            },
            () = gone => "caller-left",
            () = tokio::time::sleep(deadline) => "polkit-late",
        };
        // Nobody waits for what becomes of this, and a hanging polkit must not hold it up.
        let polkit = self.polkit.clone();
        drop(tokio::spawn(async move {
            let cancel = polkit.cancel_check_authorization(&cancellation);
            let _ = tokio::time::timeout(Duration::from_secs(5), cancel).await;
        }));
        Err(Denied::No(why))
    }
}

/// An error's D-Bus name or kind; never its text, which others wrote.
fn kind_of(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(name, ..) => name.to_string(),
        zbus::Error::FDO(error) => zbus::DBusError::name(error.as_ref()).to_string(),
        _ => "not understood".to_owned(),
    }
}

/// One open question of a user, counted until it is dropped.
struct Slot {
    open: Arc<Mutex<HashMap<(u32, bool), u32>>>,
    key: (u32, bool),
}

impl Slot {
    fn take(
        open: &Arc<Mutex<HashMap<(u32, bool), u32>>>,
        key: (u32, bool),
        limit: u32,
    ) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Self {
            open: open.clone(),
            key,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
