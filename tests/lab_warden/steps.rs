//! T50: each piece that is missing and each step that fails keeps the program from starting, and the warden says where.

use std::fs;

use anyhow::{Context as _, Result};
use lab::{
    ALICE, Spec, World,
    warden::{Alone, wrapped},
};
use lonewire_core::{
    launch::{Launch, Stage},
    name::LinkName,
};

use crate::{TRACE, refused, starts, trace};

fn other() -> LinkName {
    LinkName::from_random([9; 6])
}

#[test]
fn t50_a_namespace_that_is_not_as_prepared_starts_nothing() -> Result<()> {
    let alone = Alone::new()?;
    starts(&alone)?;
    let broken = |what: &str, script: &str, stage: Stage| -> Result<()> {
        let out = alone.world.run_in("host", &["sh", "-ec", script])?.ok();
        out.context(what.to_owned())?;
        let found = refused(&alone, trace(&alone)).context(what.to_owned())?;
        assert_eq!(found, Some(stage), "{what}");
        Ok(())
    };
    let name = &alone.namespace;
    let dns = format!("/run/lonewire/dns/{name}");
    for (what, script) in [
        ("no resolv.conf", format!("rm {dns}/resolv.conf")),
        ("no hosts", format!("rm {dns}/hosts")),
        ("an empty resolv.conf", format!(": > {dns}/resolv.conf")),
    ] {
        broken(what, &script, Stage::Verify)?;
        alone.write_dns()?;
    }
    broken("no folder", &format!("rm -r {dns}"), Stage::Etc)?;
    alone.write_dns()?;
    let add = format!(
        "ip -n {name} link add odd type dummy || ip -n {name} link add odd type veth peer name odder"
    );
    broken("another link", &add, Stage::Verify)?;
    alone
        .world
        .run_in("host", &["ip", "-n", name.as_str(), "link", "del", "odd"])?
        .ok()?;
    starts(&alone)?;

    // The request's own words. Whose program it would be is among them: never root's, and with limits of nobody else's process.
    type Spoil = fn(&mut Launch);
    let spoilt: [(&str, Spoil, Stage); 9] = [
        ("another link's name", |r| r.link = other(), Stage::Verify),
        (
            "no such namespace",
            |r| r.namespace = other(),
            Stage::Namespace,
        ),
        (
            "another namespace",
            |r| r.namespace_inode += 1,
            Stage::Verify,
        ),
        (
            "no program",
            |r| r.program = b"/nonexistent".into(),
            Stage::Exec,
        ),
        (
            "a path that is not absolute",
            |r| r.program = b"bin/true".into(),
            Stage::Exec,
        ),
        ("no arguments at all", |r| r.argv.clear(), Stage::Exec),
        ("root", |r| r.user.uid = 0, Stage::Limits),
        (
            "root for root",
            |r| (r.user.uid, r.caller_pid) = (0, 1),
            Stage::Privileges,
        ),
        ("root's limits", |r| r.caller_pid = 1, Stage::Limits),
    ];
    for (what, spoil, stage) in spoilt {
        let mut request = trace(&alone);
        spoil(&mut request);
        assert_eq!(refused(&alone, request)?, Some(stage), "{what}");
    }
    starts(&alone)?;

    // A pin that leads back to the host, or nowhere.
    let pin = format!("/run/netns/{name}");
    let host = format!("umount {pin}; mount --bind /proc/1/ns/net {pin}");
    broken("the host's namespace", &host, Stage::Namespace)?;
    broken("a file", &format!("umount {pin}"), Stage::Namespace)?;
    let link = format!("rm {pin}; ln -s /proc/self/ns/net {pin}");
    broken("a link", &link, Stage::Namespace)
}

#[test]
fn t50_an_etc_that_takes_no_overlay_starts_nothing() -> Result<()> {
    let alone = Alone::new()?;
    starts(&alone)?;
    // The kernel stacks two.
    let script = "mount -t tmpfs t /mnt
        for n in 1 2; do mkdir /mnt/u$n /mnt/w$n; mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u$n,workdir=/mnt/w$n o /etc; done";
    alone.world.run_in("host", &["sh", "-ec", script])?.ok()?;
    assert_eq!(refused(&alone, trace(&alone))?, Some(Stage::Etc));
    Ok(())
}

#[test]
fn t50_each_step_that_fails_keeps_the_program_from_starting() -> Result<()> {
    // What strace(1) answers in the kernel's place, and where the warden must stop. None: before it can say why.
    const FAIL: &[(&str, Option<Stage>)] = &[
        ("close_range", None),
        ("prlimit64", None),
        ("socketpair", Some(Stage::Request)),
        ("signalfd4", Some(Stage::Request)),
        ("setsid", Some(Stage::Terminal)),
        ("setns", Some(Stage::Namespace)),
        ("unshare", Some(Stage::Mounts)),
        ("mount", Some(Stage::Mounts)),
        ("open_tree", Some(Stage::Mounts)),
        ("fsopen", Some(Stage::Mounts)),
        ("fsmount", Some(Stage::Mounts)),
        ("move_mount", Some(Stage::Mounts)),
        ("umount2", Some(Stage::Mounts)),
        ("keyctl", Some(Stage::Privileges)),
        ("setpriority", Some(Stage::Limits)),
        ("ioprio_set", Some(Stage::Limits)),
        ("personality", Some(Stage::Limits)),
        ("setgroups", Some(Stage::Privileges)),
        ("setresgid", Some(Stage::Privileges)),
        ("setresuid", Some(Stage::Privileges)),
        ("capset", Some(Stage::Privileges)),
        ("getresuid", Some(Stage::Privileges)),
        ("getgroups", Some(Stage::Privileges)),
        ("fchdir", Some(Stage::Privileges)),
        ("dup2", Some(Stage::Stdio)),
    ];
    // Calls that say that they were done, and were not: seen by looking, not by trusting.
    const LIE: &[(&str, Stage)] = &[
        ("setns", Stage::Namespace),
        ("setgroups", Stage::Privileges),
        ("setresgid", Stage::Privileges),
        ("setresuid", Stage::Privileges),
    ];
    let mut alone = Alone::new()?;
    starts(&alone)?;
    let fails = FAIL
        .iter()
        .map(|(call, stage)| (*call, "error=EPERM", *stage));
    let lies = LIE
        .iter()
        .map(|(call, stage)| (*call, "retval=0", Some(*stage)));
    let mut wrong = Vec::new();
    for (call, answer, stage) in fails.chain(lies) {
        let (only, inject) = (format!("trace={call}"), format!("inject={call}:{answer}"));
        let strace = [
            "strace",
            "-f",
            "-qqq",
            "-o",
            "/dev/null",
            "-e",
            &only,
            "-e",
            &inject,
        ];
        let name = format!("{call}-{}", answer.len());
        let strange = wrapped(&mut alone.world, &name, &strace)?;
        let own = std::mem::replace(&mut alone.warden, strange);
        let found = refused(&alone, trace(&alone));
        alone.warden = own;
        let _ = fs::remove_file(alone.world.path(TRACE));
        match found {
            Ok(found) if found == stage => {}
            other => wrong.push(format!("{call} {answer}: {other:?} instead of {stage:?}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    starts(&alone)
}

#[test]
fn t50_a_person_is_told_by_125_and_a_reason_that_nothing_has_started() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.run_inside(&ALICE, "demo", &["true"])?.ok()?;
    // What only root can do, and what a mistaken script of root's would.
    let script = "rm /run/lonewire/dns/*/resolv.conf";
    world.run_in("host", &["sh", "-ec", script])?.ok()?;
    for detached in [false, true] {
        let touch = ["/usr/bin/touch", TRACE];
        let run: &[&str] = if detached {
            &["run", "-t", "demo", "--detach", "--"]
        } else {
            &["run", "-t", "demo", "--"]
        };
        let out = world.cli(&ALICE, &[run, &touch].concat())?;
        assert_eq!(out.code, 125, "{out:?}");
        assert!(
            out.stdout.is_empty() && out.stderr.trim().len() > 20,
            "{out:?}"
        );
        assert!(!world.path(TRACE).exists(), "it has started");
        println!("{}", out.stderr);
    }
    Ok(())
}
