//! Calling cargo from a program that cargo runs. Must never leave that program's own variables in the call: some build scripts look
//! at them, and their crates would be built anew at every change between `cargo xtask` and plain `cargo`.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

/// What `cargo run` sets for the package that it runs.
const OURS: &[&str] = &[
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// A call of cargo in the project's folder.
pub fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(lab::programs::project());
    for (name, _) in env::vars_os() {
        if OURS
            .iter()
            .any(|ours| name.to_string_lossy().starts_with(ours))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Gives a build the compiler's flags. A release does not tell where cargo keeps its crates: it is the same from every home folder. Where
/// the project is, it does not tell anyway.
pub fn flags(command: &mut Command, release: bool, is_static: bool) {
    let given = env::var("RUSTFLAGS").unwrap_or_default();
    let mut flags: Vec<_> = given.split_whitespace().map(str::to_owned).collect();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    if let Some(home) = home.filter(|_| release) {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    if is_static {
        flags.push("-Ctarget-feature=+crt-static".to_owned());
    }
    // Set, though empty, it would override the person's own settings.
    if !flags.is_empty() {
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    }
}

/// Runs a command whose output people see.
///
/// # Errors
/// It does not start, or ends with another code than 0.
pub fn run(command: &mut Command) -> Result<()> {
    let line = show(command);
    let status = command.status().with_context(|| line.clone())?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// The words of a command.
pub fn show(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The triple of the machine, as `rustc -vV` says it.
///
/// # Errors
/// rustc does not say it.
pub fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc).arg("-vV").output().context("rustc")?;
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}
