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

/// The process: a command for each byte of standard input; answers with nanoseconds, to its end or until it says a line, and exit code.
///
/// # Errors
/// The command cannot be started, or does not say the line.
pub fn stopwatch(until: Option<&str>, line: &[String]) -> Result<()> {
    let (program, arguments) = line.split_first().context("no program")?;
    let mut byte = [0];
    while std::io::stdin().lock().read(&mut byte)? == 1 {
        let began = Instant::now();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let (status, took) = if let Some(until) = until {
            let mut child = command
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| program.clone())?;
            let mut lines = BufReader::new(child.stdout.take().context("asked for")?).lines();
            let said = lines.any(|said| said.is_ok_and(|said| said == until));
            let took = began.elapsed();
            // To its end, or it would be told that nobody listens.
            lines.for_each(drop);
            let status = child.wait()?;
            ensure!(said, "{program} did not say {until}: {status}");
            (status, took)
        } else {
            let status = command
                .stdout(Stdio::null())
                .status()
                .with_context(|| program.clone())?;
            (status, began.elapsed())
        };
        println!("{} {}", took.as_nanos(), status.code().unwrap_or(-1));
    }
    Ok(())
}
