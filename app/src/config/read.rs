//! From what a person gave to drafts. Everything that may take time is on a thread of its own.

use std::path::PathBuf;

use gtk::{gdk, gio, prelude::*};
use lonewire_client::{
    config::{self, Error, read, source, source::Source},
    text::printable,
};
use zeroize::Zeroizing;

use super::{Found, Refused, Text, judge, picture};

/// Everything in some files.
pub async fn files(files: Vec<gio::File>) -> Found {
    let places = files.into_iter().map(|file| place(&file)).collect();
    apart(move || all(places)).await
}

/// A text that was pasted or dropped. `origin` says so.
pub async fn pasted(origin: String, text: String) -> Found {
    let text = Zeroizing::new(text.into_bytes());
    apart(move || {
        let mut found = Found::default();
        if text.len() > lonewire_core::wgconf::MAX_BYTES {
            let limit = lonewire_core::wgconf::MAX_BYTES;
            found.refuse("", Error::TooLarge { origin, limit });
        } else {
            found.take(&origin, "", text);
        }
        found
    })
    .await
}

/// The configuration in the QR code of a picture that was pasted or dropped.
pub async fn texture(origin: String, texture: gdk::Texture) -> Found {
    apart(move || {
        let mut found = Found::default();
        let text = if picture::is_reasonable(&texture) {
            picture::pixels(&texture)
                .ok_or_else(|| Error::BadPicture {
                    origin: origin.clone(),
                })
                .and_then(|pixels| config::picture::text(&origin, pixels))
        } else {
            Err(Error::LargePicture {
                origin: origin.clone(),
            })
        };
        match text {
            Ok(text) => found.take(&origin, "", text),
            Err(error) => found.refuse("", error),
        }
        found
    })
    .await
}

/// A file's name for the person, and where it is if it is on this computer.
fn place(file: &gio::File) -> (String, Option<PathBuf>) {
    let name = file.basename().unwrap_or_default();
    (printable(&name.to_string_lossy()), file.path())
}

async fn apart(work: impl FnOnce() -> Found + Send + 'static) -> Found {
    // A panic over there has been told on standard error; here it is as if nothing had been found.
    gio::spawn_blocking(work).await.unwrap_or_default()
}

fn all(places: Vec<(String, Option<PathBuf>)>) -> Found {
    let mut found = Found::default();
    for (name, path) in places {
        let label = source::label(&name);
        let bytes = match path {
            Some(path) => read::file(&path),
            None => Err(Error::Unreadable {
                origin: name.clone(),
                error: std::io::ErrorKind::Unsupported.into(),
            }),
        };
        match bytes {
            Ok(bytes) => {
                let before = found.drafts.len();
                for source in source::of_bytes(&name, &label, bytes, picture::decode) {
                    found.source(source);
                }
                for draft in found.drafts.iter_mut().skip(before) {
                    if draft.origin != name {
                        draft.archive.clone_from(&name);
                    }
                }
            }
            Err(error) => found.refused.push(Refused {
                origin: name,
                name: label,
                text: None,
                error,
            }),
        }
    }
    found
}

impl Found {
    fn source(&mut self, source: config::Result<Source>) {
        match source {
            Ok(source) => self.take(&source.origin, &source.label, source.text),
            Err(error) => self.refuse("", error),
        }
    }

    fn take(&mut self, origin: &str, name: &str, text: Text) {
        match judge(origin, name, text) {
            Ok(draft) => self.drafts.push(draft),
            Err(refused) => self.refused.push(*refused),
        }
    }

    fn refuse(&mut self, name: &str, error: Error) {
        self.refused.push(Refused {
            origin: error.origin(),
            name: name.to_owned(),
            text: None,
            error,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nAddress = 10.0.0.2/32\n";

    fn look(entries: &[(&str, &str)], more: &[&str]) -> Found {
        let folder = tempfile::tempdir().unwrap();
        let mut places: Vec<_> = entries
            .iter()
            .map(|(name, text)| {
                let path = folder.path().join(name);
                std::fs::write(&path, text).unwrap();
                ((*name).to_owned(), Some(path))
            })
            .collect();
        places.extend(
            more.iter()
                .map(|path| ((*path).to_owned(), Some(path.into()))),
        );
        all(places)
    }

    #[test]
    fn each_file_is_judged_for_itself() {
        let found = look(
            &[
                ("home.conf", GOOD),
                ("bad.conf", "[Interface]\nMTU = x\n"),
                ("empty.conf", ""),
            ],
            &["/", "/nonexistent"],
        );
        let names: Vec<_> = found.drafts.iter().map(|draft| &*draft.name).collect();
        assert_eq!(names, ["home"]);
        let codes: Vec<_> = found.refused.iter().map(|one| one.error.code()).collect();
        assert_eq!(codes[1..], ["empty", "not_a_file", "unreadable"]);
        assert_eq!(found.refused[0].error.line(), Some(1));
        let can_be_edited: Vec<_> = found.refused.iter().map(|one| one.text.is_some()).collect();
        assert_eq!(can_be_edited, [true, true, false, false]);
    }

    #[test]
    fn what_is_no_text_is_not_offered_for_editing() {
        let Err(refused) = judge("a", "", Zeroizing::new(vec![0xff, 0xfe])) else {
            panic!("it was taken")
        };
        assert!(refused.text.is_none());
    }
}
