//! Ring lab: an installed app, started in a tunnel as a menu would start it: its argument list to the byte, its place in the session's words, and what is said of
//! an entry that cannot be started.

use std::{fs, os::unix::fs::chown};

use anyhow::Result;
use lab::{ALICE, Spec, World, product::text};

/// Writes what it was given, and the variables a desktop hands over.
const SHOW: &str = "#!/bin/sh\nfor word in \"$@\"; do printf '<%s>\\n' \"$word\"; done\n\
    printf '%s|%s|%s|%s\\n' \"$XDG_ACTIVATION_TOKEN\" \"$DESKTOP_STARTUP_ID\" \"$PWD\" \"${LONEWIRE_TUNNEL:+inside}\"\n";

fn write(world: &World, path: &str, text: &str, mode: u32) -> Result<()> {
    let path = world.path(&format!("{}/{path}", ALICE.home));
    let mut folder = path.parent();
    let made: Vec<_> = std::iter::from_fn(|| {
        let now = folder.filter(|now| !now.exists())?;
        folder = now.parent();
        Some(now.to_owned())
    })
    .collect();
    for folder in made.iter().rev() {
        fs::create_dir(folder)?;
        chown(folder, Some(ALICE.uid), Some(ALICE.gid))?;
    }
    fs::write(&path, text)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    chown(&path, Some(ALICE.uid), Some(ALICE.gid))?;
    Ok(())
}

#[test]
fn an_installed_app_gets_exactly_the_arguments_of_its_entry() -> Result<()> {
    let mut world = World::new(Spec::product())?;
    world.import(&ALICE, "demo", 0)?;
    let home = ALICE.home;
    write(&world, "my bin/show it", SHOW, 0o755)?;
    let entry = format!(
        "[Desktop Entry]\nType=Application\nName=Show It\nName[de]=Zeig es\nIcon=show\nPath=/tmp\nDBusActivatable=true\n\
         Exec=\"{home}/my bin/show it\" \"two  words\" \"\\\\$HOME \\\\\"q\\\\\" a\\\\\\\\b\" 100%% --icon-set %i -n %c %U \"\"\n\
         Actions=new;\n\n[Desktop Action new]\nName=New\nExec=\"{home}/my bin/show it\" --new %u\n"
    );
    let folder = ".local/share/applications";
    write(
        &world,
        &format!("{folder}/example/show-it.desktop"),
        &entry,
        0o644,
    )?;
    let other = "[Desktop Entry]\nType=Application\nName=Old\nExec=sh -c true\n";
    write(
        &world,
        &format!("{folder}/none.desktop"),
        &format!("{other}TryExec=no-such-program\n"),
        0o644,
    )?;
    write(
        &world,
        &format!("{folder}/tty.desktop"),
        &format!("{other}Terminal=true\n"),
        0o644,
    )?;

    let line = "XDG_ACTIVATION_TOKEN=token-1 DESKTOP_STARTUP_ID=start-2 LC_ALL=de_DE.UTF-8 \
        lonewire run -t demo --desktop-id example-show-it -- 'https://whoami.demo/?a=%20&b=$(x)' 'a file' file:///tmp/b%20c";
    let out = world.run_as(&ALICE, &["sh", "-c", line])?.ok()?;
    let here = world
        .run_as(&ALICE, &["pwd"])?
        .ok()?
        .stdout
        .trim()
        .to_owned();
    let expected = [
        "<two  words>",
        "<$HOME \"q\" a\\b>",
        "<100%>",
        "<--icon-set>",
        "<--icon>",
        "<show>",
        "<-n>",
        "<Zeig es>",
        "<https://whoami.demo/?a=%20&b=$(x)>",
        &format!("<{here}/a file>"),
        "</tmp/b c>",
        "<>",
        "token-1|start-2|/tmp|inside",
    ];
    assert_eq!(out.stdout.lines().collect::<Vec<_>>(), expected);

    let action = [
        "run",
        "--desktop-id",
        "example-show-it.desktop",
        "--action",
        "new",
        "mailto:a@b",
    ];
    let out = world.cli(&ALICE, &action)?.ok()?;
    assert_eq!(
        out.stdout.lines().take(2).collect::<Vec<_>>(),
        ["<--new>", "<mailto:a@b>"]
    );

    // In lists it is called what its entry calls it.
    let slow = other.replace("sh -c true", "sleep 60");
    write(&world, &format!("{folder}/slow.desktop"), &slow, 0o644)?;
    world
        .cli(&ALICE, &["run", "--detach", "--desktop-id", "slow"])?
        .ok()?;
    let apps = world.apps(&ALICE)?;
    let names: Vec<_> = apps.iter().map(|app| text(app, "name")).collect();
    assert!(names.contains(&"Old"), "{names:?}");

    for (words, code, said) in [
        (
            &["example-show-it", "--action", "old"][..],
            125,
            "It has: new",
        ),
        (&["none"], 127, "no-such-program"),
        (&["no-such-app"], 127, "there is no app no-such-app"),
        (&["tty"], 125, "runs in a terminal"),
        (&["slow", "https://x.org"], 125, "not a file"),
        (
            &["example-show-it", "--action", "new", "a", "b"],
            125,
            "at a time",
        ),
    ] {
        let out = world.cli(&ALICE, &[&["run", "--desktop-id"], words].concat())?;
        assert_eq!(out.code, code, "{words:?}: {}", out.stderr);
        assert!(out.stderr.contains(said), "{words:?}: {}", out.stderr);
    }
    Ok(())
}
