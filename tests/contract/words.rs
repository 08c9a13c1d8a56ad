//! The window's words in `data/po`: the template is what the sources say, and each language says all of it.

use std::collections::BTreeSet;

use lab::words::{self, catalogue::messages};

use super::repo;

/// What may be the same in a translation: names, and what has no words.
const SAME: &[&str] = &[
    "Lonewire",
    "DNS",
    "MTU",
    "The Lonewire contributors",
    "Tunnel",
    "Tunnels",
    "WireGuard",
    "%H:%M",
    "{field}: {problem}",
    "{processes} · {length}",
    "{since}. {meaning}",
    "{size}/s",
    "{state} · {apps}",
    "{state} · {file}",
];

#[test]
fn the_template_is_what_the_sources_say() {
    let fresh = words::template(repo::top()).unwrap();
    let kept = repo::read(words::TEMPLATE).unwrap();
    let of = |text: &str| -> BTreeSet<String> { text.split("\n\n").map(str::to_owned).collect() };
    let missing: Vec<_> = of(&fresh).difference(&of(&kept)).cloned().collect();
    assert!(
        fresh == kept,
        "cargo xtask i18n: the template is old. New:\n{}",
        missing.join("\n\n")
    );
    let list = repo::read("data/po/POTFILES").unwrap();
    let list: Vec<_> = list.lines().map(str::to_owned).collect();
    assert_eq!(list, words::sources(repo::top()).unwrap());
}

#[test]
fn the_template_has_texts_of_every_kind() {
    let template = repo::read(words::TEMPLATE).unwrap();
    for text in [
        // Of a desktop file, of metainfo, of a .ui file.
        "msgid \"VPN for Chosen Apps\"",
        "msgid \"See and stop the apps that run in it\"",
        "msgid \"_Import File…\"",
        // Of Rust: alone, in the plural.
        "msgid \"no handshake\"",
        "msgid \"{count} app\"\nmsgid_plural \"{count} apps\"\n",
    ] {
        assert!(template.contains(text), "{text}");
    }
}

#[test]
fn every_language_says_all() {
    let template = messages(&repo::read(words::TEMPLATE).unwrap()).unwrap();
    let languages: BTreeSet<_> = words::languages(repo::top()).unwrap().into_iter().collect();
    let there: BTreeSet<_> = repo::files(words::FOLDER)
        .unwrap()
        .iter()
        .filter_map(|path| Some(path.strip_suffix(".po")?.rsplit('/').next()?.to_owned()))
        .collect();
    assert_eq!(there, languages);
    for language in languages {
        let path = format!("{}/{language}.po", words::FOLDER);
        let text = repo::read(&path).unwrap();
        assert!(!text.contains("#, fuzzy"), "{path}: fuzzy");
        let said = messages(&text).unwrap();
        assert_eq!(
            template.keys().collect::<Vec<_>>(),
            said.keys().collect::<Vec<_>>(),
            "{path}"
        );
        for (id, message) in said {
            assert!(!message.said.is_empty(), "{path}: {id:?}");
            for said in &message.said {
                assert!(!said.is_empty(), "{path}: {id:?} is not translated");
                assert!(
                    said != &id.1 || SAME.contains(&said.as_str()),
                    "{path}: {id:?} is as in English"
                );
                assert!(
                    places(said) == places(&id.1)
                        || message.plural.as_deref().map(places) == Some(places(said)),
                    "{path}: {id:?}: other names in braces: {said}"
                );
                assert_eq!(
                    said.contains('_'),
                    id.1.contains('_'),
                    "{path}: {id:?}: a key to press in one alone: {said}"
                );
            }
        }
    }
    let target = tempfile::tempdir().unwrap();
    words::build(repo::top(), target.path()).unwrap();
}

/// The names in braces.
fn places(text: &str) -> BTreeSet<&str> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0))
        .collect()
}

/// Every way in which Rust writes a text.
const RUST: &str = r####"
use gettextrs::{gettext, ngettext};
// gettext("no comment")
/* gettext("nor /* this */ one") */
fn words<'a>() {
    let quote = '"';
    gettext("one \"two\" \
        three\nfour \u{2026}");
    gettext(concat!("five ", r#"six "seven""#));
    // Translators: what
    // it means
    let x = ngettext(
        "eight",
        "nine",
        count,
    );
    let other = "gettext(\"ten\")";
}
"####;

#[test]
fn texts_are_found_however_rust_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "data/applications/org.lonewire.Lonewire.desktop",
        "data/metainfo/org.lonewire.Lonewire.metainfo.xml",
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(repo::top().join(name), path).unwrap();
    }
    let source = folder.path().join("app/src/some.rs");
    std::fs::create_dir_all(source.parent().unwrap()).unwrap();
    std::fs::write(&source, RUST).unwrap();
    let template = words::template(folder.path()).unwrap();
    let own: Vec<_> = template
        .split("\n\n")
        .filter(|block| block.contains("some.rs"))
        .map(str::trim_end)
        .collect();
    assert_eq!(
        own,
        [
            "#: app/src/some.rs\nmsgid \"\"\n\"one \\\"two\\\" three\\n\"\n\"four …\"\nmsgstr \"\"",
            "#: app/src/some.rs\nmsgid \"five six \\\"seven\\\"\"\nmsgstr \"\"",
            "#. Translators: what it means\n#: app/src/some.rs\nmsgid \"eight\"\nmsgid_plural \"nine\"\nmsgstr[0] \"\"\nmsgstr[1] \"\"",
        ]
    );
    // A text that is somewhere else is refused.
    for text in ["fn f() { gettext(name); }", "fn f() { x.map(gettext); }"] {
        std::fs::write(&source, text).unwrap();
        assert!(words::template(folder.path()).is_err(), "{text}");
    }
}
