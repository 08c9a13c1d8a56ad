//! A profile of its own for a browser in a tunnel: it hands nothing over to an instance that runs elsewhere, and finds itself again at the next start.
//! What is in it is the user's: nothing here reads it or takes it away.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::outside::Browser;

/// Gives a command line a profile of the tunnel's, by the tunnel's id. Answers whether it is a browser that can have one; nothing is done where it is none.
///
/// # Errors
/// There is no home, or the profile's folder can not be made.
pub fn separate(argv: &mut Vec<OsString>, tunnel: &str) -> io::Result<bool> {
    let Some(data) = data() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    separate_in(&data, argv, tunnel)
}

fn separate_in(data: &Path, argv: &mut Vec<OsString>, tunnel: &str) -> io::Result<bool> {
    let program = PathBuf::from(argv.first().cloned().unwrap_or_default());
    let Some(browser) = Browser::of_program(&program) else {
        return Ok(false);
    };
    let name = program.file_name().unwrap_or_default();
    let folder = data.join("lonewire/profiles").join(tunnel).join(name);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    argv.splice(1..1, browser.separate_profile(&folder));
    Ok(true)
}

/// `$XDG_DATA_HOME`; a relative one counts as none (XDG Base Directory).
fn data() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_browser_gets_a_folder_that_is_its_users_alone() {
        let data = tempfile::tempdir().unwrap();
        let mut argv: Vec<OsString> = vec!["/usr/bin/firefox".into(), "https://a".into()];
        assert!(separate_in(data.path(), &mut argv, "4f2a").unwrap());
        let folder = data.path().join("lonewire/profiles/4f2a/firefox");
        assert_eq!(
            argv[1..3],
            ["--profile".into(), folder.clone().into_os_string()]
        );
        assert_eq!(argv[4], "https://a");
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_is_no_browser_stays_as_it_is() {
        let data = tempfile::tempdir().unwrap();
        let mut argv: Vec<OsString> = vec!["curl".into()];
        assert!(!separate_in(data.path(), &mut argv, "4f2a").unwrap());
        assert_eq!(argv, ["curl"]);
        assert!(!data.path().join("lonewire").exists());
    }
}
