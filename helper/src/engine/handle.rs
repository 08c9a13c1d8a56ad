//! The engine as others see it: a handle that can be cloned and sent, whose calls are answered by the engine's own task.

use lonewire_core::name::Id;
use zeroize::Zeroizing;

use super::{
    Error,
    view::{AppInfo, Event, Imported, LaunchWish, OptionsChange, Probe, Quotas, TunnelDetail, TunnelInfo},
};
use crate::{
    auth::{ConnectOwn, Grant, ImportOwn, Kind, LaunchOwn, Own, Owner, Ownership},
    ports::LogEntry,
};

#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// Events from now on, for the bus.
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<Event> {
        todo!()
    }
    pub fn features(&self) -> Vec<&'static str> {
        todo!()
    }
    pub fn quotas(&self) -> Quotas {
        todo!()
    }
    /// Saves configurations; each is refused or kept on its own.
    pub async fn import(
        &self,
        _grant: Grant<ImportOwn>,
        _configurations: Vec<(String, Zeroizing<Vec<u8>>)>,
    ) -> Result<Vec<Result<Imported, Error>>, Error> {
        todo!()
    }
    pub async fn create(&self, _grant: Grant<ImportOwn>, _name: String) -> Result<Imported, Error> {
        todo!()
    }
    pub async fn list(&self, _grant: Grant<Own>) -> Result<Vec<(Id, TunnelInfo)>, Error> {
        todo!()
    }
    pub async fn show(&self, _grant: Grant<Own>, _id: Id) -> Result<TunnelDetail, Error> {
        todo!()
    }
    pub async fn rename(&self, _grant: Grant<Own>, _id: Id, _name: String) -> Result<(), Error> {
        todo!()
    }
    pub async fn replace(
        &self,
        _grant: Grant<ImportOwn>,
        _id: Id,
        _text: Zeroizing<Vec<u8>>,
    ) -> Result<Imported, Error> {
        todo!()
    }
    pub async fn duplicate(&self, _grant: Grant<ImportOwn>, _id: Id, _name: String) -> Result<Id, Error> {
        todo!()
    }
    pub async fn remove(&self, _grant: Grant<ImportOwn>, _id: Id) -> Result<(), Error> {
        todo!()
    }
    pub async fn set_options(
        &self,
        _grant: Grant<ImportOwn>,
        _id: Id,
        _change: OptionsChange,
    ) -> Result<(), Error> {
        todo!()
    }
    /// Seconds to wait for `Protected`.
    pub async fn connect(&self, _grant: Grant<ConnectOwn>, _id: Id, _wait: u32) -> Result<TunnelInfo, Error> {
        todo!()
    }
    pub async fn disconnect(&self, _grant: Grant<Own>, _id: Id, _force: bool) -> Result<(), Error> {
        todo!()
    }
    pub async fn check(&self, _grant: Grant<Own>, _id: Id) -> Result<Vec<Probe>, Error> {
        todo!()
    }
    pub async fn log(&self, _grant: Grant<Own>, _id: Id, _since: u64) -> Result<Vec<LogEntry>, Error> {
        todo!()
    }
    pub async fn launch(
        &self,
        _grant: Grant<LaunchOwn>,
        _tunnel: Id,
        _wish: LaunchWish,
    ) -> Result<(Id, AppInfo), Error> {
        todo!()
    }
    pub async fn apps(&self, _grant: Grant<Own>) -> Result<Vec<(Id, AppInfo)>, Error> {
        todo!()
    }
    pub async fn app(&self, _grant: Grant<Own>, _id: Id) -> Result<AppInfo, Error> {
        todo!()
    }
    pub async fn signal(&self, _grant: Grant<Own>, _id: Id, _signal: u32) -> Result<(), Error> {
        todo!()
    }
    pub async fn stop(&self, _grant: Grant<Own>, _id: Id, _force: bool) -> Result<(), Error> {
        todo!()
    }
    /// How many tunnels are up: the daemon may end when it is none.
    pub async fn connected(&self) -> u32 {
        todo!()
    }
}

impl Ownership for Handle {
    async fn owner(&self, _kind: Kind, _id: &Id) -> Option<Owner> {
        todo!()
    }
}
