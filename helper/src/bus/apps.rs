//! `org.lonewire.Helper1.Apps`: each handler parses, passes the bouncer, asks the engine and puts its answer into words.

use std::collections::HashMap;

use zbus::{Fd, Variant, message::Header, object_server::SignalEmitter};

use super::{
    Gate,
    args::{Options, Wanted},
    dict::{self, Dict},
    error::Refusal,
};
use crate::{
    auth::{LaunchOwn, Own},
    presence,
};

#[derive(Debug)]
pub struct Apps {
    pub(super) gate: Gate,
}

#[zbus::interface(name = "org.lonewire.Helper1.Apps", introspection_docs = false)]
impl Apps {
    #[expect(clippy::too_many_arguments, reason = "the contract's")]
    #[zbus(out_args("app", "info"))]
    async fn launch(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        argv: Vec<Vec<u8>>,
        environment: Vec<Vec<u8>>,
        cwd: Vec<u8>,
        stdio: Vec<Fd<'_>>,
        options: HashMap<String, Variant<'_>>,
    ) -> Result<(String, Dict), Refusal> {
        let wanted = Wanted::parse(argv, environment, cwd, stdio, Options::new(options))?;
        let (grant, id) = self.gate.pass_for::<LaunchOwn>(&call, tunnel).await?;
        let names = presence::names(&self.gate.questions).await;
        let (app, info) = self
            .gate
            .engine
            .launch(grant, id, wanted.into_wish(names)?)
            .await?;
        Ok((app.into(), dict::app(&info)))
    }

    #[zbus(out_args("apps"))]
    async fn list(&self, #[zbus(header)] call: Header<'_>) -> Result<Vec<(String, Dict)>, Refusal> {
        let grant = self.gate.pass::<Own>(&call).await?;
        let apps = self.gate.engine.apps(grant).await?;
        Ok(apps
            .into_iter()
            .map(|(id, info)| (id.into(), dict::app(&info)))
            .collect())
    }

    #[zbus(out_args("info"))]
    async fn get(&self, #[zbus(header)] call: Header<'_>, app: &str) -> Result<Dict, Refusal> {
        let (grant, id) = self.gate.pass_for::<Own>(&call, app).await?;
        Ok(dict::app(&self.gate.engine.app(grant, id).await?))
    }

    async fn signal(
        &self,
        #[zbus(header)] call: Header<'_>,
        app: &str,
        signal: u32,
    ) -> Result<(), Refusal> {
        let (grant, id) = self.gate.pass_for::<Own>(&call, app).await?;
        Ok(self.gate.engine.signal(grant, id, signal).await?)
    }

    async fn stop(
        &self,
        #[zbus(header)] call: Header<'_>,
        app: &str,
        options: HashMap<String, Variant<'_>>,
    ) -> Result<(), Refusal> {
        let mut options = Options::new(options);
        let force = options.force()?;
        options.end()?;
        let (grant, id) = self.gate.pass_for::<Own>(&call, app).await?;
        Ok(self.gate.engine.stop(grant, id, force).await?)
    }

    // Declared for introspection; `herald` sends them, to whom they concern.
    #[zbus(signal)]
    async fn app_added(emitter: &SignalEmitter<'_>, app: &str, info: Dict) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn app_changed(emitter: &SignalEmitter<'_>, app: &str, changes: Dict)
    -> zbus::Result<()>;
    #[zbus(signal)]
    async fn app_removed(emitter: &SignalEmitter<'_>, app: &str) -> zbus::Result<()>;
}
