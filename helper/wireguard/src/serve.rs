//! One tunnel from the handover until its TUN is gone.

use std::{
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    thread::available_parallelism,
    time::Duration,
};

use anyhow::Context as _;
use gotatun::{
    device::uapi::{UapiClient, UapiServer},
    udp::socket::UdpSocketFactory,
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{control, handover, tun, udp};

/// How often a TUN that nobody reads yet is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A first handshake is sent off in far less; what it waits for then is the answer, which nobody here needs.
const SEND_OFF: Duration = Duration::from_millis(20);
/// Connections that may wait on the control socket.
const BACKLOG: i32 = 128;
/// Kernels give less to those without privilege.
const UDP_BUFFER: usize = 4 * 1024 * 1024;

/// Serves until the TUN's link is deleted.
pub fn serve(connection: UnixStream) -> anyhow::Result<()> {
    let handover = handover::receive(&connection)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(available_parallelism().map_or(2, |cores| cores.get().clamp(1, 4)))
        .enable_all()
        .build()
        .context("tokio")?
        .block_on(run(connection, handover))
}

async fn run(connection: UnixStream, handover: handover::Handover) -> anyhow::Result<()> {
    let (mtu, mtu_watch) = watch::channel(handover.mtu);
    // The socket was bound by another process: who connects is told now, by its peer credentials, that this one answers
    // (unix(7), SO_PEERCRED). By that a restarted helper knows its instances again.
    rustix::net::listen(&handover.control, BACKLOG).context("control socket")?;
    let listener = UnixListener::from(handover.control);
    listener.set_nonblocking(true).context("control socket")?;
    let listener = tokio::net::UnixListener::from_std(listener).context("control socket")?;

    let sockets = UdpSocketFactory {
        recv_buffer_size: Some(UDP_BUFFER),
        send_buffer_size: Some(UDP_BUFFER),
    };
    let factory = udp::Factory::new(sockets);
    let (mut device, mut tun, client) = start(&handover.tun, &mtu_watch, &factory).await?;
    let (hurry, mut hurried) = mpsc::channel(16);
    let (renew, mut renewals) = mpsc::channel(1);
    tokio::spawn(control::answer(
        listener,
        control::Devices::new(client, renew),
        hurry,
    ));
    handover::answer(&connection)?;
    tokio::spawn(handover::follow(connection, mtu));

    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = device.wait() => return Ok(()),
            () = tun.gone() => return Ok(()),
            Some(answer) = renewals.recv() => {
                device.stop().await;
                let client;
                (device, tun, client) = start(&handover.tun, &mtu_watch, &factory).await?;
                // Who asked may have gone: the next request finds it all the same.
                let _ = answer.send(client);
            }
            Some(key) = hurried.recv() => drop(timeout(SEND_OFF, device.force_handshake(&key.into())).await),
            _ = look.tick() => if tun.is_gone() { return Ok(()) },
        }
    }
}

type Device = gotatun::device::Device<(udp::Factory, tun::Sender, tun::Receiver)>;

/// A device without key and peers on the TUN.
async fn start(
    tun: &OwnedFd,
    mtu: &watch::Receiver<u16>,
    factory: &udp::Factory,
) -> anyhow::Result<(Device, tun::Watch, UapiClient)> {
    let own = tun.try_clone().context("TUN")?;
    let (sender, receiver, tun) = tun::pair(own, mtu.clone()).context("TUN")?;
    let (client, server) = UapiServer::new();
    let device = gotatun::device::build()
        .with_udp(factory.clone())
        .with_ip_pair(sender, receiver)
        .with_uapi(server)
        .build()
        .await
        .map_err(|_| anyhow::anyhow!("gotatun did not start"))?;
    Ok((device, tun, client))
}
