//! Arguments, checked for size and shape before anything is asked of anybody. A descriptor is looked at by `F_GET_SEALS` first,
//! which never blocks: only what is proved to be a memfd is touched further.

use std::{
    collections::HashMap,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use lonewire_core::name::TunnelName;
use rustix::fs::SealFlags;
use zbus::{Fd, Variant};
use zeroize::Zeroizing;

use super::error::{Answer, Refusal};
use crate::{
    engine::view::{LaunchWish, OptionsChange},
    ports::{Backend, Start},
};

/// Bytes of a configuration.
const CONFIGURATION: u64 = 64 * 1024;
/// Configurations of one import: the bus passes no more descriptors.
pub const CONFIGURATIONS: usize = 16;
const ARGUMENTS: usize = 4096;
const ARGUMENT_BYTES: usize = 1024 * 1024;
const VARIABLES: usize = 512;
const VARIABLE_BYTES: usize = 256 * 1024;
/// PATH_MAX of linux/limits.h, its zero included.
const PATH_BYTES: usize = 4096;
/// Seconds.
const WAIT: u32 = 10;
const MOST_WAIT: u32 = 20;

/// Options of a call, taken out one by one; what is left over is an error, for what is not understood must not be ignored.
#[derive(Debug)]
pub struct Options<'a>(HashMap<String, Variant<'a>>);

impl<'a> Options<'a> {
    pub fn new(options: HashMap<String, Variant<'a>>) -> Self {
        Self(options)
    }

    fn take<T: TryFrom<Variant<'a>>>(&mut self, key: &'static str) -> Answer<Option<T>> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(value) => T::try_from(value)
                .map(Some)
                .map_err(|_| Refusal::argument(key, "wrong-type")),
        }
    }

    /// Seconds to wait.
    pub fn wait(&mut self) -> Answer<u32> {
        match self.take::<u32>("wait")?.unwrap_or(WAIT) {
            wait @ ..=MOST_WAIT => Ok(wait),
            _ => Err(Refusal::argument("wait", "more-than-20")),
        }
    }

    pub fn force(&mut self) -> Answer<bool> {
        Ok(self.take("force")?.unwrap_or(false))
    }

    pub fn drop(&mut self) -> Answer<bool> {
        Ok(self.take("drop")?.unwrap_or(false))
    }

    pub fn end(self) -> Answer<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Refusal::argument("options", "unknown-option"))
        }
    }

    /// A change of one option: an empty string takes it back to its default.
    fn change<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Variant<'a>) -> Option<T>,
    ) -> Answer<Option<Option<T>>> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Variant::Str(text)) if text.is_empty() => Ok(Some(None)),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(Some(value))),
                None => Err(Refusal::argument(key, "not-valid")),
            },
        }
    }
}

/// Of `SetOptions`.
pub fn options_change(mut options: Options<'_>) -> Answer<OptionsChange> {
    let change = OptionsChange {
        mtu: options.change("mtu", |value| {
            u32::try_from(value)
                .ok()
                .filter(|mtu| (576..=65_535).contains(mtu))
        })?,
        keepalive: options.change("keepalive", |value| {
            u32::try_from(value)
                .ok()
                .filter(|seconds| *seconds <= 65_535)
        })?,
        // 0 is automatic, the default.
        backend: options
            .change("backend", |value| match u32::try_from(value).ok()? {
                0 => Some(None),
                1 => Some(Some(Backend::Kernel)),
                2 => Some(Some(Backend::Userspace)),
                _ => None,
            })?
            .map(Option::flatten),
        dns: options.change("dns", |value| {
            let servers: Vec<String> = Vec::try_from(value).ok()?;
            if servers.len() > 8 {
                return None;
            }
            servers
                .iter()
                .map(|server| server.parse().ok())
                .collect::<Option<Vec<IpAddr>>>()
        })?,
        down_with_last_app: options
            .change("down-with-last-app", |value| bool::try_from(value).ok())?,
        // 0 is by hand, the default.
        start: options
            .change("start", |value| match u32::try_from(value).ok()? {
                0 => Some(None),
                1 => Some(Some(Start::Login)),
                2 => Some(Some(Start::Boot)),
                _ => None,
            })?
            .map(Option::flatten),
    };
    options.end()?;
    Ok(change)
}

/// A memfd that nobody can change any more, and its size in bytes. Anything else is refused without touching it.
pub fn check_memfd(fd: BorrowedFd<'_>) -> Answer<()> {
    const SEALED: SealFlags = SealFlags::WRITE
        .union(SealFlags::SHRINK)
        .union(SealFlags::GROW)
        .union(SealFlags::SEAL);
    let seals = rustix::fs::fcntl_get_seals(fd)
        .map_err(|_| Refusal::argument("configuration", "not-a-memfd"))?;
    if !seals.contains(SEALED) {
        return Err(Refusal::argument("configuration", "not-sealed"));
    }
    let size = rustix::fs::fstat(fd)
        .map_err(|_| Refusal::argument("configuration", "not-a-memfd"))?
        .st_size;
    if u64::try_from(size).is_ok_and(|size| size <= CONFIGURATION) {
        Ok(())
    } else {
        Err(Refusal::argument("configuration", "too-large"))
    }
}

/// The bytes of a memfd that [`check_memfd`] has passed, read off the loop.
pub async fn read_memfd(fd: BorrowedFd<'_>) -> Answer<Zeroizing<Vec<u8>>> {
    let fd = fd.try_clone_to_owned().map_err(|_| Refusal::failed())?;
    tokio::task::spawn_blocking(move || read(&fd))
        .await
        .map_err(|_| Refusal::failed())?
}

fn read(fd: &OwnedFd) -> Answer<Zeroizing<Vec<u8>>> {
    // One byte more than is allowed, so that no resize can hide what is too large; it is sealed, but costs nothing.
    let mut bytes = Zeroizing::new(vec![0; CONFIGURATION as usize + 1]);
    let mut length = 0;
    loop {
        let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) else {
            return Err(Refusal::argument("configuration", "too-large"));
        };
        match rustix::io::pread(fd, rest, length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(Refusal::failed()),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// A launch as it was asked for; descriptors are still the message's.
#[derive(Debug)]
pub struct Wanted<'m> {
    wish: Wish,
    stdio: [Fd<'m>; 3],
    hold: Option<Fd<'m>>,
    tie: Option<Fd<'m>>,
}

#[derive(Debug)]
struct Wish {
    program: Vec<u8>,
    argv: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
    cwd: Vec<u8>,
    umask: u32,
    pty: bool,
    clean_env: bool,
    name: Option<String>,
    wait: u32,
}

impl<'m> Wanted<'m> {
    pub fn parse(
        argv: Vec<Vec<u8>>,
        environment: Vec<Vec<u8>>,
        cwd: Vec<u8>,
        stdio: Vec<Fd<'m>>,
        mut options: Options<'m>,
    ) -> Answer<Self> {
        let argv = zeroed_list("argv", argv, ARGUMENTS, ARGUMENT_BYTES)?;
        if argv.is_empty() {
            return Err(Refusal::argument("argv", "empty"));
        }
        let environment = zeroed_list("environment", environment, VARIABLES, VARIABLE_BYTES)?;
        if !environment.iter().all(|variable| is_variable(variable)) {
            return Err(Refusal::argument("environment", "not-a-variable"));
        }
        let program = options
            .take("program")?
            .ok_or_else(|| Refusal::argument("program", "missing"))?;
        let name: Option<String> = options.take("name")?;
        if name
            .as_deref()
            .is_some_and(|name| TunnelName::new(name).is_err())
        {
            return Err(Refusal::argument("name", "not-valid"));
        }
        let umask = options.take("umask")?.unwrap_or(0o022);
        if umask > 0o777 {
            return Err(Refusal::argument("umask", "more-than-0777"));
        }
        let wish = Wish {
            program: path("program", program)?,
            argv,
            environment,
            cwd: path("cwd", cwd)?,
            umask,
            pty: options.take("pty")?.unwrap_or(false),
            clean_env: options.take("clean-env")?.unwrap_or(false),
            name,
            wait: options.wait()?,
        };
        let (hold, tie) = (options.take("hold")?, options.take("tie")?);
        options.end()?;
        let stdio =
            <[Fd<'m>; 3]>::try_from(stdio).map_err(|_| Refusal::argument("stdio", "not-three"))?;
        Ok(Self {
            wish,
            stdio,
            hold,
            tie,
        })
    }

    /// With descriptors of our own, unlooked-at. Called once there is a grant: what takes the wish closes them off the loop.
    pub fn into_wish(self, bus_names: Vec<String>) -> Answer<LaunchWish> {
        // A duplicate is made without asking the file: it cannot block.
        let own = |fd: &Fd<'_>| {
            fd.as_fd()
                .try_clone_to_owned()
                .map_err(|_| Refusal::failed())
        };
        let [input, output, error] = &self.stdio;
        let Wish {
            program,
            argv,
            environment,
            cwd,
            umask,
            pty,
            clean_env,
            name,
            wait,
        } = self.wish;
        Ok(LaunchWish {
            program,
            argv,
            environment,
            cwd,
            umask,
            pty,
            clean_env,
            name,
            wait,
            stdio: [own(input)?, own(output)?, own(error)?],
            hold: self.hold.as_ref().map(own).transpose()?,
            tie: self.tie.as_ref().map(own).transpose()?,
            bus_names,
        })
    }
}

/// Takes the zero from the end of each; none may be within.
fn zeroed_list(
    argument: &'static str,
    list: Vec<Vec<u8>>,
    most: usize,
    bytes: usize,
) -> Answer<Vec<Vec<u8>>> {
    if list.len() > most || list.iter().map(Vec::len).sum::<usize>() > bytes {
        return Err(Refusal::argument(argument, "too-large"));
    }
    list.into_iter()
        .map(|item| zeroed(argument, item))
        .collect()
}

fn zeroed(argument: &'static str, mut bytes: Vec<u8>) -> Answer<Vec<u8>> {
    if bytes.pop() == Some(0) && !bytes.contains(&0) {
        Ok(bytes)
    } else {
        Err(Refusal::argument(argument, "no-zero-at-the-end"))
    }
}

fn path(argument: &'static str, bytes: Vec<u8>) -> Answer<Vec<u8>> {
    if bytes.len() > PATH_BYTES {
        return Err(Refusal::argument(argument, "too-large"));
    }
    let path = zeroed(argument, bytes)?;
    if path.first() == Some(&b'/') {
        Ok(path)
    } else {
        Err(Refusal::argument(argument, "not-absolute"))
    }
}

/// `NAME=value` with a name of `[A-Za-z_][A-Za-z0-9_]*`.
fn is_variable(variable: &[u8]) -> bool {
    let Some(end) = variable.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    match variable.get(..end) {
        Some([first, rest @ ..]) => {
            (first.is_ascii_alphabetic() || *first == b'_')
                && rest
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, fcntl_add_seals, ftruncate, memfd_create};

    use super::*;

    const ALL: SealFlags = SealFlags::WRITE
        .union(SealFlags::SHRINK)
        .union(SealFlags::GROW)
        .union(SealFlags::SEAL);

    fn memfd(size: u64, seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&fd, size).unwrap();
        fcntl_add_seals(&fd, seals).unwrap();
        fd
    }

    #[test]
    fn only_a_small_memfd_with_every_seal_passes() {
        assert!(check_memfd(memfd(65_536, ALL).as_fd()).is_ok());
        assert!(check_memfd(memfd(65_537, ALL).as_fd()).is_err());
        for missing in [
            SealFlags::WRITE,
            SealFlags::SHRINK,
            SealFlags::GROW,
            SealFlags::SEAL,
        ] {
            assert!(
                check_memfd(memfd(10, ALL.difference(missing)).as_fd()).is_err(),
                "{missing:?}"
            );
        }
        for path in ["/dev/zero", "/dev/null", "/", "/etc/passwd"] {
            let file = std::fs::File::open(path).unwrap();
            assert!(check_memfd(file.as_fd()).is_err(), "{path}");
        }
        let (pipe, _other) = std::io::pipe().unwrap();
        assert!(check_memfd(pipe.as_fd()).is_err());
    }

    #[test]
    fn an_option_that_is_not_understood_is_refused() {
        let options = |key: &str, value: Variant<'static>| {
            Options::new(HashMap::from([(key.to_owned(), value)]))
        };
        assert!(
            options_change(options("mtu", Variant::from(1400_u32)))
                .is_ok_and(|c| c.mtu == Some(Some(1400)))
        );
        assert!(
            options_change(options("mtu", Variant::from(""))).is_ok_and(|c| c.mtu == Some(None))
        );
        assert!(
            options_change(options("backend", Variant::from(0_u32)))
                .is_ok_and(|c| c.backend == Some(None))
        );
        for (key, value) in [
            ("mtu", Variant::from(575_u32)),
            ("mtu", Variant::from("1400")),
            ("backend", Variant::from(3_u32)),
            ("dns", Variant::from(vec!["x"])),
            ("uid", Variant::from(0_u32)),
        ] {
            assert!(options_change(options(key, value)).is_err(), "{key}");
        }
        assert!(options("wait", Variant::from(21_u32)).wait().is_err());
    }

    #[test]
    fn arguments_end_in_one_zero_and_hold_none() {
        assert_eq!(zeroed("argv", b"ls\0".to_vec()).ok(), Some(b"ls".to_vec()));
        for bad in [&b"ls"[..], b"", b"l\0s\0"] {
            assert!(zeroed("argv", bad.to_vec()).is_err());
        }
        assert!(path("cwd", b"tmp\0".to_vec()).is_err());
        assert!(is_variable(b"_A1=x=y") && is_variable(b"A="));
        assert!(
            !is_variable(b"1A=x")
                && !is_variable(b"=x")
                && !is_variable(b"A")
                && !is_variable(b"A%=x")
        );
    }
}
