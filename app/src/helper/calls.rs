//! What a person asks for, one function each. `action` in an error is what they wanted, in the infinitive.

use std::time::Duration;

use gettextrs::gettext;
use gtk::{glib, prelude::*};
use lonewire_api::{ApiError, Client, Code, TunnelState};

use super::Helper;
use crate::{
    error::{Error, Result},
    model::{App, Pending, Tunnel},
    present::{app::Stopping, fill},
};

/// How long a connect may wait for its handshake before it answers; the state goes on being told by signals.
const WAIT: u32 = 10;
/// An app that has not ended within this may be made to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names a tunnel in a sentence.
fn named(text: &str, tunnel: &Tunnel) -> String {
    fill(text, &[("name", &tunnel.title())])
}

impl Helper {
    /// A client whose calls may ask the person for a password.
    pub(super) fn person(&self, action: &str) -> Result<Client> {
        let client = self.client();
        client
            .map(|client| client.interactive(true))
            .map_err(|error| Error::of_call(action, &error))
    }

    pub async fn turn_on(&self, tunnel: &Tunnel) -> Result<()> {
        let action = named(&gettext("turn on “{name}”"), tunnel);
        let client = self.person(&action)?;
        tunnel.set_pending(Pending::TurnOn);
        let answer = self.attended(client.connect(&tunnel.id(), WAIT)).await;
        if let Ok(info) = &answer {
            tunnel.set_info(info.clone());
        }
        tunnel.set_pending(Pending::Nothing);
        answer
            .map(|_| ())
            .map_err(|error| Error::of_call(&action, &error))
    }

    /// `Ok(false)`: apps run in it, and `force` did not say that they may lose their network.
    pub async fn turn_off(&self, tunnel: &Tunnel, force: bool) -> Result<bool> {
        let action = named(&gettext("turn off “{name}”"), tunnel);
        let client = self.person(&action)?;
        tunnel.set_pending(Pending::TurnOff);
        let answer = self.attended(client.disconnect(&tunnel.id(), force)).await;
        tunnel.set_pending(Pending::Nothing);
        match answer {
            Ok(()) => Ok(true),
            Err(error) if error.code == Code::AppsRunning => Ok(false),
            Err(error) => Err(Error::of_call(&action, &error)),
        }
    }

    /// Turns all off. The first that fails is told; the others are turned off all the same.
    pub async fn turn_all_off(&self) -> Result<()> {
        let on: Vec<Tunnel> = self
            .model()
            .tunnels()
            .iter::<Tunnel>()
            .filter_map(std::result::Result::ok)
            .filter(|tunnel| tunnel.state() != TunnelState::Off)
            .collect();
        let mut result = Ok(());
        for tunnel in on {
            result = result.and(self.turn_off(&tunnel, true).await.map(|_| ()));
        }
        result
    }

    pub async fn rename(&self, tunnel: &Tunnel, name: &str) -> Result<()> {
        let action = named(&gettext("rename “{name}”"), tunnel);
        let client = self.person(&action)?;
        self.told(&action, client.rename(&tunnel.id(), name)).await
    }

    /// Turns it off first where it is on: the person was told.
    pub async fn remove(&self, tunnel: &Tunnel) -> Result<()> {
        let action = named(&gettext("remove “{name}”"), tunnel);
        let client = self.person(&action)?;
        if tunnel.state() != TunnelState::Off {
            self.turn_off(tunnel, true).await?;
        }
        self.told(&action, client.remove(&tunnel.id())).await
    }

    /// Asks an app to end, and offers to make it if it does not.
    pub async fn stop(&self, app: &App) -> Result<()> {
        let action = fill(&gettext("stop “{name}”"), &[("name", &app.title())]);
        let client = self.person(&action)?;
        app.set_stopping(Stopping::Asked);
        let answer = self.told(&action, client.stop(&app.id(), false)).await;
        if answer.is_err() {
            app.set_stopping(Stopping::No);
            return answer;
        }
        glib::timeout_future(PATIENCE).await;
        if app.is_alive() {
            app.set_stopping(Stopping::Overdue);
        }
        Ok(())
    }

    /// Ends an app now.
    pub async fn force_stop(&self, app: &App) -> Result<()> {
        let action = fill(&gettext("stop “{name}”"), &[("name", &app.title())]);
        let client = self.person(&action)?;
        self.told(&action, client.stop(&app.id(), true)).await
    }

    pub(super) async fn told<T>(
        &self,
        action: &str,
        call: impl Future<Output = std::result::Result<T, ApiError>>,
    ) -> Result<T> {
        self.attended(call)
            .await
            .map_err(|error| Error::of_call(action, &error))
    }
}
