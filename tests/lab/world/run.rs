//! Programs in a world: in which network and as whom they run, what they leave behind.

use std::{
    ffi::OsStr,
    fs::{self, File},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{PATH, READY, World, log_file, slowness, until};
use crate::{Program, init::ROLES, users::Person};

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// 0 to 255; 128 and a signal's number where one ended it; 124 after the deadline.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// # Errors
    /// Its code is not 0: the text says what it wrote.
    pub fn ok(self) -> Result<Self> {
        ensure!(
            self.code == 0,
            "exit code {}\n{}\n{}",
            self.code,
            self.stdout.trim(),
            self.stderr.trim()
        );
        Ok(self)
    }
}

/// A program that runs in the world. Dropping it leaves it running; it ends with the world at the latest.
#[derive(Debug)]
pub struct Running {
    /// nsenter, which waits for it.
    pub waiter: Child,
    /// Its pid as the machine sees it.
    pub pid: i32,
}

impl Running {
    /// # Errors
    /// No such process any more.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        // To kill(2) that would be everybody.
        ensure!(self.pid > 0, "it had ended before it was known");
        Ok(nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.pid),
            signal,
        )?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It runs still at the deadline.
    pub fn wait(&mut self, limit: Duration) -> Result<i32> {
        let mut code = None;
        until(limit, "the end of a program", || {
            code = self.waiter.try_wait()?;
            Ok(code.is_some())
        })?;
        Ok(code.and_then(|status| status.code()).unwrap_or(-1))
    }
}

/// Starts a program with a pipe at each standard stream.
pub(crate) fn piped(mut command: Command) -> Result<Running> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    started(command.spawn()?)
}

/// The one process that nsenter or unshare has made.
pub(super) fn only_child(parent: i32) -> Result<Option<i32>> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    Ok(text.split_whitespace().next().map(str::parse).transpose()?)
}

pub(crate) fn started(mut waiter: Child) -> Result<Running> {
    let mut pid = None;
    let parent = i32::try_from(waiter.id())?;
    until(READY, "a program's start", || {
        pid = only_child(parent).ok().flatten();
        // One that has ended already has none: its pid is of no use then.
        Ok(pid.is_some() || waiter.try_wait()?.is_some())
    })?;
    Ok(Running {
        waiter,
        pid: pid.unwrap_or(-1),
    })
}

impl World {
    /// Starts a role that says a line once it is ready.
    pub(crate) fn role(&mut self, name: &str, network: &str, arguments: &[&str]) -> Result<()> {
        let mut line = vec![ROLES, "role"];
        line.extend(arguments);
        let command = self.command(network, None, &line)?;
        self.keep(name, command)?;
        let log = self.path(&log_file(&format!("{name}.out")));
        until(READY, name, || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if self
                .services
                .get_mut(name)
                .is_some_and(|service| matches!(service.waiter.try_wait(), Ok(Some(_))))
            {
                bail!("{name} ended: {}", text.trim());
            }
            Ok(text.contains("listening"))
        })
    }

    /// Starts a long-running program; what it writes goes to a log in the world.
    pub(crate) fn keep(&mut self, name: &str, mut command: Command) -> Result<()> {
        let log = File::create(self.path(&log_file(&format!("{name}.out"))))?;
        let waiter = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let running = started(waiter)?;
        self.services.insert(name.into(), running);
        Ok(())
    }

    /// A command in a network of the world (`host`, `router`, `internet`, `vpn0`…) as root or a person; with a clean environment.
    ///
    /// # Errors
    /// An empty `line`.
    pub fn command(
        &self,
        network: &str,
        person: Option<&Person>,
        line: &[impl AsRef<OsStr>],
    ) -> Result<Command> {
        let init = self.init.to_string();
        let mut command = Command::new("nsenter");
        command.args([
            "--target", &init, "--mount", "--uts", "--ipc", "--pid", "--root", "--wd",
        ]);
        command.arg(format!(
            "--net={}",
            self.path(&format!("/run/netns/{network}")).display()
        ));
        command
            .arg("--")
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8");
        let level = self.spec.log.clone().map(Into::into);
        if let Some(level) = level.or_else(|| std::env::var_os("RUST_LOG")) {
            command.env("RUST_LOG", level);
        }
        if let Some(person) = person {
            let (uid, gid) = (person.uid.to_string(), person.gid.to_string());
            command.args([
                "setpriv",
                "--reuid",
                &uid,
                "--regid",
                &gid,
                "--init-groups",
                "--inh-caps=-all",
                "--",
            ]);
            command.args([
                "env",
                "-C",
                if person.home.starts_with("/home") {
                    person.home
                } else {
                    "/"
                },
            ]);
            command
                .env("HOME", person.home)
                .env("USER", person.name)
                .env("LOGNAME", person.name)
                .env("SHELL", person.shell)
                .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
                .env("XDG_RUNTIME_DIR", format!("/run/user/{}", person.uid));
        }
        ensure!(!line.is_empty(), "no program");
        command.args(line);
        Ok(command)
    }

    /// Runs a program as root in a network of the world; half a minute at most.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run_in(&self, network: &str, line: &[&str]) -> Result<Output> {
        self.finish(network, None, line)
    }

    /// Runs a shell script as root in the host's network.
    ///
    /// # Errors
    /// It fails.
    pub fn sh(&self, script: &str) -> Result<()> {
        self.run_in("host", &["sh", "-ec", script])?.ok()?;
        Ok(())
    }

    /// Runs a program in the host's network as a person; half a minute at most.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run_as(&self, person: &Person, line: &[&str]) -> Result<Output> {
        self.finish("host", Some(person), line)
    }

    /// Runs `lonewire` as a person.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn cli(&self, person: &Person, arguments: &[&str]) -> Result<Output> {
        let mut line = vec!["lonewire"];
        line.extend(arguments);
        self.run_as(person, &line)
    }

    fn finish(&self, network: &str, person: Option<&Person>, line: &[&str]) -> Result<Output> {
        let limit = (30 * slowness()).to_string();
        let mut whole = vec!["timeout", "-k", "1", &limit];
        whole.extend(line);
        let out = self
            .command(network, person, &whole)?
            .stdin(Stdio::null())
            .output()?;
        Ok(Output {
            code: out.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&out.stdout).into(),
            stderr: String::from_utf8_lossy(&out.stderr).into(),
        })
    }

    /// Starts a program in the host's network as a person, with a pipe at each standard stream.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_as(&self, person: &Person, line: &[&str]) -> Result<Running> {
        piped(self.command("host", Some(person), line)?)
    }

    /// What a service of the world has written.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&log_file(&format!("{name}.out")))).unwrap_or_default()
    }

    /// Pids, as the machine sees them, of the world's processes by the name of their program (15 bytes of it).
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn processes(&self, program: &str) -> Result<Vec<i32>> {
        let own = fs::read_link(format!("/proc/{}/ns/pid", self.init))?;
        let short = program.get(..15).unwrap_or(program);
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else {
                continue;
            };
            let same = fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|link| link == own);
            let named = fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim_end() == short);
            if same && named {
                pids.push(pid);
            }
        }
        Ok(pids)
    }

    /// Makes a program of the world answer nothing until the result is dropped.
    ///
    /// # Errors
    /// It does not run.
    pub fn hang(&self, program: Program) -> Result<Hung> {
        self.hang_all(&[program])
    }

    /// The same with several.
    ///
    /// # Errors
    /// One does not run.
    pub fn hang_all(&self, programs: &[Program]) -> Result<Hung> {
        let mut hung = Hung(Vec::new());
        for program in programs {
            self.stop_processes(*program, &mut hung)?;
        }
        Ok(hung)
    }

    fn stop_processes(&self, program: Program, hung: &mut Hung) -> Result<()> {
        let pids = self.processes(program.name())?;
        ensure!(!pids.is_empty(), "no {}", program.name());
        for pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let parent = status
                .lines()
                .find_map(|line| line.strip_prefix("PPid:"))
                .with_context(|| format!("the parent of {pid}"))?;
            // nsenter(1) stops when its child does.
            hung.0.extend([pid, parent.trim().parse()?]);
            kill(Pid::from_raw(pid), Signal::SIGSTOP)?;
        }
        Ok(())
    }

    /// A shell in the world's host network on this terminal, until it ends.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn shell(&self) -> Result<()> {
        let mut command = self.command("host", None, &["bash", "--norc", "-i"])?;
        command
            .env("TERM", std::env::var_os("TERM").unwrap_or_default())
            .env("PS1", "world \\w# ")
            .env("HOME", "/root");
        command.status()?;
        Ok(())
    }
}

/// A program that has been stopped, and goes on when this is dropped.
#[derive(Debug)]
pub struct Hung(Vec<i32>);

impl Drop for Hung {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGCONT);
        }
    }
}
