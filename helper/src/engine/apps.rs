//! Apps that run: what their keepers tell, signals, lists, and what happens when the last one of a namespace ends.

use std::{rc::Rc, time::Duration};

use lonewire_core::{
    launch::{self, Exit},
    name::Id,
};

use super::{
    Engine, Error,
    state::App,
    view::{AppInfo, AppState, Event},
};
use crate::{
    auth::{Grant, Own, Owner},
    ports::{Keeper as _, PortError, Ports},
};

/// How long an app that has ended is known.
pub(super) const KNOWN: Duration = Duration::from_secs(600);

impl<P: Ports> Engine<P> {
    /// Hears what the keeper tells, to the app's end.
    pub(super) async fn listen(self: Rc<Self>, app: Rc<App<P>>) {
        if let Some(keeper) = app.keeper() {
            // Without a keeper there is nobody left who knows: it has ended as far as can be told.
            while let Some(event) = keeper.event().await {
                if event == launch::Event::Ended {
                    break;
                }
                self.heard(&app, &event);
            }
        }
        self.ended(&app).await;
    }

    fn heard(&self, app: &App<P>, event: &launch::Event) {
        {
            let mut info = app.info.borrow_mut();
            match event {
                launch::Event::Stopped { .. } => info.state = AppState::Stopped,
                launch::Event::Continued => info.state = AppState::Running,
                launch::Event::Exited(exit) => {
                    // Others may go on.
                    info.state = AppState::Running;
                    info.exit = Some(*exit);
                    app.exited.set(Some(*exit));
                }
                launch::Event::Started { pid, .. } if info.pid == 0 => {
                    info.pid = u32::try_from(*pid).unwrap_or(0);
                }
                _ => return,
            }
        }
        self.tell_app(app);
    }

    async fn ended(self: &Rc<Self>, app: &Rc<App<P>>) {
        let exit = match app.exited.get() {
            Some(exit) => Some(exit),
            None => self.ports.exit_record(&app.id).await.ok().flatten(),
        };
        self.mark_ended(app, exit, self.ports.now());
        let record = app.record.borrow().clone();
        if let Err(error) = self.write_app(&app.id, &record).await {
            tracing::warn!(%error, "the end of an app is not noted");
        }
        self.after_last_app(app).await;
        self.forget_later(app, KNOWN).await;
    }

    fn mark_ended(&self, app: &App<P>, exit: Option<Exit>, now: u64) {
        *app.keeper.borrow_mut() = None;
        {
            let mut record = app.record.borrow_mut();
            record.ended = Some(now);
            record.exit = exit.map(Exit::to_record);
            let mut info = app.info.borrow_mut();
            info.state = AppState::Ended;
            info.exit = exit;
        }
        self.tell_app(app);
        let tunnel = self
            .tunnels
            .borrow()
            .get(&app.info.borrow().tunnel)
            .cloned();
        if let Some(tunnel) = tunnel {
            self.tell_tunnel(&tunnel);
        }
    }

    /// A namespace that was kept for its apps goes with the last of them; a tunnel that is to go down with its last app does.
    pub(super) async fn after_last_app(self: &Rc<Self>, app: &App<P>) {
        if !self.apps_in(&app.link).is_empty() {
            return;
        }
        let left = {
            let mut left = self.left.borrow_mut();
            let place = left.iter().position(|left| left.link == app.link);
            place.map(|place| left.swap_remove(place))
        };
        if let Some(left) = left {
            self.remove_left(left).await;
            return;
        }
        let tunnel = self
            .tunnels
            .borrow()
            .get(&app.info.borrow().tunnel)
            .cloned();
        let Some(tunnel) = tunnel else { return };
        let is_its = tunnel.up().is_some_and(|up| *up.link() == app.link);
        if is_its && tunnel.kept().options().down_with_last_app == Some(true) {
            match self.take_down(&tunnel, false).await {
                // An app was launched at the last moment: it stays up for that one.
                Ok(()) | Err(Error::AppsRunning(_)) => {}
                Err(error) => tracing::warn!(%error, "not taken down with its last app"),
            }
        }
    }

    pub(super) async fn forget_later(&self, app: &App<P>, after: Duration) {
        self.ports.sleep(after).await;
        self.apps.borrow_mut().remove(&app.id);
        self.forget_files(&app.id).await;
        self.tell(Event::AppRemoved(Owner::User(app.uid), app.id.clone()));
    }

    fn tell_app(&self, app: &App<P>) {
        let info = app.info.borrow().clone();
        self.tell(Event::AppChanged(
            Owner::User(app.uid),
            app.id.clone(),
            info,
        ));
    }

    fn find_app(&self, uid: u32, id: &Id) -> Result<Rc<App<P>>, Error> {
        let app = self.apps.borrow().get(id).cloned();
        app.filter(|app| app.uid == uid).ok_or(Error::NotFound)
    }

    pub(super) fn list_apps(&self, grant: &Grant<Own>) -> Vec<(Id, AppInfo)> {
        let apps = self.apps.borrow();
        let own = apps.values().filter(|app| app.uid == grant.uid());
        own.map(|app| (app.id.clone(), app.info.borrow().clone()))
            .collect()
    }

    pub(super) async fn show_app(&self, grant: &Grant<Own>, id: &Id) -> Result<AppInfo, Error> {
        let app = self.find_app(grant.uid(), id)?;
        let mut info = app.info.borrow().clone();
        if let Some(keeper) = app.keeper()
            && let Ok((pids, _)) = keeper.processes().await
        {
            info.processes = Some(super::count(pids.len()));
        }
        Ok(info)
    }

    pub(super) async fn signal(
        &self,
        grant: Grant<Own>,
        id: &Id,
        signal: u32,
    ) -> Result<(), Error> {
        let app = self.find_app(grant.uid(), id)?;
        let refused = Error::InvalidArgument {
            argument: "signal",
            problem: "no such signal",
        };
        let signal = i32::try_from(signal)
            .ok()
            .filter(|number| (1..=31).contains(number));
        self.send(&app, signal.ok_or(refused)?, false).await
    }

    pub(super) async fn stop(&self, grant: Grant<Own>, id: &Id, force: bool) -> Result<(), Error> {
        let app = self.find_app(grant.uid(), id)?;
        let signal = if force { libc::SIGKILL } else { libc::SIGTERM };
        self.send(&app, signal, true).await
    }

    /// To an app that has ended nothing is sent, which is no error.
    pub(super) async fn send(&self, app: &App<P>, signal: i32, all: bool) -> Result<(), Error> {
        let Some(keeper) = app.keeper() else {
            return Ok(());
        };
        match keeper.signal(signal, all).await {
            Err(PortError::NotFound { .. }) | Ok(()) => Ok(()),
            // The keeper went while it was asked: so did the app.
            Err(_) if !app.is_running() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
