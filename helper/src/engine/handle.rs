//! The engine as others see it: a handle that can be cloned and sent, whose calls are answered by the engine's own thread.
//! A call whose caller has gone away is still carried out to its end, so that nothing stays half done.

use std::sync::{Arc, OnceLock};

use lonewire_core::name::Id;
use tokio::sync::{broadcast, mpsc, oneshot};
use zeroize::Zeroizing;

use super::{
    Error,
    view::{
        AppInfo, CheckWish, Event, Imported, LaunchWish, OptionsChange, Presences, Probe, Quotas,
        TunnelDetail, TunnelInfo,
    },
};
use crate::{
    auth::{
        ConnectOwn, Grant, ImportOwn, InstallAutostart, Kind, LaunchOwn, Own, Owner, Ownership,
    },
    ports::{LogEntry, PortError},
};

/// Calls that may wait for the engine to take them up; further ones wait at the sender.
const QUEUE: usize = 256;

/// Events a slow receiver may lag behind before it misses some (it then lists again).
const EVENTS: usize = 4096;

/// A configuration to import: its label (empty: one is made) and its text.
pub type Configuration = (String, Zeroizing<Vec<u8>>);

pub(super) type Reply<T> = oneshot::Sender<T>;

/// What can be asked of the engine; one a method of [`Handle`]. No `Debug`: some hold configurations.
pub(super) enum Command {
    Ready(Reply<()>),
    Import(Grant<ImportOwn>, Vec<Configuration>, Reply<ImportResult>),
    Create(Grant<ImportOwn>, String, Reply<Result<Imported, Error>>),
    List(Grant<Own>, Reply<Result<Vec<(Id, TunnelInfo)>, Error>>),
    Show(Grant<Own>, Id, Reply<Result<TunnelDetail, Error>>),
    Rename(Grant<Own>, Id, String, Reply<Result<(), Error>>),
    Replace(
        Grant<ImportOwn>,
        Id,
        Zeroizing<Vec<u8>>,
        Reply<Result<Imported, Error>>,
    ),
    Duplicate(Grant<ImportOwn>, Id, String, Reply<Result<Id, Error>>),
    Remove(Grant<ImportOwn>, Id, Reply<Result<(), Error>>),
    SetOptions(
        Grant<ImportOwn>,
        Option<Grant<InstallAutostart>>,
        Id,
        OptionsChange,
        Reply<Result<(), Error>>,
    ),
    Connect(Grant<ConnectOwn>, Id, u32, Reply<Result<TunnelInfo, Error>>),
    Switch(
        Grant<ConnectOwn>,
        Id,
        Id,
        u32,
        Reply<Result<TunnelInfo, Error>>,
    ),
    Disconnect(Grant<Own>, Id, bool, Reply<Result<(), Error>>),
    Check(Grant<Own>, Id, CheckWish, Reply<Result<Vec<Probe>, Error>>),
    Log(Grant<Own>, Id, u64, Reply<Result<Vec<LogEntry>, Error>>),
    Launch(
        Grant<LaunchOwn>,
        Id,
        Box<LaunchWish>,
        Reply<Result<(Id, AppInfo), Error>>,
    ),
    Apps(Grant<Own>, Reply<Result<Vec<(Id, AppInfo)>, Error>>),
    App(Grant<Own>, Id, Reply<Result<AppInfo, Error>>),
    Signal(Grant<Own>, Id, u32, Reply<Result<(), Error>>),
    Stop(Grant<Own>, Id, bool, Reply<Result<(), Error>>),
    /// The machine has slept.
    Resumed(Reply<()>),
    /// Whether the network wants a login first.
    Portal(bool, Reply<()>),
    /// Who is logged in.
    Logins(Presences, Reply<()>),
    Connected(Reply<u32>),
    StartsAtBoot(Id, Reply<bool>),
    Owner(Kind, Id, Reply<Option<Owner>>),
    Label(Id, Reply<Option<String>>),
}

pub(super) type ImportResult = Result<Vec<Result<Imported, Error>>, Error>;

/// What handle and engine share: all that is answered without asking the engine.
#[derive(Debug)]
pub(super) struct Shared {
    pub events: broadcast::Sender<Event>,
    /// Set once, before the first command is taken up.
    pub quotas: OnceLock<Quotas>,
    pub features: OnceLock<Vec<&'static str>>,
}

/// The engine's end of its handles.
#[derive(Debug)]
pub struct Commands {
    pub(super) receiver: mpsc::Receiver<Command>,
    pub(super) shared: Arc<Shared>,
}

impl Command {
    /// What is asked for, where a test may kill the helper at it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Import(..) => "import",
            Self::Connect(..) => "up",
            Self::Switch(..) => "switch",
            Self::Disconnect(..) => "down",
            Self::Launch(..) => "launch",
            _ => "other",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

impl Handle {
    /// A handle, and what [`super::run`] takes to answer it.
    pub fn new() -> (Self, Commands) {
        let (commands, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            events: broadcast::Sender::new(EVENTS),
            quotas: OnceLock::new(),
            features: OnceLock::new(),
        });
        (
            Self {
                commands,
                shared: shared.clone(),
            },
            Commands { receiver, shared },
        )
    }

    /// Answers once the engine has loaded what is saved and adopted what runs. The bus name is claimed after this.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn ready(&self) -> Result<(), Error> {
        self.ask(Command::Ready).await.ok_or_else(gone)
    }

    /// Events from now on, for the bus.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// What this machine can do; empty until [`Self::ready`].
    pub fn features(&self) -> Vec<&'static str> {
        self.shared.features.get().cloned().unwrap_or_default()
    }

    /// The defaults until [`Self::ready`].
    pub fn quotas(&self) -> Quotas {
        self.shared.quotas.get().copied().unwrap_or_default()
    }

    /// Saves configurations; each is refused or kept on its own.
    pub async fn import(
        &self,
        grant: Grant<ImportOwn>,
        configurations: Vec<Configuration>,
    ) -> ImportResult {
        self.call(|reply| Command::Import(grant, configurations, reply))
            .await
    }

    /// Saves a tunnel with a fresh key pair and no peer.
    pub async fn create(&self, grant: Grant<ImportOwn>, name: String) -> Result<Imported, Error> {
        self.call(|reply| Command::Create(grant, name, reply)).await
    }

    pub async fn list(&self, grant: Grant<Own>) -> Result<Vec<(Id, TunnelInfo)>, Error> {
        self.call(|reply| Command::List(grant, reply)).await
    }

    pub async fn show(&self, grant: Grant<Own>, id: Id) -> Result<TunnelDetail, Error> {
        self.call(|reply| Command::Show(grant, id, reply)).await
    }

    pub async fn rename(&self, grant: Grant<Own>, id: Id, name: String) -> Result<(), Error> {
        self.call(|reply| Command::Rename(grant, id, name, reply))
            .await
    }

    pub async fn replace(
        &self,
        grant: Grant<ImportOwn>,
        id: Id,
        text: Zeroizing<Vec<u8>>,
    ) -> Result<Imported, Error> {
        self.call(|reply| Command::Replace(grant, id, text, reply))
            .await
    }

    pub async fn duplicate(
        &self,
        grant: Grant<ImportOwn>,
        id: Id,
        name: String,
    ) -> Result<Id, Error> {
        self.call(|reply| Command::Duplicate(grant, id, name, reply))
            .await
    }

    pub async fn remove(&self, grant: Grant<ImportOwn>, id: Id) -> Result<(), Error> {
        self.call(|reply| Command::Remove(grant, id, reply)).await
    }

    /// With `autostart` a tunnel may be made one that starts at boot.
    pub async fn set_options(
        &self,
        grant: Grant<ImportOwn>,
        autostart: Option<Grant<InstallAutostart>>,
        id: Id,
        change: OptionsChange,
    ) -> Result<(), Error> {
        self.call(|reply| Command::SetOptions(grant, autostart, id, change, reply))
            .await
    }

    /// Whether a tunnel starts at boot already.
    pub async fn starts_at_boot(&self, id: &Id) -> bool {
        self.ask(|reply| Command::StartsAtBoot(id.clone(), reply))
            .await
            .unwrap_or(false)
    }

    /// Brings a tunnel up; waits at most `wait` seconds for `Protected`.
    pub async fn connect(
        &self,
        grant: Grant<ConnectOwn>,
        id: Id,
        wait: u32,
    ) -> Result<TunnelInfo, Error> {
        self.call(|reply| Command::Connect(grant, id, wait, reply))
            .await
    }

    /// A tunnel that is up takes over another one's configuration; waits at most `wait` seconds for `Protected`.
    pub async fn switch(
        &self,
        grant: Grant<ConnectOwn>,
        id: Id,
        other: Id,
        wait: u32,
    ) -> Result<TunnelInfo, Error> {
        self.call(|reply| Command::Switch(grant, id, other, wait, reply))
            .await
    }

    pub async fn disconnect(&self, grant: Grant<Own>, id: Id, force: bool) -> Result<(), Error> {
        self.call(|reply| Command::Disconnect(grant, id, force, reply))
            .await
    }

    /// Looks at a tunnel's namespace, and from inside.
    pub async fn check(
        &self,
        grant: Grant<Own>,
        id: Id,
        wish: CheckWish,
    ) -> Result<Vec<Probe>, Error> {
        self.call(|reply| Command::Check(grant, id, wish, reply))
            .await
    }

    pub async fn log(&self, grant: Grant<Own>, id: Id, since: u64) -> Result<Vec<LogEntry>, Error> {
        self.call(|reply| Command::Log(grant, id, since, reply))
            .await
    }

    pub async fn launch(
        &self,
        grant: Grant<LaunchOwn>,
        tunnel: Id,
        wish: LaunchWish,
    ) -> Result<(Id, AppInfo), Error> {
        self.call(|reply| Command::Launch(grant, tunnel, Box::new(wish), reply))
            .await
    }

    pub async fn apps(&self, grant: Grant<Own>) -> Result<Vec<(Id, AppInfo)>, Error> {
        self.call(|reply| Command::Apps(grant, reply)).await
    }

    pub async fn app(&self, grant: Grant<Own>, id: Id) -> Result<AppInfo, Error> {
        self.call(|reply| Command::App(grant, id, reply)).await
    }

    pub async fn signal(&self, grant: Grant<Own>, id: Id, signal: u32) -> Result<(), Error> {
        self.call(|reply| Command::Signal(grant, id, signal, reply))
            .await
    }

    pub async fn stop(&self, grant: Grant<Own>, id: Id, force: bool) -> Result<(), Error> {
        self.call(|reply| Command::Stop(grant, id, force, reply))
            .await
    }

    /// The machine has slept: every tunnel shakes hands anew.
    pub async fn resumed(&self) {
        self.ask(Command::Resumed).await;
    }

    /// Whether the network wants a login before it carries anything.
    pub async fn portal(&self, is_there: bool) {
        self.ask(|reply| Command::Portal(is_there, reply)).await;
    }

    /// Who is logged in now. With the first session of a user comes up what he wants so, with the last one goes what is his.
    pub async fn logins(&self, now: Presences) {
        self.ask(|reply| Command::Logins(now, reply)).await;
    }

    /// How many tunnels are up, apps run or are still to come up: the daemon may end when it is none.
    pub async fn connected(&self) -> u32 {
        self.ask(Command::Connected).await.unwrap_or(0)
    }

    async fn call<T>(
        &self,
        command: impl FnOnce(Reply<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        self.ask(command).await.unwrap_or_else(|| Err(gone()))
    }

    /// `None` when the engine has ended, or the task that had the command panicked.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

fn gone() -> Error {
    Error::Failed(PortError::NotFound {
        what: "the engine's answer",
    })
}

impl Ownership for Handle {
    async fn owner(&self, kind: Kind, id: &Id) -> Option<Owner> {
        self.ask(|reply| Command::Owner(kind, id.clone(), reply))
            .await
            .flatten()
    }

    async fn label(&self, tunnel: &Id) -> Option<String> {
        self.ask(|reply| Command::Label(tunnel.clone(), reply))
            .await
            .flatten()
    }
}
