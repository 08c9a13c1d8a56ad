//! Starting an app: the tunnel is turned on first where it is off, and the app waits until it is protected or somebody cancels.

use std::time::Duration;

use futures_util::future::Abortable;
use gettextrs::gettext;
use gtk::glib;
use lonewire_api::TunnelState;
use lonewire_client::launch::{self, Detached, environment};

use super::{Helper, soon};
use crate::{
    apps::Plan,
    error::{Error, Result},
    model::{App, Changes, Tunnel},
    present::{fill, launch as words, reason},
};

/// How long an app waits for its tunnel: a handshake that takes longer is not on its way.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds that the service may wait for a tunnel that is being brought back while the app is on its way.
const WAIT: u32 = 5;

impl Helper {
    /// Starts an app in a tunnel. `token` is made when it is about to run: it lets the app's window come to the front.
    pub async fn start(
        &self,
        tunnel: &Tunnel,
        plan: Plan,
        token: impl FnOnce() -> Option<String>,
    ) -> Result<App> {
        if tunnel.state() != TunnelState::Protected {
            let (_starting, cancel) = tunnel.begin_start(&plan.name);
            let waiting = self.wait_for(tunnel, &plan.name);
            Abortable::new(waiting, cancel)
                .await
                .unwrap_or(Err(Error::UserCanceled))?;
        }
        self.launch(tunnel, plan, token().as_deref()).await
    }

    async fn wait_for(&self, tunnel: &Tunnel, app: &str) -> Result<()> {
        if tunnel.state() == TunnelState::Off {
            let (helper, turned) = (self.clone(), tunnel.clone());
            // It goes on by itself where the person does not want the app any more.
            let turning = glib::spawn_future_local(async move { helper.turn_on(&turned).await });
            turning.await.unwrap_or(Err(Error::UserCanceled))?;
        }
        let settled = glib::future_with_timeout(PATIENCE, settled(tunnel)).await;
        match settled {
            Ok(TunnelState::Protected) => Ok(()),
            // Somebody turned it off meanwhile.
            Ok(TunnelState::Off) => Err(Error::UserCanceled),
            _ => {
                let advice = reason::advice(tunnel.info().reason.as_deref());
                Err(Error::message(
                    fill(&gettext("Could not run “{app}”"), &[("app", app)]),
                    format!("{} {}", advice.what, advice.to_do),
                    "NotProtected",
                ))
            }
        }
    }

    async fn launch(&self, tunnel: &Tunnel, plan: Plan, token: Option<&str>) -> Result<App> {
        let action = fill(&gettext("run “{app}”"), &[("app", &plan.name)]);
        let client = self.person(&action)?;
        let wish = Detached {
            app: plan.id,
            name: plan.label,
            argv: plan.argv,
            folder: plan.folder,
            environment: environment::ours_with(&[
                ("XDG_ACTIVATION_TOKEN", token),
                ("DESKTOP_STARTUP_ID", token),
            ]),
            wait: WAIT,
        };
        let id = tunnel.id();
        let launched = self
            .attended(async {
                match launch::detached(&client, &id, wish).await {
                    Err(launch::Error::Helper(error)) => Err(error),
                    other => Ok(other),
                }
            })
            .await
            .map_err(|error| Error::of_call(&action, &error))?;
        let (id, info) = launched.map_err(|error| words::not_started(&plan.name, &error))?;
        // It may have ended before anything about it was told.
        let info = soon(client.app(&id)).await.unwrap_or(info);
        Ok(self.model().take_app(&id, info))
    }
}

/// Waits until a tunnel is protected, or can not become so without somebody's doing.
async fn settled(tunnel: &Tunnel) -> TunnelState {
    let changes = Changes::new(tunnel, |tunnel, changed| {
        tunnel.connect_changed(move |_| changed())
    });
    changes
        .until(|| match tunnel.state() {
            state @ (TunnelState::Protected | TunnelState::Off | TunnelState::Failed) => {
                Some(state)
            }
            _ => None,
        })
        .await
}
