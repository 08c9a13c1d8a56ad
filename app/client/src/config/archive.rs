//! A provider's archive (zip): the configurations in it. Nothing is unpacked to disk, and no name in it is used as a path.

use std::io::Cursor;

use lonewire_core::wgconf;
use zip::ZipArchive;

use super::{Error, Result, read, source::Source};
use crate::text::printable;

/// Entries an archive may have.
const MAX_ENTRIES: usize = 1000;

/// The configurations of an archive, each for itself.
///
/// # Errors
/// It is no archive, or one with too many entries, or one without configurations.
pub fn sources(shown: &str, bytes: &[u8]) -> Result<Vec<Result<Source>>> {
    let origin = || shown.to_owned();
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|_| Error::BadArchive { origin: origin() })?;
    if archive.len() > MAX_ENTRIES {
        return Err(Error::ManyEntries {
            origin: origin(),
            limit: MAX_ENTRIES,
        });
    }
    let sources: Vec<_> = (0..archive.len())
        .filter_map(|index| entry(&mut archive, index, shown).transpose())
        .collect();
    if sources.is_empty() {
        return Err(Error::EmptyArchive { origin: origin() });
    }
    Ok(sources)
}

/// One entry; `None` if it is no configuration.
fn entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    shown: &str,
) -> Result<Option<Source>> {
    let bad = |entry| Error::BadEntry {
        origin: shown.to_owned(),
        entry,
    };
    let mut file = archive.by_index(index).map_err(|_| bad(Err(index + 1)))?;
    let name = file.name().map_err(|_| bad(Err(index + 1)))?.into_owned();
    let base = name.rsplit('/').next().unwrap_or_default();
    let wanted = base.to_ascii_lowercase().ends_with(".conf") && !base.starts_with('.');
    if !wanted || !file.is_file() {
        return Ok(None);
    }
    let origin = format!("{shown}: {}", printable(&name));
    let text =
        read::up_to(&mut file, wgconf::MAX_BYTES + 1).map_err(|_| bad(Ok(printable(&name))))?;
    if text.len() > wgconf::MAX_BYTES {
        return Err(Error::LargeEntry {
            origin,
            limit: wgconf::MAX_BYTES,
        });
    }
    Ok(Some(Source {
        origin,
        label: super::source::label(base),
        text,
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn configurations_are_found_and_the_rest_is_not() {
        let bytes = zipped(&[
            ("readme.txt", b"x"),
            ("se/../../etc/Se1.CONF", b"one"),
            ("__MACOSX/._se1.conf", b"x"),
            ("de2.conf", b"two"),
        ]);
        let found = sources("a.zip", &bytes).unwrap();
        let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
        let labels: Vec<&str> = found.iter().map(|source| &*source.label).collect();
        assert_eq!(labels, ["Se1", "de2"]);
        assert_eq!(found[1].text.as_slice(), b"two");
        assert_eq!(found[1].origin, "a.zip: de2.conf");
    }

    #[test]
    fn a_large_entry_is_refused_and_the_others_are_not() {
        let large = vec![0; 10 * 1024 * 1024];
        let bytes = zipped(&[("bomb.conf", &large), ("good.conf", b"x")]);
        let found = sources("a.zip", &bytes).unwrap();
        assert_eq!(found[0].as_ref().unwrap_err().code(), "too_large");
        assert!(found[1].is_ok());
    }

    #[test]
    fn too_many_entries_none_and_garbage_are_refused() {
        let names: Vec<String> = (0..=MAX_ENTRIES)
            .map(|number| format!("{number}.conf"))
            .collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"x"[..])).collect();
        let code = |bytes: &[u8]| sources("a.zip", bytes).err().unwrap().code();
        assert_eq!(code(&zipped(&entries)), "too_many_entries");
        assert_eq!(code(&zipped(&[("a.txt", b"")])), "empty_archive");
        assert_eq!(code(b"PK\x03\x04 and so on"), "bad_archive");
    }
}
