//! Pictures of a desktop, in the folder `pictures` of cargo's target folder, for people to look at.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::Desktop;
use crate::programs;

/// How long a screen may go on changing.
const SETTLED: Duration = Duration::from_secs(5);

/// Where pictures are put.
///
/// # Errors
/// This program is in no target folder.
pub fn folder() -> Result<PathBuf> {
    Ok(programs::target()?.join("pictures"))
}

impl Desktop {
    /// The whole screen as `pictures/NAME.png`, which may name a folder, once two in a row are the same.
    ///
    /// # Errors
    /// It is all of one colour, or import(1) fails.
    pub fn picture(&self, name: &str) -> Result<PathBuf> {
        let target = folder()?.join(format!("{name}.png"));
        take(&target, SETTLED, |line| self.command(line))?;
        Ok(target)
    }
}

/// A picture of the whole screen that commands see, once two in a row are the same, or as it is after a while.
///
/// # Errors
/// It is all of one colour, or import(1) fails.
pub fn take(target: &Path, within: Duration, command: impl Fn(&[&str]) -> Command) -> Result<()> {
    let end = Instant::now() + within;
    let mut last = screen(&command)?;
    loop {
        let next = screen(&command)?;
        // What goes on moving (a spinner, a clock) is as good at one time as at another.
        // What is not drawn yet is not settled.
        if (next == last && has_colours(&next)?) || Instant::now() > end {
            break;
        }
        last = next;
    }
    ensure!(
        has_colours(&last)?,
        "{}: the screen is all of one colour",
        target.display()
    );
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut convert = command(&["convert", "ppm:-", "png:-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // It writes nothing before it has read all.
    let mut stdin = convert.stdin.take().context("no standard input")?;
    stdin.write_all(&last)?;
    drop(stdin);
    let out = convert.wait_with_output()?;
    ensure!(out.status.success(), "convert");
    fs::write(target, out.stdout).with_context(|| target.display().to_string())
}

/// As a portable pixmap, which has no time in it.
fn screen(command: impl Fn(&[&str]) -> Command) -> Result<Vec<u8>> {
    let line = [
        "import", "-silent", "-window", "root", "-depth", "8", "ppm:-",
    ];
    let out = command(&line).stdin(Stdio::null()).output()?;
    ensure!(
        out.status.success() && !out.stdout.is_empty(),
        "import: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(out.stdout)
}

/// Whether a portable pixmap of 8 bits has more than one colour.
fn has_colours(picture: &[u8]) -> Result<bool> {
    // P6, width, height and 255, each with white space behind it.
    let mut ends = picture
        .iter()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_whitespace());
    let Some((end, _)) = ends.nth(3) else {
        bail!("no picture");
    };
    let mut pixels = picture[end + 1..].chunks_exact(3);
    let first = pixels.next().context("no pixel")?;
    Ok(pixels.any(|pixel| pixel != first))
}
