//! What `doctor` sees of the machine as the user, without asking anybody.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use crate::time;

/// Facts, so that judging them needs no machine.
#[derive(Debug, Clone)]
pub struct System {
    /// Lonewire's polkit actions are installed.
    pub actions: bool,
    /// A desktop session, which has a polkit agent of its own.
    pub desktop: bool,
    /// `pkttyagent` is on the path.
    pub text_agent: bool,
    /// The kernel has WireGuard, or a module of it: the helper's unit hides modules that are not loaded from it, so that it may only hope.
    pub wireguard: bool,
    /// `/dev/net/tun` is a device.
    pub tun: bool,
    /// What stands before the system bus of an app is installed.
    pub bus_proxy: bool,
    /// The user's own service manager listens.
    pub user_manager: bool,
    /// Where `/etc/resolv.conf` points to; empty for a plain file, none where it is missing or leads nowhere.
    pub resolv_conf: Option<String>,
    /// Unix time, milliseconds.
    pub now: u64,
}

impl System {
    pub const ACTIONS: &str = "/usr/share/polkit-1/actions/org.lonewire.helper1.policy";

    pub fn look() -> Self {
        Self {
            actions: Path::new(Self::ACTIONS).exists(),
            desktop: ["WAYLAND_DISPLAY", "DISPLAY"]
                .iter()
                .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty())),
            text_agent: on_path("pkttyagent"),
            wireguard: wireguard(),
            tun: fs::metadata("/dev/net/tun").is_ok_and(|meta| meta.file_type().is_char_device()),
            bus_proxy: lonewire_core::bus::PROXIES
                .iter()
                .any(|path| Path::new(path).is_file()),
            user_manager: user_manager(),
            resolv_conf: link_of(Path::new("/etc/resolv.conf")),
            now: time::now(),
        }
    }
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn wireguard() -> bool {
    let modules = Path::new("/lib/modules")
        .join(rustix::system::uname().release().to_string_lossy().as_ref());
    Path::new("/sys/module/wireguard").exists()
        || ["modules.dep", "modules.builtin"].iter().any(|list| {
            let list = fs::read_to_string(modules.join(list)).unwrap_or_default();
            list.contains("/wireguard.ko")
        })
}

/// Its private socket; the folder is that of the session, or where logind puts it.
fn user_manager() -> bool {
    let folder = env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw())),
        PathBuf::from,
    );
    fs::metadata(folder.join("systemd/private")).is_ok_and(|meta| meta.file_type().is_socket())
}

fn link_of(path: &Path) -> Option<String> {
    if !path.exists() {
        return None;
    }
    match fs::read_link(path) {
        Ok(target) => Some(target.to_string_lossy().into_owned()),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Some(String::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_a_file_and_nothing_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, broken] = ["file", "link", "broken"].map(|name| folder.path().join(name));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        std::os::unix::fs::symlink("gone", &broken).unwrap();
        assert_eq!(link_of(&file).as_deref(), Some(""));
        assert_eq!(link_of(&link).as_deref(), Some("file"));
        assert_eq!(link_of(&broken), None);
    }
}
