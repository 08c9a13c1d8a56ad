//! Where the tests take place: a world whose polkit is the lab's, a person with a tunnel that is up and one that is off, and what can be
//! seen from outside of what a call did.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use lab::{
    ALICE, BOB, Person, World,
    caller::{Caller, Door},
    net::Spec,
    polkit::{Answer, Polkit, Question},
};
use lonewire_api::names::TUNNELS_INTERFACE as TUNNELS;
use zbus::{OwnedVariant, message::Flags};

use super::table::{self, Names, Row};

/// The real `nobody`, beside the lab's service user.
pub const NOBODY: Person = Person {
    name: "nobody",
    uid: 65534,
    gid: 65534,
    groups: &[],
    home: "/nonexistent",
    shell: "/usr/sbin/nologin",
};

pub const ROOT: Person = Person {
    name: "root",
    uid: 0,
    gid: 0,
    groups: &[],
    home: "/root",
    shell: "/bin/bash",
};

/// Answers of `Import`.
pub type Results = Vec<BTreeMap<String, OwnedVariant>>;

pub struct Scene {
    pub polkit: Polkit,
    pub alice: Caller,
    pub bob: Caller,
    /// Makes more connections of alice.
    pub door: Door,
    /// The same of bob: a launch takes its limits from the process that made the connection.
    pub bobs_door: Door,
    /// Alice's tunnel that is off.
    pub tunnel: String,
    /// Another that is up.
    pub up: String,
    /// Alice's app in that one.
    pub app: String,
    pub world: World,
}

impl Scene {
    /// # Errors
    /// The world is not what it must be.
    pub fn new() -> Result<Self> {
        let mut world = World::new(Spec::product())?;
        let polkit = Polkit::replace(&mut world)?;
        polkit.always(Answer::Yes);
        let door = Door::of(&world, &ALICE)?;
        let alice = door.enter()?;
        let bobs_door = Door::of(&world, &BOB)?;
        let bob = bobs_door.enter()?;
        let client = world.client(0)?;
        let up = import(&alice, "up", table::sealed(client.as_bytes())?)?;
        let tunnel = import(&alice, "off", table::configuration()?)?;
        let launch = table::launch(&up, &["sleep", "600"], Flags::empty())?;
        let (app, _): (String, BTreeMap<String, OwnedVariant>) = alice.ask(&launch)?.read()?;
        polkit.take();
        Ok(Self {
            polkit,
            alice,
            bob,
            door,
            bobs_door,
            tunnel,
            up,
            app,
            world,
        })
    }

    /// The thing of alice's that a row names.
    pub fn id(&self, row: &Row) -> &str {
        match row.names {
            Names::Nothing => "",
            // There is nothing to look at where nothing is up.
            Names::Tunnel if row.member == "Check" => &self.up,
            Names::Tunnel => &self.tunnel,
            Names::App => &self.app,
        }
    }

    /// Questions about a caller and nobody else; what every question must be is asserted here: T01, T02.
    pub fn asked(&self, caller: &Caller) -> Vec<Question> {
        let asked = self.polkit.take();
        for question in &asked {
            assert_is_about(question, caller);
        }
        asked
    }

    /// What a call could leave behind.
    ///
    /// # Errors
    /// The machine lacks a program.
    pub fn traces(&self) -> Result<String> {
        let tunnels = list(&self.alice)?;
        Ok(format!("{}{tunnels:?}", traces(&self.world)?))
    }
}

/// Kind and details of the subject, with their types; no detail that polkit could overlook.
pub fn assert_is_about(question: &Question, caller: &Caller) {
    assert_eq!(question.kind, "system-bus-name", "{question:?}");
    let name = ("name".to_owned(), "s".to_owned(), caller.name.clone());
    assert_eq!(question.subject, [name], "{question:?}");
    assert!(!question.cancellation.is_empty(), "{question:?}");
    // For the words of a prompt, nothing else.
    assert!(
        question.details.keys().all(|key| key == "tunnel"),
        "{question:?}"
    );
}

/// Imports a configuration: its id.
///
/// # Errors
/// It is refused.
pub fn import(caller: &Caller, label: &str, text: std::os::fd::OwnedFd) -> Result<String> {
    let reply = caller.ask(&table::import(label, text, Flags::empty())?)?;
    let results: Results = reply.read()?;
    let id = results.first().and_then(|result| result.get("id"));
    let id = id.with_context(|| format!("{results:?}"))?.try_clone()?;
    Ok(id.try_into()?)
}

type Listed = Vec<(String, BTreeMap<String, OwnedVariant>)>;

/// A caller's tunnels by id, with their info.
///
/// # Errors
/// The helper does not tell.
pub fn list(caller: &Caller) -> Result<BTreeMap<String, BTreeMap<String, OwnedVariant>>> {
    let listed: Listed = caller.call(TUNNELS, "List", &())?.read()?;
    Ok(listed.into_iter().collect())
}

/// Links, namespaces, mounts, files of the product and its processes, in a text that can be compared.
///
/// # Errors
/// The machine lacks a program.
pub fn traces(world: &World) -> Result<String> {
    // Of links what does not change by itself.
    const SCRIPT: &str = "ls /sys/class/net /run/netns; ip -o addr | cut -d' ' -f2-7
        for n in $(ls /run/netns | grep ^lw-); do echo $n; ip -n $n -o addr | cut -d' ' -f2-7; ip -n $n route show table all; done
        find /run/lonewire /run/wireguard /var/lib/lonewire /etc/lonewire -printf '%p %y %s %m %U %T@\\n' | sort
        cut -d' ' -f2- /proc/1/mounts | sort";
    let text = world.run_in("host", &["sh", "-c", SCRIPT])?.ok()?.stdout;
    let mut processes = Vec::new();
    for name in ["lonewire-warden", "lonewire-wireguard"] {
        let mut pids = world.processes(name)?;
        pids.sort_unstable();
        processes.push(pids);
    }
    Ok(format!("{text}{processes:?}\n"))
}

/// Fails with the lines that differ.
pub fn assert_no_trace(before: &str, after: &str, what: &str) {
    let missing = |a: &str, b: &str| -> Vec<String> {
        a.lines()
            .filter(|line| !b.lines().any(|other| other == *line))
            .map(str::to_owned)
            .collect()
    };
    assert!(
        before == after,
        "{what}:\ngone: {:#?}\nnew: {:#?}",
        missing(before, after),
        missing(after, before)
    );
}

/// The helper's process, as the machine sees it.
///
/// # Errors
/// It does not run, or more than one does.
pub fn helper(world: &World) -> Result<i32> {
    let pids = world.processes("lonewire-helper")?;
    let [pid] = pids[..] else {
        anyhow::bail!("helpers: {pids:?}");
    };
    Ok(pid)
}
