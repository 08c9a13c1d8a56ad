//! The manual is there for every verb, says what help says, and renders without a complaint.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use lonewire_cli::{failure::Exit, man};

fn pages() -> Vec<(String, String)> {
    let pages = man::pages().unwrap_or_default();
    pages
        .into_iter()
        .map(|(name, text)| (name, String::from_utf8_lossy(&text).into_owned()))
        .collect()
}

#[test]
fn every_verb_has_its_page_with_all_sections() {
    let pages = pages();
    let page = |name: &str| {
        let found = pages.iter().find(|(file, _)| file == name);
        found.map(|(_, text)| text.as_str()).unwrap_or_default()
    };
    let mut verbs = vec!["lonewire.1".to_owned()];
    verbs.extend(
        lonewire_cli::command()
            .get_subcommands()
            .map(|verb| format!("lonewire-{}.1", verb.get_name())),
    );
    assert_eq!(verbs.len(), pages.len());
    for name in &verbs {
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "\"GLOBAL OPTIONS\"",
            "\"EXIT STATUS\"",
            "FILES",
            "EXAMPLES",
            "\"SEE ALSO\"",
        ] {
            assert!(
                page(name).contains(&format!(".SH {section}\n")),
                "{name}: {section}"
            );
        }
        let verb = name.trim_start_matches("lonewire-").trim_end_matches(".1");
        if verb != "lonewire" {
            let line = format!("\n  lonewire {verb}");
            assert!(page(name).contains(&line), "{name} shows no use of it");
            assert!(
                page("lonewire.1").contains(&format!("lonewire\\-{verb}")),
                "{name}"
            );
        }
    }
}

#[test]
fn exit_codes_stand_where_they_can_happen() {
    let pages = pages();
    let has = |name: &str, code: Exit| {
        let wanted = format!("\\fB{}\\fR\n", code as u8);
        pages
            .iter()
            .any(|(file, text)| file == name && text.contains(&wanted))
    };
    assert!(has("lonewire-run.1", Exit::NoSuchProgram) && !has("lonewire-run.1", Exit::Usage));
    assert!(has("lonewire-check.1", Exit::Leak) && !has("lonewire-list.1", Exit::Leak));
    for code in [
        Exit::Failure,
        Exit::Usage,
        Exit::Timeout,
        Exit::NotAuthorized,
        Exit::Configuration,
        Exit::Leak,
        Exit::NotRunning,
        Exit::NoSuch,
        Exit::Interrupted,
    ] {
        assert!(has("lonewire.1", code), "{code:?}");
    }
}

/// groff is what `man` renders with.
#[test]
fn pages_render_without_a_warning() {
    for (name, text) in pages() {
        let mut child = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-K", "utf8"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("groff");
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{name}: {told}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("lonewire"), "{name}: {shown}");
    }
}

#[test]
fn packages_get_the_pages_from_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    let status = Command::new(env!("CARGO_BIN_EXE_lonewire"))
        .arg(man::ARGUMENT)
        .arg(&path)
        .status();
    assert!(status.unwrap().success());
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), pages().len());
}
