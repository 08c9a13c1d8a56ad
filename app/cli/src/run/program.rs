//! Which file a command means, as a shell finds it: the helper never searches.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use crate::{
    config::read::printable,
    failure::{Exit, Failure},
};

/// Where to search without `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Absolute path of a program.
///
/// # Errors
/// 127 where there is none, 126 where it cannot be executed.
pub fn find(command: &OsString) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    find_in(command, &path, &here)
}

fn find_in(command: &OsStr, path: &OsStr, here: &Path) -> Result<PathBuf, Failure> {
    let shown = printable(&command.to_string_lossy());
    let mut refused = false;
    let mut is_it = |candidate: &Path| {
        let executable = rustix::fs::access(candidate, Access::EXEC_OK).is_ok();
        let file = candidate.is_file();
        refused |= candidate.exists() && !(file && executable);
        file && executable
    };
    let found = if command.as_bytes().contains(&b'/') {
        Some(here.join(command)).filter(|candidate| is_it(candidate))
    } else if command.is_empty() {
        None
    } else {
        std::env::split_paths(path)
            .map(|folder| here.join(folder).join(command))
            .find(|candidate| is_it(candidate))
    };
    match found {
        Some(found) => Ok(found),
        None if refused => Err(Failure::new(
            Exit::CannotExecute,
            "cannot_execute",
            format!("{shown} cannot be executed"),
        )
        .hint("Is it a program, and may you execute it?")),
        None if command.is_empty() => {
            Err(no_program("the name of the program is empty".to_owned()))
        }
        None => {
            let failure = no_program(format!("there is no program {shown}"));
            Err(if command.as_bytes().contains(&b'/') {
                let place = here.join(command);
                failure.hint(format!(
                    "It was looked for at {}.",
                    printable(&place.to_string_lossy())
                ))
            } else {
                failure.hint("Is it installed, and in a folder of PATH?")
            })
        }
    }
}

fn no_program(message: String) -> Failure {
    Failure::new(Exit::NoSuchProgram, "no_such_program", message)
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
    fn missing_is_127_and_not_executable_is_126() {
        let find = |command: &str| find_in(command.as_ref(), "/etc".as_ref(), Path::new("/"));
        assert_eq!(
            find("no-such-program").unwrap_err().exit,
            Exit::NoSuchProgram
        );
        assert_eq!(find("").unwrap_err().exit, Exit::NoSuchProgram);
        assert_eq!(find("/etc/passwd").unwrap_err().exit, Exit::CannotExecute);
        assert_eq!(find("passwd").unwrap_err().exit, Exit::CannotExecute);
        assert_eq!(find("/etc").unwrap_err().exit, Exit::CannotExecute);
    }
}
