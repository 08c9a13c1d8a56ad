//! Ring window: worlds in which something does not work, and what the window says of each: what happened, what to do, and a code.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use lab::{
    ALICE, Program, Spec, World, bus,
    desktop::{Desktop, Look, State, Window},
    polkit::{Answer, Polkit},
    world::READY,
};

/// A look-up that fails is told by the helper's own clock.
const SLOW: Duration = Duration::from_secs(40);

/// Opens what a toast has to say, and closes it again.
fn details(window: &mut Window<'_>, why: &str, code: &str) -> Result<()> {
    window.click("button", "*Details")?;
    window.reads(why)?;
    window.reads(&format!("Code: {code}"))?;
    window.keys(&["Escape"])?;
    window.gone("label", &format!("*Code: {code}"))
}

fn is_on(window: &Window<'_>, wanted: bool) -> Result<()> {
    window.wait(READY, &format!("the switch to be {wanted}"), |tree| {
        let switch = tree.find("check box", "Tunnel")?;
        (switch.is(State::Checked) == wanted).then_some(())
    })
}

#[test]
fn who_may_not_is_told_so_and_who_cancels_is_not() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let polkit = Polkit::replace(&mut world)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo, Off")?;

    // Closed by the person: they know. Had something been told, it would be there before what is told of the next.
    let with_prompt = |answer: Answer| {
        polkit.script(move |question| {
            if question.may_prompt() {
                answer
            } else {
                Answer::Challenge
            }
        });
    };
    with_prompt(Answer::Dismissed);
    polkit.take();
    window.click("check box", "Tunnel")?;
    polkit.wait_for(2)?;
    is_on(&window, false)?;
    let tree = window.tree()?;
    let told = ["Could not", "not allowed"];
    let told = |word: &&str| told.iter().any(|start| word.contains(start));
    assert!(!tree.words().iter().any(told), "{tree}");
    with_prompt(Answer::No);
    window.click("check box", "Tunnel")?;
    window.reads("You are not allowed to turn on “demo”")?;
    desktop.picture("failure-denied")?;
    details(&mut window, "Ask an administrator.", "AccessDenied")?;
    is_on(&window, false)?;

    assert_eq!(world.tunnel(&ALICE, "demo", "state")?, "off");

    polkit.always(Answer::Yes);
    window.click("check box", "Tunnel")?;
    window.find("list item", "demo, Protected")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_tunnel_that_can_not_work_says_why() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.cli(&ALICE, &["duplicate", "demo", "twin"])?.ok()?;
    let text = world.client(0)?;
    let endpoint = text
        .lines()
        .find_map(|line| line.strip_prefix("Endpoint = "))
        .unwrap_or_default();
    let lost = text.replace(endpoint, "nowhere.invalid:51820");
    let path = format!("{}/lost.conf", ALICE.home);
    fs::write(world.path(&path), lost)?;
    world.cli(&ALICE, &["import", &path])?.ok()?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;

    // The same key twice.
    window.click("list item", "demo, Off")?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "demo, Protected")?;
    window.click("list item", "twin, Off")?;
    window.click("check box", "Tunnel")?;
    window.reads("Could not turn on “twin”")?;
    details(
        &mut window,
        "Another tunnel with the same key is on.",
        "KeyInUse",
    )?;
    window.find("list item", "twin, Off")?;

    // A name that nobody knows.
    window.click("list item", "lost, Off")?;
    window.click("check box", "Tunnel")?;
    window.find_within(SLOW, "list item", "lost, Failed — server name not found")?;
    window.reads("The server’s name was not found.")?;
    desktop.picture("failure-unresolvable")?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "lost, Off")?;

    // What WireGuard is made of here is told where it is looked up, and is no error.
    window.click("list item", "demo, Protected")?;
    window.reads("Userspace")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

/// A server takes handshakes in the order of time: to one that was protected later than now, it is silent.
#[test]
fn a_clock_that_is_behind_is_told() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let id = world.tunnel(&ALICE, "demo", "id")?;
    world.stop(Program::Helper)?;
    let tomorrow = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_hours(24);
    let history = world.path(&format!("/var/lib/lonewire/{}/{id}.log", ALICE.uid));
    fs::write(history, format!("{} 3 \n", tomorrow.as_millis()))?;
    world.restart(Program::Helper)?;
    world.set_silent(0, true)?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.click("list item", "demo, Off")?;
    window.click("check box", "Tunnel")?;
    window.find_within(SLOW, "list item", "demo, Blocked — wrong clock")?;
    window.reads("This computer’s clock is behind, and the server refuses what seems old.")?;
    desktop.picture("failure-clock")?;
    // A server that forgot the time of the last one takes it.
    world.set_silent(0, false)?;
    window.find_within(SLOW, "list item", "demo, Protected")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn a_machine_without_tun_is_told() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.stop(Program::Helper)?;
    world.stop(Program::DataPlane)?;
    world.stop(Program::Warden)?;
    world.sh("mount -t tmpfs -o ro tmpfs /dev/net")?;
    for program in [Program::Warden, Program::DataPlane, Program::Helper] {
        world.restart(program)?;
    }
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo, Off")?;
    window.click("check box", "Tunnel")?;
    window.reads("Could not turn on “demo”")?;
    window.find("list item", "demo, Failed — not supported here")?;
    window.reads("This computer can not run the tunnel as it is set up.")?;
    desktop.picture("failure-tun")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

/// The service of another time: it has a version, and nothing else of today's.
struct Old;

#[zbus::interface(name = "org.lonewire.Helper1.Service")]
impl Old {
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        "0.0.9".to_owned()
    }
}

#[test]
fn a_service_of_another_time_is_told_and_goes_away() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    world.stop(Program::Helper)?;
    let service = bus::connect(&world)?;
    zbus::block_on(async {
        service
            .object_server()
            .at("/org/lonewire/Helper1", Old)
            .await?;
        service.request_name("org.lonewire.Helper1").await
    })?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.reads("Service Too Old")?;
    window.reads("Update the package “lonewire”, then restart the service.")?;
    desktop.picture("failure-too-old")?;
    window.click("button", "*Copy Restart Command")?;
    window.reads("Command copied")?;
    assert_eq!(
        desktop.clipboard()?,
        "sudo systemctl restart lonewire-helper.service"
    );
    zbus::block_on(service.release_name("org.lonewire.Helper1"))?;
    world.restart(Program::Helper)?;
    window.find("list item", "demo, Off")?;
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn what_is_no_configuration_is_refused_in_a_sentence() -> Result<()> {
    let world = World::new(Spec::product())?;
    let home = ALICE.home;
    world.sh(&format!(
        "cd {home}
         mkdir folder.conf; mkfifo pipe.conf; : > empty.conf; echo secret > closed.conf
         head -c 3000000 /dev/zero | tr '\\0' '#' > large.conf
         head -c 50000000 /dev/zero | tr '\\0' '#' > bomb.conf
         python3 - <<'END'
import zipfile
with zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.write('bomb.conf')
with zipfile.ZipFile('crowd.zip', 'w') as archive:
    for number in range(20000):
        archive.writestr(f'{{number}}.conf', '')
with zipfile.ZipFile('none.zip', 'w') as archive:
    archive.writestr('readme.txt', 'hello')
open('torn.zip', 'wb').write(open('crowd.zip', 'rb').read()[:5000])
END
         rm bomb.conf
         printf '\\211PNG\\r\\n\\032\\nnothing' > torn.png
         chown -R {uid}:{uid} {home}; chmod 644 {home}/*.*; chmod 755 folder.conf; chmod 0 closed.conf",
        uid = ALICE.uid
    ))?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let window = desktop.window()?;
    window.reads("Add a Tunnel")?;
    for (file, told) in [
        ("folder.conf", "It is a folder. Choose the files in it."),
        ("pipe.conf", "It is not a regular file."),
        (
            "empty.conf",
            "It is empty. A configuration begins with [Interface].",
        ),
        ("closed.conf", "You are not allowed to open it."),
        ("gone.conf", "It is not there anymore."),
        ("large.conf", "and a configuration is not."),
        ("bomb.zip", "and a configuration is not."),
        ("crowd.zip", "The archive has more than"),
        ("none.zip", "There is no .conf file in the archive."),
        ("torn.zip", "The archive is damaged, or of an unknown kind."),
        ("torn.png", "The picture is damaged, or not PNG or JPEG."),
    ] {
        // The window that is there gets it.
        desktop.run(&["lonewire-gtk", &format!("{home}/{file}")])?;
        window.reads(told)?;
        let tree = window.tree()?;
        assert!(
            tree.words()
                .iter()
                .any(|word| word.contains("Could Not Import")),
            "{file}: {tree}"
        );
        desktop.keys(&["Escape"])?;
        window.gone("label", &format!("*{told}*"))?;
    }
    assert_eq!(world.names(&ALICE)?, Vec::<String>::new());
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}

#[test]
fn an_app_that_does_not_start_or_ends_at_once_is_told() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let home = ALICE.home;
    let folder = format!("{home}/.local/share/applications");
    world.sh(&format!("mkdir -p {folder}"))?;
    for (name, script) in [
        ("Broken", "#!/nonexistent/interpreter\n"),
        ("Sulky", "#!/bin/sh\nexit 3\n"),
        ("Deadly", "#!/bin/sh\nkill -SEGV $$\n"),
    ] {
        fs::write(world.path(&format!("{home}/{name}")), script)?;
        fs::write(
            world.path(&format!("{folder}/org.example.{name}.desktop")),
            format!("[Desktop Entry]\nType=Application\nName={name}\nExec={home}/{name}\n"),
        )?;
    }
    world.sh(&format!(
        "chmod 755 {home}/Broken {home}/Sulky {home}/Deadly; chown -R {0}:{0} {home}",
        ALICE.uid
    ))?;
    let desktop = Desktop::start(&world, &ALICE, &Look::default())?;
    let mut window = desktop.window()?;
    window.find("list item", "demo, Off")?;
    for (name, title, why, code) in [
        (
            "Broken",
            "Could not run “Broken”",
            "The program could not be started.",
            "LaunchFailed",
        ),
        (
            "Sulky",
            "“Sulky” ended at once",
            "It ended with the code 3",
            "Failed",
        ),
        (
            "Deadly",
            "“Deadly” ended at once",
            "It was ended by the signal 11.",
            "Killed",
        ),
    ] {
        window.click("button", "*Run App…")?;
        window.point("list item", name)?;
        window.reads(title)?;
        details(&mut window, why, code)?;
    }
    window.find("list item", "demo, Protected")?;
    // Somebody who looks at the window is told there alone.
    assert_eq!(desktop.notices.all(), []);
    assert_eq!(window.complaints(), [""; 0]);
    Ok(())
}
