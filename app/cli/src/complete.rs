//! Names for the shell's TAB. Quick and silent: without a helper there are no names, and nobody is ever asked for a password.

use std::time::Duration;

use clap_complete::{ArgValueCandidates, CompletionCandidate};
use lonewire_api::{ApiError, AppState, Client};

/// More than this nobody waits for after pressing a key.
const PATIENCE: Duration = Duration::from_secs(1);

/// The user's tunnels.
pub fn tunnels() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let list = zbus::block_on(async { client().await?.tunnels().await });
        let candidates = list.unwrap_or_default().into_iter().map(|(_, info)| {
            CompletionCandidate::new(info.name).help(Some(info.state.as_str().into()))
        });
        candidates.collect::<Vec<_>>()
    })
}

/// The user's apps that run, by name; where several have one, by id.
pub fn apps() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let list = zbus::block_on(async { client().await?.apps().await }).unwrap_or_default();
        let live: Vec<_> = list
            .into_iter()
            .filter(|(_, info)| info.state != AppState::Ended)
            .collect();
        let alone = |name: &str| live.iter().filter(|(_, info)| info.name == name).count() == 1;
        live.iter()
            .map(|(id, info)| {
                let (word, help) = if alone(&info.name) {
                    (&info.name, format!("pid {}", info.pid))
                } else {
                    (id, format!("{}, pid {}", info.name, info.pid))
                };
                CompletionCandidate::new(word).help(Some(help.into()))
            })
            .collect::<Vec<_>>()
    })
}

async fn client() -> Result<Client, ApiError> {
    Client::with_connection(lonewire_client::bus::connection(PATIENCE).await?).await
}
