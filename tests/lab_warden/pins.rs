//! T71: pins of namespaces, for the whole host to see and each one mount.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    warden::{Alone, ask, event},
    world::until,
};
use lonewire_core::{
    launch::{Event, Request},
    name::LinkName,
};

use crate::PATIENCE;

#[test]
fn t71_many_first_namespaces_at_once_are_one_mount_each() -> Result<()> {
    const MANY: u8 = 64;
    let alone = Alone::new()?;
    // A /run of its own, shared as systemd's is, in which nobody has pinned anything; and a service that followed it before anybody did.
    let script =
        "mount -t tmpfs run /run; mount --make-shared /run; mkdir -m 700 /run/lonewire /run/lab
        unshare --mount --propagation slave sleep 600 & exec \"$@\"";
    let unit = format!("{}/lonewire-warden@.service", lab::init::UNITS);
    let socket = "/run/lonewire/first.sock";
    let roles = lab::init::ROLES;
    let line = [
        "unshare", "--mount", "sh", "-ec", script, "sh", roles, "role", "activate", socket, &unit,
    ];
    let mut command = alone.world.command("host", None, &line)?;
    let mut service = command.stdout(std::process::Stdio::piped()).spawn()?;
    let mut said = [0; 10];
    std::io::Read::read_exact(service.stdout.as_mut().context("no output")?, &mut said)?;
    assert_eq!(&said, b"listening\n");
    let children = |pid: u32| -> Result<Vec<u32>> {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok(text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?)
    };
    let place = *children(service.id())?.first().context("no service")?;
    let follower = *children(place)?.first().context("no follower")?;
    let lines = |pid: u32| -> Result<usize> {
        Ok(fs::read_to_string(format!("/proc/{pid}/mountinfo"))?
            .lines()
            .count())
    };
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm"));
    until(
        PATIENCE,
        "the follower",
        || Ok(name(follower)? == "sleep\n"),
    )?;
    let before = [lines(place)?, lines(follower)?];

    let connect = lab::warden::beside(i32::try_from(place)?, &[roles, "role", "connect", socket]);
    let warden = lab::system::connector::Connector::with(connect)?;
    let request = |number: u8| Request::Create {
        namespace: LinkName::from_random([number; 6]),
    };
    let make = |number: u8| -> Result<u64> {
        let Event::Namespace(made) = event(&ask(&warden, &request(number), &[])?)?.0 else {
            bail!("no namespace")
        };
        // Another process finds under its name what the one that made it read back.
        let namespace = LinkName::from_random([number; 6]);
        let look = Request::Survey { namespace };
        let found = event(&ask(&warden, &look, &[])?)?.0;
        ensure!(
            found == Event::Survey(made.clone()),
            "{made:?}, but {found:?}"
        );
        Ok(made.inode)
    };
    // Whoever can open the folder can lock it: nobody waits for that.
    let folder = format!("/proc/{place}/root/run/netns");
    fs::create_dir(&folder)?;
    let locked = fs::File::open(folder)?;
    locked.lock()?;
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY)
            .map(|number| scope.spawn(move || make(number)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<u64>>| {
            thread.join().map_err(|_| anyhow::anyhow!("a panic"))?
        };
        threads
            .into_iter()
            .map(join)
            .collect::<Result<std::collections::BTreeSet<_>>>()
    })?;
    assert_eq!(made.len(), usize::from(MANY), "not a namespace each");
    drop(locked);
    // One line a pin, and one for their folder.
    let wanted = usize::from(MANY) + 1;
    assert_eq!(lines(place)? - before[0], wanted);
    // Who followed /run before has them all too, and none twice.
    assert_eq!(lines(follower)? - before[1], wanted);
    // A name is given once.
    ensure!(
        matches!(
            event(&ask(&warden, &request(0), &[])?)?.0,
            Event::Failed {
                errno: libc::EEXIST,
                ..
            }
        ),
        "given twice"
    );
    for number in 0..MANY {
        let remove = Request::Remove {
            namespace: LinkName::from_random([number; 6]),
        };
        ensure!(
            matches!(event(&ask(&warden, &remove, &[])?)?.0, Event::Done),
            "not removed"
        );
    }
    assert_eq!(
        [lines(place)? - before[0], lines(follower)? - before[1]],
        [1, 1]
    );
    drop(warden);
    alone.world.end(&[i32::try_from(place)?])?;
    service.wait()?;
    Ok(())
}
