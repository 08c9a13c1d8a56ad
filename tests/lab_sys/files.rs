//! Files of the helper's own: T21, T73.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use anyhow::{Result, bail, ensure};
use lonewire_core::name::LinkName;
use lonewire_helper::ports::{LogEntry, PortError, RecordKind, Saved, Start, Store};
use nix::sched::{CloneFlags, unshare};

use crate::{apart, id, run};

fn saved(content: &str) -> Result<Saved> {
    Ok(Saved {
        uid: 61001,
        id: id()?,
        start: None,
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
fn a_tunnel_that_starts_by_itself_has_its_mark_and_no_other() -> Result<()> {
    apart(async |sys, folder| {
        let own = folder.join("state/61001");
        for start in [
            Some(Start::Login),
            Some(Start::Boot),
            None,
            Some(Start::Boot),
        ] {
            let tunnel = Saved {
                start,
                ..saved("a")?
            };
            sys.save(&tunnel).await?;
            let loaded = sys.load().await?;
            ensure!(
                matches!(&loaded[..], [one] if one.start == start),
                "{start:?}"
            );
            let mut wanted = BTreeSet::from([format!("f 600 {}.toml", id()?)]);
            wanted.extend(start.map(|start| {
                let ending = if start == Start::Boot {
                    "boot"
                } else {
                    "login"
                };
                format!("f 600 {}.{ending}", tunnel.id)
            }));
            assert_eq!(modes(&own)?, wanted, "{start:?}");
        }
        Store::delete(&*sys, 61001, &id()?).await?;
        assert_eq!(modes(&folder.join("state"))?, BTreeSet::new());
        Ok(())
    })
}

#[test]
fn t21_a_link_in_a_files_place_leads_nowhere() -> Result<()> {
    apart(async |sys, folder| {
        sys.save(&saved("old")?).await?;
        let (own, other) = (folder.join("state/61001"), folder.join("other"));
        const HISTORY: &str = "18446744073709551615 2 x\n";
        fs::write(&other, HISTORY)?;
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
        assert_eq!(fs::read_to_string(&other)?, "18446744073709551615 2 x\n");
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
