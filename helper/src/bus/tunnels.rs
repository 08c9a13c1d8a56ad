//! `org.lonewire.Helper1.Tunnels`: each handler parses, passes the bouncer, asks the engine and puts its answer into words.

use std::collections::HashMap;

use zbus::{Fd, Variant, message::Header, object_server::SignalEmitter};

use super::{
    Gate,
    args::{self, Options},
    dict::{self, Dict},
    error::Refusal,
};
use crate::{
    auth::{ConnectOwn, ImportOwn, InstallAutostart, Own},
    engine::view::CheckWish,
    ports::Start,
    presence,
};

#[derive(Debug)]
pub struct Tunnels {
    pub(super) gate: Gate,
}

type Wishes<'a> = HashMap<String, Variant<'a>>;

#[zbus::interface(name = "org.lonewire.Helper1.Tunnels", introspection_docs = false)]
impl Tunnels {
    #[zbus(out_args("results"))]
    async fn import(
        &self,
        #[zbus(header)] call: Header<'_>,
        configurations: Vec<(String, Fd<'_>)>,
        options: Wishes<'_>,
    ) -> Result<Vec<Dict>, Refusal> {
        Options::new(options).end()?;
        if configurations.is_empty() || configurations.len() > args::CONFIGURATIONS {
            return Err(Refusal::argument("configurations", "not-1-to-16"));
        }
        for (_, fd) in &configurations {
            args::check_memfd(std::os::fd::AsFd::as_fd(fd))?;
        }
        let grant = self.gate.pass::<ImportOwn>(&call).await?;
        let mut texts = Vec::with_capacity(configurations.len());
        for (label, fd) in configurations {
            texts.push((
                label,
                args::read_memfd(std::os::fd::AsFd::as_fd(&fd)).await?,
            ));
        }
        let results = self.gate.engine.import(grant, texts).await?;
        Ok(results
            .into_iter()
            .map(|result| match result {
                Ok(imported) => dict::imported(imported),
                Err(error) => Refusal::from(error).into_result(),
            })
            .collect())
    }

    #[zbus(out_args("tunnel", "public_key"))]
    async fn create(
        &self,
        #[zbus(header)] call: Header<'_>,
        name: String,
        options: Wishes<'_>,
    ) -> Result<(String, String), Refusal> {
        Options::new(options).end()?;
        let grant = self.gate.pass::<ImportOwn>(&call).await?;
        let made = self.gate.engine.create(grant, name).await?;
        Ok((made.id.into(), made.public_key))
    }

    #[zbus(out_args("tunnels"))]
    async fn list(&self, #[zbus(header)] call: Header<'_>) -> Result<Vec<(String, Dict)>, Refusal> {
        let grant = self.gate.pass::<Own>(&call).await?;
        let tunnels = self.gate.engine.list(grant).await?;
        Ok(tunnels
            .into_iter()
            .map(|(id, info)| (id.into(), dict::tunnel(&info)))
            .collect())
    }

    #[zbus(out_args("info"))]
    async fn show(&self, #[zbus(header)] call: Header<'_>, tunnel: &str) -> Result<Dict, Refusal> {
        let (grant, id) = self.gate.pass_for::<Own>(&call, tunnel).await?;
        Ok(dict::detail(self.gate.engine.show(grant, id).await?))
    }

    async fn rename(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        name: String,
    ) -> Result<(), Refusal> {
        let (grant, id) = self.gate.pass_for::<Own>(&call, tunnel).await?;
        Ok(self.gate.engine.rename(grant, id, name).await?)
    }

    #[zbus(out_args("result"))]
    async fn replace(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        configuration: Fd<'_>,
        options: Wishes<'_>,
    ) -> Result<Dict, Refusal> {
        Options::new(options).end()?;
        let memfd = std::os::fd::AsFd::as_fd(&configuration);
        args::check_memfd(memfd)?;
        let (grant, id) = self.gate.pass_for::<ImportOwn>(&call, tunnel).await?;
        let text = args::read_memfd(memfd).await?;
        Ok(dict::replaced(
            self.gate.engine.replace(grant, id, text).await?,
        ))
    }

    #[zbus(out_args("copy"))]
    async fn duplicate(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        name: String,
    ) -> Result<String, Refusal> {
        let (grant, id) = self.gate.pass_for::<ImportOwn>(&call, tunnel).await?;
        Ok(self.gate.engine.duplicate(grant, id, name).await?.into())
    }

    async fn remove(&self, #[zbus(header)] call: Header<'_>, tunnel: &str) -> Result<(), Refusal> {
        let (grant, id) = self.gate.pass_for::<ImportOwn>(&call, tunnel).await?;
        Ok(self.gate.engine.remove(grant, id).await?)
    }

    async fn set_options(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        options: Wishes<'_>,
    ) -> Result<(), Refusal> {
        let change = args::options_change(Options::new(options))?;
        let (grant, id) = self.gate.pass_for::<ImportOwn>(&call, tunnel).await?;
        let engine = &self.gate.engine;
        let wants_boot = change.start == Some(Some(Start::Boot));
        let autostart = if wants_boot && !engine.starts_at_boot(&id).await {
            let also = self
                .gate
                .bouncer
                .also::<_, InstallAutostart>(&call, &grant, &id);
            Some(also.await?)
        } else {
            None
        };
        Ok(engine.set_options(grant, autostart, id, change).await?)
    }

    #[zbus(out_args("state", "info"))]
    async fn connect(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        options: Wishes<'_>,
    ) -> Result<(u32, Dict), Refusal> {
        let mut options = Options::new(options);
        let wait = options.wait()?;
        options.end()?;
        let (grant, id) = self.gate.pass_for::<ConnectOwn>(&call, tunnel).await?;
        let info = self.gate.engine.connect(grant, id, wait).await?;
        Ok((info.state as u32, dict::tunnel(&info)))
    }

    #[zbus(out_args("state", "info"))]
    async fn switch(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        other: &str,
        options: Wishes<'_>,
    ) -> Result<(u32, Dict), Refusal> {
        let mut options = Options::new(options);
        let wait = options.wait()?;
        options.end()?;
        let ids = [tunnel, other];
        let (grant, [id, other]) = self.gate.pass_for_all::<ConnectOwn, 2>(&call, ids).await?;
        let info = self.gate.engine.switch(grant, id, other, wait).await?;
        Ok((info.state as u32, dict::tunnel(&info)))
    }

    async fn disconnect(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        options: Wishes<'_>,
    ) -> Result<(), Refusal> {
        let mut options = Options::new(options);
        let force = options.force()?;
        options.end()?;
        let (grant, id) = self.gate.pass_for::<Own>(&call, tunnel).await?;
        Ok(self.gate.engine.disconnect(grant, id, force).await?)
    }

    #[zbus(out_args("results"))]
    async fn check(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        options: Wishes<'_>,
    ) -> Result<Vec<Dict>, Refusal> {
        let mut options = Options::new(options);
        let drop = options.drop()?;
        options.end()?;
        let (grant, id) = self.gate.pass_for::<Own>(&call, tunnel).await?;
        let bus_names = presence::names(&self.gate.questions).await;
        Ok(self
            .gate
            .engine
            .check(grant, id, CheckWish { drop, bus_names })
            .await?
            .into_iter()
            .map(dict::probe)
            .collect())
    }

    #[zbus(out_args("entries"))]
    async fn log(
        &self,
        #[zbus(header)] call: Header<'_>,
        tunnel: &str,
        since: u64,
    ) -> Result<Vec<(u64, u32, String)>, Refusal> {
        let (grant, id) = self.gate.pass_for::<Own>(&call, tunnel).await?;
        let entries = self.gate.engine.log(grant, id, since).await?;
        Ok(entries
            .into_iter()
            .map(|entry| (entry.time, entry.state, entry.reason))
            .collect())
    }

    // Declared for introspection; `herald` sends them, to whom they concern.
    #[zbus(signal)]
    async fn tunnel_added(
        emitter: &SignalEmitter<'_>,
        tunnel: &str,
        info: Dict,
    ) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn tunnel_changed(
        emitter: &SignalEmitter<'_>,
        tunnel: &str,
        changes: Dict,
    ) -> zbus::Result<()>;
    #[zbus(signal)]
    async fn tunnel_removed(emitter: &SignalEmitter<'_>, tunnel: &str) -> zbus::Result<()>;
}
