//! The engine on fakes of all its ports, on a paused clock.

mod fakes;
mod health;
mod launch;
mod restart;
mod saved;
mod start;
mod switch;
mod up_down;

use std::{future::Future, os::fd::OwnedFd};

use fakes::World;
use lonewire_core::name::Id;
use tokio::task::{LocalSet, spawn_local};
use zeroize::Zeroizing;

use super::{
    Error, Handle, run,
    view::{AppInfo, Imported, LaunchWish, TunnelInfo, TunnelState},
};
use crate::auth::Grant;

const ANNA: u32 = 61001;
const BERT: u32 = 61002;

/// Base64 of 32 bytes, all the same: no key of anybody's.
fn key(byte: u8) -> String {
    lonewire_core::secret::PublicKey([byte; 32]).to_string()
}

fn config(private: u8, peer: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.0.0.2/32\nDNS = 10.0.0.1\n\
         [Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0\n{peer}\n",
        key(private),
        key(200),
    )
}

const ENDPOINT: &str = "Endpoint = 192.0.2.1:51820";

/// One life of the helper: the engine runs while `body` does, and is killed with all its tasks when it ends.
async fn live<T>(world: &World, body: impl AsyncFnOnce(Bed) -> T) -> T {
    let set = LocalSet::new();
    set.run_until(async {
        let (handle, commands) = Handle::new();
        spawn_local(run(world.clone(), commands));
        handle.ready().await.unwrap();
        body(Bed { handle }).await
    })
    .await
}

struct Bed {
    handle: Handle,
}

impl Bed {
    async fn import_as(&self, uid: u32, name: &str, text: &str) -> Result<Imported, Error> {
        let list = vec![(name.to_owned(), Zeroizing::new(text.as_bytes().to_vec()))];
        let mut results = self.handle.import(Grant::for_test(uid), list).await?;
        results.remove(0)
    }

    /// A tunnel of Anna's.
    async fn tunnel(&self, name: &str, private: u8) -> Id {
        self.import_as(ANNA, name, &config(private, ENDPOINT))
            .await
            .unwrap()
            .id
    }

    async fn connect(&self, id: &Id, wait: u32) -> Result<TunnelInfo, Error> {
        self.handle
            .connect(Grant::for_test(ANNA), id.clone(), wait)
            .await
    }

    async fn switch(&self, id: &Id, other: &Id) -> Result<TunnelInfo, Error> {
        self.handle
            .switch(Grant::for_test(ANNA), id.clone(), other.clone(), 10)
            .await
    }

    async fn disconnect(&self, id: &Id, force: bool) -> Result<(), Error> {
        self.handle
            .disconnect(Grant::for_test(ANNA), id.clone(), force)
            .await
    }

    async fn info(&self, id: &Id) -> TunnelInfo {
        let list = self.handle.list(Grant::for_test(ANNA)).await.unwrap();
        list.into_iter().find(|(own, _)| own == id).unwrap().1
    }

    async fn state(&self, id: &Id) -> (TunnelState, Option<&'static str>) {
        let info = self.info(id).await;
        (info.state, info.reason)
    }

    async fn launch(&self, tunnel: &Id, wish: LaunchWish) -> Result<(Id, AppInfo), Error> {
        self.handle
            .launch(Grant::for_test(ANNA), tunnel.clone(), wish)
            .await
    }

    async fn app(&self, id: &Id) -> Result<AppInfo, Error> {
        self.handle.app(Grant::for_test(ANNA), id.clone()).await
    }
}

fn wish() -> LaunchWish {
    let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    LaunchWish {
        program: b"/usr/bin/probe".into(),
        argv: vec![b"probe".into()],
        environment: vec![
            b"FOO=1".into(),
            b"LD_X=2".into(),
            b"NOTIFY_SOCKET=/x".into(),
        ],
        cwd: b"/".into(),
        umask: 0o22,
        pty: false,
        clean_env: false,
        name: None,
        wait: 10,
        stdio: [null(), null(), null()],
        hold: None,
        tie: None,
        bus_names: vec!["org.freedesktop.resolve1".into(), "a.b".into()],
    }
}

/// So many seconds go by.
async fn pass(seconds: f64) {
    tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
}

/// Whatever is due now happens.
async fn settle() {
    pass(0.001).await;
}

/// As long as it takes, but not for ever.
async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(std::time::Duration::from_secs(seconds), what)
        .await
        .ok()
}
