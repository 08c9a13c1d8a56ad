//! The control socket: WireGuard's cross-platform protocol (<https://www.wireguard.com/xplatform/>), for root alone.
//! Nothing that is read or answered here is ever printed: private keys pass in both directions.

use std::{str::FromStr as _, sync::Arc};

use gotatun::device::uapi::{
    UapiClient,
    command::{Request, Response},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Mutex, mpsc, oneshot},
};
use zeroize::Zeroizing;

/// Bytes of a request: 64 peers of 256 addresses come in many requests of well under this.
const MAX_REQUEST: u64 = 1024 * 1024;
/// What is answered to a request that makes no sense.
const REFUSED: &[u8] = b"errno=22\n\n";
/// Peers whose handshake is begun at once after a request; the timers begin the others' within 250 ms.
const HURRIED: usize = 4;

/// The device that is asked, and how to get another: gotatun can change the key of one in use, but then binds its port a second time while the first is still
/// in use, or takes the end of its own tasks for the end of the TUN (0.10.2).
pub struct Devices {
    now: Mutex<(UapiClient, Option<Zeroizing<[u8; 32]>>)>,
    renew: mpsc::Sender<oneshot::Sender<UapiClient>>,
}

impl Devices {
    /// `renew` is asked for a device without key and peers in place of the one before.
    pub fn new(client: UapiClient, renew: mpsc::Sender<oneshot::Sender<UapiClient>>) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::new((client, None)),
            renew,
        })
    }

    /// `None` once there is no device any more.
    async fn send(&self, request: Request) -> Option<Response> {
        let mut now = self.now.lock().await;
        if let Request::Set(set) = &request
            && let Some(key) = &set.private_key
        {
            let other = now.1.as_ref().is_some_and(|own| **own != key.0);
            if other && set.replace_peers {
                let (answer, answered) = oneshot::channel();
                self.renew.send(answer).await.ok()?;
                now.0 = answered.await.ok()?;
            }
            now.1 = Some(Zeroizing::new(key.0));
        }
        now.0.send(request).await.ok()
    }
}

/// Answers for ever; `hurry` gets the public keys of peers that were set.
pub async fn answer(listener: UnixListener, devices: Arc<Devices>, hurry: mpsc::Sender<[u8; 32]>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(
                stream,
                devices.clone(),
                hurry.clone(),
            ))),
            // Out of descriptors, most likely: what is open must close first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn converse(stream: UnixStream, devices: Arc<Devices>, hurry: mpsc::Sender<[u8; 32]>) {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(text) = request(&mut stream).await else {
            return;
        };
        let Ok(request) = Request::from_str(&text) else {
            let _ = stream.write_all(REFUSED).await;
            return;
        };
        let set = match &request {
            Request::Set(set) => set
                .peers
                .iter()
                .filter(|peer| !peer.remove && peer.peer.endpoint.is_some())
                .map(|peer| peer.peer.public_key.0)
                .take(HURRIED)
                .collect(),
            Request::Get(_) => Vec::new(),
        };
        let Some(response) = devices.send(request).await else {
            return;
        };
        let done = matches!(&response, Response::Set(set) if set.errno == 0);
        let text = Zeroizing::new(format!("{response}\n"));
        if done {
            for key in set {
                let _ = hurry.try_send(key);
            }
        }
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Lines up to an empty one; `None` at the end and for what is too long or no text.
async fn request(stream: &mut BufReader<UnixStream>) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let mut lines = stream.take(MAX_REQUEST);
    loop {
        let before = text.len();
        lines
            .read_line(&mut text)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        if &text[before..] == "\n" {
            text.truncate(before);
            if !text.is_empty() {
                return Some(text);
            }
        }
    }
}
