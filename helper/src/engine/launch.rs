//! Launching an app: the grant includes connecting. Nothing starts before the namespace has been looked at from inside, and a record
//! stands before a program runs.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use lonewire_api::names::BUS_NAME;
use lonewire_core::{
    bus,
    launch::{Launch, User},
    name::Id,
    plan,
    state::State,
    tunnel,
};

use super::{
    Engine, Error,
    connect::Unresolved,
    state::{App, Tunnel, Up},
    steps::Broken,
    view::{AppInfo, AppState, Event, LaunchWish},
};
use crate::{
    auth::{Grant, LaunchOwn, Owner},
    points,
    ports::{Keeper as _, LaunchFiles, PortError, Ports, RecordKind},
};

/// A place among a user's apps, given back when dropped. With the last one ends a warden that nobody needed.
struct Place<'a, P: Ports> {
    engine: &'a Engine<P>,
    uid: u32,
}

impl<P: Ports> Drop for Place<'_, P> {
    fn drop(&mut self) {
        let mut launching = self.engine.launching.borrow_mut();
        if let Some(number) = launching.get_mut(&self.uid) {
            *number -= 1;
            if *number == 0 {
                launching.remove(&self.uid);
            }
        }
        if launching.is_empty() {
            self.engine.ahead.take();
        }
    }
}

impl<P: Ports> Engine<P> {
    pub(super) async fn launch(
        self: &Rc<Self>,
        grant: Grant<LaunchOwn>,
        id: &Id,
        wish: LaunchWish,
    ) -> Result<(Id, AppInfo), Error> {
        let uid = grant.uid();
        if uid == 0 {
            return Err(Error::NotSupported {
                what: "launching as root",
            });
        }
        let tunnel = self.find(uid, id)?;
        let _place = self.take_place(uid)?;
        self.turn_of(uid).await?;
        self.bring_up(&tunnel, Unresolved::Fails).await?;
        self.start_ahead().await;
        if wish.wait > 0 {
            let state = self
                .wait_while(&tunnel, wish.wait, |state| {
                    matches!(state, State::Connecting | State::Blocked(_))
                })
                .await;
            if state != State::Protected {
                let reason = state
                    .reason()
                    .map_or("no-handshake", |reason| reason.code());
                return Err(Error::NotProtected { reason });
            }
        }
        let user = self.ports.by_uid(uid).await?;
        if user.uid != uid || uid == 0 {
            return Err(Error::NotSupported {
                what: "launching as another user",
            });
        }
        let environment = self.environment(&wish, &user, id).await?;
        // From here to the end of the launch the tunnel is not taken down.
        let _lock = tunnel.lock.read().await;
        let up = tunnel.up().ok_or(Error::NotProtected { reason: "off" })?;
        tracing::debug!(%uid, "who it is for is known");
        self.must_be_sealed(&tunnel, &up).await?;
        tracing::debug!(tunnel = %id, "sealed");
        let app = self
            .start(&grant, &tunnel, &up, wish, user, environment)
            .await?;
        up.used.notify_one();
        let info = app.info.borrow().clone();
        self.tell(Event::AppAdded(
            Owner::User(uid),
            app.id.clone(),
            info.clone(),
        ));
        self.tell_tunnel(&tunnel);
        tokio::task::spawn_local(self.clone().listen(app.clone()));
        Ok((app.id.clone(), info))
    }

    /// Starts a warden while something else is done for a launch, if one is on its way and it is no other one's turn.
    pub(super) async fn start_ahead(&self) {
        let is_wanted = !self.launching.borrow().is_empty() && self.ahead.borrow().is_none();
        let now = self.ports.uptime();
        if is_wanted && self.warden.borrow_mut().take(now, Duration::ZERO).is_some() {
            let ahead = self.ports.start_ahead().await;
            // The launch may have failed meanwhile.
            *self.ahead.borrow_mut() = ahead.filter(|_| !self.launching.borrow().is_empty());
        }
    }

    fn take_place(&self, uid: u32) -> Result<Place<'_, P>, Error> {
        let limit = self.quotas.apps;
        let running = self
            .apps
            .borrow()
            .values()
            .filter(|app| app.uid == uid && app.is_running())
            .count();
        let mut launching = self.launching.borrow_mut();
        let under_way = launching.entry(uid).or_default();
        if super::count(running).saturating_add(*under_way) >= limit {
            return Err(Error::LimitsExceeded {
                what: "apps",
                limit,
            });
        }
        *under_way += 1;
        Ok(Place { engine: self, uid })
    }

    /// # Errors
    /// [`Error::Unsealed`]; whatever keeps it from being looked at keeps the program from starting too.
    async fn must_be_sealed(&self, tunnel: &Tunnel<P>, up: &Up<P>) -> Result<(), Error> {
        let record = up.record.borrow().clone();
        match self.check_seal(&up.namespace, &record).await {
            Ok(()) => Ok(()),
            Err(Broken::Port(error)) => Err(error.into()),
            Err(Broken::Limit(error)) => Err(error),
            Err(Broken::Unsealed(found)) => {
                let found: Vec<_> = found.into_iter().map(|violation| violation.found).collect();
                tracing::error!(tunnel = %tunnel.id, ?found, "the namespace is not sealed");
                Err(Error::Unsealed(found))
            }
        }
    }

    async fn start(
        &self,
        grant: &Grant<LaunchOwn>,
        tunnel: &Tunnel<P>,
        up: &Up<P>,
        wish: LaunchWish,
        user: User,
        environment: Vec<Vec<u8>>,
    ) -> Result<Rc<App<P>>, Error> {
        let ahead = self.ahead.take();
        if ahead.is_none() {
            self.turn_at_warden().await?;
        }
        let id = self.new_id()?;
        let name = wish.name.unwrap_or_else(|| label(&wish.program));
        let mut record = tunnel::App {
            boot: self.boot.clone(),
            uid: grant.uid(),
            tunnel: tunnel.id.clone(),
            link: up.link().clone(),
            program: wish.program.clone(),
            name: name.clone(),
            since: self.ports.now(),
            keeper: None,
            pid: 0,
            ended: None,
            exit: None,
        };
        let [noted, started, known] = plan::launch();
        points::step(noted, self.write_app(&id, &record)).await?;
        let request = Launch {
            namespace: up.link().clone(),
            link: up.link().clone(),
            namespace_inode: up.namespace.inode,
            caller_pid: grant.caller().pid,
            user,
            program: wish.program,
            argv: wish.argv,
            environment,
            cwd: wish.cwd,
            umask: wish.umask,
            pty: wish.pty,
            allow_new_privileges: false,
            hold: wish.hold.is_some(),
            tie: wish.tie.is_some(),
            bus: bus::rules(BUS_NAME, wish.bus_names.iter().map(String::as_str)),
        };
        let files = LaunchFiles {
            app: id.clone(),
            stdio: wish.stdio,
            hold: wish.hold,
            tie: wish.tie,
        };
        let launched = points::step(started, self.ports.launch(ahead, request, files)).await;
        let keeper = match launched {
            Ok(keeper) => keeper,
            Err(error) => {
                self.forget_files(&id).await;
                return Err(self.launch_error(error));
            }
        };
        tracing::debug!(app = %id, "runs");
        let process = keeper.process();
        record.keeper = Some((process.pid, process.start));
        record.pid = u32::try_from(keeper.app_pid()).unwrap_or(0);
        // It runs: a record that cannot be completed must not lose it. Its keeper tells a restarted helper the rest.
        if let Err(error) = points::step(known, self.write_app(&id, &record)).await {
            tracing::warn!(%error, "the app's record is not complete");
        }
        let app = Rc::new(App {
            id: id.clone(),
            uid: grant.uid(),
            link: up.link().clone(),
            info: RefCell::new(info_from(&record)),
            record: RefCell::new(record),
            keeper: RefCell::new(Some(Rc::new(keeper))),
            exited: Cell::new(None),
        });
        self.apps.borrow_mut().insert(id, app.clone());
        Ok(app)
    }

    fn launch_error(&self, error: PortError) -> Error {
        let limit = self.quotas.warden_requests_per_second;
        match error {
            PortError::Warden { stage, errno } => Error::LaunchFailed { stage, errno },
            // The socket takes no more connections.
            PortError::WardenGone => Error::LimitsExceeded {
                what: "requests at once",
                limit,
            },
            other => Error::Failed(other),
        }
    }

    /// Removes an app's record, socket and exit file.
    pub(super) async fn forget_files(&self, id: &Id) {
        if let Err(error) = self.ports.forget(id).await {
            tracing::debug!(%error, "an app's files stay");
        }
        if let Err(error) = self.ports.remove_record(RecordKind::App, id).await {
            tracing::warn!(%error, "an app's record stays");
        }
    }
}

/// The last part of a path, for lists.
fn label(program: &[u8]) -> String {
    let last = program
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(last)
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect()
}

/// An app as its record tells.
pub(super) fn info_from(record: &tunnel::App) -> AppInfo {
    AppInfo {
        tunnel: record.tunnel.clone(),
        program: record.program.clone(),
        name: record.name.clone(),
        pid: record.pid,
        state: if record.ended.is_some() {
            AppState::Ended
        } else {
            AppState::Running
        },
        since: record.since,
        processes: None,
        exit: record.exit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_last_part_of_the_path() {
        assert_eq!(label(b"/usr/bin/curl"), "curl");
        assert_eq!(
            label(b"/a\x1b[1m\xff"),
            "a[1m\u{fffd}".trim_start_matches('/')
        );
    }
}
