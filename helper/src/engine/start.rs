//! What comes up by itself, with the machine or with the first session of its owner, and what goes with the last one. The option was the
//! authorisation: nobody is asked here. A user of whom the login manager has never said anything loses nothing.

use std::{cell::Cell, collections::BTreeSet, rc::Rc, time::Duration};

use lonewire_core::tunnel::{self, Starts};
use tokio::task::spawn_local;

use super::{
    Engine,
    connect::Unresolved,
    state::{App, Tunnel},
    view::{Presence, Presences},
};
use crate::ports::{Ports, Start};

/// What an app is given between being asked to end and being made to, as where a person stops it.
const GRACE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// As a terminal and a service manager end programs; one that is stopped hears of it too.
const ENDING: [i32; 3] = [libc::SIGHUP, libc::SIGTERM, libc::SIGCONT];

/// Since when a user is logged in who only lingers.
const NOT: u64 = 0;

/// One more that is on its way up, until it is dropped.
struct Rising<'a>(&'a Cell<u32>);

impl<'a> Rising<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Rising<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl<P: Ports> Engine<P> {
    /// With the first helper of a boot comes up what starts at boot. The note is read here: later ones leave down what was taken down.
    pub(super) async fn start_at_boot(self: &Rc<Self>) {
        let text = self.ports.read_starts().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "it is not known what was started");
            None
        });
        let starts = text.and_then(|text| tunnel::read_record::<Starts>(&text).ok());
        if let Some(starts) = starts.filter(|starts| starts.boot == self.boot) {
            *self.logins.borrow_mut() = starts.logins.into_iter().collect();
            self.is_started.set(true);
            return;
        }
        let engine = self.clone();
        let rising = engine.those(|tunnel| tunnel.start() == Some(Start::Boot));
        spawn_local(async move {
            engine.bring_up_all(rising).await;
            engine.is_started.set(true);
            engine.note_starts().await;
        });
    }

    /// Who is there now; who was there is known.
    pub(super) fn see_logins(self: &Rc<Self>, now: &Presences) {
        let before = self.logins.borrow().clone();
        let users: BTreeSet<u32> = before.keys().chain(now.keys()).copied().collect();
        for uid in users {
            let is = now.get(&uid).map(|presence| match presence {
                Presence::LoggedIn { since } => *since,
                Presence::Lingers => NOT,
            });
            if before.get(&uid).copied() == is {
                continue;
            }
            match is {
                Some(since) => self.logins.borrow_mut().insert(uid, since),
                None => self.logins.borrow_mut().remove(&uid),
            };
            let engine = self.clone();
            spawn_local(async move {
                match is {
                    None => engine.end_all_of(uid).await,
                    Some(NOT) => {}
                    Some(_) => {
                        tracing::info!(uid, "has logged in");
                        let rising = engine.those(|tunnel| {
                            tunnel.uid == uid && tunnel.start() == Some(Start::Login)
                        });
                        engine.bring_up_all(rising).await;
                    }
                }
                engine.note_starts().await;
            });
        }
    }

    /// How many are on their way up, or wait for a user who lingers to log in: nobody else would start the helper for him.
    pub(super) fn to_start(&self) -> usize {
        let logins = self.logins.borrow();
        let awaited = |tunnel: &Tunnel<P>| {
            tunnel.start() == Some(Start::Login) && logins.get(&tunnel.uid) == Some(&NOT)
        };
        let rising = usize::try_from(self.rising.get()).unwrap_or(usize::MAX);
        rising.saturating_add(self.those(awaited).len())
    }

    fn those(&self, which: impl Fn(&Tunnel<P>) -> bool) -> Vec<Rc<Tunnel<P>>> {
        let tunnels = self.tunnels.borrow();
        tunnels
            .values()
            .filter(|tunnel| which(tunnel))
            .cloned()
            .collect()
    }

    /// Each on its own: one that cannot come up now keeps no other from it.
    async fn bring_up_all(self: &Rc<Self>, tunnels: Vec<Rc<Tunnel<P>>>) {
        let _rising = Rising::new(&self.rising);
        let bring_up = |tunnel: Rc<Tunnel<P>>| {
            let engine = self.clone();
            spawn_local(async move {
                let up = async {
                    engine.turn_of(tunnel.uid).await?;
                    engine.bring_up(&tunnel, Unresolved::Waits).await
                };
                if let Err(error) = up.await {
                    tracing::warn!(tunnel = %tunnel.id, %error, "does not come up by itself");
                }
            })
        };
        let tasks: Vec<_> = tunnels.into_iter().map(bring_up).collect();
        for task in tasks {
            // One that panicked is in the log.
            let _ = task.await;
        }
    }

    /// The last session of a user has ended: apps are asked to end, then made to, and tunnels go down. What starts at boot stays, and its apps.
    async fn end_all_of(self: &Rc<Self>, uid: u32) {
        tracing::info!(uid, "has logged out");
        let stays = |tunnel: &Tunnel<P>| tunnel.start() == Some(Start::Boot);
        let apps: Vec<_> = {
            let (apps, tunnels) = (self.apps.borrow(), self.tunnels.borrow());
            let is_to_end = |app: &&Rc<App<P>>| {
                let tunnel = tunnels.get(&app.info.borrow().tunnel);
                app.uid == uid && app.is_running() && !tunnel.is_some_and(|own| stays(own))
            };
            apps.values().filter(is_to_end).cloned().collect()
        };
        for signal in ENDING {
            self.send_all(&apps, signal).await;
        }
        let until = self.ports.uptime() + GRACE;
        while apps.iter().any(|app| app.is_running()) && self.ports.uptime() < until {
            self.ports.sleep(LOOK).await;
        }
        self.send_all(&apps, libc::SIGKILL).await;
        // Back within that time: what is up is wanted again.
        if self.logins.borrow().contains_key(&uid) {
            return;
        }
        for tunnel in self.those(|tunnel| tunnel.uid == uid && !stays(tunnel)) {
            if tunnel.up().is_some()
                && let Err(error) = self.take_down(&tunnel, true).await
            {
                tracing::warn!(tunnel = %tunnel.id, %error, "stays up without its user");
            }
        }
    }

    async fn send_all(&self, apps: &[Rc<App<P>>], signal: i32) {
        for app in apps.iter().filter(|app| app.is_running()) {
            if let Err(error) = self.send(app, signal, true).await {
                tracing::warn!(app = %app.id, signal, %error, "an app does not hear of its user's logout");
            }
        }
    }

    /// Before all that starts at boot was tried the note is of no boot: a helper that is killed meanwhile begins anew.
    async fn note_starts(&self) {
        let boot = if self.is_started.get() {
            self.boot.clone()
        } else {
            String::new()
        };
        let logins = self.logins.borrow().clone().into_iter().collect();
        let starts = Starts { boot, logins };
        let Ok(text) = tunnel::write_record(&starts) else {
            return;
        };
        if let Err(error) = self.ports.write_starts(&text).await {
            tracing::warn!(%error, "what was started is not noted");
        }
    }
}
