//! A desktop entry as it is written: groups of keys. Lines that are none are passed over, as everywhere.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use lonewire_core::name::TunnelName;

/// Bytes that an entry may have: the largest real ones, with every language, have some 100 KiB.
const MAX_BYTES: u64 = 1024 * 1024;

const MAIN: &str = "Desktop Entry";

/// An app's entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The app's id: the desktop file's, without `.desktop`.
    pub id: String,
    pub path: PathBuf,
    groups: HashMap<String, HashMap<String, String>>,
}

impl Entry {
    /// Reads the file of the app `id`.
    ///
    /// # Errors
    /// The system's; `InvalidData` if it is too large or no UTF-8.
    pub fn read(id: &str, path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.len() > MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self::parse(id, path, &fs::read_to_string(path)?))
    }

    /// From the text of a file at `path`.
    pub fn parse(id: &str, path: &Path, text: &str) -> Self {
        let mut groups: HashMap<String, HashMap<String, String>> = HashMap::new();
        let mut group = None;
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                group = Some(groups.entry(name.to_owned()).or_default());
            } else if let (Some(group), Some((key, value))) = (&mut group, line.split_once('='))
                && !line.starts_with('#')
            {
                group.insert(key.trim_end().to_owned(), value.trim_start().to_owned());
            }
        }
        Self {
            id: id.to_owned(),
            path: path.to_owned(),
            groups,
        }
    }

    fn raw(&self, group: &str, key: &str) -> Option<&str> {
        self.groups.get(group)?.get(key).map(String::as_str)
    }

    fn string(&self, group: &str, key: &str) -> Option<String> {
        let value = unescaped(self.raw(group, key)?);
        (!value.is_empty()).then_some(value)
    }

    fn localized(&self, group: &str, key: &str, locale: &str) -> Option<String> {
        spellings(locale)
            .iter()
            .find_map(|locale| self.string(group, &format!("{key}[{locale}]")))
            .or_else(|| self.string(group, key))
    }

    fn is(&self, key: &str) -> bool {
        self.raw(MAIN, key) == Some("true")
    }

    /// In a language as `LC_MESSAGES` names it; an empty one is none.
    pub fn name(&self, locale: &str) -> Option<String> {
        self.localized(MAIN, "Name", locale)
    }

    /// What the helper can call a launched app: its name, or its id; `None` where neither will do.
    pub fn label(&self, locale: &str) -> Option<String> {
        self.name(locale)
            .into_iter()
            .chain([self.id.clone()])
            .find(|name| TunnelName::new(name).is_ok())
    }

    pub fn icon(&self) -> Option<String> {
        self.string(MAIN, "Icon")
    }

    /// The command line, unexpanded; of an action, or of the app itself.
    pub fn exec(&self, action: Option<&str>) -> Option<String> {
        match action {
            Some(action) => self
                .actions()
                .iter()
                .any(|known| known == action)
                .then(|| self.string(&format!("Desktop Action {action}"), "Exec"))?,
            None => self.string(MAIN, "Exec"),
        }
    }

    /// Ids of its actions.
    pub fn actions(&self) -> Vec<String> {
        let list = self.string(MAIN, "Actions").unwrap_or_default();
        let names = list.split(';').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// The folder to start it in.
    pub fn folder(&self) -> Option<PathBuf> {
        self.string(MAIN, "Path").map(PathBuf::from)
    }

    /// What has to be installed for it to count as installed: a path, or a name in PATH.
    pub fn try_exec(&self) -> Option<String> {
        self.string(MAIN, "TryExec")
    }

    /// It is to be seen in a terminal.
    pub fn wants_terminal(&self) -> bool {
        self.is("Terminal")
    }

    /// The user took it away: it counts as not there.
    pub fn is_hidden(&self) -> bool {
        self.is("Hidden")
    }

    /// It is not shown in menus; it can be launched all the same.
    pub fn is_no_display(&self) -> bool {
        self.is("NoDisplay")
    }

    /// A start elsewhere would be a message to its D-Bus name, which is [`Self::id`].
    pub fn is_dbus_activatable(&self) -> bool {
        self.is("DBusActivatable")
    }

    /// An application, and no link or folder.
    pub fn is_application(&self) -> bool {
        self.raw(MAIN, "Type") == Some("Application")
    }
}

/// The escapes of the types string and localestring.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('s') => text.push(' '),
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('\\') => text.push('\\'),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

/// The keys that match a locale, the best first: `de_AT.UTF-8@euro` is looked for as de_AT@euro, de_AT, de@euro, de.
fn spellings(locale: &str) -> Vec<String> {
    let (rest, modifier) = locale.split_once('@').unwrap_or((locale, ""));
    let place = rest.split('.').next().unwrap_or_default();
    let language = place.split('_').next().unwrap_or_default();
    let mut found = Vec::new();
    for base in [place, language] {
        if !modifier.is_empty() {
            found.push(format!("{base}@{modifier}"));
        }
        found.push(base.to_owned());
    }
    if matches!(language, "" | "C" | "POSIX") {
        found.clear();
    }
    found
}

/// The user's language for messages, as the environment has it.
pub fn locale() -> String {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A comment\n[Desktop Entry]\nType=Application\nName=Files\nName[de] = Dateien\nName[de_AT]=Ablage\nExec=files\\s\"a\\\\\\\\b\" %u\n\
         Hidden=false\nTerminal=true\nActions=new;old;\n\n[Desktop Action new]\nName=New\nExec=files --new\n[Desktop Action other]\nExec=never\n";

    fn entry() -> Entry {
        Entry::parse("org.example.Files", Path::new("/x.desktop"), TEXT)
    }

    #[test]
    fn keys_are_read_and_escapes_undone() {
        let entry = entry();
        assert!(entry.is_application() && entry.wants_terminal() && !entry.is_hidden());
        assert_eq!(entry.exec(None).as_deref(), Some("files \"a\\\\b\" %u"));
        assert_eq!(entry.icon(), None);
    }

    #[test]
    fn only_actions_that_are_listed_exist() {
        let entry = entry();
        assert_eq!(entry.exec(Some("new")).as_deref(), Some("files --new"));
        assert_eq!(entry.exec(Some("old")), None);
        assert_eq!(entry.exec(Some("other")), None);
    }

    #[test]
    fn names_are_in_the_nearest_language() {
        for (locale, name) in [
            ("de_AT.UTF-8", "Ablage"),
            ("de_CH", "Dateien"),
            ("de@euro", "Dateien"),
            ("fr", "Files"),
            ("C.UTF-8", "Files"),
            ("", "Files"),
        ] {
            assert_eq!(entry().name(locale).as_deref(), Some(name), "{locale}");
        }
    }
}
