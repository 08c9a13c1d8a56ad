//! Bytes and rates, for people.

use gettextrs::gettext;
use gtk::glib;

use super::fill;

/// "1.2 MB": powers of ten, as networks are sold.
pub fn bytes(count: u64) -> String {
    glib::format_size(count).into()
}

/// "1.2 MB/s".
pub fn rate(bytes_a_second: u64) -> String {
    fill(&gettext("{size}/s"), &[("size", &bytes(bytes_a_second))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_have_their_unit() {
        for (count, size, speed) in [
            (0, "0 bytes", "0 bytes/s"),
            (999, "999 bytes", "999 bytes/s"),
            (84_000, "84.0 kB", "84.0 kB/s"),
            (1_234_567, "1.2 MB", "1.2 MB/s"),
        ] {
            assert_eq!(bytes(count).replace('\u{a0}', " "), size);
            assert_eq!(rate(count).replace('\u{a0}', " "), speed);
        }
    }
}
