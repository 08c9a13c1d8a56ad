//! What a person asks to know of a tunnel, and its options.

use gettextrs::gettext;
use lonewire_api::{LogEntry, OptionsChange, Probe, TunnelDetail};

use super::{Helper, soon};
use crate::{error::Result, model::Tunnel, present::fill};

/// What the service says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    pub version: Option<String>,
    pub features: Vec<String>,
}

impl Helper {
    /// Looks at a tunnel from inside, now.
    pub async fn check(&self, tunnel: &Tunnel) -> Result<Vec<Probe>> {
        let action = named(&gettext("check “{name}”"), tunnel);
        let client = self.person(&action)?;
        self.told(&action, client.check(&tunnel.id())).await
    }

    /// The states of the last days, oldest first.
    pub async fn history(&self, tunnel: &Tunnel) -> Result<Vec<LogEntry>> {
        let action = named(&gettext("read the history of “{name}”"), tunnel);
        let client = self.person(&action)?;
        self.told(&action, soon(client.log(&tunnel.id(), 0))).await
    }

    /// All about a tunnel, as it is now.
    pub async fn show(&self, tunnel: &Tunnel) -> Result<TunnelDetail> {
        let action = named(&gettext("read “{name}”"), tunnel);
        let client = self.person(&action)?;
        self.told(&action, soon(client.show(&tunnel.id()))).await
    }

    /// Changes options, for the next time that it is turned on.
    pub async fn set_options(&self, tunnel: &Tunnel, change: &OptionsChange) -> Result<()> {
        let action = named(&gettext("change the options of “{name}”"), tunnel);
        let client = self.person(&action)?;
        self.told(&action, client.set_options(&tunnel.id(), change))
            .await
    }

    /// What is known of the service. One that does not answer has told nothing.
    pub async fn service(&self) -> Service {
        let features = match self.client() {
            Ok(client) => soon(client.features()).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        Service {
            version: self.model().version(),
            features,
        }
    }
}

/// Names a tunnel in a sentence.
fn named(text: &str, tunnel: &Tunnel) -> String {
    fill(text, &[("name", &tunnel.title())])
}
