//! Which file a command means, as a shell finds it: the helper never searches.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use crate::text::printable;

/// Why there is no program to start. Each holds what was looked for, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0} cannot be executed")]
    NotExecutable(String),
    #[error("the name of the program is empty")]
    Empty,
    /// snapd starts it in a world of its own, with the host's way to look up names.
    #[error("{0} is a snap, and snaps do not stay in a tunnel")]
    Snap(String),
    /// It was looked for in the folders of PATH.
    #[error("there is no program {0}")]
    NotInPath(String),
    /// It was looked for in one place.
    #[error("there is no program {name}")]
    NotThere { name: String, place: String },
}

/// Where to search without `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Absolute path of a program.
///
/// # Errors
/// There is none, or it cannot be executed.
pub fn find(command: &OsStr) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    find_in(command, &path, &here)
}

fn find_in(command: &OsStr, path: &OsStr, here: &Path) -> Result<PathBuf, Error> {
    let shown = printable(&command.to_string_lossy());
    let mut refused = false;
    let mut is_it = |candidate: &Path| {
        let executable = rustix::fs::access(candidate, Access::EXEC_OK).is_ok();
        let file = candidate.is_file();
        refused |= candidate.exists() && !(file && executable);
        file && executable
    };
    let found: Option<PathBuf> = if command.as_bytes().contains(&b'/') {
        Some(here.join(command)).filter(|candidate| is_it(candidate))
    } else if command.is_empty() {
        None
    } else {
        std::env::split_paths(path)
            .map(|folder| here.join(folder).join(command))
            .find(|candidate| is_it(candidate))
    };
    if found.as_deref().is_some_and(is_snap) {
        return Err(Error::Snap(shown));
    }
    found.ok_or_else(|| {
        if refused {
            Error::NotExecutable(shown)
        } else if command.is_empty() {
            Error::Empty
        } else if command.as_bytes().contains(&b'/') {
            Error::NotThere {
                name: shown,
                place: printable(&here.join(command).to_string_lossy()),
            }
        } else {
            Error::NotInPath(shown)
        }
    })
}

/// Whether starting a program means asking snapd for it.
fn is_snap(program: &Path) -> bool {
    const FOLDERS: [&str; 2] = ["/snap/", "/var/lib/snapd/snap/"];
    const RUNNER: &str = "/usr/bin/snap";
    let real = program.canonicalize();
    FOLDERS.iter().any(|folder| program.starts_with(folder))
        || program == Path::new(RUNNER)
        || real.is_ok_and(|real| real == Path::new(RUNNER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_path_and_by_its_path() {
        let here = Path::new("/usr");
        let sh = |command: &str| find_in(command.as_ref(), "/nowhere:/bin".as_ref(), here);
        assert_eq!(sh("sh").unwrap(), Path::new("/bin/sh"));
        assert_eq!(sh("bin/sh").unwrap(), Path::new("/usr/bin/sh"));
        assert_eq!(sh("/bin/sh").unwrap(), Path::new("/bin/sh"));
    }

    #[test]
    fn snaps_are_known_by_where_they_are() {
        for snap in [
            "/snap/bin/firefox",
            "/var/lib/snapd/snap/bin/x",
            "/usr/bin/snap",
        ] {
            assert!(is_snap(Path::new(snap)), "{snap}");
        }
        for other in ["/usr/bin/env", "/snapshots/x"] {
            assert!(!is_snap(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn missing_and_not_executable_are_told_apart() {
        let find = |command: &str| find_in(command.as_ref(), "/etc".as_ref(), Path::new("/"));
        let missing = |name: &str| Error::NotInPath(name.to_owned());
        assert_eq!(find("no-such-program"), Err(missing("no-such-program")));
        assert_eq!(find(""), Err(Error::Empty));
        let there = find("a/b").unwrap_err();
        assert!(matches!(there, Error::NotThere { place, .. } if place == "/a/b"));
        for name in ["/etc/passwd", "passwd", "/etc"] {
            assert_eq!(find(name), Err(Error::NotExecutable(name.to_owned())));
        }
    }
}
