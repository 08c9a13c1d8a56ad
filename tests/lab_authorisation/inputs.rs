//! T18: what is handed over as a configuration and is none: refused at once, unread, unstored, and nothing of it told.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Seek as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt as _, net::UnixDatagram},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{caller::call, world::log_file};
use lonewire_api::names::{APPS_INTERFACE as APPS, BUS_NAME, TUNNELS_INTERFACE as TUNNELS};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use zbus::{Fd, Message, Variant, message::Flags};

use super::{
    scene::{Results, Scene, assert_no_trace, helper},
    table::{self, sealed},
};

const AT_ONCE: Duration = Duration::from_millis(100);
/// In everything that can be read.
const SECRET: &str = "c2VjcmV0IG9mIGEgZmlsZSB0aGF0IHdhcyBoYW5kZWQ";

fn memfd(text: &[u8], seals: SealFlags) -> Result<OwnedFd> {
    let fd = memfd_create("lab", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(text)?;
    file.rewind()?;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

type Make = fn(&Scene) -> Result<OwnedFd>;

/// A path of the world with the secret in it.
fn secret_file(scene: &Scene) -> Result<std::path::PathBuf> {
    let path = scene.world.path("/run/lab/secret.conf");
    fs::write(&path, format!("[Interface]\nPrivateKey = {SECRET}\n"))?;
    Ok(path)
}

const NOT_CONFIGURATIONS: [(&str, Make); 14] = [
    ("/dev/zero", |_| Ok(File::open("/dev/zero")?.into())),
    ("/dev/full", |_| Ok(File::open("/dev/full")?.into())),
    // Opened for both, so that opening does not wait; there is no writer who writes.
    ("a FIFO", |scene| {
        let path = scene.world.path("/run/lab/fifo");
        if !path.exists() {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU)?;
        }
        Ok(File::options().read(true).write(true).open(path)?.into())
    }),
    ("a folder", |_| Ok(File::open("/")?.into())),
    ("a socket", |_| Ok(UnixDatagram::unbound()?.into())),
    ("O_PATH", |scene| {
        let path = secret_file(scene)?;
        let flags = libc::O_PATH;
        Ok(File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)?
            .into())
    }),
    ("O_PATH of /proc", |_| {
        let flags = libc::O_PATH;
        let path = "/proc/1/environ";
        Ok(File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)?
            .into())
    }),
    ("a regular file", |scene| {
        Ok(File::open(secret_file(scene)?)?.into())
    }),
    ("/proc/self/mem", |_| {
        Ok(File::open("/proc/self/mem")?.into())
    }),
    ("an epoll", |_| {
        Ok(rustix::event::epoll::create(
            rustix::event::epoll::CreateFlags::CLOEXEC,
        )?)
    }),
    ("a memfd without seals", |_| {
        memfd(SECRET.as_bytes(), SealFlags::empty())
    }),
    ("a memfd that can be written", |_| {
        memfd(
            SECRET.as_bytes(),
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )
    }),
    ("a memfd of 65,537 bytes", |_| sealed(&vec![b'#'; 65_537])),
    ("a memfd of 1 TiB", |_| {
        let fd = memfd_create("lab", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, 1 << 40)?;
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&fd, seals)?;
        Ok(fd)
    }),
];

/// Resident memory of the helper in bytes.
fn resident(pid: i32) -> Result<usize> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("no VmRSS")?.parse::<usize>()? * 1024)
}

#[test]
fn a_descriptor_that_is_no_sealed_memfd_is_refused_at_once_and_unread() -> Result<()> {
    let scene = Scene::new()?;
    let none = HashMap::<&str, Variant<'_>>::new();
    let before = scene.traces()?;
    let pid = helper(&scene.world)?;
    let descriptors = || -> Result<usize> { Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count()) };
    let open = descriptors()?;
    let mut memory = None;
    // The quickest of three: what is measured is the service, not what else the machine does.
    let mut quickest = HashMap::new();
    for _ in 0..3 {
        for (what, make) in NOT_CONFIGURATIONS {
            let import = table::import("", make(&scene)?, Flags::empty())?;
            let arguments = (&scene.tunnel, Fd::from(make(&scene)?), &none);
            let replace = call(TUNNELS, "Replace", &arguments, Flags::empty())?;
            // Behind one that is good, too.
            let list = vec![
                ("good", Fd::from(table::configuration()?)),
                ("bad", Fd::from(make(&scene)?)),
            ];
            let second = call(TUNNELS, "Import", &(list, &none), Flags::empty())?;
            for (how, message) in [import, replace, second].into_iter().enumerate() {
                let reply = scene.alice.ask(&message)?;
                assert_eq!(reply.error(), "InvalidArgument", "{what}");
                let after = quickest.entry((what, how)).or_insert(reply.after);
                *after = reply.after.min(*after);
                let said = String::from_utf8_lossy(reply.message.data()).into_owned();
                assert!(!said.contains(SECRET), "{what}");
            }
        }
        // After a first round, in which what is needed once was set up.
        memory.get_or_insert(resident(pid)?);
    }
    for (what, after) in quickest {
        assert!(after < AT_ONCE, "{what:?}: {after:?}");
    }
    assert_eq!(
        scene.polkit.take(),
        [],
        "polkit is not asked about nonsense"
    );
    assert_no_trace(&before, &scene.traces()?, "bad descriptors");
    let grown = resident(pid)?.saturating_sub(memory.unwrap_or_default());
    assert!(grown < 1 << 20, "{grown} bytes");
    lab::world::until(Duration::from_secs(5), "descriptors to be closed", || {
        Ok(descriptors()? <= open)
    })?;
    let log = fs::read_to_string(scene.world.path(&log_file("helper.out")))?;
    assert!(!log.contains(SECRET));

    // What is a sealed memfd and no configuration: told with its line, and its key is not.
    let text = format!("[Interface]\nPrivateKey = {SECRET}\n");
    let reply = scene.alice.ask(&table::import(
        "",
        sealed(text.as_bytes())?,
        Flags::empty(),
    )?)?;
    let results: Results = reply.read()?;
    assert!(results[0].contains_key("error"), "{results:?}");
    let said = String::from_utf8_lossy(reply.message.data()).into_owned();
    assert!(!said.contains(SECRET));
    assert_no_trace(&before, &scene.traces()?, "a bad configuration");
    Ok(())
}

#[test]
fn a_call_of_another_shape_or_size_is_refused_before_anybody_is_asked() -> Result<()> {
    let scene = Scene::new()?;
    let before = scene.traces()?;
    let none = HashMap::<&str, Variant<'_>>::new();
    let unknown = |key: &'static str| HashMap::from([(key, Variant::from(0_u32))]);
    let tunnel = scene.tunnel.as_str();
    let flags = Flags::empty();
    let seventeen = |count: usize| -> Result<Vec<(&str, Fd<'_>)>> {
        (0..count)
            .map(|_| Ok(("", Fd::from(table::configuration()?))))
            .collect()
    };
    for (what, message) in [
        ("no arguments", call(TUNNELS, "Remove", &(), flags)?),
        (
            "a number for an id",
            call(TUNNELS, "Remove", &7_u32, flags)?,
        ),
        (
            "more than there are",
            call(TUNNELS, "Remove", &(tunnel, 0_u32), flags)?,
        ),
        (
            "a user to act for",
            call(TUNNELS, "Create", &("x", unknown("uid")), flags)?,
        ),
        (
            "an unknown option",
            call(TUNNELS, "Connect", &(tunnel, unknown("force")), flags)?,
        ),
        ("no such method", call(TUNNELS, "Delete", &tunnel, flags)?),
        ("another interface's", call(APPS, "Remove", &tunnel, flags)?),
        (
            "no configuration",
            call(TUNNELS, "Import", &(seventeen(0)?, &none), flags)?,
        ),
        (
            "a megabyte",
            call(TUNNELS, "Create", &("x".repeat(1 << 20), &none), flags)?,
        ),
        (
            "a path",
            call(TUNNELS, "Import", &("/etc/shadow", &none), flags)?,
        ),
    ] {
        let reply = scene.alice.ask(&message)?;
        assert!(!reply.error().is_empty(), "{what}");
    }
    assert_eq!(scene.polkit.take(), []);
    assert_no_trace(&before, &scene.traces()?, "shapes");
    Ok(())
}

/// Unique names of the helper's connections.
fn connections(scene: &Scene) -> Result<Vec<String>> {
    let bus = "org.freedesktop.DBus";
    let ask = |member: &str, name: Option<&str>| {
        let message = Message::method_call("/org/freedesktop/DBus", member)
            .destination(bus)
            .interface(bus);
        let message = match name {
            Some(name) => message.build(&name)?,
            None => message.build(&())?,
        };
        scene.alice.ask(&message)
    };
    // As the world counts it.
    let owner: u32 = ask("GetConnectionUnixProcessID", Some(BUS_NAME))?.read()?;
    let names: Vec<String> = ask("ListNames", None)?.read()?;
    let mut own = Vec::new();
    for name in names.into_iter().filter(|name| name.starts_with(':')) {
        let process = ask("GetConnectionUnixProcessID", Some(&name))?;
        if process.read::<u32>().is_ok_and(|pid| pid == owner) {
            own.push(name);
        }
    }
    Ok(own)
}

#[test]
fn there_is_one_road_to_a_method() -> Result<()> {
    let scene = Scene::new()?;
    let before = scene.traces()?;
    let none = HashMap::<&str, Variant<'_>>::new();
    let (tunnel, app) = (scene.tunnel.as_str(), scene.app.as_str());
    let helpers = connections(&scene)?;
    // One that serves, one that asks, one that listens to the host.
    assert_eq!(helpers.len(), 3, "{helpers:?}");
    let owner = Message::method_call("/org/freedesktop/DBus", "GetNameOwner")
        .destination("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .build(&BUS_NAME)?;
    let owner: String = scene.alice.ask(&owner)?.read()?;
    let mut others = helpers.iter().filter(|name| **name != owner);
    let (Some(other), Some(third)) = (others.next(), others.next()) else {
        anyhow::bail!("no other connections");
    };

    // Where else a call could be sent to.
    let right = lonewire_api::names::OBJECT_PATH;
    let mut tried = 0;
    for (destination, path, named) in [
        (BUS_NAME, right, false),
        (BUS_NAME, "/", true),
        (BUS_NAME, "/org/lonewire", true),
        (BUS_NAME, "/org/lonewire/Helper1/0", true),
        (other, right, true),
        (other, right, false),
        (third, right, true),
        (third, right, false),
    ] {
        let at = |interface: &'static str, member: &'static str| {
            let message = Message::method_call(path, member).destination(destination);
            if named {
                message.interface(interface)
            } else {
                message
            }
        };
        for message in [
            at(TUNNELS, "Create").build(&("x", &none))?,
            at(TUNNELS, "Remove").build(&tunnel)?,
            at(TUNNELS, "Rename").build(&(tunnel, "x"))?,
            at(TUNNELS, "Connect").build(&(tunnel, &none))?,
            at(APPS, "Stop").build(&(app, &none))?,
        ] {
            let reply = scene.alice.ask(&message)?;
            let what = format!("{destination} {path} {named}: {message:?}");
            assert!(!reply.error().is_empty(), "{what}");
            assert!(!reply.error().contains("NotFound"), "{what}");
            tried += 1;
        }
    }
    assert_eq!(tried, 40);
    // A signal of that name is none.
    let signal = Message::signal(right, TUNNELS, "Remove")
        .destination(BUS_NAME)
        .build(&tunnel)?;
    scene.alice.send(&signal)?;
    assert_eq!(scene.polkit.take(), []);
    assert_no_trace(&before, &scene.traces()?, "other roads");
    // By its owner's name the road is the same: to polkit.
    scene.polkit.always(lab::polkit::Answer::No);
    let message = Message::method_call(right, "Remove")
        .destination(owner.as_str())
        .interface(TUNNELS)
        .build(&tunnel)?;
    assert_eq!(scene.alice.ask(&message)?.error(), "AccessDenied");
    assert_eq!(scene.asked(&scene.alice).len(), 1);
    Ok(())
}
