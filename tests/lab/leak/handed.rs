//! Sockets of the host's network that a program is given: at its launch, and by another process later.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use super::{Tried, scene::Scene};
use crate::{ALICE, Marker, product::texts};

/// S19: sockets of the host's network at a launch, and by SCM_RIGHTS, which is a known exception: that one socket leaves, nothing else.
pub(super) fn hand_in(scene: &mut Scene, marker: &Marker, tried: &mut Tried) -> Result<()> {
    const AS_STDIN: &str = "use Socket; socket(S, AF_INET, SOCK_DGRAM, 0) or die; open(STDIN, '<&S') or die; exec @ARGV";
    const AS_NINE: &str = "use Socket; use POSIX; $^F = 20; socket(S, AF_INET, SOCK_DGRAM, 0) or die; POSIX::dup2(fileno(S), 9) or die; exec @ARGV";
    let run = |script: &str, program: &[&str]| {
        let line = [
            "perl", "-e", script, "lonewire", "run", "-t", "demo", "--wait=0", "--",
        ];
        scene
            .world
            .run_as(&ALICE, &[line.as_slice(), program].concat())
    };
    let out = run(AS_STDIN, &["true"])?;
    tried.shots += 3;
    ensure!(
        out.code == 125,
        "a socket as standard input: code {}, {}",
        out.code,
        out.stderr.trim()
    );
    let out = run(AS_NINE, &["ls", "-l", "/proc/self/fd"])?;
    ensure!(
        out.code == 0 && !out.stdout.contains("socket:"),
        "a socket as descriptor 9: code {}, {}{}",
        out.code,
        out.stdout,
        out.stderr
    );
    let path = format!("{}/handed", ALICE.home);
    let any = if scene.world.spec.v4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    scene.outside.ask(&format!("give {path} {any}"))?;
    // It is counted as a control, not as a leak: the captures have to see it.
    let target = SocketAddr::from((scene.world.spec.web(), 9));
    let inside = scene.inside.as_mut().context("no app")?;
    let take = format!("take {path} {target} {}", marker.hex());
    scene
        .world
        .seen(marker.bytes().to_vec(), |_| inside.ask(&take).map(drop))?;
    tried.controlled = true;
    // All that it has open now is of the tunnel's network: none of them is in the host's tables.
    let open = texts(&inside.ask("descriptors")?);
    let tables = "cat /proc/net/udp /proc/net/udp6 /proc/net/tcp /proc/net/tcp6 /proc/net/raw";
    let tables = scene.world.run_in("host", &["sh", "-c", tables])?.stdout;
    for inode in tables
        .lines()
        .filter_map(|line| line.split_whitespace().nth(9))
    {
        ensure!(
            !open.contains(&format!("socket:[{inode}]")),
            "it has another socket of the host's network"
        );
    }
    ensure!(!open.is_empty(), "not a socket is open: it was not looked");
    Ok(())
}
