//! Ring lab: the helper's `sys` on a kernel's own terms, in namespaces of each test's own: links and routes, threads that enter a namespace, files, and
//! who answers for a process. Built with the helper, whose parts it calls.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lonewire_core::{
    name::{Id, LinkName},
    plan::LAST_METRIC,
    seal::RouteKind,
};
use lonewire_helper::{
    ports::{
        Addressing, Instance as _, Links, LogEntry, Namespace, Namespaces as _, PortError,
        ProcessId, RecordKind, Saved, Store, Warden as _,
    },
    sys::{Paths, Sys},
};
use nix::sched::{CloneFlags, unshare};

/// Runs a test with the helper's parts, on a thread that has mounts and a network of its own; `/run` is empty there, and `folder` is too.
fn apart(test: impl AsyncFnOnce(Rc<Sys>, PathBuf) -> Result<()> + Send + 'static) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_owned();
    let thread = std::thread::spawn(move || -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("needs root")?;
        run("mount --make-rprivate / && mount -t tmpfs run /run && ip link set lo up")?;
        let sys = Rc::new(Sys::new(Paths {
            runtime: path.join("run"),
            state: path.join("state"),
            admin_config: path.join("config.toml"),
            warden: path.join("warden.sock"),
            wireguard: path.join("wireguard.sock"),
        }));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        runtime.block_on(local.run_until(test(sys, path)))
    });
    thread.join().map_err(|_| anyhow::anyhow!("a panic"))?
}

/// A shell's line, among the mounts and in the network of this thread.
fn run(line: &str) -> Result<String> {
    let out = Command::new("sh")
        .args(["-ec", line])
        .stdin(Stdio::null())
        .output()?;
    let stderr = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{line}: {stderr}");
    Ok(String::from_utf8(out.stdout)?)
}

/// A process that ends with this value.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Other {
    fn id(&self) -> ProcessId {
        let pid = i32::try_from(self.0.id()).unwrap_or(0);
        ProcessId { pid, start: 1 }
    }
}

/// A namespace with a TUN, as the warden makes them.
async fn namespace(sys: &Sys) -> Result<(Namespace, LinkName)> {
    let name = LinkName::from_random([1, 2, 3, 4, 5, 6]);
    run(&format!(
        "ip netns add {name}; ip -n {name} link set lo up; ip -n {name} tuntap add mode tun name {name}"
    ))?;
    Ok((sys.open(&name).await?, name))
}

fn addressing() -> Result<Addressing> {
    Ok(Addressing {
        mtu: 1400,
        addresses: vec!["10.9.0.2/32".parse()?, "fd09::2/128".parse()?],
        routes: vec![
            "0.0.0.0/0".parse()?,
            "::/0".parse()?,
            "10.8.0.0/16".parse()?,
        ],
    })
}

#[test]
fn t62_a_link_gets_its_addresses_and_routes_and_a_way_to_nowhere_behind_them() -> Result<()> {
    apart(async |sys, _| {
        let (namespace, link) = namespace(&sys).await?;
        // Twice is as once.
        for _ in 0..2 {
            sys.configure(&namespace, &link, &addressing()?).await?;
        }
        let routes = |family: &str| run(&format!("ip {family} -n {link} route show"));
        for (family, wanted) in [
            ("-4", ["default dev", "10.8.0.0/16 dev"]),
            ("-6", ["default dev", "fd09::2 dev"]),
        ] {
            let found = routes(family)?;
            let count =
                |test: &dyn Fn(&str) -> bool| found.lines().filter(|line| test(line)).count();
            for start in wanted {
                assert_eq!(
                    count(&|line| line.starts_with(start)),
                    1,
                    "{start} in {found}"
                );
            }
            let last = |line: &str| {
                line.starts_with("unreachable default ") && line.contains(" metric 4294967295")
            };
            assert_eq!(count(&last), 1, "{found}");
        }
        let shown = run(&format!(
            "ip -n {link} -o addr show dev {link}; ip -n {link} -o link show dev {link}"
        ))?;
        for part in ["10.9.0.2/32", "fd09::2/128", "mtu 1400", "UP"] {
            ensure!(shown.contains(part), "{part} in {shown}");
        }
        // What the seal goes by says the same.
        let seen = sys.observe(&namespace).await?;
        let names: BTreeSet<_> = seen.links.iter().map(|link| link.name.as_str()).collect();
        ensure!(
            names.contains("lo") && names.contains(link.as_str()),
            "{names:?}"
        );
        let own = seen
            .links
            .iter()
            .find(|found| found.name == link.as_str())
            .context("no link")?;
        assert_eq!((own.kind.as_str(), own.mtu, own.up), ("tun", 1400, true));
        let last = seen.routes.iter().filter(|route| {
            route.kind == RouteKind::Unreachable
                && route.metric == LAST_METRIC
                && route.destination.prefix_len() == 0
        });
        assert_eq!(last.count(), 2);
        assert_eq!(seen.rules, Vec::<String>::new());

        // What is not the plan's is seen, whatever it is.
        run(&format!(
            "ip -n {link} link add odd type veth peer name odder; ip -n {link} rule add from all table 7"
        ))?;
        run(&format!(
            "ip -n {link} route add 192.0.2.0/24 dev lo table 9"
        ))?;
        let seen = sys.observe(&namespace).await?;
        ensure!(
            seen.links
                .iter()
                .any(|link| link.name == "odd" && link.kind == "veth"),
            "{seen:?}"
        );
        ensure!(
            !seen.rules.is_empty() && seen.routes.iter().any(|route| route.table == 9),
            "{seen:?}"
        );

        // One that is gone is deleted once more without an error, and configured with one.
        for _ in 0..2 {
            Links::delete(&*sys, &namespace, &link).await?;
        }
        let gone = sys.configure(&namespace, &link, &addressing()?).await;
        ensure!(matches!(gone, Err(PortError::NotFound { .. })), "{gone:?}");
        Ok(())
    })
}

#[test]
fn t59_a_kernel_without_wireguard_says_so_and_leaves_nothing() -> Result<()> {
    apart(async |sys, _| {
        let (namespace, link) = namespace(&sys).await?;
        Links::delete(&*sys, &namespace, &link).await?;
        match sys.create_wireguard(&namespace, &link).await {
            // With WireGuard: in the namespace, and at no time anywhere else.
            Ok(()) => {
                let again = sys.create_wireguard(&namespace, &link).await;
                ensure!(
                    matches!(
                        again,
                        Err(PortError::Os {
                            errno: libc::EEXIST,
                            ..
                        })
                    ),
                    "{again:?}"
                );
            }
            Err(PortError::Unsupported { .. }) => {
                let inside = sys.observe(&namespace).await?;
                ensure!(
                    inside.links.iter().all(|found| found.name != link.as_str()),
                    "{inside:?}"
                );
            }
            Err(error) => return Err(error.into()),
        }
        let here = run("ip -o link")?;
        assert_eq!(here.lines().count(), 1, "{here}");
        Ok(())
    })
}

#[test]
fn t33_no_thread_but_one_that_ends_there_is_ever_in_a_tunnels_namespace() -> Result<()> {
    apart(async |sys, _| {
        let (namespace, link) = namespace(&sys).await?;
        let inside = fs::metadata(format!("/run/netns/{link}"))?.ino();
        let own = fs::metadata("/proc/thread-self/ns/net")?.ino();
        ensure!(own != inside, "this test is in there itself");
        // Every thread of this process that is in there, by name.
        let look = move || -> BTreeSet<String> {
            let tasks = fs::read_dir("/proc/self/task")
                .into_iter()
                .flatten()
                .flatten();
            let is_in = |task: &Path| {
                fs::metadata(task.join("ns/net")).is_ok_and(|found| found.ino() == inside)
            };
            tasks
                .filter(|task| is_in(&task.path()))
                .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
                .collect()
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let watcher = std::thread::spawn(move || {
            let (mut seen, mut looks) = (BTreeSet::new(), 0);
            while !stopped.load(Ordering::Relaxed) {
                seen.extend(look());
                looks += 1;
            }
            (seen, looks)
        });
        for _ in 0..200 {
            sys.observe(&namespace).await?;
            sys.configure(&namespace, &link, &addressing()?).await?;
            sys.nudge(&namespace, "10.8.0.1".parse()?).await?;
            // What opened the sockets inside is still outside.
            assert_eq!(fs::metadata("/proc/thread-self/ns/net")?.ino(), own);
        }
        stop.store(true, Ordering::Relaxed);
        let (seen, looks) = watcher.join().map_err(|_| anyhow::anyhow!("a panic"))?;
        assert_eq!(
            seen,
            BTreeSet::from(["ask\n".to_owned()]),
            "in {looks} looks"
        );
        let end = Instant::now() + Duration::from_secs(5);
        while !look().is_empty() {
            ensure!(Instant::now() < end, "{:?} stay", look());
            std::thread::yield_now();
        }
        Ok(())
    })
}

#[test]
fn the_hosts_side_tells_the_way_to_an_endpoint_and_its_changes() -> Result<()> {
    apart(async |sys, _| {
        let nowhere = sys.path_mtu("192.0.2.1".parse()?).await;
        ensure!(
            matches!(
                nowhere,
                Err(PortError::Os {
                    errno: libc::ENETUNREACH,
                    ..
                })
            ),
            "{nowhere:?}"
        );
        // Nothing is told where nothing changes.
        let quiet = tokio::time::timeout(Duration::from_millis(300), sys.uplink_changed()).await;
        ensure!(quiet.is_err(), "a change of nothing");
        run(
            "ip link add up0 type veth peer name up1; ip addr add 192.0.2.2/24 dev up0; ip link set up1 up; ip link set up0 mtu 1300 up",
        )?;
        tokio::time::timeout(Duration::from_secs(5), sys.uplink_changed()).await??;
        assert_eq!(sys.path_mtu("192.0.2.1".parse()?).await?, 1300);
        Ok(())
    })
}

fn id() -> Result<Id> {
    Ok(Id::try_from("0123456789abcdef0123456789abcdef".to_owned())?)
}

fn saved(content: &str) -> Result<Saved> {
    Ok(Saved {
        uid: 61001,
        id: id()?,
        content: content.to_owned().into(),
    })
}

/// Every file and folder below one: kind and mode.
fn modes(folder: &Path) -> Result<BTreeSet<String>> {
    let text = run(&format!(
        "find {} -mindepth 1 -printf '%y %m %P\\n'",
        folder.display()
    ))?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[test]
fn t21_files_are_roots_alone_whatever_the_umask() -> Result<()> {
    apart(async |sys, folder| {
        // Of this thread alone.
        unshare(CloneFlags::CLONE_FS)?;
        nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        fs::create_dir(folder.join("run"))?;
        sys.save(&saved("a")?).await?;
        let entry = LogEntry {
            time: 1,
            state: 2,
            reason: "x".into(),
        };
        sys.log(61001, &id()?, entry).await?;
        sys.write_record(RecordKind::App, &id()?, "b").await?;
        sys.write_dns(&LinkName::from_random([1; 6]), "c", "d")
            .await?;
        let id = id()?;
        let wanted = [
            "d 700 61001".to_owned(),
            format!("f 600 61001/{id}.log"),
            format!("f 600 61001/{id}.toml"),
        ];
        assert_eq!(modes(&folder.join("state"))?, BTreeSet::from(wanted));
        assert_eq!(
            fs::metadata(folder.join("state"))?.permissions().mode() & 0o7777,
            0o700
        );
        let all = modes(&folder.join("run"))?;
        ensure!(
            all.contains("d 700 apps") && all.contains(&format!("f 600 apps/{id}.toml")),
            "{all:?}"
        );
        // What programs read inside is bound into them: theirs to read, and nobody's to write.
        assert_eq!(
            all.iter()
                .filter(|line| line.starts_with("f 644 dns/"))
                .count(),
            2,
            "{all:?}"
        );
        // Saved is what is loaded; deleted is gone, folder and all.
        let loaded = sys.load().await?;
        let [one] = loaded.as_slice() else {
            bail!("{} are loaded", loaded.len())
        };
        assert_eq!((one.uid, one.content.as_str()), (61001, "a"));
        Store::delete(&*sys, 61001, &id).await?;
        assert_eq!(modes(&folder.join("state"))?, BTreeSet::new());
        Ok(())
    })
}

#[test]
fn t21_a_link_in_a_files_place_leads_nowhere() -> Result<()> {
    apart(async |sys, folder| {
        sys.save(&saved("old")?).await?;
        let (own, other) = (folder.join("state/61001"), folder.join("other"));
        fs::write(&other, "of another")?;
        // Where the new file is made, where the old one was, where history goes.
        let file = own.join(format!("{}.toml", id()?));
        fs::remove_file(&file)?;
        for path in [
            own.join(format!("{}.toml.new", id()?)),
            file.clone(),
            own.join(format!("{}.log", id()?)),
        ] {
            symlink(&other, path)?;
        }
        ensure!(sys.load().await?.is_empty(), "it is read through a link");
        ensure!(
            sys.read_log(61001, &id()?).await?.is_empty(),
            "history is read through a link"
        );
        sys.save(&saved("new")?).await?;
        assert_eq!(fs::read_to_string(&file)?, "new");
        ensure!(fs::symlink_metadata(&file)?.is_file(), "still a link");
        let entry = LogEntry {
            time: 1,
            state: 2,
            reason: String::new(),
        };
        let logged = sys.log(61001, &id()?, entry).await;
        ensure!(
            matches!(
                logged,
                Err(PortError::Os {
                    errno: libc::ELOOP,
                    ..
                })
            ),
            "{logged:?}"
        );
        assert_eq!(fs::read_to_string(&other)?, "of another");
        Ok(())
    })
}

#[test]
fn t73_a_full_file_system_loses_nothing_that_was_there() -> Result<()> {
    apart(async |sys, folder| {
        run(&format!(
            "mkdir {0}/state {0}/run; mount -t tmpfs -o size=64k s {0}/state; mount -t tmpfs -o size=64k r {0}/run",
            folder.display()
        ))?;
        sys.save(&saved("old")?).await?;
        sys.write_record(RecordKind::Tunnel, &id()?, "old").await?;
        let long = "x".repeat(100_000);
        let is_full = |result: Result<(), PortError>| {
            matches!(
                result,
                Err(PortError::Os {
                    errno: libc::ENOSPC,
                    ..
                })
            )
        };
        ensure!(is_full(sys.save(&saved(&long)?).await), "there was room");
        ensure!(
            is_full(sys.write_record(RecordKind::Tunnel, &id()?, &long).await),
            "there was room"
        );
        assert_eq!(
            sys.load()
                .await?
                .first()
                .map(|saved| saved.content.to_string())
                .as_deref(),
            Some("old")
        );
        assert_eq!(
            sys.read_records(RecordKind::Tunnel).await?,
            [(id()?, "old".to_owned())]
        );
        // Nothing half made stays behind to fill it.
        for part in ["state", "run"] {
            let left = modes(&folder.join(part))?;
            ensure!(left.iter().all(|line| !line.ends_with(".new")), "{left:?}");
        }
        sys.save(&saved("newer")?).await?;
        Ok(())
    })
}

#[test]
fn an_instance_is_known_again_by_who_answers_on_its_control_socket() -> Result<()> {
    apart(async |sys, _| {
        let link = LinkName::from_random([5; 6]);
        let socket = format!("/run/wireguard/{link}.sock");
        fs::create_dir("/run/wireguard")?;
        let own = ProcessId {
            pid: i32::try_from(std::process::id())?,
            start: 1,
        };
        let gone = |found: Result<_, PortError>| matches!(found, Err(PortError::NotFound { .. }));
        ensure!(gone(sys.adopt_plane(&link, own).await), "nobody listens");

        // As the warden does it: bound by one process, answered by another that says so.
        let listener = UnixListener::bind(&socket)?;
        let script =
            "open(my $s, '<&=', 0); listen($s, 8) or die; $| = 1; print qq(ready\\n); sleep 600";
        let other = Command::new("perl")
            .args(["-MSocket", "-e", script])
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(
                listener.try_clone()?,
            )))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut other = Other(other);
        let mut said = [0; 6];
        std::io::Read::read_exact(other.0.stdout.as_mut().context("no output")?, &mut said)?;
        drop(listener);
        let another = Other(
            Command::new("sleep")
                .arg("600")
                .stdout(Stdio::null())
                .spawn()?,
        );
        // A pid that went to somebody else is not it, nor who had bound the socket.
        ensure!(
            gone(sys.adopt_plane(&link, another.id()).await),
            "any process will do"
        );
        ensure!(
            gone(sys.adopt_plane(&link, own).await),
            "who bound it will do"
        );
        ensure!(
            gone(sys.adopt_plane(&link, ProcessId::UNKNOWN).await),
            "none will do"
        );
        let found = sys.adopt_plane(&link, other.id()).await?;
        let early = tokio::time::timeout(Duration::from_millis(100), found.died()).await;
        ensure!(early.is_err(), "it lives");
        other.0.kill()?;
        tokio::time::timeout(Duration::from_secs(5), found.died()).await?;
        ensure!(gone(sys.adopt_plane(&link, other.id()).await), "it is dead");
        Ok(())
    })
}

#[test]
fn a_keeper_that_is_not_the_records_is_not_adopted() -> Result<()> {
    apart(async |sys, folder| {
        use lonewire_core::launch::{self, Event};
        let apps = folder.join("run/apps");
        fs::create_dir_all(&apps)?;
        let app = id()?;
        let none = ProcessId { pid: 7, start: 8 };
        let gone = |found: &Result<_, PortError>| matches!(found, Err(PortError::NotFound { .. }));
        ensure!(gone(&sys.adopt(&app, none).await), "nobody listens");
        let listener = tokio::net::UnixListener::bind(apps.join(format!("{app}.sock")))?;
        // It says who it is to each that comes; to the last it says nothing.
        let keeper = async {
            for _ in 0..3 {
                let (stream, _) = listener.accept().await?;
                let started = Event::Started {
                    pid: 9,
                    keeper: 7,
                    keeper_start: 8,
                };
                let body = launch::encode(&started)?;
                let frame = [&u32::try_from(body.len())?.to_le_bytes(), body.as_slice()].concat();
                stream.writable().await?;
                stream.try_write(&frame)?;
                // Its end would be the app's.
                std::mem::forget(stream);
            }
            let _silent = listener.accept().await?;
            std::future::pending::<Result<()>>().await
        };
        let asks = async {
            ensure!(sys.adopt(&app, none).await.is_ok(), "its own");
            ensure!(
                sys.adopt(&app, ProcessId::UNKNOWN).await.is_ok(),
                "one that was never told"
            );
            let other = ProcessId { pid: 7, start: 9 };
            ensure!(
                gone(&sys.adopt(&app, other).await),
                "the number of a process that has gone"
            );
            let silent = sys.adopt(&app, none).await;
            ensure!(
                matches!(silent, Err(PortError::Deadline { .. })),
                "one that says nothing"
            );
            Ok(())
        };
        tokio::select! {
            ended = keeper => ended,
            asked = asks => asked,
        }
    })
}

/// `DataPlane::adopt` by a name of its own: keepers are adopted too.
trait AdoptPlane {
    async fn adopt_plane(
        &self,
        link: &LinkName,
        process: ProcessId,
    ) -> Result<lonewire_helper::sys::Process, PortError>;
}

impl AdoptPlane for Sys {
    async fn adopt_plane(
        &self,
        link: &LinkName,
        process: ProcessId,
    ) -> Result<lonewire_helper::sys::Process, PortError> {
        lonewire_helper::ports::DataPlane::adopt(self, link, process).await
    }
}
