//! All about the tunnel on the page, once a second while it is on and the page can be seen; nothing is asked otherwise.

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
                let helper = helper.clone();
                glib::spawn_future_local(async move { helper.keep(&tunnel).await });
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

    fn is_shown(&self, tunnel: &Tunnel) -> bool {
        self.model().shown().as_ref() == Some(tunnel)
    }

    async fn keep(&self, tunnel: &Tunnel) {
        self.detail(tunnel).await;
        let mut ticks = 0;
        while self.is_shown(tunnel) {
            if ticks % COUNT == 0 {
                for app in self.model().apps_of(&tunnel.id()) {
                    self.count_processes(&app.id());
                }
            }
            ticks += 1;
            glib::timeout_future(TICK).await;
            let asks =
                self.model().service() == ServiceState::Ready && tunnel.state() != TunnelState::Off;
            if asks && self.is_shown(tunnel) {
                self.detail(tunnel).await;
            }
        }
    }

    /// Asks now, where the tunnel is on the page.
    pub(super) fn detail_soon(&self, tunnel: &Tunnel) {
        if !self.is_shown(tunnel) {
            return;
        }
        let (helper, tunnel) = (self.clone(), tunnel.clone());
        glib::spawn_future_local(async move { helper.detail(&tunnel).await });
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
