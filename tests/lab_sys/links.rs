//! Links, addresses, routes, and the threads that look at them from inside: T33, T59, T62.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lonewire_core::{name::LinkName, plan::LAST_METRIC, seal::RouteKind};
use lonewire_helper::{
    ports::{Addressing, Links, Namespace, Namespaces as _, PortError},
    sys::Sys,
};

use crate::{apart, run};

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
