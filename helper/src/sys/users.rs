//! The user database, by the host's own libc on a thread of its own: a directory service may hang.

use std::{ffi::CString, os::unix::ffi::OsStrExt as _, time::Duration};

use lonewire_core::launch::User;
use nix::unistd::Uid;

use super::{Sys, thread};
use crate::ports::{PortError, PortResult, Users};

const DEADLINE: Duration = Duration::from_secs(10);
const WHAT: &str = "the user's entry";

/// What login(1) of Debian sets where `/etc/login.defs` says nothing.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

impl Users for Sys {
    async fn by_uid(&self, uid: u32) -> PortResult<User> {
        thread::blocking(WHAT, DEADLINE, move || {
            let lookup = nix::unistd::User::from_uid(Uid::from_raw(uid));
            let user = match lookup {
                Ok(Some(user)) => user,
                Ok(None) => return Err(PortError::NotFound { what: WHAT }),
                Err(errno) => {
                    return Err(PortError::Os {
                        what: WHAT,
                        errno: errno as i32,
                    });
                }
            };
            let name =
                CString::new(user.name.clone()).map_err(|_| PortError::NotFound { what: WHAT })?;
            // nix asks again with more room until all of them fit.
            let groups =
                nix::unistd::getgrouplist(&name, user.gid).map_err(|errno| PortError::Os {
                    what: WHAT,
                    errno: errno as i32,
                })?;
            Ok(User {
                uid,
                gid: user.gid.as_raw(),
                groups: groups.into_iter().map(|group| group.as_raw()).collect(),
                name: user.name,
                home: user.dir.as_os_str().as_bytes().to_vec(),
                shell: user.shell.as_os_str().as_bytes().to_vec(),
            })
        })
        .await
    }

    async fn login_environment(&self, user: &User) -> PortResult<Vec<Vec<u8>>> {
        let user = user.clone();
        thread::blocking("the login's environment", DEADLINE, move || {
            let defaults = std::fs::read_to_string("/etc/login.defs").unwrap_or_default();
            let mut variables: Vec<Vec<u8>> = vec![
                [b"HOME=", user.home.as_slice()].concat(),
                [b"SHELL=", user.shell.as_slice()].concat(),
                format!("USER={}", user.name).into_bytes(),
                format!("LOGNAME={}", user.name).into_bytes(),
                format!("PATH={}", login_path(&defaults)).into_bytes(),
                format!("MAIL=/var/mail/{}", user.name).into_bytes(),
            ];
            for file in ["/etc/environment", "/etc/default/locale"] {
                let text = std::fs::read_to_string(file).unwrap_or_default();
                for (name, value) in assignments(&text) {
                    let prefix = format!("{name}=").into_bytes();
                    variables.retain(|variable| !variable.starts_with(&prefix));
                    variables.push([prefix.as_slice(), value.as_bytes()].concat());
                }
            }
            Ok(variables)
        })
        .await
    }
}

/// login.defs(5): `ENV_PATH PATH=/bin:/usr/bin`, the `PATH=` being optional.
fn login_path(defaults: &str) -> &str {
    let line = defaults
        .lines()
        .find_map(|line| line.trim().strip_prefix("ENV_PATH"));
    match line.map(str::trim) {
        Some(value) if !value.is_empty() => value.strip_prefix("PATH=").unwrap_or(value),
        _ => DEFAULT_PATH,
    }
}

/// pam_env(8): lines `NAME=value`, quoted or not; whatever else is there is left out.
fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let usable = !name.is_empty() && name.bytes().all(is_name);
        let value = value.trim();
        let value = ['"', '\'']
            .iter()
            .find_map(|quote| {
                value
                    .strip_prefix(*quote)
                    .and_then(|value| value.strip_suffix(*quote))
            })
            .unwrap_or(value);
        usable.then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_that_of_login_defs() {
        assert_eq!(login_path("# ENV_PATH no\nENV_PATH\tPATH=/a:/b\n"), "/a:/b");
        assert_eq!(login_path("ENV_PATH /c\n"), "/c");
        assert_eq!(login_path("ENV_SUPATH PATH=/sbin\n"), DEFAULT_PATH);
    }

    #[test]
    fn assignments_are_read_with_and_without_quotes() {
        let text = "LANG=\"de_DE.UTF-8\"\n# no\nexport A=b\nbad name=1\nLC_ALL='C'\n";
        let read: Vec<_> = assignments(text).collect();
        assert_eq!(read, [("LANG", "de_DE.UTF-8"), ("A", "b"), ("LC_ALL", "C")]);
    }
}
