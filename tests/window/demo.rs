//! Ring window: `cargo xtask demo --window` opens it on the developer's screen, in the demonstration's world.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    programs,
    world::{READY, until},
};

/// Ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_demonstration_opens_the_window_on_the_screen_it_is_started_from() -> Result<()> {
    // Nobody's screen: this machine has none.
    let mut server = Ended(
        Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1024x768x24",
                "-nolisten",
                "tcp",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let mut number = String::new();
    BufReader::new(server.0.stdout.take().context("Xvfb")?).read_line(&mut number)?;
    let display = format!(":{}", number.trim());

    let programs = match std::env::var_os(programs::VARIABLE) {
        Some(path) => path.into(),
        None => programs::folder(false)?,
    };
    let demo = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["demo", "--window", "--yes"])
        .env(programs::VARIABLE, programs)
        .env("DISPLAY", &display)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let mut demo = Ended(demo);
    let xdotool = |arguments: &[&str]| -> Result<String> {
        let out = Command::new("xdotool")
            .args(arguments)
            .env("DISPLAY", &display)
            .output()?;
        Ok(String::from_utf8(out.stdout)?)
    };
    let mut window = String::new();
    // The proof comes before it.
    until(READY * 6, "the window", || {
        ensure!(demo.0.try_wait()?.is_none(), "the demonstration has ended");
        window = xdotool(&["search", "--onlyvisible", "--name", "^Lonewire$"])?;
        Ok(!window.trim().is_empty())
    })?;
    // Nobody manages windows here: the focus is given by hand.
    let window = window.lines().next().unwrap_or_default();
    xdotool(&["windowfocus", "--sync", window, "key", "ctrl+q"])?;
    until(READY, "the end", || Ok(demo.0.try_wait()?.is_some()))?;
    ensure!(demo.0.wait()?.success());
    Ok(())
}

#[test]
fn without_a_screen_it_says_what_it_needs() -> Result<()> {
    for display in ["", "localhost:10.0", ":x"] {
        let out = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["demo", "--window"])
            .env("DISPLAY", display)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(
            !out.status.success() && said.contains("X server"),
            "{display}: {said}"
        );
    }
    Ok(())
}
