// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client with types. Whether the service may ask a person for a password is a choice of each client value: never for what
//! happens in the background.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use zbus::{Connection, Fd, Proxy, Variant, connection, proxy::MethodFlags};

use crate::{
    error::ApiError,
    events::Events,
    info::{
        AppInfo, ImportResult, Limits, LogEntry, OptionsChange, Probe, Replaced, TunnelDetail,
        TunnelInfo, TunnelState, import_result,
    },
    names::{APPS_INTERFACE, BUS_NAME, OBJECT_PATH, SERVICE_INTERFACE, TUNNELS_INTERFACE},
    proxy::ServiceProxy,
    value::{Dictionary, Options, with_zero},
};

type Result<T> = std::result::Result<T, ApiError>;

/// Time that a call without a prompt may take: the longest wait of the API is 20 s, and a launch holds for 5 s more.
/// A call that may prompt has no limit, as a person types.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    connection: Connection,
    service: Proxy<'static>,
    tunnels: Proxy<'static>,
    apps: Proxy<'static>,
    interactive: bool,
}

impl Client {
    /// Connects to the system bus (`DBUS_SYSTEM_BUS_ADDRESS` where it is set). The service is not started by this.
    ///
    /// # Errors
    /// `BusMissing`.
    pub async fn new() -> Result<Self> {
        let connection = connection::Builder::system()
            .method_timeout(CALL_TIMEOUT)
            .build()
            .await?;
        Self::with_connection(connection).await
    }

    /// On a connection that is there already; [`CALL_TIMEOUT`] is then the maker's to set.
    ///
    /// # Errors
    /// `BusMissing`.
    pub async fn with_connection(connection: Connection) -> Result<Self> {
        let service = Proxy::new(&connection, BUS_NAME, OBJECT_PATH, SERVICE_INTERFACE).await?;
        let tunnels = Proxy::new(&connection, BUS_NAME, OBJECT_PATH, TUNNELS_INTERFACE).await?;
        let apps = Proxy::new(&connection, BUS_NAME, OBJECT_PATH, APPS_INTERFACE).await?;
        Ok(Self {
            connection,
            service,
            tunnels,
            apps,
            interactive: false,
        })
    }

    /// A client on the same connection whose calls let the service ask a person for a password (or not: the default).
    #[must_use]
    pub fn interactive(&self, interactive: bool) -> Self {
        Self {
            interactive,
            ..self.clone()
        }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Events from now on. Make it before [`Self::subscribe`] and before the first list, so that nothing falls between.
    ///
    /// # Errors
    /// `BusMissing`.
    pub async fn events(&self) -> Result<Events> {
        Ok(Events::new(&self.connection).await?)
    }

    async fn call<B, R>(&self, proxy: &Proxy<'static>, member: &'static str, body: &B) -> Result<R>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: serde::de::DeserializeOwned + zbus::Type,
    {
        if self.interactive {
            let reply = proxy
                .call_with_flags(member, MethodFlags::ALLOW_INTERACTIVE_AUTH, body)
                .await?;
            return reply.ok_or_else(|| zbus::Error::InvalidReply.into());
        }
        Ok(proxy.call(member, body).await?)
    }

    // Service

    /// # Errors
    /// `ServiceMissing`, `BusMissing`, `NoAnswer`, as every call.
    pub async fn version(&self) -> Result<String> {
        Ok(ServiceProxy::new(&self.connection).await?.version().await?)
    }

    /// # Errors
    /// As [`Self::version`].
    pub async fn features(&self) -> Result<Vec<String>> {
        Ok(ServiceProxy::new(&self.connection)
            .await?
            .features()
            .await?)
    }

    /// # Errors
    /// As [`Self::version`].
    pub async fn limits(&self) -> Result<Limits> {
        Ok((&ServiceProxy::new(&self.connection).await?.limits().await?).into())
    }

    /// # Errors
    /// As [`Self::version`].
    pub async fn subscribe(&self) -> Result<()> {
        self.call(&self.service, "Subscribe", &()).await
    }

    /// # Errors
    /// As [`Self::version`].
    pub async fn unsubscribe(&self) -> Result<()> {
        self.call(&self.service, "Unsubscribe", &()).await
    }

    // Tunnels

    /// Saves configurations under one authorization: a label each (empty: the service makes one) and a sealed memfd. At most 16.
    ///
    /// # Errors
    /// `AccessDenied`, `InteractiveAuthorizationRequired`, `InvalidArgument`; what is wrong with one of them stands in its result.
    pub async fn import(
        &self,
        configurations: &[(&str, BorrowedFd<'_>)],
    ) -> Result<Vec<ImportResult>> {
        let configurations: Vec<(&str, Fd<'_>)> = configurations
            .iter()
            .map(|(name, fd)| (*name, Fd::from(*fd)))
            .collect();
        let results: Vec<Dictionary> = self
            .call(&self.tunnels, "Import", &(configurations, Options::new()))
            .await?;
        Ok(results.iter().map(import_result).collect())
    }

    /// Saves a new tunnel with a fresh key pair. Answers its id and public key.
    ///
    /// # Errors
    /// `AccessDenied`, `InteractiveAuthorizationRequired`, `InvalidArgument`, `NameInUse`, `LimitsExceeded`.
    pub async fn create(&self, name: &str) -> Result<(String, String)> {
        self.call(&self.tunnels, "Create", &(name, Options::new()))
            .await
    }

    /// # Errors
    /// As [`Self::version`].
    pub async fn tunnels(&self) -> Result<Vec<(String, TunnelInfo)>> {
        let list: Vec<(String, Dictionary)> = self.call(&self.tunnels, "List", &()).await?;
        Ok(list
            .into_iter()
            .map(|(id, info)| (id, (&info).into()))
            .collect())
    }

    /// # Errors
    /// `NotFound`.
    pub async fn show(&self, tunnel: &str) -> Result<TunnelDetail> {
        let info: Dictionary = self.call(&self.tunnels, "Show", &(tunnel,)).await?;
        Ok((&info).into())
    }

    /// # Errors
    /// `NotFound`, `InvalidArgument`, `NameInUse`.
    pub async fn rename(&self, tunnel: &str, name: &str) -> Result<()> {
        self.call(&self.tunnels, "Rename", &(tunnel, name)).await
    }

    /// Stores another configuration (a sealed memfd) under the same id.
    ///
    /// # Errors
    /// `NotFound`, `AccessDenied`, `InteractiveAuthorizationRequired`, `InvalidArgument`, `InvalidConfiguration`.
    pub async fn replace(&self, tunnel: &str, configuration: BorrowedFd<'_>) -> Result<Replaced> {
        let result: Dictionary = self
            .call(
                &self.tunnels,
                "Replace",
                &(tunnel, Fd::from(configuration), Options::new()),
            )
            .await?;
        Ok((&result).into())
    }

    /// Answers the copy's id.
    ///
    /// # Errors
    /// As [`Self::create`], and `NotFound`.
    pub async fn duplicate(&self, tunnel: &str, name: &str) -> Result<String> {
        self.call(&self.tunnels, "Duplicate", &(tunnel, name)).await
    }

    /// # Errors
    /// `NotFound`, `AccessDenied`, `InteractiveAuthorizationRequired`, `Busy`.
    pub async fn remove(&self, tunnel: &str) -> Result<()> {
        self.call(&self.tunnels, "Remove", &(tunnel,)).await
    }

    /// # Errors
    /// `NotFound`, `AccessDenied`, `InteractiveAuthorizationRequired`, `InvalidArgument`.
    pub async fn set_options(&self, tunnel: &str, change: &OptionsChange) -> Result<()> {
        self.call(&self.tunnels, "SetOptions", &(tunnel, change.to_options()))
            .await
    }

    /// Brings a tunnel up and waits at most `wait` seconds (0 to 20) for it to be protected.
    ///
    /// # Errors
    /// `NotFound`, `AccessDenied`, `InteractiveAuthorizationRequired`, `KeyInUse`, `LimitsExceeded`, `ConnectFailed`, `Unsealed`.
    pub async fn connect(&self, tunnel: &str, wait: u32) -> Result<TunnelInfo> {
        let options = Options::from([("wait", Variant::from(wait))]);
        let (state, info): (u32, Dictionary) = self
            .call(&self.tunnels, "Connect", &(tunnel, options))
            .await?;
        Ok(TunnelInfo {
            state: TunnelState::from(state),
            ..(&info).into()
        })
    }

    /// A tunnel that is up takes over the configuration of another; waits at most `wait` seconds (0 to 20) for it to be protected.
    ///
    /// # Errors
    /// `NotFound` (either of them), `InvalidArgument` (`tunnel`, `off`), `AccessDenied`, `InteractiveAuthorizationRequired`, `KeyInUse`, `Busy`,
    /// `ConnectFailed`, `Unsealed`: then it goes on as before.
    pub async fn switch(&self, tunnel: &str, other: &str, wait: u32) -> Result<TunnelInfo> {
        let options = Options::from([("wait", Variant::from(wait))]);
        let (state, info): (u32, Dictionary) = self
            .call(&self.tunnels, "Switch", &(tunnel, other, options))
            .await?;
        Ok(TunnelInfo {
            state: TunnelState::from(state),
            ..(&info).into()
        })
    }

    /// # Errors
    /// `NotFound`, `AppsRunning` (unless `force`).
    pub async fn disconnect(&self, tunnel: &str, force: bool) -> Result<()> {
        let options = Options::from([("force", Variant::from(force))]);
        self.call(&self.tunnels, "Disconnect", &(tunnel, options))
            .await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn check(&self, tunnel: &str) -> Result<Vec<Probe>> {
        self.check_with(tunnel, Options::new()).await
    }

    /// The same, where the drop test cuts the tunnel's own link for a moment: its apps are offline meanwhile.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub async fn check_and_drop(&self, tunnel: &str) -> Result<Vec<Probe>> {
        let options = Options::from([("drop", Variant::from(true))]);
        self.check_with(tunnel, options).await
    }

    async fn check_with(&self, tunnel: &str, options: Options<'_>) -> Result<Vec<Probe>> {
        let results: Vec<Dictionary> = self
            .call(&self.tunnels, "Check", &(tunnel, options))
            .await?;
        Ok(results.iter().map(Probe::from).collect())
    }

    /// States since a Unix time in milliseconds, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn log(&self, tunnel: &str, since: u64) -> Result<Vec<LogEntry>> {
        let entries: Vec<(u64, u32, String)> =
            self.call(&self.tunnels, "Log", &(tunnel, since)).await?;
        Ok(entries
            .into_iter()
            .map(|(time, state, reason)| LogEntry {
                time,
                state: state.into(),
                reason,
            })
            .collect())
    }

    // Apps

    /// Starts a program. Answers its id once the program runs.
    ///
    /// # Errors
    /// `NotFound`, `AccessDenied`, `InteractiveAuthorizationRequired`, `InvalidArgument`, `NotProtected`, `ConnectFailed`,
    /// `Unsealed`, `LaunchFailed`, `LimitsExceeded`, `NotSupported`.
    pub async fn launch(&self, tunnel: &str, launch: &Launch<'_>) -> Result<(String, AppInfo)> {
        let zeroed = |all: &[Vec<u8>]| all.iter().map(|one| with_zero(one)).collect::<Vec<_>>();
        let stdio: Vec<Fd<'_>> = launch.stdio.iter().map(|fd| Fd::from(*fd)).collect();
        let body = (
            tunnel,
            zeroed(&launch.argv),
            zeroed(&launch.environment),
            with_zero(&launch.cwd),
            stdio,
            launch.options(),
        );
        let (app, info): (String, Dictionary) = self.call(&self.apps, "Launch", &body).await?;
        Ok((app, (&info).into()))
    }

    /// # Errors
    /// As [`Self::version`].
    pub async fn apps(&self) -> Result<Vec<(String, AppInfo)>> {
        let list: Vec<(String, Dictionary)> = self.call(&self.apps, "List", &()).await?;
        Ok(list
            .into_iter()
            .map(|(id, info)| (id, (&info).into()))
            .collect())
    }

    /// # Errors
    /// `NotFound`.
    pub async fn app(&self, app: &str) -> Result<AppInfo> {
        let info: Dictionary = self.call(&self.apps, "Get", &(app,)).await?;
        Ok((&info).into())
    }

    /// Sends a signal (its number) to the first process.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument`.
    pub async fn signal(&self, app: &str, signal: u32) -> Result<()> {
        self.call(&self.apps, "Signal", &(app, signal)).await
    }

    /// SIGTERM, or with `force` SIGKILL, to every process.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn stop(&self, app: &str, force: bool) -> Result<()> {
        let options = Options::from([("force", Variant::from(force))]);
        self.call(&self.apps, "Stop", &(app, options)).await
    }
}

/// A program to start. Bytes are without the zeros the API wants.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Absolute path.
    pub program: Vec<u8>,
    /// At least the program's name.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    pub cwd: Vec<u8>,
    pub stdio: [BorrowedFd<'a>; 3],
    /// 0 to 0o777.
    pub umask: u32,
    pub hold: Option<BorrowedFd<'a>>,
    pub tie: Option<BorrowedFd<'a>>,
    pub pty: bool,
    pub clean_env: bool,
    pub name: Option<String>,
    /// Seconds, 0 to 20.
    pub wait: u32,
}

impl<'a> Launch<'a> {
    /// A program with the given standard streams and otherwise defaults: umask 022, wait 10 s, cwd `/`.
    pub fn new(program: Vec<u8>, argv: Vec<Vec<u8>>, stdio: [&'a dyn AsFd; 3]) -> Self {
        Self {
            program,
            argv,
            environment: Vec::new(),
            cwd: b"/".to_vec(),
            stdio: stdio.map(AsFd::as_fd),
            umask: 0o022,
            hold: None,
            tie: None,
            pty: false,
            clean_env: false,
            name: None,
            wait: 10,
        }
    }

    fn options(&self) -> Options<'_> {
        let mut options = Options::from([
            ("program", Variant::from(with_zero(&self.program))),
            ("umask", Variant::from(self.umask)),
            ("pty", Variant::from(self.pty)),
            ("clean-env", Variant::from(self.clean_env)),
            ("wait", Variant::from(self.wait)),
        ]);
        if let Some(name) = &self.name {
            options.insert("name", Variant::from(name.as_str()));
        }
        for (key, fd) in [("hold", self.hold), ("tie", self.tie)] {
            if let Some(fd) = fd {
                options.insert(key, Variant::from(Fd::from(fd)));
            }
        }
        options
    }
}
