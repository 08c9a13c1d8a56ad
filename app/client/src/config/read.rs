//! Reads a file or a stream that may be anything: a device, a pipe without an end, something huge. Never waits for a named
//! file and never reads past the limit.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use lonewire_core::wgconf;
use rustix::fs::{FileType, Mode, OFlags};
use zeroize::Zeroizing;

use super::{Error, FileKind, Result};
use crate::text::printable;

/// Bytes of an archive or a picture.
pub const MAX_BINARY: usize = 16 * 1024 * 1024;

/// Begins like an archive or a picture: these may be larger than a configuration.
pub fn is_binary(start: &[u8]) -> bool {
    is_archive(start) || is_picture(start)
}

pub fn is_archive(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

pub fn is_picture(start: &[u8]) -> bool {
    start.starts_with(b"\x89PNG\r\n\x1a\n") || start.starts_with(b"\xff\xd8\xff")
}

/// The bytes of a regular file: of a configuration, or of an archive or a picture.
///
/// # Errors
/// It cannot be opened, is no regular file, or is too large.
pub fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let shown = printable(&path.to_string_lossy());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| unreadable(&shown, io::Error::from(error)))?;
    let stat = rustix::fs::fstat(&fd).map_err(|error| unreadable(&shown, error.into()))?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return bytes(File::from(fd), &shown),
        FileType::Directory => FileKind::Folder,
        FileType::Fifo => FileKind::Pipe,
        FileType::Socket => FileKind::Socket,
        _ => FileKind::Device,
    };
    Err(Error::NotAFile {
        origin: shown,
        kind,
    })
}

/// What `reader` has to its end, if it is not too much; `shown` is what the person knows it by.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn bytes(mut reader: impl Read, shown: &str) -> Result<Zeroizing<Vec<u8>>> {
    let start =
        up_to(&mut reader, wgconf::MAX_BYTES + 1).map_err(|error| unreadable(shown, error))?;
    if start.len() <= wgconf::MAX_BYTES {
        return Ok(start);
    }
    if !is_binary(&start) {
        return Err(too_large(shown, wgconf::MAX_BYTES));
    }
    let rest = up_to(&mut reader, MAX_BINARY + 1 - start.len())
        .map_err(|error| unreadable(shown, error))?;
    if start.len() + rest.len() > MAX_BINARY {
        return Err(too_large(shown, MAX_BINARY));
    }
    let mut all = Zeroizing::new(Vec::with_capacity(start.len() + rest.len()));
    all.extend_from_slice(&start);
    all.extend_from_slice(&rest);
    Ok(all)
}

/// At most `limit` bytes. The buffer never grows in place, which would leave pieces of keys behind in memory.
pub fn up_to(reader: &mut impl Read, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut all = Zeroizing::new(Vec::new());
    loop {
        let room = (all.len() + 64 * 1024 + 1).min(limit) - all.len();
        if room == 0 {
            return Ok(all);
        }
        let mut chunk = Zeroizing::new(vec![0; room]);
        let mut filled = 0;
        while let Some(space) = chunk.get_mut(filled..).filter(|space| !space.is_empty()) {
            match reader.read(space) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let ended = filled < room;
        chunk.truncate(filled);
        if all.is_empty() {
            all = chunk;
        } else {
            let needed = all.len() + chunk.len();
            if needed > all.capacity() {
                let mut larger = Zeroizing::new(Vec::with_capacity(needed * 2));
                larger.extend_from_slice(&all);
                all = larger;
            }
            all.extend_from_slice(&chunk);
        }
        if ended {
            return Ok(all);
        }
    }
}

fn unreadable(shown: &str, error: io::Error) -> Error {
    Error::Unreadable {
        origin: shown.to_owned(),
        error,
    }
}

fn too_large(shown: &str, limit: usize) -> Error {
    Error::TooLarge {
        origin: shown.to_owned(),
        limit,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn refused(path: &str) -> String {
        let begun = Instant::now();
        let error = file(Path::new(path)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_millis(100), "{path}");
        error.code()
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(refused(fifo.to_str().unwrap()), "not_a_file");
        assert_eq!(refused("/dev/zero"), "not_a_file");
        assert_eq!(refused("/"), "not_a_file");
        assert_eq!(refused("/nonexistent"), "unreadable");
    }

    #[test]
    fn only_archives_and_pictures_may_be_larger() {
        let mut text = vec![b'#'; wgconf::MAX_BYTES];
        assert_eq!(bytes(&*text, "x").unwrap().len(), wgconf::MAX_BYTES);
        text.push(b'#');
        assert_eq!(bytes(&*text, "x").unwrap_err().code(), "too_large");
        text.splice(..4, *b"PK\x03\x04");
        assert_eq!(*bytes(&*text, "x").unwrap(), text);
        let endless = b"PK\x03\x04".chain(io::repeat(0));
        assert_eq!(bytes(endless, "x").unwrap_err().code(), "too_large");
    }
}
