//! The environment of an app: the caller's less a deny-list, or that of a fresh login; never anything of the helper's.

use lonewire_core::{launch::User, name::Id};

use super::{Engine, Error, view::LaunchWish};
use crate::ports::Ports;

/// Set inside to the tunnel's id.
const TUNNEL_VARIABLE: &str = lonewire_api::names::TUNNEL_VARIABLE;

/// What of the caller's environment would speak for another process, or steer name lookups past the tunnel.
const DENIED: &[&[u8]] = &[
    b"NOTIFY_SOCKET",
    b"INVOCATION_ID",
    b"JOURNAL_STREAM",
    b"HOSTALIASES",
    b"LOCALDOMAIN",
    b"RES_OPTIONS",
];

/// The same, by how they begin.
const DENIED_PREFIXES: &[&[u8]] = &[b"LISTEN_", b"SYSTEMD_"];

/// The caller's own, whatever it says.
const OWN: &[&[u8]] = &[b"HOME", b"USER", b"LOGNAME", b"SHELL"];

impl<P: Ports> Engine<P> {
    pub(super) async fn environment(
        &self,
        wish: &LaunchWish,
        user: &User,
        tunnel: &Id,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut environment = if wish.clean_env {
            self.ports.login_environment(user).await?
        } else {
            own_environment(&wish.environment, user)
        };
        environment.retain(|entry| name_of(entry) != TUNNEL_VARIABLE.as_bytes());
        environment.push(format!("{TUNNEL_VARIABLE}={tunnel}").into_bytes());
        Ok(environment)
    }
}

/// The caller's environment, less what must not come in, with the user's own home, name and shell.
fn own_environment(given: &[Vec<u8>], user: &User) -> Vec<Vec<u8>> {
    let keep = |entry: &&Vec<u8>| {
        let name = name_of(entry);
        !DENIED.contains(&name)
            && !OWN.contains(&name)
            && !DENIED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    let mut environment: Vec<Vec<u8>> = given.iter().filter(keep).cloned().collect();
    let own = [
        &user.home[..],
        user.name.as_bytes(),
        user.name.as_bytes(),
        &user.shell,
    ];
    environment.extend(
        OWN.iter()
            .zip(own)
            .map(|(name, value)| [name, &b"="[..], value].concat()),
    );
    environment
}

fn name_of(entry: &[u8]) -> &[u8] {
    entry.split(|&byte| byte == b'=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_the_callers_less_what_must_not_come_in() {
        let user = User {
            uid: 61001,
            gid: 61001,
            groups: vec![61001],
            name: "anna".into(),
            home: b"/home/anna".into(),
            shell: b"/bin/zsh".into(),
        };
        let given = [
            "PATH=/bin",
            "FOO=a=b",
            "HOME=/root",
            "USER=root",
            "SHELL=/evil",
            "LOGNAME=root",
            "LISTEN_FDS=3",
            "LISTEN_PID=1",
            "NOTIFY_SOCKET=/x",
            "INVOCATION_ID=1",
            "JOURNAL_STREAM=8:1",
            "SYSTEMD_EXEC_PID=1",
            "HOSTALIASES=/x",
            "LOCALDOMAIN=x",
            "RES_OPTIONS=x",
            "XLISTEN_FDS=1",
        ]
        .map(|entry| entry.as_bytes().to_vec());
        let left: Vec<_> = own_environment(&given, &user)
            .into_iter()
            .map(|entry| String::from_utf8(entry).unwrap())
            .collect();
        let wanted = [
            "PATH=/bin",
            "FOO=a=b",
            "XLISTEN_FDS=1",
            "HOME=/home/anna",
            "USER=anna",
            "LOGNAME=anna",
            "SHELL=/bin/zsh",
        ];
        assert_eq!(left, wanted);
    }
}
