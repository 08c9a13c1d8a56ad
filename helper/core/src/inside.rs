// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program in a tunnel gets of the host's `/run`, which is replaced as a whole; and what of mounts is read from text.

/// How a part of the host's `/run` comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    Is,
    ReadOnly,
}

/// All of the host's `/run` that a program gets, below it; the user's own folder comes with its number. What is not there on the host is left out.
/// `dbus` is not: there a proxy listens in the place of the host's bus.
pub const RUN: &[(&str, As)] = &[
    ("media", As::Is),
    ("udev", As::ReadOnly),
    ("systemd/seats", As::ReadOnly),
    ("systemd/sessions", As::ReadOnly),
    ("systemd/users", As::ReadOnly),
    ("systemd/userdb", As::ReadOnly),
    ("systemd/journal/dev-log", As::Is),
    ("systemd/journal/socket", As::Is),
    ("systemd/journal/stdout", As::Is),
    ("lock", As::Is),
    ("utmp", As::ReadOnly),
    ("cups", As::Is),
    ("pcscd", As::Is),
    // NixOS.
    ("opengl-driver", As::ReadOnly),
    ("opengl-driver-32", As::ReadOnly),
    ("current-system", As::ReadOnly),
    ("booted-system", As::ReadOnly),
    ("wrappers", As::Is),
];

/// What must not be there in the end: by these libc asks a service of the host.
pub const FORBIDDEN: &[&str] = &["nscd", "systemd/resolve", "avahi-daemon"];

/// Mount points right below a folder, without those below another of them, from the text of `/proc/self/mountinfo`. Those with a byte that is escaped there or
/// that is no letter of UTF-8 are left out: below `/sys` there are none.
pub fn mounts_below<'a>(table: &'a [u8], folder: &str) -> impl Iterator<Item = &'a str> {
    let mut found: Vec<&str> = Vec::new();
    let is_below = |point: &str, top: &str| {
        point
            .strip_prefix(top)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    for line in table.split(|byte| *byte == b'\n') {
        // proc(5): the fifth field is the mount point.
        let point = line.split(|byte| *byte == b' ').nth(4).unwrap_or_default();
        match std::str::from_utf8(point) {
            Ok(point)
                if is_below(point, folder)
                    && !point.contains('\\')
                    && !found
                        .iter()
                        .any(|top| *top == point || is_below(point, top)) =>
            {
                found.push(point);
            }
            _ => {}
        }
    }
    found.into_iter()
}

/// Whether a character device may be a program's standard stream: /dev/null and its like, terminals (Documentation/admin-guide/devices.txt).
pub fn is_stream_device(major: u32, minor: u32) -> bool {
    match major {
        1 => matches!(minor, 3 | 5 | 7 | 8 | 9),
        4..=5 | 136..=143 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_right_below_a_folder_are_found_once() {
        let table = b"1 0 0:1 / /sys rw - sysfs s rw\n2 1 0:2 / /sys/fs/cgroup rw - cgroup2 c rw\n\
            3 2 0:3 / /sys/fs/cgroup/x rw - t t rw\n4 1 0:4 / /sys/fs/cgroup rw - t t rw\n\
            5 1 0:5 / /sysx rw - t t rw\n6 1 0:6 / /sys/a\\040b rw - t t rw\nshort\n";
        assert_eq!(
            mounts_below(table, "/sys").collect::<Vec<_>>(),
            ["/sys/fs/cgroup"]
        );
    }

    #[test]
    fn standard_streams_are_null_and_terminals() {
        for (major, minor) in [(1, 3), (1, 5), (1, 9), (4, 1), (5, 0), (136, 0), (143, 7)] {
            assert!(is_stream_device(major, minor), "{major}:{minor}");
        }
        // Memory, the kernel's messages, TUN and FUSE, sound.
        for (major, minor) in [(1, 1), (1, 11), (10, 200), (10, 229), (116, 1), (144, 0)] {
            assert!(!is_stream_device(major, minor), "{major}:{minor}");
        }
    }

    #[test]
    fn no_name_service_is_in_the_table() {
        for (path, _) in RUN {
            assert!(
                FORBIDDEN
                    .iter()
                    .all(|hidden| !hidden.starts_with(path) && !path.starts_with(hidden)),
                "{path}"
            );
        }
    }
}
