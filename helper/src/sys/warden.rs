//! Asking the warden: a connection and a sealed memfd a request.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice, IoSliceMut, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
    time::Duration,
};

use lonewire_core::{
    launch::{self, Event, NETNS_DIR, REQUEST, Request, Stage, Survey},
    name::LinkName,
};
use rustix::{
    fs::{MemfdFlags, SealFlags},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{io::Interest, net::UnixStream};

use super::{Sys, errno, os};
use crate::ports::{Namespace, Namespaces, PortError, PortResult, Tun};

/// A request is a process and a few calls of the kernel.
const DEADLINE: Duration = Duration::from_secs(10);

/// A memfd and seven at most.
const MOST_DESCRIPTORS: usize = 8;

/// A connection on which frames come.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Channel {
    pub async fn connect(path: &Path) -> PortResult<Self> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|error| match error.kind() {
                // More wait already than may.
                io::ErrorKind::WouldBlock => PortError::WardenGone,
                _ => os("the warden's socket")(error),
            })?;
        Ok(Self::over(stream))
    }

    pub fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            descriptors: VecDeque::new(),
        }
    }

    /// Whether the other end is there: it is one that speaks only when asked.
    pub fn is_open(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let heard = rustix::net::recv(&self.stream, &mut [0_u8], flags);
        matches!(heard, Err(rustix::io::Errno::AGAIN))
    }

    /// Sends a request: its text in a memfd that nobody can change, then the descriptors that go with it.
    pub async fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> PortResult<()> {
        let sealed = sealed(request)?;
        let all: Vec<BorrowedFd<'_>> = std::iter::once(sealed.as_fd())
            .chain(descriptors.iter().copied())
            .collect();
        let send = || {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&all)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let byte = [REQUEST];
            rustix::net::sendmsg(
                &self.stream,
                &[IoSlice::new(&byte)],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            )?;
            Ok(())
        };
        self.stream
            .async_io(Interest::WRITABLE, send)
            .await
            .map_err(|_| PortError::WardenGone)
    }

    /// Sends a frame.
    pub async fn send(&self, message: &impl Serialize) -> PortResult<()> {
        let frame = launch::frame(message).map_err(|_| PortError::WardenGone)?;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let write = || Ok(rustix::net::send(&self.stream, rest, SendFlags::NOSIGNAL)?);
            let sent = self.stream.async_io(Interest::WRITABLE, write).await;
            let sent = sent.map_err(|_| PortError::WardenGone)?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// The next event; its descriptors are in [`Channel::descriptor`]. Can be dropped at any time without losing a byte.
    pub async fn event(&mut self) -> PortResult<Event> {
        self.next().await
    }

    /// The next frame.
    pub async fn next<T: DeserializeOwned>(&mut self) -> PortResult<T> {
        loop {
            let taken = launch::take_frame(&mut self.bytes);
            if let Some(frame) = taken.map_err(|_| PortError::WardenGone)? {
                return Ok(frame);
            }
            let (bytes, descriptors) = (&mut self.bytes, &mut self.descriptors);
            let stream = &self.stream;
            let receive = || receive(stream, bytes, descriptors);
            match stream.async_io(Interest::READABLE, receive).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(PortError::WardenGone),
            }
        }
    }

    pub fn descriptor(&mut self) -> PortResult<OwnedFd> {
        self.descriptors.pop_front().ok_or(PortError::WardenGone)
    }
}

fn receive(
    stream: &UnixStream,
    bytes: &mut Vec<u8>,
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let mut buffer = [0_u8; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut buffer)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    bytes.extend(buffer.get(..received.bytes).unwrap_or_default());
    Ok(received.bytes)
}

fn sealed(request: &Request) -> PortResult<OwnedFd> {
    let too_long = |_| PortError::Warden {
        stage: Stage::Request,
        errno: libc::E2BIG,
    };
    let text = launch::encode(request).map_err(too_long)?;
    let memfd =
        rustix::fs::memfd_create("request", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(errno("memfd_create"))?;
    let mut file = File::from(memfd);
    file.write_all(&text).map_err(os("a memfd"))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(errno("a memfd's seals"))?;
    Ok(file.into())
}

impl Sys {
    /// One question, one answer.
    async fn ask(&self, request: &Request) -> PortResult<(Event, Channel)> {
        let asked = async {
            let mut channel = Channel::connect(&self.paths.warden).await?;
            channel.ask(request, &[]).await?;
            match channel.event().await? {
                Event::Failed { stage, errno } => Err(PortError::Warden { stage, errno }),
                event => Ok((event, channel)),
            }
        };
        let late = |_| PortError::Deadline { what: "the warden" };
        tokio::time::timeout(DEADLINE, asked).await.map_err(late)?
    }
}

impl Namespaces for Sys {
    async fn create(&self, name: &LinkName) -> PortResult<(Namespace, Survey)> {
        match self
            .ask(&Request::Create {
                namespace: name.clone(),
            })
            .await?
        {
            (Event::Namespace(survey), mut channel) => {
                let namespace = Namespace {
                    name: name.clone(),
                    inode: survey.inode,
                    fd: channel.descriptor()?,
                };
                Ok((namespace, survey))
            }
            _ => Err(PortError::WardenGone),
        }
    }

    async fn open(&self, name: &LinkName) -> PortResult<Namespace> {
        let file = match File::open(format!("{NETNS_DIR}/{name}")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PortError::NotFound {
                    what: "the namespace",
                });
            }
            file => file.map_err(os("the namespace"))?,
        };
        let inode = file.metadata().map_err(os("the namespace"))?.ino();
        Ok(Namespace {
            name: name.clone(),
            inode,
            fd: file.into(),
        })
    }

    async fn list(&self) -> PortResult<Vec<LinkName>> {
        let entries = match std::fs::read_dir(NETNS_DIR) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(os("the folder of namespaces"))?,
        };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names
            .filter_map(|name| LinkName::try_from(name).ok())
            .collect())
    }

    async fn remove(&self, name: &LinkName) -> PortResult<()> {
        self.ask(&Request::Remove {
            namespace: name.clone(),
        })
        .await
        .map(drop)
    }

    async fn survey(&self, name: &LinkName) -> PortResult<Survey> {
        match self
            .ask(&Request::Survey {
                namespace: name.clone(),
            })
            .await?
        {
            (Event::Survey(survey), _) => Ok(survey),
            _ => Err(PortError::WardenGone),
        }
    }

    async fn open_tun(&self, namespace: &LinkName, link: &LinkName) -> PortResult<Tun> {
        let request = Request::OpenTun {
            namespace: namespace.clone(),
            link: link.clone(),
        };
        match self.ask(&request).await? {
            (Event::Tun, mut channel) => Ok(Tun {
                tun: channel.descriptor()?,
                control: channel.descriptor()?,
            }),
            _ => Err(PortError::WardenGone),
        }
    }
}
