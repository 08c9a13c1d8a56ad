//! Times one command again and again from inside a world, without what it takes to enter the world.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Person, World, init::ROLES};

/// A process in the world that runs one command on demand.
pub struct Stopwatch {
    process: Child,
    line: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    command: String,
}

impl Stopwatch {
    /// For a command in a world's host.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn in_world(world: &World, person: Option<&Person>, line: &[&str]) -> Result<Self> {
        let whole = [&[ROLES, "stopwatch", "--"], line].concat();
        Self::start(world.command("host", person, &whole)?, line)
    }

    /// `role` runs this file's role with `line`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut role: Command, line: &[&str]) -> Result<Self> {
        let mut process = role.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Self {
            line: process.stdin.take(),
            answers: BufReader::new(process.stdout.take().context("no standard output")?),
            process,
            command: line.join(" "),
        })
    }

    /// Runs the command once.
    ///
    /// # Errors
    /// It ends with another code than 0: it did not do the work that was to be measured.
    pub fn once(&mut self) -> Result<Duration> {
        let line = self.line.as_mut().context("ended")?;
        line.write_all(b"\n")?;
        line.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let (nanoseconds, status) = answer
            .trim()
            .split_once(' ')
            .with_context(|| format!("{}: no answer", self.command))?;
        ensure!(status == "0", "{}: exit code {status}", self.command);
        Ok(Duration::from_nanos(nanoseconds.parse()?))
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        drop(self.line.take());
        let _ = self.process.wait();
    }
}

/// The process: a command for each byte of standard input; answers with nanoseconds and exit code.
///
/// # Errors
/// The command cannot be started.
pub fn stopwatch(line: &[String]) -> Result<()> {
    let (program, arguments) = line.split_first().context("no program")?;
    let mut byte = [0];
    while std::io::stdin().lock().read(&mut byte)? == 1 {
        let began = Instant::now();
        let status = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| program.clone())?;
        let took = began.elapsed();
        println!("{} {}", took.as_nanos(), status.code().unwrap_or(-1));
    }
    Ok(())
}
