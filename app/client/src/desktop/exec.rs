//! The command lines that an `Exec` key stands for. Words are taken apart as GLib does it: double quotes, and beyond the specification single quotes and backslashes,
//! which real entries have. Field codes are replaced after that, so that nothing of a file's name is ever read as quotes.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use super::Entry;

/// Why there is no command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("its entry names no program")]
    NoProgram,
    #[error("the quotes in its entry do not match")]
    Quotes,
    /// The app takes files only, and this is none.
    #[error("it cannot open {0}, which is not a file of this machine")]
    NotAFile(String),
}

/// What an app is to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    File(PathBuf),
    /// Anything but a file.
    Uri(String),
}

impl Target {
    /// A word of a command line: a URI, or a file below `here`. A `file:` URI is its file.
    pub fn new(word: &OsStr, here: &Path) -> Self {
        let text = word.to_str().unwrap_or_default();
        let scheme = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
        match scheme {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => match local(rest) {
                Some(path) => Self::File(path),
                None => Self::Uri(text.to_owned()),
            },
            Some(_) => Self::Uri(text.to_owned()),
            None => Self::File(here.join(word)),
        }
    }

    fn word(&self, files_only: bool) -> Result<OsString, Error> {
        match self {
            Self::File(path) => Ok(path.clone().into()),
            Self::Uri(uri) if files_only => Err(Error::NotAFile(uri.clone())),
            Self::Uri(uri) => Ok(uri.into()),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    // One letter is a drive of another system's.
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The path of a `file:` URI, without its scheme; `None` of another machine's.
fn local(rest: &str) -> Option<PathBuf> {
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let path = path.split(['?', '#']).next()?;
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let value = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        if value == 0 {
            return None;
        }
        bytes.push(value);
    }
    Some(OsString::from_vec(bytes).into())
}

/// A word before its field codes are replaced.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Code(char),
}

/// The command lines: one, or one for each target where the app opens one at a time. `locale` is for the app's name.
///
/// # Errors
/// [`Error`].
pub fn command_lines(
    entry: &Entry,
    exec: &str,
    targets: &[Target],
    locale: &str,
) -> Result<Vec<Vec<OsString>>, Error> {
    let mut words = pieces(exec)?;
    let has = |codes: &[char]| {
        let mut all = words.iter().flatten();
        all.any(|piece| matches!(piece, Piece::Code(code) if codes.contains(code)))
    };
    let takes_all = has(&['F', 'U']);
    if !takes_all && !has(&['f', 'u']) && !targets.is_empty() {
        words.push(vec![Piece::Code('f')]);
    }
    let groups: Vec<&[Target]> = if takes_all || targets.is_empty() {
        vec![targets]
    } else {
        targets.chunks(1).collect()
    };
    let one = |targets: &[Target]| {
        let mut line = Vec::new();
        for word in &words {
            expand(entry, word, targets, locale, &mut line)?;
        }
        let empty = line
            .first()
            .is_none_or(|program: &OsString| program.is_empty());
        if empty {
            Err(Error::NoProgram)
        } else {
            Ok(line)
        }
    };
    groups.into_iter().map(one).collect()
}

fn expand(
    entry: &Entry,
    word: &[Piece],
    targets: &[Target],
    locale: &str,
    line: &mut Vec<OsString>,
) -> Result<(), Error> {
    // A word of codes alone that stand for nothing is none; what was quoted is a word even if it is empty.
    let mut made: Option<OsString> = None;
    let add = |made: &mut Option<OsString>, text: &OsStr| {
        made.get_or_insert_default().push(text);
    };
    for piece in word {
        match piece {
            Piece::Text(text) => add(&mut made, text.as_ref()),
            Piece::Code(code @ ('f' | 'u')) => {
                if let Some(target) = targets.first() {
                    add(&mut made, &target.word(*code == 'f')?);
                }
            }
            Piece::Code(code @ ('F' | 'U')) => {
                for (index, target) in targets.iter().enumerate() {
                    if index > 0 {
                        line.extend(made.take());
                    }
                    add(&mut made, &target.word(*code == 'F')?);
                }
            }
            Piece::Code('i') => {
                if let Some(icon) = entry.icon() {
                    add(&mut made, "--icon".as_ref());
                    line.extend(made.take());
                    add(&mut made, icon.as_ref());
                }
            }
            Piece::Code('c') => {
                if let Some(name) = entry.name(locale) {
                    add(&mut made, name.as_ref());
                }
            }
            Piece::Code('k') => add(&mut made, entry.path.as_os_str()),
            // Codes of older days (d D n N v m), and those that nobody knows.
            Piece::Code(_) => {}
        }
    }
    line.extend(made);
    Ok(())
}

/// Words as pieces. The string's own escapes are undone already.
fn pieces(exec: &str) -> Result<Vec<Vec<Piece>>, Error> {
    let mut words = Vec::new();
    let mut word: Option<Vec<Piece>> = None;
    let mut quote = None;
    let mut rest = exec.chars().peekable();
    while let Some(c) = rest.next() {
        if quote.is_none() && c.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        // A comment, to the end of the line.
        if word.is_none() && c == '#' {
            rest.by_ref().find(|c| *c == '\n');
            continue;
        }
        let pieces = word.get_or_insert_default();
        match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(c);
                text(pieces, None);
            }
            (Some(open), c) if c == open => quote = None,
            (None, '\\') => text(pieces, Some(rest.next().ok_or(Error::Quotes)?)),
            (Some('"'), '\\') => {
                let escaped = rest.next_if(|next| "\"`$\\".contains(*next));
                text(pieces, Some(escaped.unwrap_or('\\')));
            }
            (_, '%') => match rest.next() {
                Some('%') => text(pieces, Some('%')),
                Some(code) => pieces.push(Piece::Code(code)),
                None => {}
            },
            (_, c) => text(pieces, Some(c)),
        }
    }
    if quote.is_some() {
        return Err(Error::Quotes);
    }
    words.extend(word);
    Ok(words)
}

/// Appends a character, or nothing, which still makes it a text.
fn text(pieces: &mut Vec<Piece>, c: Option<char>) {
    if !matches!(pieces.last(), Some(Piece::Text(_))) {
        pieces.push(Piece::Text(String::new()));
    }
    if let Some(Piece::Text(text)) = pieces.last_mut() {
        text.extend(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(exec: &str, targets: &[&str]) -> Result<Vec<Vec<OsString>>, Error> {
        let text =
            format!("[Desktop Entry]\nName=My App\nName[de]=Meine App\nIcon=pic\nExec={exec}\n");
        let entry = Entry::parse("my-app", Path::new("/usr/share/my app.desktop"), &text);
        let targets: Vec<_> = targets
            .iter()
            .map(|word| Target::new(word.as_ref(), Path::new("/home/al")))
            .collect();
        command_lines(&entry, &entry.exec(None).unwrap(), &targets, "de")
    }

    #[track_caller]
    fn one(exec: &str, targets: &[&str], expected: &[&str]) {
        let lines = lines(exec, targets).unwrap();
        assert_eq!(lines, [expected], "{exec}");
    }

    #[test]
    fn quotes_and_escapes_survive_to_the_arguments() {
        one("app  a\tb ", &[], &["app", "a", "b"]);
        one(
            r#""my app" "a b" c"d e"f """#,
            &[],
            &["my app", "a b", "cd ef", ""],
        );
        // Twice escaped: by the string, then by the quotes.
        one(
            r#"app "\\$HOME \\`x\\` \\"q\\" a\\\\b""#,
            &[],
            &["app", "$HOME `x` \"q\" a\\b"],
        );
        one(r#"app "a\\nb""#, &[], &["app", "a\\nb"]);
        one(r"app a#b '#c' #d \n e", &[], &["app", "a#b", "#c", "e"]);
        one(r"app '$x %%' C:\\\\w", &[], &["app", "$x %", "C:\\w"]);
        assert_eq!(lines("app \"x", &[]), Err(Error::Quotes));
        assert_eq!(lines("\"\" x", &[]), Err(Error::NoProgram));
        assert_eq!(lines("%f", &[]), Err(Error::NoProgram));
    }

    #[test]
    fn codes_that_stand_for_nothing_leave_no_argument() {
        one("app %f %u %F %U -x", &[], &["app", "-x"]);
        one(
            "app --file=%f %d%m %z 100%% %",
            &[],
            &["app", "--file=", "100%"],
        );
    }

    #[test]
    fn names_icons_and_places_are_one_argument_each() {
        one(
            "app %i -caption %c %k",
            &[],
            &[
                "app",
                "--icon",
                "pic",
                "-caption",
                "Meine App",
                "/usr/share/my app.desktop",
            ],
        );
    }

    #[test]
    fn files_and_uris_are_handed_over_as_they_are() {
        let file = "file:///tmp/a%20b%25.txt";
        one(
            "app %u",
            &["https://x.org/?a=1&b=%20"],
            &["app", "https://x.org/?a=1&b=%20"],
        );
        one("app %u", &[file], &["app", "/tmp/a b%.txt"]);
        one(
            "app --open=%f",
            &["it's \"$x\".txt"],
            &["app", "--open=/home/al/it's \"$x\".txt"],
        );
        one(
            "app %U -x",
            &["a", "mailto:b@c"],
            &["app", "/home/al/a", "mailto:b@c", "-x"],
        );
        one("app %F", &["a", "/b"], &["app", "/home/al/a", "/b"]);
        // No code of a file's name is a code.
        one("app %f", &["/a %u %c"], &["app", "/a %u %c"]);
        // Without a code they are appended.
        one("app -x", &["/a"], &["app", "-x", "/a"]);
    }

    #[test]
    fn one_at_a_time_is_a_line_for_each() {
        let found = lines("app %u", &["/a", "xy://b"]).unwrap();
        assert_eq!(found, [["app", "/a"], ["app", "xy://b"]]);
    }

    #[test]
    fn what_is_no_file_is_not_dropped_silently() {
        let refused = Err(Error::NotAFile("https://x.org".to_owned()));
        for exec in ["app %f", "app %F", "app"] {
            assert_eq!(lines(exec, &["https://x.org"]), refused, "{exec}");
        }
        let elsewhere = Err(Error::NotAFile("file://other/a".to_owned()));
        assert_eq!(lines("app %f", &["file://other/a"]), elsewhere);
    }
}
