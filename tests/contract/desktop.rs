//! What desktops and software centres read of the window, judged by their own tools, and that all of it names the one application.

use std::process::Command;

use super::repo;

const ID: &str = "org.lonewire.Lonewire";

fn judged(line: &[&str]) {
    let out = Command::new(line[0])
        .args(&line[1..])
        .current_dir(repo::top())
        .output();
    // Without the tool there is no verdict: that is a failure.
    assert!(out.is_ok(), "{}: {out:?}", line[0]);
    let Ok(out) = out else { return };
    let told = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{told}");
    for word in ["error", "warning", "E:", "W:"] {
        assert!(!told.contains(word), "{told}");
    }
}

#[test]
fn the_desktop_file_is_valid() {
    judged(&[
        "desktop-file-validate",
        "--no-hints",
        &format!("data/applications/{ID}.desktop"),
    ]);
}

#[test]
fn the_metainfo_is_valid() {
    judged(&[
        "appstreamcli",
        "validate",
        "--no-net",
        &format!("data/metainfo/{ID}.metainfo.xml"),
    ]);
}

#[test]
fn everything_names_the_one_application() {
    for (file, line) in [
        ("app/src/lib.rs", format!("APP_ID: &str = \"{ID}\"")),
        (
            "data/dbus/org.lonewire.Lonewire.service",
            format!("Name={ID}"),
        ),
        (
            "data/applications/org.lonewire.Lonewire.desktop",
            format!("Icon={ID}"),
        ),
        (
            "data/metainfo/org.lonewire.Lonewire.metainfo.xml",
            format!("<id>{ID}</id>"),
        ),
    ] {
        assert!(repo::read(file).unwrap().contains(&line), "{file}: {line}");
    }
}
