//! A virtual machine: qemu with nothing but a processor, three disks and two serial lines. It has no network: what is in it makes its own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::image::Image;

/// A kernel says its first word in less.
const FIRST_WORD: Duration = Duration::from_secs(20);

/// How the machine's processor comes about, the quick one first.
const PROCESSORS: &[(&str, &str)] = &[("kvm", "host"), ("tcg,thread=multi", "max")];

/// A machine that is on; dropping it pulls the plug.
#[derive(Debug)]
pub struct Machine {
    qemu: Child,
    console: PathBuf,
    pub processor: &'static str,
}

impl Machine {
    /// Switches it on. The image is read, never written: what the machine changes is gone with it. With a `person`, its second serial line is the
    /// terminal that this runs in.
    ///
    /// # Errors
    /// It does not start in any way.
    pub fn start(
        image: &Image,
        [payload, tape]: [&Path; 2],
        folder: &Path,
        is_for_person: bool,
    ) -> Result<Self> {
        let console = folder.join("console");
        for (processor, model) in PROCESSORS {
            if *processor == "kvm" && fs::File::open("/dev/kvm").is_err() {
                continue;
            }
            // What another machine said there is not this one's first word.
            fs::File::create(&console)?;
            let line = if is_for_person { "mon:stdio" } else { "stdio" };
            let mut command = Command::new("qemu-system-x86_64");
            command
                .args([
                    "-nodefaults",
                    "-no-user-config",
                    "-machine",
                    "q35",
                    "-smp",
                    "2",
                    "-m",
                    "2048",
                ])
                .args(["-accel", processor, "-cpu", model])
                .args(["-display", "none", "-net", "none", "-serial"])
                .arg(format!("file:{}", console.display()))
                .args(["-serial", line])
                .arg("-kernel")
                .arg(&image.kernel)
                .arg("-initrd")
                .arg(&image.initrd)
                .arg("-drive")
                .arg(format!(
                    "file={},format=raw,if=virtio,snapshot=on",
                    image.disk.display()
                ))
                .arg("-drive")
                .arg(format!(
                    "file={},format=raw,if=virtio,readonly=on",
                    payload.display()
                ))
                .arg("-drive")
                .arg(format!("file={},format=raw,if=virtio", tape.display()))
                // With a console that sleeps too, Debian 13's kernel did not always wake up in emulation, and nobody was told.
                .args([
                    "-append",
                    "root=/dev/vda rw console=ttyS0 loglevel=6 no_console_suspend panic=-1 mitigations=off",
                ])
                .stderr(fs::File::create(folder.join("qemu"))?);
            if !is_for_person {
                command.stdin(Stdio::null()).stdout(Stdio::piped());
            }
            let qemu = command.spawn().context("qemu-system-x86_64")?;
            let mut machine = Self {
                qemu,
                console: console.clone(),
                processor: processor.split(',').next().unwrap_or(processor),
            };
            if machine.speaks()? {
                return Ok(machine);
            }
            println!("{} does not work here", machine.processor);
        }
        bail!("the machine does not start: {}", last(&folder.join("qemu")));
    }

    fn speaks(&mut self) -> Result<bool> {
        let began = Instant::now();
        while began.elapsed() < FIRST_WORD {
            if self.qemu.try_wait()?.is_some() {
                return Ok(false);
            }
            let said = fs::read(&self.console).unwrap_or_default();
            if memchr::memmem::find(&said, b"Linux version").is_some() {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(100));
        }
        // An emulated one on a busy machine may be slow; there is no other to try.
        Ok(self.processor != "kvm")
    }

    /// Hands over what is said on the second serial line, line by line, until the machine is off or enough was heard.
    ///
    /// # Errors
    /// It is not off in time: the end of its console is in the error.
    pub fn listen(
        &mut self,
        within: Duration,
        mut each: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<()> {
        let began = Instant::now();
        let stdout = self.qemu.stdout.take().context("it was asked for")?;
        let (sender, lines) = mpsc::channel();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        loop {
            match lines.recv_timeout(within.saturating_sub(began.elapsed())) {
                Ok(line) if each(String::from_utf8_lossy(&line).trim_end()).is_break() => {
                    return Ok(());
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("still on after {within:?}: {}", last(&self.console))
                }
            }
        }
        let _ = reader.join();
        self.qemu.wait()?;
        Ok(())
    }

    /// Waits until the person has switched it off.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(&mut self) -> Result<()> {
        self.qemu.wait()?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The last lines of a file.
fn last(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
