//! What is wrong with a configuration, in words of the window. What could be a key is never told.

use std::io;

use gettextrs::{gettext, ngettext};
use lonewire_api::ApiError;
use lonewire_client::{
    config::{Error, FileKind, check, size},
    text::cause,
};
use lonewire_core::wgconf::{ParseError, Reason};

use super::fill;

/// Problems that are told at most.
const TOLD: usize = 3;
/// In place of what is not shown.
const HIDDEN: &str = "••••••••";

/// Why something is no configuration, and what to do: whole sentences.
pub fn refusal(error: &Error) -> String {
    match error {
        Error::Unreadable { error, .. } => of_system(error),
        Error::NotAFile { kind, .. } => match kind {
            FileKind::Folder => gettext("It is a folder. Choose the files in it."),
            FileKind::Pipe | FileKind::Socket | FileKind::Device => {
                gettext("It is not a regular file.")
            }
        },
        Error::TooLarge { limit, .. } | Error::LargeEntry { limit, .. } => fill(
            &gettext("It is larger than {size}, and a configuration is not."),
            &[("size", &size(*limit))],
        ),
        Error::BadArchive { .. } => gettext("The archive is damaged, or of an unknown kind."),
        Error::BadEntry { .. } => gettext("It is damaged, encrypted or packed in an unknown way."),
        Error::ManyEntries { limit, .. } => fill(
            &gettext("The archive has more than {count} files."),
            &[("count", &limit.to_string())],
        ),
        Error::EmptyArchive { .. } => gettext("There is no .conf file in the archive."),
        Error::BadPicture { .. } => gettext("The picture is damaged, or not PNG or JPEG."),
        Error::LargePicture { .. } => {
            gettext("The picture has more than 20 million pixels. Cut it to the QR code.")
        }
        Error::NoQrCode { .. } => gettext(
            "There is no QR code in the picture, or it can not be read. A sharp picture of the code alone, with its white edge, is read best.",
        ),
        Error::SlowPicture { .. } => {
            gettext("The search for a QR code took too long. Cut the picture to the code.")
        }
        Error::SeveralQrCodes { .. } => {
            gettext("There are several QR codes in the picture. Cut it to one of them.")
        }
        Error::Empty { .. } => gettext("It is empty. A configuration begins with [Interface]."),
        Error::Invalid { problems, .. } => {
            let mut told: Vec<String> = problems
                .iter()
                .take(TOLD)
                .map(|problem| sentence(&problem.error))
                .collect();
            let more = u32::try_from(problems.len().saturating_sub(TOLD)).unwrap_or(u32::MAX);
            if more > 0 {
                told.push(fill(
                    &ngettext(
                        "There is {count} more error.",
                        "There are {count} more errors.",
                        more,
                    ),
                    &[("count", &more.to_string())],
                ));
            }
            told.join("\n")
        }
        Error::Memory(_) => gettext("The system is out of memory."),
    }
}

/// What the system said of a file.
pub fn of_system(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => gettext("It is not there anymore."),
        io::ErrorKind::PermissionDenied => gettext("You are not allowed to open it."),
        io::ErrorKind::Unsupported => gettext("It is not on this computer: choose a local folder."),
        _ => fill(
            &gettext("The system says: {cause}."),
            &[("cause", &cause(error))],
        ),
    }
}

/// What the service found wrong with a configuration that seemed good here: a sentence.
pub fn of_service(error: &ApiError) -> String {
    let reason = error.reason();
    let known = Reason::ALL
        .iter()
        .find(|one| Some(one.code()) == reason.as_deref());
    match known {
        Some(known) => sentence(&ParseError {
            line: error.line().unwrap_or(1),
            column: error.column().unwrap_or(1),
            key: error.key(),
            value: error.value(),
            reason: *known,
        }),
        None => gettext("The service does not take this configuration."),
    }
}

/// Line and column of the first problem.
pub fn place(error: &Error) -> Option<(u32, u32)> {
    match error {
        Error::Invalid { problems, .. } => problems
            .first()
            .map(|problem| (problem.error.line, problem.error.column)),
        _ => None,
    }
}

/// One problem: "Line 7: “AllowedIPs” is not a valid address range: “10.0.0.0/33”."
pub fn sentence(error: &ParseError) -> String {
    let key = match &error.key {
        Some(key) => fill(&gettext("“{key}”"), &[("key", key)]),
        None => gettext("This"),
    };
    let what = fill(&reason(error.reason), &[("key", &key)]);
    let line = error.line.to_string();
    match &error.value {
        Some(value) => fill(
            &gettext("Line {line}: {what}: “{value}”."),
            &[("line", &line), ("what", &what), ("value", value)],
        ),
        None => fill(
            &gettext("Line {line}: {what}."),
            &[("line", &line), ("what", &what)],
        ),
    }
}

/// A reason without a full stop; `{key}` stands for the setting.
fn reason(reason: Reason) -> String {
    match reason {
        Reason::TooLarge => gettext("the configuration is larger than 64 KiB"),
        Reason::NotUtf8 => gettext("this is not UTF-8 text"),
        Reason::NoInterface => gettext("there is no [Interface] section"),
        Reason::ControlCharacter => gettext("there is a control character in this line"),
        Reason::LineTooLong => gettext("the line is longer than 16 KiB"),
        Reason::NotASetting => gettext("this is neither a section nor “Key = value”"),
        Reason::OutsideSection => gettext("there is a setting before the first section"),
        Reason::UnknownSection => gettext("the only sections are [Interface] and [Peer]"),
        Reason::UnknownKey => gettext("{key} is not a known setting"),
        Reason::AmneziaWg => gettext("{key} is a setting of AmneziaWG, which is not supported"),
        Reason::WrongSection => gettext("{key} does not belong in this section"),
        Reason::DuplicateKey => gettext("{key} is given twice"),
        Reason::MissingPrivateKey => gettext("the [Interface] section has no “PrivateKey”"),
        Reason::MissingPublicKey => gettext("this [Peer] section has no “PublicKey”"),
        Reason::EmptyValue => gettext("{key} has no value"),
        Reason::KeyLength => gettext("{key} must be 44 characters of base64"),
        Reason::KeyEncoding => gettext("{key} is not 32 bytes in base64"),
        Reason::KeyZero => gettext("{key} is all zeros"),
        Reason::NothingStored => gettext("{key} can not be (unchanged) in a new tunnel"),
        Reason::NotAnAddressRange => gettext("{key} is not a valid address range"),
        Reason::NotAnAddress => gettext("{key} is not a valid address"),
        Reason::UnusableAddress => gettext("{key} is an address that a link can not have"),
        Reason::NotADnsServer => gettext("{key} is neither an address nor a search domain"),
        Reason::UnusableDnsServer => gettext("{key} is an address that no server can have"),
        Reason::NotANumber => gettext("{key} is not a number"),
        Reason::PortOutOfRange => gettext("{key} must be 0, or 1024 to 65535"),
        Reason::MtuOutOfRange => gettext("{key} must be 576 to 65535"),
        Reason::MtuTooSmallForIpv6 => gettext("{key} must be at least 1280 for IPv6"),
        Reason::KeepaliveOutOfRange => gettext("{key} must be “off”, or 0 to 65535 seconds"),
        Reason::NotAnEndpoint => gettext("{key} is not a valid address or name with a port"),
        Reason::MissingPort => gettext("{key} has no port"),
        Reason::BadPort => gettext("{key} must have a port of 1 to 65535"),
        Reason::Ipv6NeedsBrackets => gettext("{key} needs brackets around its IPv6 address"),
        Reason::UnusableEndpoint => gettext("{key} is an address that no peer can have"),
        Reason::LinkLocalEndpoint => {
            gettext("{key} is a link-local address, which is not supported")
        }
        Reason::TooManyPeers => gettext("there are more than 64 peers"),
        Reason::TooManyAllowedIps => gettext("this peer has more than 256 address ranges"),
        Reason::TooManyAddresses => gettext("there are more than 64 addresses"),
        Reason::TooManyDns => gettext("there are more than 8 DNS servers or search domains"),
    }
}

/// A line around an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub number: u32,
    pub text: String,
    /// This one is wrong.
    pub is_marked: bool,
}

/// The line of an error with the one before and the one behind it. What could be a key is hidden.
pub fn excerpt(text: &[u8], line: u32) -> Vec<Line> {
    let count = text.split(|byte| *byte == b'\n').count();
    let last = u32::try_from(count).unwrap_or(u32::MAX);
    (line.saturating_sub(1).max(1)..=line.saturating_add(1).min(last))
        .map(|number| Line {
            number,
            text: shown(text, number),
            is_marked: number == line,
        })
        .filter(|line| line.is_marked || line.number < last || !line.text.is_empty())
        .collect()
}

fn shown(text: &[u8], number: u32) -> String {
    if let Some(plain) = check::line(text, number) {
        return plain.to_owned();
    }
    let index = usize::try_from(number)
        .unwrap_or_default()
        .saturating_sub(1);
    let line = text.split(|byte| *byte == b'\n').nth(index);
    let key = line
        .and_then(|line| std::str::from_utf8(line).ok())
        .and_then(|line| line.split_once('='))
        .map(|(key, _)| key.trim())
        .filter(|key| KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)));
    match key {
        Some(key) => format!("{key} = {HIDDEN}"),
        None => HIDDEN.to_owned(),
    }
}

/// Settings whose names may be shown though their values may not.
const KEYS: [&str; 3] = ["PrivateKey", "PresharedKey", "PublicKey"];

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    fn refused(text: &str) -> Error {
        check::new("work.conf", text.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_error_names_its_line_its_setting_and_the_value() {
        let text = format!(
            "[Interface]\nPrivateKey = {KEY}\n[Peer]\nPublicKey = {KEY}\nAllowedIPs = 10.0.0.0/33\n"
        );
        assert_eq!(
            refusal(&refused(&text)),
            "Line 5: “AllowedIPs” is not a valid address range: “10.0.0.0/33”."
        );
    }

    #[test]
    fn many_errors_are_counted() {
        let text = format!("[Interface]\nPrivateKey = {KEY}\nA = 1\nB = 1\nC = 1\nD = 1\nE = 1\n");
        let told = refusal(&refused(&text));
        assert_eq!(told.lines().count(), TOLD + 1, "{told}");
        assert!(told.ends_with("There are 2 more errors."), "{told}");
    }

    #[test]
    fn every_reason_has_words_of_its_own() {
        let mut told: Vec<_> = Reason::ALL.iter().map(|one| reason(*one)).collect();
        assert!(told.iter().all(|text| !text.ends_with('.')));
        told.sort();
        told.dedup();
        assert_eq!(told.len(), Reason::ALL.len());
    }

    #[test]
    fn an_excerpt_has_three_lines_and_nothing_of_a_key() {
        let text = format!("[Interface]\nPrivateKey = {KEY}\nMTU = x\nprivatekey={KEY}\n# {KEY}\n");
        let lines = excerpt(text.as_bytes(), 3);
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.number, &*line.text, line.is_marked))
            .collect();
        assert_eq!(
            told,
            [
                (2, "PrivateKey = ••••••••", false),
                (3, "MTU = x", true),
                (4, "privatekey = ••••••••", false)
            ]
        );
        for line in 1..7 {
            for shown in excerpt(text.as_bytes(), line) {
                assert!(!shown.text.contains(&KEY[..8]), "{}", shown.text);
            }
        }
        assert_eq!(excerpt(b"x\n", 1).len(), 1);
        assert_eq!(excerpt(b"x", 1).len(), 1);
    }
}
