//! The control socket: WireGuard's cross-platform protocol (<https://www.wireguard.com/xplatform/>), for root alone.
//! Nothing that is read or answered here is ever printed: private keys pass in both directions.

use std::str::FromStr as _;

use gotatun::device::uapi::{
    UapiClient,
    command::{Request, Response},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use zeroize::Zeroizing;

/// Bytes of a request: 64 peers of 256 addresses come in many requests of well under this.
const MAX_REQUEST: u64 = 1024 * 1024;
/// What is answered to a request that makes no sense.
const REFUSED: &[u8] = b"errno=22\n\n";
/// Peers whose handshake is begun at once after a request; the timers begin the others' within 250 ms.
const HURRIED: usize = 4;

/// Answers for ever; `hurry` gets the public keys of peers that were set.
pub async fn answer(listener: UnixListener, client: UapiClient, hurry: mpsc::Sender<[u8; 32]>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(
                stream,
                client.clone(),
                hurry.clone(),
            ))),
            // Out of descriptors, most likely: what is open must close first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn converse(stream: UnixStream, client: UapiClient, hurry: mpsc::Sender<[u8; 32]>) {
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
        let Ok(response) = client.send(request).await else {
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
