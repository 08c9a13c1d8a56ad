//! Names for the shell's TAB. Quick and silent: without a helper there are no names, and nobody is ever asked for a password.

use std::time::Duration;

use clap_complete::{ArgValueCandidates, CompletionCandidate};
use lonewire_api::{ApiError, Client};

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

async fn client() -> Result<Client, ApiError> {
    let connection = zbus::connection::Builder::system()
        .method_timeout(PATIENCE)
        .build()
        .await?;
    Client::with_connection(connection).await
}
