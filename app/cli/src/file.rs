//! Files that a command writes where a person said: readable by that person alone, whole or not at all.

use std::{
    io::{ErrorKind, Write as _},
    path::Path,
};

use crate::failure::{Exit, Failure};

/// Writes a new file; never over another.
///
/// # Errors
/// `file_exists`; the system's.
pub fn write_new(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text)?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(
            Exit::Failure,
            "file_exists",
            format!("{} exists already", path.display()),
        )
        .hint("Nothing was written. Choose another name, or remove the file."),
        _ => Failure::system(format!("{} cannot be written", path.display()), error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        write_new(&path, b"one").unwrap();
        assert_eq!(write_new(&path, b"two").unwrap_err().code, "file_exists");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
