//! What Lonewire leaves in a world: namespaces, links, mounts, records, sockets and processes. While tunnels are up some of it belongs there.

use std::fs;

use anyhow::Result;

use crate::World;

/// What a folder of the world holds that is named like our links, or is a record.
///
/// # Errors
/// It cannot be read.
pub fn ours(world: &World, folder: &str) -> Result<Vec<String>> {
    let path = world.path(folder);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("lw-") || folder.ends_with("tunnels") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Everything that must be gone once all tunnels are down and all apps have ended.
///
/// # Errors
/// Something cannot be read.
pub fn leftovers(world: &World) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for name in [
        "lonewire",
        "lonewire-warden",
        "lonewire-wireguard",
        "xdg-dbus-proxy",
    ] {
        if !world.processes(name)?.is_empty() {
            left.push(name.to_owned());
        }
    }
    for folder in [
        "/run/netns",
        "/run/wireguard",
        "/run/lonewire/tunnels",
        "/run/lonewire/dns",
    ] {
        left.extend(ours(world, folder)?);
    }
    let links = world.run_in("host", &["ip", "-o", "link"])?.ok()?.stdout;
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", world.init))?;
    for text in [links, mounts] {
        let ours = text.lines().filter(|line| line.contains("lw-"));
        left.extend(ours.map(String::from));
    }
    Ok(left)
}

/// How many of each there are of what every tunnel that is up has one of: namespaces, data planes, records, folders of resolver files.
///
/// # Errors
/// Something cannot be read.
pub fn of_tunnels(world: &World) -> Result<[usize; 4]> {
    Ok([
        ours(world, "/run/netns")?.len(),
        world.processes("lonewire-wireguard")?.len(),
        ours(world, "/run/lonewire/tunnels")?.len(),
        ours(world, "/run/lonewire/dns")?.len(),
    ])
}
