//! What the keeper tells us on the tie, and that it hears our end by its hangup.

use std::os::fd::OwnedFd;

use rustix::{io::Errno, net::RecvFlags};

use crate::failure::Failure;

/// What happened to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Stopped,
    Continued,
    /// Its exit code, or 128 and the signal that ended it.
    Exited(u8),
    /// The last process of the app has ended, or nobody will ever tell.
    Ended,
}

/// What cannot be made where the system refuses.
pub const NO_PAIR: &str = "a pair of sockets cannot be made";

/// The keeper's end and ours.
///
/// # Errors
/// The system's.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Failure> {
    lonewire_client::launch::pair().map_err(|error| Failure::system(NO_PAIR, error))
}

/// The next news; `None` where there is none now.
pub fn news(tie: &OwnedFd) -> Option<News> {
    let mut buffer = [0_u8; 64];
    match rustix::net::recv(tie, &mut buffer, RecvFlags::DONTWAIT) {
        Ok((0, _)) => Some(News::Ended),
        Ok((length, _)) => {
            let text = std::str::from_utf8(buffer.get(..length)?).ok()?;
            read(text)
        }
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(_) => Some(News::Ended),
    }
}

fn read(text: &str) -> Option<News> {
    let (word, number) = text.split_once(' ').unwrap_or((text, "0"));
    let number: u8 = number.parse().ok()?;
    match word {
        "stopped" => Some(News::Stopped),
        "continued" => Some(News::Continued),
        "exited" => Some(News::Exited(number)),
        "killed" => Some(News::Exited(number.saturating_add(128))),
        "ended" => Some(News::Ended),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read() {
        assert_eq!(read("stopped 20"), Some(News::Stopped));
        assert_eq!(read("continued"), Some(News::Continued));
        assert_eq!(read("exited 7"), Some(News::Exited(7)));
        assert_eq!(read("killed 9"), Some(News::Exited(137)));
        assert_eq!(read("ended"), Some(News::Ended));
        assert_eq!(read("nonsense"), None);
    }

    #[test]
    fn a_closed_tie_says_that_nobody_will_tell() {
        let (theirs, ours) = pair().unwrap();
        assert_eq!(news(&ours), None);
        drop(theirs);
        assert_eq!(news(&ours), Some(News::Ended));
    }
}
