//! Processes of an earlier helper's, known again: instances of the data plane and keepers.

use std::{
    fs,
    os::{fd::OwnedFd, unix::net::UnixListener},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lonewire_core::name::LinkName;
use lonewire_helper::ports::{DataPlane, Instance as _, PortError, ProcessId, Warden};

use crate::{Other, apart, id};

#[test]
fn an_instance_is_known_again_by_who_answers_on_its_control_socket() -> Result<()> {
    apart(async |sys, _| {
        let link = LinkName::from_random([5; 6]);
        let socket = format!("/run/wireguard/{link}.sock");
        fs::create_dir("/run/wireguard")?;
        let own = ProcessId {
            pid: i32::try_from(std::process::id())?,
            start: 1,
        };
        let gone = |found: Result<_, PortError>| matches!(found, Err(PortError::NotFound { .. }));
        ensure!(
            gone(DataPlane::adopt(&*sys, &link, own).await),
            "nobody listens"
        );

        // As the warden does it: bound by one process, answered by another that says so.
        let listener = UnixListener::bind(&socket)?;
        let script =
            "open(my $s, '<&=', 0); listen($s, 8) or die; $| = 1; print qq(ready\\n); sleep 600";
        let other = Command::new("perl")
            .args(["-MSocket", "-e", script])
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut other = Other(other);
        let mut said = [0; 6];
        std::io::Read::read_exact(other.0.stdout.as_mut().context("no output")?, &mut said)?;
        drop(listener);
        let another = Other(
            Command::new("sleep")
                .arg("600")
                .stdout(Stdio::null())
                .spawn()?,
        );
        // A pid that went to somebody else is not it, nor who had bound the socket.
        ensure!(
            gone(DataPlane::adopt(&*sys, &link, another.id()).await),
            "any process will do"
        );
        ensure!(
            gone(DataPlane::adopt(&*sys, &link, own).await),
            "who bound it will do"
        );
        ensure!(
            gone(DataPlane::adopt(&*sys, &link, ProcessId::UNKNOWN).await),
            "none will do"
        );
        let found = DataPlane::adopt(&*sys, &link, other.id()).await?;
        let early = tokio::time::timeout(Duration::from_millis(100), found.died()).await;
        ensure!(early.is_err(), "it lives");
        other.0.kill()?;
        tokio::time::timeout(Duration::from_secs(5), found.died()).await?;
        ensure!(
            gone(DataPlane::adopt(&*sys, &link, other.id()).await),
            "it is dead"
        );
        Ok(())
    })
}

#[test]
fn a_keeper_that_is_not_the_records_is_not_adopted() -> Result<()> {
    apart(async |sys, folder| {
        use lonewire_core::launch::{self, Event};
        let apps = folder.join("run/apps");
        fs::create_dir_all(&apps)?;
        let app = id()?;
        let none = ProcessId { pid: 7, start: 8 };
        let gone = |found: &Result<_, PortError>| matches!(found, Err(PortError::NotFound { .. }));
        ensure!(
            gone(&Warden::adopt(&*sys, &app, none).await),
            "nobody listens"
        );
        let listener = tokio::net::UnixListener::bind(apps.join(format!("{app}.sock")))?;
        // It says who it is to each that comes; to the last it says nothing.
        let keeper = async {
            for _ in 0..3 {
                let (stream, _) = listener.accept().await?;
                let started = Event::Started {
                    pid: 9,
                    keeper: 7,
                    keeper_start: 8,
                };
                let body = launch::encode(&started)?;
                let frame = [&u32::try_from(body.len())?.to_le_bytes(), body.as_slice()].concat();
                stream.writable().await?;
                stream.try_write(&frame)?;
                // Its end would be the app's.
                std::mem::forget(stream);
            }
            let _silent = listener.accept().await?;
            std::future::pending::<Result<()>>().await
        };
        let asks = async {
            ensure!(Warden::adopt(&*sys, &app, none).await.is_ok(), "its own");
            ensure!(
                Warden::adopt(&*sys, &app, ProcessId::UNKNOWN).await.is_ok(),
                "one that was never told"
            );
            let other = ProcessId { pid: 7, start: 9 };
            ensure!(
                gone(&Warden::adopt(&*sys, &app, other).await),
                "the number of a process that has gone"
            );
            let silent = Warden::adopt(&*sys, &app, none).await;
            ensure!(
                matches!(silent, Err(PortError::Deadline { .. })),
                "one that says nothing"
            );
            Ok(())
        };
        tokio::select! {
            ended = keeper => ended,
            asked = asks => asked,
        }
    })
}
