//! What the lab's one binary can be inside a world. `xtask role …` runs it; people never type it.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::Subcommand;

use crate::{
    capture, fakes, forward, graft, init, meddle, net::Sabotage, probe, sandbox, server, system,
    tty,
};

#[derive(Debug, Subcommand)]
pub enum Role {
    /// First process of a world: makes its mounts, reaps; ends with its standard input, and the world with it.
    Init,
    /// Prints a `Baseline` as JSON.
    Baseline,
    /// Records the frames of an interface.
    Capture {
        interface: String,
        file: PathBuf,
        /// The link is a TUN: it has no frames.
        #[arg(long)]
        packets: bool,
    },
    Dns {
        listen: SocketAddr,
        #[arg(long)]
        log: PathBuf,
        records: Vec<server::dns::Record>,
    },
    Web {
        #[arg(long)]
        log: PathBuf,
        /// A TCP port beside 80 that takes what it is sent.
        #[arg(long)]
        take: Vec<u16>,
        listen: Vec<SocketAddr>,
    },
    /// Runs a program as a systemd unit says.
    Sandbox {
        unit: PathBuf,
        /// The unit's filters of system calls, as `activate` wrote them.
        #[arg(long)]
        filters: Option<PathBuf>,
        /// Standard input is a connection: the unit's own program is handed it as systemd does with `Accept=yes`.
        #[arg(long)]
        connection: bool,
        /// Instead of the unit's program.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Listens as a socket unit says, and starts its service for each connection.
    Activate {
        socket: PathBuf,
        unit: PathBuf,
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Asks for things as an app would, one a line of standard input.
    Probe {
        /// From the start on: traffic with this marker.
        #[arg(long)]
        traffic: Option<String>,
    },
    /// Sends frames as they are, each in hexadecimal digits.
    Send {
        interface: String,
        frames: Vec<String>,
    },
    /// Connects to a socket, once a byte of standard input, and hands the connections back over it.
    Connect { path: PathBuf },
    /// Pushes keys into its terminals.
    Inject { text: String },
    /// Stands for services of the host that answer look-ups.
    Fakes { log: PathBuf },
    /// A data plane without encryption; with a link, its server.
    Forward {
        #[arg(long)]
        server: Option<String>,
    },
    /// Changes what the helper asks of the warden.
    Meddle {
        how: Sabotage,
        public: PathBuf,
        hidden: PathBuf,
    },
    /// Shows a folder to a program that it is hidden from.
    Graft { folder: PathBuf, pid: i32 },
}

impl Role {
    /// # Errors
    /// The role's own.
    pub fn play(self) -> Result<()> {
        match self {
            Self::Init => init::init(),
            Self::Baseline => {
                println!("{}", serde_json::to_string(&crate::Baseline::take()?)?);
                Ok(())
            }
            Self::Capture {
                interface,
                file,
                packets,
            } => capture::record(&interface, packets, &file),
            Self::Dns {
                listen,
                log,
                records,
            } => server::dns::serve(listen, &records, &log),
            Self::Web { log, take, listen } => server::web::serve(&listen, &take, &log),
            Self::Sandbox {
                unit,
                filters,
                connection,
                command,
            } => sandbox::run(&unit, filters.as_deref(), connection, &command),
            Self::Activate {
                socket,
                unit,
                command,
            } => sandbox::activate(&socket, &unit, &command),
            Self::Probe { traffic } => probe::serve(traffic.as_deref()),
            Self::Send { interface, frames } => probe::send(&interface, &frames),
            Self::Connect { path } => system::connector::serve(&path),
            Self::Inject { text } => tty::inject(&text),
            Self::Fakes { log } => fakes::serve(&log),
            Self::Forward { server: Some(link) } => forward::serve(&link),
            Self::Forward { server: None } => forward::stand_in(),
            Self::Meddle {
                how,
                public,
                hidden,
            } => meddle::serve(how, &public, &hidden),
            Self::Graft { folder, pid } => graft::graft(&folder, pid),
        }
    }
}
