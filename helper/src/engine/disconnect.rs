//! Taking a tunnel down. The link goes first: from then on nothing leaves. A namespace in which apps still run is kept for them, offline.

use std::{rc::Rc, time::Duration};

use lonewire_core::{
    name::{Id, LinkName},
    plan::{self, Undo},
    state::State,
    tunnel::Phase,
};
use tokio::task::spawn_local;

use super::{
    Engine, Error,
    state::{App, Left, Tunnel},
};
use crate::{
    auth::{Grant, Own},
    points,
    ports::{Keeper as _, Ports},
};

/// An app whose keeper has no process left or has gone is ended as soon as its last words are read.
const ENDING_LOOKS: u32 = 100;
const ENDING_PAUSE: Duration = Duration::from_millis(5);

impl<P: Ports> Engine<P> {
    pub(super) async fn disconnect(
        self: &Rc<Self>,
        grant: Grant<Own>,
        id: &Id,
        force: bool,
    ) -> Result<(), Error> {
        let tunnel = self.find(grant.uid(), id)?;
        self.take_down(&tunnel, force).await
    }

    pub(super) async fn take_down(
        self: &Rc<Self>,
        tunnel: &Rc<Tunnel<P>>,
        force: bool,
    ) -> Result<(), Error> {
        // Waits for launches and renewals under way; later ones find it off.
        let _lock = tunnel.lock.write().await;
        let Some(up) = tunnel.up() else {
            self.set_state(tunnel, State::Off);
            return Ok(());
        };
        let apps = self.apps_still_in(up.link()).await;
        if !apps.is_empty() && !force {
            return Err(Error::AppsRunning(
                apps.iter().map(|app| app.id.clone()).collect(),
            ));
        }
        if let Some(task) = up.task.take() {
            task.abort();
        }
        let phase = if apps.is_empty() {
            Phase::Halfway
        } else {
            Phase::Left
        };
        let record = {
            let mut record = up.record.borrow_mut();
            record.phase = phase;
            record.clone()
        };
        // A full disk is no reason to stay online.
        if let Err(error) = self.write_run(&up.run, &record).await {
            tracing::warn!(%error, "the record still says up");
        }
        let undo = Undo::DeleteLink;
        let deleted = self.undo(undo, &up.run, up.link(), Some(&up.namespace));
        let deleted = points::step(undo.name(), deleted).await;
        if let Err(error) = deleted {
            tracing::warn!(%error, link = %up.link(), "the link was not deleted");
            if !apps.is_empty() {
                // They would stay online: then it is not off.
                up.record.borrow_mut().phase = Phase::Up;
                let record = up.record.borrow().clone();
                let _ = self.write_run(&up.run, &record).await;
                self.watch(tunnel, &up);
                return Err(Error::Failed(error));
            }
        }
        *tunnel.up.borrow_mut() = None;
        self.keys.borrow_mut().remove(&up.kept.public_key);
        self.set_state(tunnel, State::Off);
        let left = Left {
            run: up.run.clone(),
            link: up.link().clone(),
        };
        // Ours is the last descriptor of the namespace.
        drop(up);
        self.leave(left).await;
        Ok(())
    }

    /// Keeps a namespace without link as long as apps run in it, else removes it.
    pub(super) async fn leave(self: &Rc<Self>, left: Left) {
        if self.apps_in(&left.link).is_empty() {
            self.remove_left(left).await;
        } else {
            self.left.borrow_mut().push(left);
        }
    }

    /// Removes what is left of a tunnel; what cannot be removed now is tried again.
    pub(super) async fn remove_left(self: &Rc<Self>, left: Left) {
        let undos = plan::down();
        if !self.undo_all(&undos, &left.run, &left.link, None).await {
            self.undo_later(undos, left);
        }
    }

    /// Tries again, ever more slowly, what could not be undone at once.
    pub(super) fn undo_later(self: &Rc<Self>, undos: Vec<Undo>, left: Left) {
        let engine = Rc::downgrade(self);
        spawn_local(async move {
            for tries in 0_u32.. {
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                let wait = Duration::from_secs(1 << tries.min(6));
                engine.ports.sleep(wait).await;
                if engine.undo_all(&undos, &left.run, &left.link, None).await {
                    return;
                }
            }
        });
    }

    /// Apps that run in a namespace, but for those whose end is on its way: who ran one hears of its end from the keeper, and may ask before we know.
    async fn apps_still_in(&self, link: &LinkName) -> Vec<Rc<App<P>>> {
        for app in self.apps_in(link) {
            let Some(keeper) = app.keeper() else { continue };
            if let Ok((pids, _)) = keeper.processes().await
                && !pids.is_empty()
            {
                break;
            }
            for _ in 0..ENDING_LOOKS {
                if !app.is_running() {
                    break;
                }
                self.ports.sleep(ENDING_PAUSE).await;
            }
        }
        self.apps_in(link)
    }

    /// Apps that run in a namespace.
    pub(super) fn apps_in(&self, link: &LinkName) -> Vec<Rc<App<P>>> {
        let apps = self.apps.borrow();
        apps.values()
            .filter(|app| app.is_running() && app.link == *link)
            .cloned()
            .collect()
    }
}
