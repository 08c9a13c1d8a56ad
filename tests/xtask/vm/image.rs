//! Images of Debian releases: made by debootstrap(8) once, kept in the user's cache. Must never hold anything of Lonewire: that comes in with each run, as
//! packages.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::cargo;

/// What is in an image beside the minimum: what a person's machine has, the resolvers above all.
const PACKAGES: &[&str] = &[
    "avahi-daemon",
    "ca-certificates",
    "curl",
    "dbus",
    "dbus-user-session",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libnss-resolve",
    "libnss-mdns",
    "libpam-systemd",
    "login",
    "nscd",
    "passwd",
    "procps",
    "systemd",
    "systemd-sysv",
    "udev",
    "wireguard-tools",
];

/// What a person's screen is made of here, with a browser on it; nothing of it asks for the window's own libraries.
const DESKTOP: &[&str] = &[
    "at-spi2-core",
    "firefox-esr",
    "fonts-cantarell",
    "gsettings-desktop-schemas",
    "imagemagick",
    "libglib2.0-bin",
    "openbox",
    "xdotool",
    "xvfb",
];

/// What apt has to bring, because Lonewire's packages or a test ask for it: in the image as packages only. NetworkManager would bring polkit along.
const OFFERED: &[&str] = &[
    "adwaita-icon-theme",
    "iperf3",
    "libadwaita-1-0",
    "librsvg2-common",
    "network-manager",
    "polkitd",
    "sudo",
    "xdg-dbus-proxy",
];

/// What worlds need beside what is there by then; apt brings it before the leak matrix, which comes last.
pub const FOR_WORLDS: &[&str] = &["nftables", "wireguard-go"];

/// Run in the new root. Nothing of it may need a network later, and the first boot is to be as quick as the second.
const FINISH: &str = include_str!("finish.sh");

/// A disk with what starts it.
#[derive(Debug)]
pub struct Image {
    pub disk: PathBuf,
    pub kernel: PathBuf,
    pub initrd: PathBuf,
}

/// The image of a release: from the cache, or made, which takes minutes and the distribution's mirror.
///
/// # Errors
/// No cache folder, or a tool fails.
pub fn get(release: &str) -> Result<Image> {
    let mut hasher = DefaultHasher::new();
    (PACKAGES, DESKTOP, OFFERED, FOR_WORLDS, FINISH).hash(&mut hasher);
    let cache = cache()?;
    let folder = cache.join(format!("{release}-{:016x}", hasher.finish()));
    if !folder.is_dir() {
        let before = format!("{release}-");
        for entry in fs::read_dir(&cache)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&before) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        println!(
            "making an image of Debian {release} in {}",
            folder.display()
        );
        // Half an image must not look like one.
        let work = tempfile::Builder::new()
            .prefix("making-")
            .tempdir_in(&cache)?;
        make(release, work.path())?;
        fs::rename(work.keep(), &folder)?;
    }
    let file = |name: &str| folder.join(name);
    Ok(Image {
        disk: file("disk.img"),
        kernel: file("vmlinuz"),
        initrd: file("initrd.img"),
    })
}

/// Outside of the project, so that a fresh clone finds it.
///
/// # Errors
/// There is none.
pub fn cache() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("lonewire/vm");
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    Ok(cache)
}

fn make(release: &str, folder: &Path) -> Result<()> {
    let root = folder.join("root");
    cargo::run(
        Command::new("debootstrap")
            .args([
                "--variant=minbase",
                &format!("--include={}", PACKAGES.join(",")),
            ])
            .arg(release)
            .arg(&root)
            .stdout(fs::File::create(folder.join("debootstrap.log"))?),
    )
    .context("debootstrap")?;
    // Where this machine reaches its packages in a way of its own, the image's apt goes the same way, this once.
    for entry in fs::read_dir("/etc/apt/apt.conf.d")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        if name.to_string_lossy().contains("proxy") {
            fs::copy(entry.path(), root.join("etc/apt/apt.conf.d").join(name))?;
        }
    }
    // resolved's package has put a link there, to what nobody serves yet.
    let resolv = root.join("etc/resolv.conf");
    let _ = fs::remove_file(&resolv);
    fs::copy("/etc/resolv.conf", &resolv).context("/etc/resolv.conf")?;
    cargo::run(
        // What it mounts goes with it.
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "chroot"])
            .arg(&root)
            .args(["/bin/sh", "-c", FINISH])
            .env("DESKTOP", DESKTOP.join(" "))
            .env("OFFERED", [OFFERED, FOR_WORLDS].concat().join(" "))
            .env("PATH", lab::world::PATH)
            .stdout(fs::File::create(folder.join("finish.log"))?),
    )?;
    let offered = root.join("srv/packages");
    let list = Command::new("dpkg-scanpackages")
        .arg(".")
        .current_dir(&offered)
        .output()?;
    ensure!(list.status.success(), "dpkg-scanpackages: {}", list.status);
    fs::write(offered.join("Packages"), list.stdout)?;
    for (file, place) in [("vmlinuz", "vmlinuz-"), ("initrd.img", "initrd.img-")] {
        let boot = fs::read_dir(root.join("boot"))?.flatten();
        let found = boot
            .map(|entry| entry.path())
            .find(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(place))
            })
            .context(place)?;
        fs::copy(found, folder.join(file))?;
    }
    disk(&root, &folder.join("disk.img"), "4G")?;
    fs::remove_dir_all(&root)?;
    Ok(())
}

/// A file system with what is in a folder, owned by root.
///
/// # Errors
/// mke2fs fails.
pub fn disk(root: &Path, disk: &Path, size: &str) -> Result<()> {
    cargo::run(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(root)
            .arg(disk)
            .arg(size),
    )
}
