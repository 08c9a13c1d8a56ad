//! A text in memory that nobody can change any more: how the helper takes configurations.

use std::{io, os::fd::OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::{Error, Result};

/// The text in a sealed memfd.
///
/// # Errors
/// The system is out of memory or descriptors.
pub fn sealed(text: &[u8]) -> Result<OwnedFd> {
    let make = || -> io::Result<OwnedFd> {
        let fd = memfd_create(
            "configuration",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        let mut rest = text;
        while !rest.is_empty() {
            let written = rustix::io::write(&fd, rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        fcntl_add_seals(
            &fd,
            SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        Ok(fd)
    };
    make().map_err(Error::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_all_there_and_stays() {
        let fd = sealed(b"[Interface]\n").unwrap();
        let mut bytes = [0; 64];
        assert_eq!(rustix::io::pread(&fd, &mut bytes, 0).unwrap(), 12);
        assert!(rustix::io::pwrite(&fd, b"x", 0).is_err());
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
        assert!(fcntl_add_seals(&fd, SealFlags::WRITE).is_err());
    }
}
