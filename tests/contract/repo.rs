//! The repository that is tested: its folder, files and programs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use anyhow::{Context, Result, ensure};

/// The top folder.
pub fn top() -> &'static Path {
    static TOP: LazyLock<PathBuf> = LazyLock::new(lab::programs::project);
    &TOP
}

pub fn read(path: &str) -> Result<String> {
    fs::read_to_string(top().join(path)).with_context(|| format!("{path} cannot be read"))
}

/// Every file below a folder, with paths as from the top, sorted. Folders that begin with a dot and `target` are passed over.
pub fn files(folder: &str) -> Result<Vec<String>> {
    let mut found = vec![];
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top().join(&folder))
            .with_context(|| format!("{} cannot be listed", folder.display()))?
        {
            let entry = entry?;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| anyhow::anyhow!("{name:?} is not UTF-8"))?;
            let path = folder.join(&name);
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else {
                found.push(
                    path.to_str()
                        .context("UTF-8")?
                        .trim_start_matches("./")
                        .to_owned(),
                );
            }
        }
    }
    ensure!(!found.is_empty(), "{folder} holds nothing");
    found.sort();
    Ok(found)
}

/// The Rust files of the repository.
pub fn rust_files() -> Result<Vec<String>> {
    let mut found = vec![];
    for folder in ["app", "helper", "tests"] {
        found.extend(
            files(folder)?
                .into_iter()
                .filter(|path| path.ends_with(".rs")),
        );
    }
    Ok(found)
}

/// What cargo prints. It may fetch what has not been built yet, but not change `Cargo.lock`.
pub fn cargo(arguments: &[&str]) -> Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .arg("--locked")
        .current_dir(top())
        .output()?;
    ensure!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// A manifest as TOML.
pub fn manifest(path: &str) -> Result<toml::Table> {
    Ok(read(path)?.parse()?)
}

/// The folders of the workspace's members.
pub fn members() -> Result<Vec<String>> {
    let root = manifest("Cargo.toml")?;
    let members = root["workspace"]["members"].as_array().context("members")?;
    members
        .iter()
        .map(|member| Ok(member.as_str().context("a path")?.to_owned()))
        .collect()
}
