//! Where an app's entry is: the `applications` folders of the user's and the system's data folders, the first that has it (Desktop Entry Specification,
//! "File naming"; XDG Base Directory Specification).

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Entry;
use crate::launch::program;

/// Why there is no app to launch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no app {0}")]
    NoSuchApp(String),
    /// Its entry is there; the program that it names with `TryExec` is not.
    #[error("the app {id} is not installed: there is no program {program}")]
    NotInstalled { id: String, program: String },
    #[error("{} cannot be read: {}", path.display(), crate::text::cause(error))]
    Unreadable { path: PathBuf, error: io::Error },
}

/// The app of an id, with or without `.desktop` behind it.
///
/// # Errors
/// [`Error`].
pub fn app(id: &str) -> Result<Entry, Error> {
    app_in(id, &folders())
}

fn app_in(id: &str, folders: &[PathBuf]) -> Result<Entry, Error> {
    let missing = || Error::NoSuchApp(crate::text::printable(id));
    let id = id.strip_suffix(".desktop").unwrap_or(id);
    let is_name = !id.is_empty() && !id.starts_with('.') && !id.contains(['/', '\0']);
    let path = folders
        .iter()
        .filter(|_| is_name)
        .find_map(|folder| file(folder, &format!("{id}.desktop")))
        .ok_or_else(missing)?;
    let entry = Entry::read(id, &path).map_err(|error| Error::Unreadable { path, error })?;
    // Hidden is how a user takes an app of the system's away: what lies behind it stays hidden.
    if entry.is_hidden() || !entry.is_application() {
        return Err(missing());
    }
    match entry.try_exec() {
        Some(program) if program::find(program.as_ref()).is_err() => Err(Error::NotInstalled {
            id: entry.id,
            program,
        }),
        _ => Ok(entry),
    }
}

/// The file of a name: a dash may stand for a subfolder.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    name.match_indices('-').find_map(|(dash, _)| {
        let (start, rest) = (name.get(..dash)?, name.get(dash + 1..)?);
        let below = folder.join(start);
        (!start.is_empty() && start != ".." && below.is_dir())
            .then(|| file(&below, rest))
            .flatten()
    })
}

/// The folders of desktop entries, the user's own first.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/share")));
    let system = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    home.into_iter()
        .chain(std::env::split_paths(&system))
        .filter(|path| path.is_absolute())
        .map(|path| path.join("applications"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("[Desktop Entry]\nType=Application\n{text}\n")).unwrap();
    }

    #[test]
    fn the_first_folder_counts_and_hidden_hides() {
        let (mine, system) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [mine.path().to_owned(), system.path().to_owned()];
        write(mine.path(), "a.desktop", "Name=Mine");
        write(system.path(), "a.desktop", "Name=System");
        write(mine.path(), "b.desktop", "Hidden=true");
        write(system.path(), "b.desktop", "Name=B");
        write(system.path(), "c.desktop", "NoDisplay=true");
        write(system.path(), "link.desktop", "Type=Link");
        let name = |id: &str| app_in(id, &folders).map(|entry| entry.name(""));
        assert_eq!(name("a").unwrap().as_deref(), Some("Mine"));
        assert_eq!(name("a.desktop").unwrap().as_deref(), Some("Mine"));
        assert!(name("c").is_ok());
        for id in ["b", "link", "d", "", "../a", ".", ".."] {
            assert!(matches!(name(id), Err(Error::NoSuchApp(_))), "{id}");
        }
    }

    #[test]
    fn dashes_are_folders() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        write(folder.path(), "kde/x-y/app-one.desktop", "Name=Deep");
        let found = app_in("kde-x-y-app-one", &folders).unwrap();
        assert_eq!(found.path, folder.path().join("kde/x-y/app-one.desktop"));
        assert_eq!(found.id, "kde-x-y-app-one");
        assert!(app_in("kde-..-x", &folders).is_err());
    }

    #[test]
    fn what_is_not_installed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        write(folder.path(), "a.desktop", "TryExec=no-such-program");
        write(folder.path(), "b.desktop", "TryExec=sh");
        assert!(matches!(
            app_in("a", &folders),
            Err(Error::NotInstalled { program, .. }) if program == "no-such-program"
        ));
        assert!(app_in("b", &folders).is_ok());
    }
}
