//! Ring lab: the helper's `sys` on a kernel's own terms, in namespaces of each test's own: links and routes, threads that enter a namespace, files, and
//! who answers for a process. Built with the helper, whose parts it calls.

mod files;
mod links;
mod processes;

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    rc::Rc,
};

use anyhow::{Context as _, Result, ensure};
use lonewire_core::name::Id;
use lonewire_helper::{
    ports::ProcessId,
    sys::{Paths, Sys},
};
use nix::sched::{CloneFlags, unshare};

/// Runs a test with the helper's parts, on a thread that has mounts and a network of its own; `/run` is empty there, and `folder` is too.
fn apart(test: impl AsyncFnOnce(Rc<Sys>, PathBuf) -> Result<()> + Send + 'static) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_owned();
    let thread = std::thread::spawn(move || -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("needs root")?;
        run("mount --make-rprivate / && mount -t tmpfs run /run && ip link set lo up")?;
        let sys = Rc::new(Sys::new(Paths {
            runtime: path.join("run"),
            state: path.join("state"),
            admin_config: path.join("config.toml"),
            warden: path.join("warden.sock"),
            wireguard: path.join("wireguard.sock"),
        }));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        runtime.block_on(local.run_until(test(sys, path)))
    });
    thread.join().map_err(|_| anyhow::anyhow!("a panic"))?
}

/// A shell's line, among the mounts and in the network of this thread.
fn run(line: &str) -> Result<String> {
    let out = Command::new("sh")
        .args(["-ec", line])
        .stdin(Stdio::null())
        .output()?;
    let stderr = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{line}: {stderr}");
    Ok(String::from_utf8(out.stdout)?)
}

/// A process that ends with this value.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Other {
    fn id(&self) -> ProcessId {
        let pid = i32::try_from(self.0.id()).unwrap_or(0);
        ProcessId { pid, start: 1 }
    }
}

fn id() -> Result<Id> {
    Ok(Id::try_from("0123456789abcdef0123456789abcdef".to_owned())?)
}
