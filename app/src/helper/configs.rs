//! What a person asks for about configurations. Keys go to the helper in sealed memory; none ever comes back.

use std::os::fd::{AsFd as _, OwnedFd};

use gettextrs::gettext;
use lonewire_api::{ApiError, Code, Imported, Replaced};
use lonewire_client::config::memfd;

use super::Helper;
use crate::{
    error::{Error, Result},
    model::Tunnel,
    present::fill,
};

/// Configurations a call: the bus passes 16 descriptors.
const BATCH: usize = 14;

/// A configuration under the name that it shall have.
pub struct Named<'t> {
    pub name: &'t str,
    pub text: &'t [u8],
}

fn named(text: &str, name: &str) -> String {
    fill(text, &[("name", name)])
}

fn sealed(text: &[u8], action: &str) -> Result<OwnedFd> {
    memfd::sealed(text).map_err(|_| {
        Error::message(
            fill(&gettext("Could not {action}"), &[("action", action)]),
            gettext("The system is out of memory."),
            "system",
        )
    })
}

impl Helper {
    /// Saves configurations. The answer has one result for each, as far as it went; a prompt that was closed leaves none of them.
    ///
    /// # Errors
    /// None was saved.
    pub async fn import(
        &self,
        configurations: &[Named<'_>],
    ) -> Result<Vec<std::result::Result<Imported, ApiError>>> {
        let action = match configurations {
            [one] => named(&gettext("add “{name}”"), one.name),
            _ => gettext("add the tunnels"),
        };
        let client = self.person(&action)?;
        let mut results = Vec::with_capacity(configurations.len());
        for batch in configurations.chunks(BATCH) {
            let fds: Vec<OwnedFd> = batch
                .iter()
                .map(|one| sealed(one.text, &action))
                .collect::<Result<_>>()?;
            let call: Vec<_> = batch
                .iter()
                .zip(&fds)
                .map(|(one, fd)| (one.name, fd.as_fd()))
                .collect();
            match self.attended(client.import(&call)).await {
                Ok(answers) => results.extend(answers),
                Err(error) => {
                    // All or nothing, where somebody said no.
                    for imported in results.iter().flatten() {
                        let imported: &Imported = imported;
                        let _ = self.attended(client.remove(&imported.id)).await;
                    }
                    return Err(Error::of_call(&action, &error));
                }
            }
        }
        self.catch_up(configurations.len());
        Ok(results)
    }

    /// The service tells of ten things a second: what many of a person's own doing have changed is read at once.
    fn catch_up(&self, count: usize) {
        if count > BATCH {
            self.look_again();
        }
    }

    /// Takes back what was just added. What is not there any more is not missed.
    pub async fn take_back(&self, ids: &[String]) -> Result<()> {
        let action = gettext("remove the tunnel");
        let client = self.person(&action)?;
        for id in ids {
            match self.attended(client.remove(id)).await {
                Err(error) if error.code != Code::NotFound => {
                    return Err(Error::of_call(&action, &error));
                }
                _ => {}
            }
        }
        self.catch_up(ids.len());
        Ok(())
    }

    /// A new tunnel with keys that the helper makes: its id and public key.
    pub async fn create(&self, name: &str) -> Result<(String, String)> {
        let action = named(&gettext("add “{name}”"), name);
        let client = self.person(&action)?;
        self.told(&action, client.create(name)).await
    }

    /// Stores another configuration. `Ok(Err(_))`: the configuration was refused.
    pub async fn replace(
        &self,
        tunnel: &Tunnel,
        text: &[u8],
    ) -> Result<std::result::Result<Replaced, ApiError>> {
        let action = named(&gettext("change “{name}”"), &tunnel.title());
        let client = self.person(&action)?;
        let fd = sealed(text, &action)?;
        match self
            .attended(client.replace(&tunnel.id(), fd.as_fd()))
            .await
        {
            Ok(replaced) => Ok(Ok(replaced)),
            Err(error) if error.code == Code::InvalidConfiguration => Ok(Err(error)),
            Err(error) => Err(Error::of_call(&action, &error)),
        }
    }

    /// Saves a copy with its keys: its id.
    pub async fn duplicate(&self, tunnel: &Tunnel, name: &str) -> Result<String> {
        let action = named(&gettext("duplicate “{name}”"), &tunnel.title());
        let client = self.person(&action)?;
        self.told(&action, client.duplicate(&tunnel.id(), name))
            .await
    }
}
