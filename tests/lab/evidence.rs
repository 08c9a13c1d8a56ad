//! Collects what a world lets slip while something goes on in it: every message on its bus, the command lines and environments of its processes, and
//! afterwards its files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use zbus::{MessageStream, fdo::MonitoringProxy};

use crate::{World, bus};

/// Between two looks at the processes.
const PAUSE: Duration = Duration::from_millis(5);

/// Every message on the bus from now on, byte for byte, to its end.
#[derive(Debug)]
pub struct BusTap(Arc<Mutex<Vec<u8>>>);

impl BusTap {
    /// # Errors
    /// The bus lets root not listen.
    pub fn new(world: &World) -> Result<Self> {
        let connection = bus::connect(world)?;
        let mut stream = MessageStream::from(&connection);
        zbus::block_on(async {
            MonitoringProxy::new(&connection)
                .await?
                .become_monitor(&[], 0)
                .await
                .map_err(zbus::Error::from)
        })?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = heard.clone();
        thread::spawn(move || {
            zbus::block_on(async {
                while let Some(Ok(message)) = stream.next().await {
                    if let Ok(mut heard) = told.lock() {
                        heard.extend_from_slice(message.data());
                    }
                }
            });
        });
        Ok(Self(heard))
    }

    /// All of it by now.
    ///
    /// # Errors
    /// The listener has died.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        Ok(self.0.lock().ok().context("the listener died")?.clone())
    }
}

/// What is seen of processes, each different text once.
#[derive(Debug, Default)]
pub struct Seen {
    pub command_lines: BTreeSet<Vec<u8>>,
    pub environments: BTreeSet<Vec<u8>>,
}

/// Looks at the processes of a world again and again.
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Sampler {
    /// # Errors
    /// The world is gone.
    pub fn start(world: &World) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let own = fs::read_link(format!("/proc/{}/ns/pid", world.init))?;
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Relaxed) {
                look(&own, &mut seen)?;
                thread::sleep(PAUSE);
            }
            Ok(seen)
        });
        Ok(Self { stop, thread })
    }

    /// # Errors
    /// `/proc` could not be read.
    pub fn stop(self) -> Result<Seen> {
        self.stop.store(true, Relaxed);
        self.thread.join().ok().context("the sampler died")?
    }
}

fn look(namespace: &Path, seen: &mut Seen) -> Result<()> {
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let is_process = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        if !is_process || fs::read_link(path.join("ns/pid")).ok().as_deref() != Some(namespace) {
            continue;
        }
        // It may end at any moment.
        seen.command_lines
            .insert(fs::read(path.join("cmdline")).unwrap_or_default());
        seen.environments
            .insert(fs::read(path.join("environ")).unwrap_or_default());
    }
    Ok(())
}

/// Every regular file below a folder of the world, by its path there, but for what lies below `but`.
///
/// # Errors
/// A folder cannot be read.
pub fn files(world: &World, folder: &str, but: &[&str]) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        if but.iter().any(|left_out| folder.starts_with(left_out)) {
            continue;
        }
        let outer = world.path(&folder.to_string_lossy());
        let Ok(entries) = fs::read_dir(&outer) else {
            // Made and removed while it goes on, or not there at all.
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let inner = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(inner);
            } else if kind.is_file() && !but.iter().any(|left_out| inner.starts_with(left_out)) {
                found.push((inner, fs::read(entry.path()).unwrap_or_default()));
            }
        }
    }
    Ok(found)
}
