//! What of our environment a program gets: all of it, less what speaks of our own place in a service manager or would turn name look-ups elsewhere.

use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// The helper leaves these out too: this only saves sending them.
const LEFT_OUT: &[&[u8]] = &[
    b"NOTIFY_SOCKET",
    b"INVOCATION_ID",
    b"JOURNAL_STREAM",
    b"HOSTALIASES",
    b"LOCALDOMAIN",
    b"RES_OPTIONS",
    // They say how we were started ourselves.
    b"DBUS_STARTER_ADDRESS",
    b"DBUS_STARTER_BUS_TYPE",
    b"GIO_LAUNCHED_DESKTOP_FILE",
    b"GIO_LAUNCHED_DESKTOP_FILE_PID",
];

const LEFT_OUT_PREFIXES: &[&[u8]] = &[b"LISTEN_", b"SYSTEMD_"];

/// `NAME=value` of each variable.
pub fn ours() -> Vec<Vec<u8>> {
    let is_kept = |name: &[u8]| {
        !LEFT_OUT.contains(&name)
            && !LEFT_OUT_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
            && is_name(name)
    };
    std::env::vars_os()
        .filter(|(name, _)| is_kept(name.as_bytes()))
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .collect()
}

/// The same with some variables set or, with `None`, taken away. A window that has an activation token for the program sets `XDG_ACTIVATION_TOKEN` and
/// `DESKTOP_STARTUP_ID` so; without one both go, since ours are used up.
pub fn ours_with(changes: &[(&str, Option<&str>)]) -> Vec<Vec<u8>> {
    let mut all = ours();
    all.retain(|variable| {
        !changes.iter().any(|(name, _)| {
            variable
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b"="))
        })
    });
    for (name, value) in changes {
        all.extend(value.map(|value| format!("{name}={value}").into_bytes()));
    }
    all
}

/// What a shell can have exported itself; functions of bash (`BASH_FUNC_x%%`) are none and would be refused.
fn is_name(name: &[u8]) -> bool {
    let starts = name
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    starts
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_and_taken_away() {
        let with = ours_with(&[("PATH", None), ("HOME", Some("/x")), ("NEW", Some("y"))]);
        let has = |start: &[u8]| with.iter().filter(|one| one.starts_with(start)).count();
        assert_eq!((has(b"PATH="), has(b"HOME="), has(b"NEW=y")), (0, 1, 1));
        assert!(with.contains(&b"HOME=/x".to_vec()));
    }

    #[test]
    fn names_are_those_of_a_shell() {
        assert!(is_name(b"FOO_1") && is_name(b"_"));
        assert!(!is_name(b"") && !is_name(b"1A") && !is_name(b"BASH_FUNC_x%%"));
    }
}
