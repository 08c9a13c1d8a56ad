//! What the engine keeps in memory of tunnels and apps. A `RefCell` here is never borrowed across an await; operations on one tunnel
//! take its lock, so that a slow one never holds up another.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use lonewire_core::{
    launch::Exit,
    name::{Id, LinkName},
    secret::PublicKey,
    state::{Health, State, Totals},
    tunnel::{self, Head, Run},
    wgconf::Config,
};
use tokio::{
    sync::{Notify, RwLock, watch},
    task::AbortHandle,
};

use super::view::{AppInfo, AppState, TunnelOptions};
use crate::ports::{Backend, Device, Namespace, PeerStatus, Ports, Start};

/// A saved tunnel.
pub struct Tunnel<P: Ports> {
    pub id: Id,
    pub uid: u32,
    /// Written by what brings it up or down, read by what needs it to stay as it is: launches, renewals.
    pub lock: RwLock<()>,
    /// Held by a switch, from before it looks names up.
    pub switching: tokio::sync::Mutex<()>,
    /// Held by a check.
    pub checking: tokio::sync::Mutex<()>,
    pub kept: RefCell<Rc<Kept>>,
    pub standing: watch::Sender<Standing>,
    pub up: RefCell<Option<Rc<Up<P>>>>,
}

/// The saved file, read.
pub struct Kept {
    pub head: Head<TunnelOptions>,
    pub config: Config,
    /// [`TunnelName::fold`](lonewire_core::name::TunnelName::fold) of the label.
    pub fold: String,
    pub public_key: PublicKey,
    pub warnings: Vec<&'static str>,
}

impl Kept {
    pub fn options(&self) -> TunnelOptions {
        self.head.options.clone().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    /// Unix time, milliseconds.
    pub since: u64,
}

impl<P: Ports> Tunnel<P> {
    pub fn new(id: Id, uid: u32, kept: Kept, since: u64) -> Self {
        Self {
            id,
            uid,
            lock: RwLock::new(()),
            switching: tokio::sync::Mutex::default(),
            checking: tokio::sync::Mutex::default(),
            kept: RefCell::new(Rc::new(kept)),
            standing: watch::Sender::new(Standing {
                state: State::Off,
                since,
            }),
            up: RefCell::new(None),
        }
    }

    pub fn kept(&self) -> Rc<Kept> {
        self.kept.borrow().clone()
    }

    pub fn up(&self) -> Option<Rc<Up<P>>> {
        self.up.borrow().clone()
    }

    /// When it comes up by itself.
    pub fn start(&self) -> Option<Start> {
        self.kept().options().start
    }

    pub fn state(&self) -> State {
        self.standing.borrow().state
    }

    /// Whether `up` is still what is up.
    pub fn is_still(&self, up: &Rc<Up<P>>) -> bool {
        self.up
            .borrow()
            .as_ref()
            .is_some_and(|now| Rc::ptr_eq(now, up))
    }
}

/// A tunnel that is up.
pub struct Up<P: Ports> {
    /// Names its record.
    pub run: Id,
    pub record: RefCell<Run>,
    /// Its name is the link's too.
    pub namespace: Namespace,
    pub backend: Backend,
    /// What the configuration was when it came up.
    pub kept: Rc<Kept>,
    /// `None` where it was found up with a configuration that has been replaced since: then its peers cannot be set again.
    pub device: RefCell<Option<Device>>,
    pub instance: RefCell<Option<Rc<P::Instance>>>,
    /// The peers by whose answers the tunnel is judged.
    pub carriers: Vec<PublicKey>,
    pub health: RefCell<Health>,
    pub counters: RefCell<BTreeMap<PublicKey, (Totals, PeerStatus)>>,
    pub task: RefCell<Option<AbortHandle>>,
    /// Told at each launch.
    pub used: Notify,
    /// What is there is not what should be, and could not be put back: it is tried again.
    pub unsure: Cell<bool>,
}

impl<P: Ports> Up<P> {
    pub fn link(&self) -> &LinkName {
        &self.namespace.name
    }

    /// Bytes in and out since it came up.
    pub fn totals(&self) -> (u64, u64) {
        self.counters
            .borrow()
            .values()
            .fold((0, 0), |(rx, tx), (totals, _)| {
                let (more_rx, more_tx) = totals.sum();
                (rx.saturating_add(more_rx), tx.saturating_add(more_tx))
            })
    }

    pub fn handshake(&self) -> u64 {
        self.counters
            .borrow()
            .values()
            .map(|(_, status)| status.handshake)
            .max()
            .unwrap_or(0)
    }
}

impl<P: Ports> Drop for Up<P> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// A namespace without link, kept for the apps in it.
pub struct Left {
    pub run: Id,
    pub link: LinkName,
}

pub struct App<P: Ports> {
    pub id: Id,
    pub uid: u32,
    /// The namespace it runs in.
    pub link: LinkName,
    pub info: RefCell<AppInfo>,
    pub record: RefCell<tunnel::App>,
    /// `None` once it has ended.
    pub keeper: RefCell<Option<Rc<P::Keeper>>>,
    pub exited: Cell<Option<Exit>>,
}

impl<P: Ports> App<P> {
    pub fn is_running(&self) -> bool {
        self.info.borrow().state != AppState::Ended
    }

    pub fn keeper(&self) -> Option<Rc<P::Keeper>> {
        self.keeper.borrow().clone()
    }
}
