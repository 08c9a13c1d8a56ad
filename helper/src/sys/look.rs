//! A program of ours that looks around as an app: started, told what to look for, heard, ended. For it somebody listens on the host, who tells who came.

use std::{
    fs::File,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    time::Duration,
};

use lonewire_core::{
    check::{Line, Task, is_private},
    launch::Launch,
    name::Id,
};
use tokio::{net::UnixStream, time::timeout};

use super::{Sys, os, thread, warden::Channel};
use crate::ports::{Keeper as _, LaunchFiles, Look, PortError, PortResult, Warden as _};

/// It waits 1.5 s for whoever does not answer, and the bus is asked twice.
const PATIENCE: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(2);
/// The host answers itself at once, or a firewall of its own keeps it from that.
const CONTROL: Duration = Duration::from_millis(300);
const MOST_DOORS: usize = 8;

/// Has it look around; see the port.
pub async fn around(
    sys: &Sys,
    request: Launch,
    app: &Id,
    task: &Task,
    cut: impl AsyncFnOnce() -> PortResult<()>,
) -> PortResult<Look> {
    let mut task = task.clone();
    let doors = if task.drop {
        Vec::new()
    } else {
        open_doors(&task).await?
    };
    task.doors = doors
        .iter()
        .filter_map(|door| door.local_addr().ok())
        .collect();

    let (ours, theirs) = StdStream::pair().map_err(os("a pair of sockets"))?;
    let theirs = OwnedFd::from(theirs);
    let null = File::open("/dev/null").map_err(os("/dev/null"))?;
    let files = LaunchFiles {
        app: app.clone(),
        stdio: [
            theirs.try_clone().map_err(os("a descriptor"))?,
            theirs,
            null.into(),
        ],
        hold: None,
        tie: None,
    };
    let keeper = sys.launch(None, request, files).await?;
    ours.set_nonblocking(true).map_err(os("a socket"))?;
    let stream = UnixStream::from_std(ours).map_err(os("a socket"))?;
    let late = |_| PortError::Deadline {
        what: "a look from inside",
    };
    let told = timeout(PATIENCE, talk(Channel::over(stream), &task, cut))
        .await
        .map_err(late);

    // Its input is closed: it ends, or is ended.
    let ended = async { while keeper.event().await.is_some() {} };
    if timeout(END, ended).await.is_err() {
        let _ = keeper.signal(libc::SIGKILL, true).await;
        let _ = timeout(END, async { while keeper.event().await.is_some() {} }).await;
    }
    let arrived = doors.iter().flat_map(arrivals).collect();
    Ok(Look {
        lines: told??,
        arrived,
    })
}

async fn talk(
    mut channel: Channel,
    task: &Task,
    cut: impl AsyncFnOnce() -> PortResult<()>,
) -> PortResult<Vec<Line>> {
    let gone = |_| PortError::NotFound {
        what: "an answer from inside",
    };
    channel.send(task).await.map_err(gone)?;
    let lines = channel.next().await.map_err(gone)?;
    if !task.drop {
        return Ok(lines);
    }
    cut().await?;
    channel.send(&()).await.map_err(gone)?;
    channel.next().await.map_err(gone)
}

/// Listens on addresses of the host that are reached from the host itself: where nobody gets through, that nobody came says nothing.
async fn open_doors(task: &Task) -> PortResult<Vec<TcpListener>> {
    // Of those that are the world's too, a packet that went the right way would arrive.
    let local = |address: &IpAddr| {
        matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) || !is_private(*address)
    };
    let addresses = task.host.iter().map(ipnet::IpNet::addr);
    let addresses: Vec<_> = addresses
        .filter(|address| !local(address))
        .take(MOST_DOORS)
        .collect();
    thread::blocking("listening on the host", PATIENCE, move || {
        Ok(addresses
            .into_iter()
            .filter_map(|address| open_door(address).ok())
            .collect())
    })
    .await
}

fn open_door(address: IpAddr) -> io::Result<TcpListener> {
    let door = TcpListener::bind((address, 0))?;
    let guest = TcpStream::connect_timeout(&door.local_addr()?, CONTROL)?;
    door.set_nonblocking(true)?;
    let (_, from) = door.accept()?;
    if from == guest.local_addr()? {
        Ok(door)
    } else {
        Err(ErrorKind::Other.into())
    }
}

fn arrivals(door: &TcpListener) -> Vec<SocketAddr> {
    std::iter::from_fn(|| door.accept().ok())
        .map(|(_, from)| from)
        .collect()
}
