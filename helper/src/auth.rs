//! The only authorisation file: who is calling, what is the caller's, and (in `polkit`, the conversation) what polkit says. A
//! [`Grant`] is the proof, and only the one road in here, `judge`, makes one. Default is no: a member that is not in [`TABLE`]
//! is refused, and so is whoever polkit or the bus cannot be asked about. No answer is kept for a second call.

mod polkit;
mod turns;

use std::{future::Future, marker::PhantomData};

use lonewire_api::names::{
    APPS_INTERFACE as APPS, SERVICE_INTERFACE as SERVICE, TUNNELS_INTERFACE as TUNNELS,
};
use lonewire_core::name::Id;
use zbus::{Connection, message::Header};

pub use self::polkit::Deadlines;
use self::{polkit::Polkit, turns::Turns};
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

/// `install-autostart`
#[derive(Debug)]
pub enum InstallAutostart {}

/// What a member asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing but to be somebody: what it answers is the caller's own, or the same for all.
    Nobody,
    /// To own the thing it names.
    Own(Kind),
    /// polkit's yes to an action.
    Ask(&'static str),
    /// To own the thing, or each of those it names, and polkit's yes.
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
const AUTOSTART: &str = "install-autostart";

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
    (TUNNELS, "Switch", Need::OwnAndAsk(Kind::Tunnel, CONNECT)),
    (TUNNELS, "Disconnect", Need::Own(Kind::Tunnel)),
    (TUNNELS, "Check", Need::Own(Kind::Tunnel)),
    (TUNNELS, "Log", Need::Own(Kind::Tunnel)),
    (APPS, "Launch", Need::OwnAndAsk(Kind::Tunnel, LAUNCH)),
    (APPS, "List", Need::Nobody),
    (APPS, "Get", Need::Own(Kind::App)),
    (APPS, "Signal", Need::Own(Kind::App)),
    (APPS, "Stop", Need::Own(Kind::App)),
];

/// What a member asks for besides its row, where what it is given wants that.
pub const BESIDES: &[(&str, &str, &str)] = &[(TUNNELS, "SetOptions", AUTOSTART)];

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
    impl Sealed for super::InstallAutostart {}
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
impl Action for InstallAutostart {
    const ASKS: Option<&'static str> = Some(AUTOSTART);
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

/// Credentials that are asked of the bus at the same time, of one sender and together: it lets a connection wait for 128 answers, and
/// polkit's are more.
const IDENTITIES: (usize, usize) = (4, 24);

/// Decides about every call.
#[derive(Debug)]
pub struct Bouncer<O> {
    bus: Connection,
    polkit: Polkit,
    owners: O,
    identities: Turns<String>,
}

impl<O: Ownership> Bouncer<O> {
    /// `bus`: for questions to the bus and to polkit, and nothing else. While many calls with descriptors wait for a connection,
    /// dbus-daemon drops or refuses all that is sent to it, answers too: one user's flood would take them from everybody.
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
        Ok(Self {
            bus: bus.clone(),
            polkit: Polkit::new(bus, deadlines, prompts).await?,
            owners,
            identities: Turns::new(IDENTITIES.0, IDENTITIES.1),
        })
    }

    /// For a call that names no thing.
    ///
    /// # Errors
    /// Why not.
    pub async fn pass<A: Action>(&self, call: &Header<'_>) -> Result<Grant<A>, Denied> {
        Ok(self.decide(call, []).await?.0)
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
        let (grant, [id]) = self.decide(call, [id]).await?;
        Ok((grant, id))
    }

    /// For a call that names several of a kind: all of them have to be the caller's. polkit is told of the first.
    ///
    /// # Errors
    /// Why not.
    pub async fn pass_for_all<A: Action, const N: usize>(
        &self,
        call: &Header<'_>,
        ids: [&str; N],
    ) -> Result<(Grant<A>, [Id; N]), Denied> {
        self.decide(call, ids).await
    }

    /// One more question about a call that has a grant: polkit's yes to the action that its member may ask for besides.
    ///
    /// # Errors
    /// Why not.
    pub async fn also<A: Action, B: Action>(
        &self,
        call: &Header<'_>,
        grant: &Grant<A>,
        tunnel: &Id,
    ) -> Result<Grant<B>, Denied> {
        let row = BESIDES.iter().find(|(interface, member, action)| {
            call.interface().is_some_and(|found| found == *interface)
                && call.member().is_some_and(|found| found == *member)
                && B::ASKS == Some(*action)
        });
        let (.., action) = row.ok_or(Denied::No("not-listed"))?;
        let caller = grant.caller.clone();
        let label = self.owners.label(tunnel).await;
        self.polkit
            .ask(call, &caller, action, label.as_deref())
            .await?;
        Ok(Grant {
            caller,
            action: PhantomData,
        })
    }

    /// What the caller is not told is in the log, for whoever looks for it: a flood of calls must not fill it.
    async fn decide<A: Action, const N: usize>(
        &self,
        call: &Header<'_>,
        named: [&str; N],
    ) -> Result<(Grant<A>, [Id; N]), Denied> {
        let (sender, member) = (call.sender(), call.member());
        tracing::debug!(?sender, ?member, "asked");
        let decided = self.judge(call, named).await;
        match &decided {
            Ok(_) => tracing::debug!(?sender, ?member, "allowed"),
            Err(why) => tracing::debug!(?sender, ?member, %why, "denied"),
        }
        decided
    }

    /// The one road to a grant: row, caller, owner, polkit.
    async fn judge<A: Action, const N: usize>(
        &self,
        call: &Header<'_>,
        named: [&str; N],
    ) -> Result<(Grant<A>, [Id; N]), Denied> {
        let (Some(interface), Some(member), Some(sender)) =
            (call.interface(), call.member(), call.sender())
        else {
            return Err(Denied::No("no-sender"));
        };
        let need = need(interface, member).ok_or(Denied::No("not-listed"))?;
        if need.action() != A::ASKS || need.kind().is_some() == named.is_empty() {
            tracing::error!(%interface, %member, "a handler and its row of the table disagree");
            return Err(Denied::No("not-listed"));
        }
        let caller = {
            // The bus itself lets a sender have 128 open.
            let place = self.identities.place(sender.to_string(), u32::MAX);
            let place = place.ok_or(Denied::No("no-credentials"))?;
            let _turn = self.identities.turn(&place).await;
            presence::credentials(&self.bus, sender).await
        };
        let caller = caller.ok_or(Denied::No("no-credentials"))?;
        let mut ids = Vec::with_capacity(N);
        if let Some(kind) = need.kind() {
            for text in named {
                ids.push(self.owned(kind, text, &caller).await?);
            }
        }
        if let Some(action) = need.action() {
            let label = match ids.first() {
                Some(id) => self.owners.label(id).await,
                None => None,
            };
            let label = label.as_deref();
            self.polkit.ask(call, &caller, action, label).await?;
        }
        Ok((
            Grant {
                caller,
                action: PhantomData,
            },
            // As many as were named.
            ids.try_into().map_err(|_| Denied::NotFound)?,
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
}
