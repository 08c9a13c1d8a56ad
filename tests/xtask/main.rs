//! The developer's commands: `cargo xtask --help`.

mod bench;
mod build;
mod cargo;
mod crates;
mod demo;
mod i18n;
mod leak;
mod package;
mod pictures;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

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
    /// List what this machine lacks for tests and demonstration, and install it.
    Setup(setup::Arguments),
    /// Build each program on its own and put all into TARGET/programs.
    Build {
        #[arg(long)]
        release: bool,
    },
    /// Take the window's words out of its sources, for translators: data/po.
    I18n,
    /// Make packages of release builds: TARGET/packages.
    Package(package::Arguments),
    /// Run the tests that need no virtual machine.
    Test(test::Arguments),
    /// Run the acceptance suite in a virtual machine, with the packages installed: kernel WireGuard, real resolvers, reboot.
    Vm(vm::Arguments),
    /// Show that a program in a tunnel is protected, in a world made for it.
    Demo(demo::Arguments),
    /// Fire everything that could leak in every state, and write the table.
    Leak(leak::Arguments),
    /// Take pictures of the window's every page in every look and language: TARGET/pictures.
    Pictures(pictures::Arguments),
    /// Measure against the shortest thing that does the same; release builds.
    Bench(bench::Arguments),
    /// Times a command in a world, for `bench`.
    #[command(hide = true)]
    Stopwatch {
        #[arg(long)]
        until: Option<String>,
        #[arg(last = true)]
        line: Vec<String>,
    },
    /// What `bench vm` measures in its machine.
    #[command(hide = true)]
    BenchInVm {
        #[arg(long)]
        pairs: usize,
    },
    /// The leak matrix as `vm` has it run in its machine.
    #[command(hide = true)]
    LeakInVm(vm::leak::Inside),
    /// What a world's own processes are started as.
    #[command(hide = true)]
    Role {
        #[command(subcommand)]
        role: lab::role::Role,
    },
}

/// What went wrong is told as one chain, whatever `RUST_BACKTRACE` says: it is for the person who typed the command.
fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Build { release } => build::build(release),
        Command::I18n => i18n::run(),
        Command::Package(arguments) => package::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Vm(arguments) => vm::run(&arguments),
        Command::Pictures(arguments) => pictures::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Leak(arguments) => leak::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Stopwatch { until, line } => bench::stopwatch(until.as_deref(), &line),
        Command::BenchInVm { pairs } => bench::vm::inside(pairs),
        Command::LeakInVm(arguments) => vm::leak::inside(&arguments),
        Command::Role { role } => role.play(),
    }
}
