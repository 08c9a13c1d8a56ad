//! The life of the service: it gives up what it does not need, adopts what runs, claims its name, and serves until it is told to stop or nobody needs it.
//! Stopping takes nothing down: tunnels and apps go on, and the next one adopts them.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lonewire_api::names::{self, BUS_NAME};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use zbus::fdo::{RequestNameFlags, RequestNameReply};

use crate::{
    auth::Deadlines,
    bus,
    engine::{self, Handle},
    sys::{Paths, Sys, seccomp},
};

/// With no tunnel up, no app, no subscriber and no call for so long, it ends where the bus can start it again: saved tunnels need nobody.
const IDLE: Duration = Duration::from_secs(20);
/// Once it has given up its name, calls that were on their way are answered for so long.
const LAST_CALLS: Duration = Duration::from_millis(200);

/// Runs the service until SIGTERM or SIGINT, or until the bus is gone.
///
/// # Errors
/// What keeps it from starting, and the loss of the bus.
pub fn run() -> anyhow::Result<()> {
    log();
    harden()?;
    // Before there is a second thread.
    let ports = Sys::new(paths());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(LocalSet::new().run_until(serve(ports)))
}

/// Where things are: the names that the units and the API go by.
fn paths() -> Paths {
    Paths {
        runtime: names::RUNTIME_DIR.into(),
        state: names::STATE_DIR.into(),
        admin_config: names::ADMIN_CONFIG.into(),
        warden: names::WARDEN_SOCKET.into(),
        wireguard: names::WIREGUARD_SOCKET.into(),
    }
}

/// To the journal where systemd connected it, else to standard error. `RUST_LOG` chooses how much.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journal {
        Some(journal) => registry.with(journal).init(),
        None => {
            let plain = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false);
            registry.with(plain).init();
        }
    }
}

/// Keys will be in its memory: no core file, and no other process of its uid may look. And it will never run a program.
fn harden() -> anyhow::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none).context("the limit of core files")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("hiding its memory")?;
    // Each app has a descriptor or two here; nothing in here uses select(2).
    let files = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, most).context("the limit of open files")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    seccomp::forbid_programs().context("forbidding programs")
}

async fn serve(ports: Sys) -> anyhow::Result<()> {
    let (handle, commands) = Handle::new();
    let mut engine = tokio::task::spawn_local(engine::run(ports, commands));
    tokio::select! {
        ready = handle.ready() => ready.context("the engine did not start")?,
        ended = &mut engine => {
            ended.context("the engine")?.context("the engine did not start")?;
            bail!("the engine ended");
        }
    }

    let connection = system_bus().await?;
    let questions = system_bus().await?;
    let notices = system_bus().await?;
    let activity = bus::serve(
        &connection,
        &questions,
        handle.clone(),
        Deadlines::default(),
    )
    .await
    .context("serving on the bus")?;
    tokio::spawn(bus::host::watch(notices, questions.clone(), handle.clone()));
    let flags = RequestNameFlags::DO_NOT_QUEUE;
    match connection.request_name_with_flags(BUS_NAME, flags).await {
        Ok(RequestNameReply::PrimaryOwner) => {}
        Ok(_) | Err(zbus::Error::NameTaken) => bail!("another service has the name {BUS_NAME}"),
        Err(error) => return Err(error).context("claiming the name"),
    }
    notify(&[NotifyState::Ready]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");

    let alive = tokio::task::spawn_local(keep_alive(handle.clone()));
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = &mut engine => {
            ended.context("the engine")?.context("the engine")?;
            bail!("the engine ended");
        }
        () = connection.closed() => bail!("the bus has gone"),
        () = questions.closed() => bail!("the bus has gone"),
        () = unneeded(&activity, &handle), if is_started_on_demand() => {
            // From now on the service manager queues whoever wants it, instead of taking it for running.
            notify(&[NotifyState::Stopping]);
            connection.release_name(BUS_NAME).await.context("giving up the name")?;
            activity.quiet(LAST_CALLS).await;
            // A failure, after which it is started again: somebody needs it after all.
            ensure!(handle.connected().await == 0, "asked for while ending");
            tracing::info!("ending: no tunnel is up, and nobody has asked for anything");
            alive.abort();
            return Ok(());
        }
    }
    alive.abort();
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping; tunnels and apps go on");
    Ok(())
}

/// Whether a service manager listens, which the bus asks to start it again.
fn is_started_on_demand() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Answers once nobody needs the service.
async fn unneeded(activity: &bus::Activity, handle: &Handle) {
    loop {
        activity.quiet(IDLE).await;
        if handle.connected().await == 0 {
            return;
        }
        // Nobody has to call for a tunnel to go down.
        tokio::time::sleep(IDLE).await;
    }
}

/// Tells the service manager's watchdog, where there is one, that the engine still answers.
async fn keep_alive(handle: Handle) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        handle.connected().await;
        notify(&[NotifyState::Watchdog]);
        tokio::time::sleep(limit / 3).await;
    }
}

async fn system_bus() -> anyhow::Result<zbus::Connection> {
    zbus::connection::Builder::system()
        .build()
        .await
        .context("the system bus")
}

/// Where no service manager listens, nobody is told.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
