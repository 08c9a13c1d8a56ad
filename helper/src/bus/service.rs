//! `org.lonewire.Helper1.Service`.

use zbus::message::Header;

use super::{
    Gate,
    dict::{self, Dict},
    error::Refusal,
    herald::{Herald, Thing},
};
use crate::auth::Own;

#[derive(Debug)]
pub struct Service {
    pub(super) gate: Gate,
    pub(super) herald: Herald,
}

#[zbus::interface(name = "org.lonewire.Helper1.Service", introspection_docs = false)]
impl Service {
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> Vec<String> {
        self.gate
            .engine
            .features()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn limits(&self) -> Dict {
        dict::limits(self.gate.engine.quotas())
    }

    async fn subscribe(&self, #[zbus(header)] call: Header<'_>) -> Result<(), Refusal> {
        let grant = self.gate.pass::<Own>(&call).await?;
        let caller = grant.caller().clone();
        let tunnels = self.gate.engine.list(grant).await?;
        let apps = self
            .gate
            .engine
            .apps(self.gate.pass::<Own>(&call).await?)
            .await?;
        let things = tunnels
            .into_iter()
            .map(|(id, info)| (id, Thing::Tunnel(info)))
            .chain(apps.into_iter().map(|(id, info)| (id, Thing::App(info))))
            .collect();
        self.herald.subscribe(caller, things).await;
        Ok(())
    }

    async fn unsubscribe(&self, #[zbus(header)] call: Header<'_>) -> Result<(), Refusal> {
        let grant = self.gate.pass::<Own>(&call).await?;
        self.herald.unsubscribe(grant.caller().sender.clone()).await;
        Ok(())
    }
}
