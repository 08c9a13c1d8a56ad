//! The developer's commands: `cargo xtask --help`.

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Commands for developers of Lonewire")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a world's own processes are started as.
    #[command(hide = true)]
    Role {
        #[command(subcommand)]
        role: lab::role::Role,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Role { role } => role.play(),
    }
}
