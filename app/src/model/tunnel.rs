//! A tunnel: what the helper told of it, and what the window has asked for and not been answered yet.

use std::{cell::RefCell, rc::Rc, sync::OnceLock};

use futures_util::future::{AbortHandle, AbortRegistration};
use gtk::{glib, glib::subclass::Signal, prelude::*, subclass::prelude::*};
use lonewire_api::{Dictionary, TunnelDetail, TunnelInfo, TunnelState};

use super::{Starting, Traffic, starting::Waiting};
use crate::present::state;

/// What the helper was asked for and has not answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "LonewirePending")]
pub enum Pending {
    #[default]
    Nothing,
    TurnOn,
    TurnOff,
}

mod imp {
    use std::cell::Cell;

    use super::*;

    #[derive(Default, glib::Properties)]
    #[properties(wrapper_type = super::Tunnel)]
    pub struct Tunnel {
        #[property(get, construct_only)]
        pub id: RefCell<String>,
        /// The label, which is the user's.
        #[property(name = "title", get = |this: &Self| this.info.borrow().name.clone(), type = String)]
        /// The line under it.
        #[property(name = "status", get = |this: &Self| state::status(&this.info.borrow()), type = String)]
        #[property(name = "icon-name", get = |this: &Self| this.look().icon.to_owned(), type = String)]
        /// A style class that goes with the icon.
        #[property(name = "look", get = |this: &Self| this.look().class.to_owned(), type = String)]
        pub info: RefCell<TunnelInfo>,
        /// The label in small letters, once it was asked for.
        pub folded: RefCell<Option<Rc<str>>>,
        #[property(get, set, builder(Pending::default()))]
        pub pending: Cell<Pending>,
        /// Names of apps that wait for it to be protected; empty if none does.
        #[property(name = "starting", get = Self::starting, type = String)]
        pub waiting: RefCell<Vec<Waiting>>,
        pub starts: Cell<u32>,
        pub detail: RefCell<Option<Rc<TunnelDetail>>>,
        pub traffic: RefCell<Traffic>,
    }

    impl Tunnel {
        fn starting(&self) -> String {
            let waiting = self.waiting.borrow();
            let names: Vec<&str> = waiting.iter().map(|app| app.name.as_str()).collect();
            names.join(", ")
        }

        fn look(&self) -> state::Look {
            let info = self.info.borrow();
            state::look(info.state, info.apps)
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Tunnel {
        const NAME: &'static str = "LonewireTunnel";
        type Type = super::Tunnel;
    }

    #[glib::derived_properties]
    impl ObjectImpl for Tunnel {
        fn signals() -> &'static [Signal] {
            static SIGNALS: OnceLock<Vec<Signal>> = OnceLock::new();
            SIGNALS.get_or_init(|| {
                // Its info changed; its detail or traffic changed.
                vec![
                    Signal::builder("changed").build(),
                    Signal::builder("detailed").build(),
                ]
            })
        }
    }
}

glib::wrapper! {
    /// A saved configuration and its state.
    pub struct Tunnel(ObjectSubclass<imp::Tunnel>);
}

impl Tunnel {
    pub fn new(id: &str, info: TunnelInfo) -> Self {
        let tunnel: Self = glib::Object::builder().property("id", id).build();
        tunnel.imp().info.replace(info);
        tunnel
    }

    pub fn info(&self) -> TunnelInfo {
        self.imp().info.borrow().clone()
    }

    /// The label in small letters: what it is searched and sorted by.
    pub fn folded(&self) -> Rc<str> {
        let mut folded = self.imp().folded.borrow_mut();
        folded
            .get_or_insert_with(|| self.imp().info.borrow().name.to_lowercase().into())
            .clone()
    }

    pub fn state(&self) -> TunnelState {
        self.imp().info.borrow().state
    }

    pub fn apps(&self) -> u32 {
        self.imp().info.borrow().apps
    }

    /// What was last told of the rest, if anything was.
    pub fn detail(&self) -> Option<Rc<TunnelDetail>> {
        self.imp().detail.borrow().clone()
    }

    /// The traffic of the last minute that was seen.
    pub fn traffic(&self) -> std::cell::Ref<'_, Traffic> {
        self.imp().traffic.borrow()
    }

    /// Takes in what it is now.
    pub fn set_info(&self, info: TunnelInfo) {
        let before = self.imp().info.replace(info);
        self.tell(&before);
    }

    /// Takes in what changed.
    pub fn apply(&self, changes: &Dictionary) {
        let before = self.info();
        self.imp().info.borrow_mut().apply(changes);
        self.tell(&before);
    }

    /// Takes in the rest, at a Unix time in milliseconds.
    pub fn set_detail(&self, detail: TunnelDetail, now: u64) {
        if detail.info.state == TunnelState::Off {
            self.imp().traffic.replace(Traffic::default());
        } else {
            self.imp()
                .traffic
                .borrow_mut()
                .add(now, detail.rx, detail.tx);
        }
        self.set_info(detail.info.clone());
        self.imp().detail.replace(Some(Rc::new(detail)));
        self.emit_by_name::<()>("detailed", &[]);
    }

    /// An app waits for it from now on; what ends the wait where somebody cancels.
    pub fn begin_start(&self, name: &str) -> (Starting, AbortRegistration) {
        let imp = self.imp();
        let number = imp.starts.get().wrapping_add(1);
        imp.starts.set(number);
        let (handle, registration) = AbortHandle::new_pair();
        imp.waiting.borrow_mut().push(Waiting {
            number,
            name: name.to_owned(),
            handle,
        });
        self.notify_starting();
        let tunnel = self.clone();
        (Starting { tunnel, number }, registration)
    }

    pub(super) fn end_start(&self, number: u32) {
        let mut waiting = self.imp().waiting.borrow_mut();
        waiting.retain(|app| app.number != number);
        drop(waiting);
        self.notify_starting();
    }

    /// Nothing waits for it any more.
    pub fn cancel_starts(&self) {
        for app in &*self.imp().waiting.borrow() {
            app.handle.abort();
        }
    }

    fn tell(&self, before: &TunnelInfo) {
        let now = self.info();
        if now == *before {
            return;
        }
        if now.name != before.name {
            self.imp().folded.replace(None);
            self.notify_title();
        }
        if (now.state, now.apps, &now.reason) != (before.state, before.apps, &before.reason) {
            self.notify_status();
            self.notify_icon_name();
            self.notify_look();
        }
        self.emit_by_name::<()>("changed", &[]);
    }

    /// Whoever shows it looks again: what is noted of it elsewhere changed.
    pub fn touch(&self) {
        self.emit_by_name::<()>("changed", &[]);
    }

    /// Its info changed.
    pub fn connect_changed(&self, f: impl Fn(&Self) + 'static) -> glib::SignalHandlerId {
        self.connect_closure(
            "changed",
            false,
            glib::closure_local!(move |tunnel: &Self| f(tunnel)),
        )
    }

    /// Its detail was told anew.
    pub fn connect_detailed(&self, f: impl Fn(&Self) + 'static) -> glib::SignalHandlerId {
        self.connect_closure(
            "detailed",
            false,
            glib::closure_local!(move |tunnel: &Self| f(tunnel)),
        )
    }
}
