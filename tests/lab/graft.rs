//! Shows a folder of a world's host to one program: what Lonewire hides from it comes back. Across mount namespaces, which mount(8) cannot.

use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// The role: `folder` as it is here, at the same place among the mounts of process `pid`.
///
/// # Errors
/// No such folder, or no such process.
pub fn graft(folder: &Path, pid: i32) -> Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, folder, flags).with_context(|| folder.display().to_string())?;
    let mounts = rustix::fs::open(
        format!("/proc/{pid}/ns/mnt"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .context("the mounts of a program")?;
    move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&mounts),
        Some(LinkNameSpaceType::Mount),
    )?;
    std::fs::create_dir_all(folder)?;
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&tree, "", CWD, folder, empty).context("move_mount")
}
