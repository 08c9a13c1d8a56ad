//! All about the tunnel on the page, once a second while it is on and the page can be seen; nothing is asked and nothing wakes otherwise.

use std::time::Duration;

use gtk::glib;
use lonewire_api::{Code, TunnelState};

use super::{Helper, soon};
use crate::{
    model::Tunnel,
    present::{service::ServiceState, time},
};

const TICK: Duration = Duration::from_secs(1);
/// How many processes an app has is counted once in so many ticks.
const COUNT: u32 = 5;

impl Helper {
    /// Follows what the page shows.
    pub(super) fn follow_shown(&self) {
        let helper = self.clone();
        self.model().connect_shown_notify(move |model| {
            if let Some(tunnel) = model.shown() {
                helper.count_all(&tunnel);
                helper.detail_soon(&tunnel);
            }
        });
        let helper = self.clone();
        self.model().connect_service_notify(move |model| {
            if model.service() == ServiceState::Ready
                && let Some(tunnel) = model.shown()
            {
                helper.detail_soon(&tunnel);
            }
        });
    }

    /// Asks now, where the tunnel is on the page, and from then on while it moves by itself.
    pub(super) fn detail_soon(&self, tunnel: &Tunnel) {
        if self.model().shown().as_ref() != Some(tunnel) {
            return;
        }
        let (helper, tunnel) = (self.clone(), tunnel.clone());
        glib::spawn_future_local(async move { helper.detail(&tunnel).await });
        if !self.0.keeping.replace(true) {
            let helper = self.clone();
            glib::spawn_future_local(async move { helper.keep().await });
        }
    }

    async fn keep(&self) {
        let mut ticks = 0;
        while self.moving().is_some() {
            glib::timeout_future(TICK).await;
            ticks += 1;
            let Some(tunnel) = self.moving() else { break };
            if tunnel.state() != TunnelState::Off {
                self.detail(&tunnel).await;
            }
            if ticks % COUNT == 0 {
                self.count_all(&tunnel);
            }
        }
        self.0.keeping.set(false);
    }

    /// The tunnel on the page, where something about it changes that no signal tells.
    fn moving(&self) -> Option<Tunnel> {
        let moves = |tunnel: &Tunnel| {
            tunnel.state() != TunnelState::Off || !self.model().apps_of(&tunnel.id()).is_empty()
        };
        let shown = self.model().shown().filter(moves);
        shown.filter(|_| self.model().service() == ServiceState::Ready)
    }

    fn count_all(&self, tunnel: &Tunnel) {
        for app in self.model().apps_of(&tunnel.id()) {
            self.count_processes(&app.id());
        }
    }

    async fn detail(&self, tunnel: &Tunnel) {
        let Ok(client) = self.client() else { return };
        match soon(client.show(&tunnel.id())).await {
            Ok(detail) => tunnel.set_detail(detail, time::now()),
            Err(error) if matches!(error.code, Code::NoAnswer | Code::ServiceMissing) => {
                self.probe()
            }
            // Removed meanwhile: its signal is on the way.
            Err(_) => {}
        }
    }

    pub(super) fn count_processes(&self, app: &str) {
        let (helper, app) = (self.clone(), app.to_owned());
        glib::spawn_future_local(async move {
            let Ok(client) = helper.client() else { return };
            match soon(client.app(&app)).await {
                Ok(info) if helper.model().app(&app).is_some() => {
                    helper.model().take_app(&app, info);
                }
                Err(error) if error.code == Code::NotFound => helper.model().remove_app(&app),
                _ => {}
            }
        });
    }
}
