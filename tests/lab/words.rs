//! The window's words: what of its sources is for translators, and what is made of their catalogues. `cargo xtask i18n` writes the template,
//! `cargo xtask build` the rest; a test holds the template against the sources. Must never let a text through that it does not understand.

pub mod catalogue;
mod lexer;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// The gettext domain.
pub const DOMAIN: &str = "lonewire-gtk";
/// Where translators work, from the project's folder.
pub const FOLDER: &str = "data/po";
pub const TEMPLATE: &str = "data/po/lonewire-gtk.pot";

const DESKTOP: &str = "data/applications/org.lonewire.Lonewire.desktop";
const METAINFO: &str = "data/metainfo/org.lonewire.Lonewire.metainfo.xml";

/// Without dates: the same sources give the same file.
const HEAD: &str = r#"# The words of Lonewire's window. Made by `cargo xtask i18n`: do not edit.
# Names in braces stay as they are: {count}, {name}.
#
msgid ""
msgstr ""
"Project-Id-Version: lonewire-gtk\n"
"Report-Msgid-Bugs-To: https://github.com/lonewire/lonewire/issues\n"
"Language: \n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\n"
"#;

/// The files with words, sorted, from the project's folder: `POTFILES`.
///
/// # Errors
/// One cannot be read, or a Rust file has a text that cannot be taken out.
pub fn sources(project: &Path) -> Result<Vec<String>> {
    let mut found = vec![DESKTOP.to_owned(), METAINFO.to_owned()];
    let mut folders = vec![PathBuf::from("app/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(project.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.to_str().context("UTF-8")?.to_owned();
            let has_words = match path.extension().and_then(|end| end.to_str()) {
                Some("ui") => read(project, &name)?.contains("translatable="),
                Some("rs") => !lexer::calls(&read(project, &name)?)
                    .with_context(|| name.clone())?
                    .is_empty(),
                _ => false,
            };
            if has_words {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The template of the catalogues, as the sources are now.
///
/// # Errors
/// A text cannot be taken out; there is no xgettext(1).
pub fn template(project: &Path) -> Result<String> {
    let work = tempfile::tempdir()?;
    let sources = sources(project)?;
    let mut list = String::new();
    for name in &sources {
        // Rust is no language of xgettext 0.21: it gets C with the same words in the same lines.
        if name.ends_with(".rs") {
            let shadow = format!("{name}.c");
            let path = work.path().join(&shadow);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            let calls = lexer::calls(&read(project, name)?)?;
            fs::write(&path, lexer::as_c(name, &calls))?;
            list.push_str(&shadow);
        } else {
            list.push_str(name);
        }
        list.push('\n');
    }
    let files = work.path().join("POTFILES");
    fs::write(&files, list)?;
    let out = run(Command::new("xgettext")
        .args(["--from-code=UTF-8", "--add-location=file", "--no-wrap"])
        .arg("--add-comments=Translators")
        .arg("--directory")
        .arg(project)
        .arg("--directory")
        .arg(work.path())
        .arg("--files-from")
        .arg(files)
        .args(["--output", "-"]))?;
    let (_, entries) = out.split_once("\n\n").context("an empty template")?;
    // Where the C was is nobody's business.
    Ok(format!("{HEAD}\n{}", entries.replace(".rs.c", ".rs")))
}

/// The languages that there are catalogues of: `LINGUAS`.
///
/// # Errors
/// The list cannot be read.
pub fn languages(project: &Path) -> Result<Vec<String>> {
    let list = read(project, &format!("{FOLDER}/LINGUAS"))?;
    Ok(list.split_whitespace().map(str::to_owned).collect())
}

/// Makes what is installed of the catalogues: `locale/LANGUAGE/LC_MESSAGES/lonewire-gtk.mo`, and in `translated` the desktop file and the metainfo in all
/// languages.
///
/// # Errors
/// msgfmt refuses one.
pub fn build(project: &Path, target: &Path) -> Result<()> {
    for language in languages(project)? {
        let folder = target.join(format!("locale/{language}/LC_MESSAGES"));
        fs::create_dir_all(&folder)?;
        run(Command::new("msgfmt")
            .args(["--check", "--output-file"])
            .arg(folder.join(format!("{DOMAIN}.mo")))
            .arg(project.join(format!("{FOLDER}/{language}.po"))))?;
    }
    let folder = target.join("translated");
    fs::create_dir_all(&folder)?;
    for (kind, source) in [("--desktop", DESKTOP), ("--xml", METAINFO)] {
        let source = project.join(source);
        run(Command::new("msgfmt")
            .args([kind, "--template"])
            .arg(&source)
            .arg("-d")
            .arg(project.join(FOLDER))
            .arg("--output-file")
            .arg(folder.join(source.file_name().context("a name")?)))?;
    }
    Ok(())
}

fn read(project: &Path, path: &str) -> Result<String> {
    fs::read_to_string(project.join(path)).with_context(|| path.to_owned())
}

/// What a program says; a warning is as bad as a failure.
fn run(command: &mut Command) -> Result<String> {
    let out = command
        .env("LC_ALL", "C.UTF-8")
        .env_remove("LANGUAGE")
        .output()
        .with_context(|| format!("{:?}", command.get_program()))?;
    let told = String::from_utf8_lossy(&out.stderr);
    ensure!(
        out.status.success() && told.is_empty(),
        "{command:?}: {told}"
    );
    Ok(String::from_utf8(out.stdout)?)
}
