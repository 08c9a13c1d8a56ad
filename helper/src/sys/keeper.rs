//! Launching by the warden, and the keepers that stay: what they report and what is asked of them.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{fs::OpenOptionsExt as _, net::UnixListener},
    },
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use lonewire_core::{
    check::Task,
    launch::{Command, Event, Exit, Launch, Request},
    name::Id,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{Sys, look, os, thread::close_elsewhere, warden::Channel};
use crate::ports::{Keeper, LaunchFiles, Look, PortError, PortResult, ProcessId, Warden};

/// A launch may be held for 5 s, and the user's home may be on a slow network.
const LAUNCH: Duration = Duration::from_secs(20);

/// A keeper that lives answers at once.
const ANSWER: Duration = Duration::from_secs(3);

type Processes = (Vec<i32>, u32);

/// Who asked for the processes and has no answer yet.
type Waiting = Rc<RefCell<VecDeque<oneshot::Sender<Processes>>>>;

/// A connection to a keeper. A task of its own reads what it says.
#[derive(Debug)]
pub struct AppKeeper {
    process: ProcessId,
    app: i32,
    commands: mpsc::UnboundedSender<Command>,
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
    waiting: Waiting,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for AppKeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AppKeeper {
    /// Begins to listen to a keeper that has said who it is.
    fn new(channel: Channel, started: &Event) -> PortResult<Self> {
        let &Event::Started {
            pid,
            keeper,
            keeper_start,
        } = started
        else {
            return Err(PortError::WardenGone);
        };
        let (commands, asked) = mpsc::unbounded_channel();
        let (report, events) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let left = Rc::clone(&waiting);
        let task = tokio::task::spawn_local(async move {
            converse(channel, asked, report, &left).await;
            // Nobody answers them any more: they need not wait for their deadline.
            left.borrow_mut().clear();
        });
        Ok(Self {
            process: ProcessId {
                pid: keeper,
                start: keeper_start,
            },
            app: pid,
            commands,
            events: Mutex::new(events),
            waiting,
            task,
        })
    }
}

/// Reads and writes until the keeper has gone.
async fn converse(
    mut channel: Channel,
    mut asked: mpsc::UnboundedReceiver<Command>,
    report: mpsc::UnboundedSender<Event>,
    waiting: &Waiting,
) {
    loop {
        tokio::select! {
            event = channel.event() => match event {
                Ok(Event::Processes { pids, outside }) => {
                    let asker = waiting.borrow_mut().pop_front();
                    // Who asked may have lost patience.
                    let _ = asker.map(|asker| asker.send((pids, outside)));
                }
                Ok(event) => {
                    let _ = report.send(event);
                }
                Err(_) => return,
            },
            Some(command) = asked.recv() => {
                if channel.send(&command).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Keeper for AppKeeper {
    fn process(&self) -> ProcessId {
        self.process
    }

    fn app_pid(&self) -> i32 {
        self.app
    }

    async fn event(&self) -> Option<Event> {
        self.events.lock().await.recv().await
    }

    async fn signal(&self, signal: i32, all: bool) -> PortResult<()> {
        self.commands
            .send(Command::Signal { signal, all })
            .map_err(|_| PortError::WardenGone)
    }

    async fn processes(&self) -> PortResult<Processes> {
        let (answer, answered) = oneshot::channel();
        self.waiting.borrow_mut().push_back(answer);
        self.commands
            .send(Command::Processes)
            .map_err(|_| PortError::WardenGone)?;
        match tokio::time::timeout(ANSWER, answered).await {
            Ok(answered) => answered.map_err(|_| PortError::WardenGone),
            Err(_) => Err(PortError::Deadline { what: "the keeper" }),
        }
    }
}

impl Warden for Sys {
    type Keeper = AppKeeper;
    type Ahead = Channel;

    async fn start_ahead(&self) -> Option<Channel> {
        Channel::connect(&self.paths.warden).await.ok()
    }

    async fn launch(
        &self,
        ahead: Option<Channel>,
        request: Launch,
        files: LaunchFiles,
    ) -> PortResult<AppKeeper> {
        let LaunchFiles {
            app,
            stdio,
            hold,
            tie,
        } = files;
        let launched = tokio::time::timeout(LAUNCH, async {
            let folder = self.apps();
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(os("the folder of apps")(error));
                }
                _ => {}
            }
            let exit_record = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(self.exit_path(&app))
                .map_err(os("the exit record"))?;
            let socket =
                UnixListener::bind(self.socket_path(&app)).map_err(os("the keeper's socket"))?;
            let mut descriptors = stdio.each_ref().map(OwnedFd::as_fd).to_vec();
            descriptors.extend([exit_record.as_fd(), socket.as_fd()]);
            descriptors.extend(hold.iter().chain(&tie).map(OwnedFd::as_fd));

            let mut channel = match ahead.filter(Channel::is_open) {
                Some(channel) => channel,
                None => Channel::connect(&self.paths.warden).await?,
            };
            channel
                .ask(&Request::Launch(Box::new(request)), &descriptors)
                .await?;
            match channel.event().await? {
                Event::Failed { stage, errno } => Err(PortError::Warden { stage, errno }),
                started => AppKeeper::new(channel, &started),
            }
        })
        .await;
        close_elsewhere(stdio.into_iter().chain(hold).chain(tie).collect());
        launched.map_err(|_| PortError::Deadline { what: "the launch" })?
    }

    async fn adopt(&self, app: &Id, keeper: ProcessId) -> PortResult<AppKeeper> {
        let adopted = async {
            let gone = PortError::NotFound { what: "the keeper" };
            let Ok(mut channel) = Channel::connect(&self.socket_path(app)).await else {
                return Err(gone);
            };
            let started = channel.event().await?;
            let found = AppKeeper::new(channel, &started)?;
            let is_it = keeper == ProcessId::UNKNOWN || keeper == found.process;
            if is_it { Ok(found) } else { Err(gone) }
        };
        let late = |_| PortError::Deadline { what: "the keeper" };
        tokio::time::timeout(ANSWER, adopted).await.map_err(late)?
    }

    async fn exit_record(&self, app: &Id) -> PortResult<Option<Exit>> {
        match fs::read_to_string(self.exit_path(app)) {
            Ok(text) => Ok(Exit::from_record(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(os("the exit record")(error)),
        }
    }

    async fn look_around(
        &self,
        request: Launch,
        app: &Id,
        task: &Task,
        cut: impl AsyncFnOnce() -> PortResult<()>,
    ) -> PortResult<Look> {
        look::around(self, request, app, task, cut).await
    }

    async fn forget(&self, app: &Id) -> PortResult<()> {
        for path in [self.socket_path(app), self.exit_path(app)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(os("an app's files")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Sys {
    fn apps(&self) -> PathBuf {
        self.paths.runtime.join("apps")
    }

    fn socket_path(&self, app: &Id) -> PathBuf {
        self.apps().join(format!("{app}.sock"))
    }

    fn exit_path(&self, app: &Id) -> PathBuf {
        self.apps().join(format!("{app}.exit"))
    }
}
