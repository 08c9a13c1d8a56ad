//! A filter of the helper's own, for the rest of its life: it runs no program and makes no process, only threads. Beside that of its unit, and
//! without one too.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::{errno, os};
use crate::ports::{PortError, PortResult};

/// By these another program would run in this process or beside it.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// The same calls and clone, clone3 by their other numbers on x86_64 (x32, asm/unistd_x32.h): nothing here is of that kind.
#[cfg(target_arch = "x86_64")]
const REFUSED_X32: [libc::c_long; 7] = [520, 545, 521, 57, 58, 56, 435];

/// From now on execve(2), and whatever makes a process, fails with EPERM in this thread and whatever comes of it.
///
/// # Errors
/// Where the kernel has no seccomp: then the helper does not start.
pub fn forbid_programs() -> PortResult<()> {
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let no_thread = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(thread),
        0,
    )
    .and_then(|condition| SeccompRule::new(vec![condition]))
    .map_err(|_| failed())?;
    let mut rules: BTreeMap<_, _> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, vec![no_thread]);
    #[cfg(target_arch = "x86_64")]
    rules.extend(REFUSED_X32.map(|call| (call | 0x4000_0000, Vec::new())));

    rustix::thread::set_no_new_privs(true).map_err(errno("no_new_privs"))?;
    install(rules, libc::EPERM)?;
    // Its flags are in memory, where no filter sees them; without it libc makes its threads by clone(2).
    install([(libc::SYS_clone3, Vec::new())].into(), libc::ENOSYS)
}

fn failed() -> PortError {
    PortError::Os {
        what: "seccomp",
        errno: libc::EINVAL,
    }
}

/// prctl(2) and not seccomp(2): the unit's own filter does not let that through. To be called while there is one thread; later ones inherit it.
fn install(rules: BTreeMap<libc::c_long, Vec<SeccompRule>>, refusal: i32) -> PortResult<()> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|_| failed())?;
    let refuse = SeccompAction::Errno(refusal.cast_unsigned());
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(|_| failed())?;
    let program = BpfProgram::try_from(filter).map_err(|_| failed())?;
    let length = u16::try_from(program.len()).map_err(|_| failed())?;
    let filter = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    #[expect(unsafe_code, reason = "prctl without a safe wrapper")]
    // SAFETY: the kernel copies the program, which lives over the call; its instructions have the layout of `sock_filter`.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(os("seccomp")(std::io::Error::last_os_error()))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::ToSocketAddrs as _,
        process::{Command, Stdio},
    };

    use super::*;

    fn refusal<T>(result: std::io::Result<T>) -> Option<i32> {
        result.err().and_then(|error| error.raw_os_error())
    }

    /// Raw: libc's own fork would take its locks. A child, should there be one, ends at once.
    #[expect(unsafe_code, reason = "clone(2) and clone3(2) as they are")]
    fn clone(flags: i32) -> std::io::Result<libc::c_long> {
        // SAFETY: the child shares no memory with this process and only ends.
        let made = unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) };
        if made == 0 {
            // SAFETY: it takes a number and does not return.
            unsafe { libc::_exit(0) };
        }
        if made < 0 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(made)
        }
    }

    #[test]
    fn no_program_and_no_process_but_threads_and_lookups() {
        // A filter is of its thread and of those that come of it.
        let done = std::thread::spawn(|| {
            forbid_programs().unwrap();
            assert_eq!(
                refusal(Command::new("/bin/true").spawn()),
                Some(libc::EPERM)
            );
            let by_path = Command::new("/bin/true").stdin(Stdio::null()).status();
            assert_eq!(refusal(by_path), Some(libc::EPERM));
            assert_eq!(refusal(clone(0)), Some(libc::EPERM));
            assert_eq!(refusal(clone(libc::CLONE_NEWNET)), Some(libc::EPERM));
            #[expect(unsafe_code, reason = "clone3(2) as it is")]
            // SAFETY: no argument is valid, so that nothing is made in any case.
            let third = unsafe { libc::syscall(libc::SYS_clone3, 0, 0) };
            assert_eq!(third, -1);
            let errno = std::io::Error::last_os_error().raw_os_error();
            assert_eq!(errno, Some(libc::ENOSYS));
            let program = c"/bin/true";
            let exec = nix::unistd::execve(program, &[program], &[program]);
            assert_eq!(exec, Err(nix::Error::EPERM));

            // What the helper lives by: threads, and names looked up by libc in one.
            let found = std::thread::spawn(|| ("localhost", 1).to_socket_addrs().is_ok());
            assert!(found.join().unwrap());
            assert!(
                nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(0))
                    .unwrap()
                    .is_some()
            );
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let blocking = tokio::task::spawn_blocking;
            assert_eq!(
                runtime
                    .unwrap()
                    .block_on(async { blocking(|| 7).await.unwrap() }),
                7
            );
        });
        done.join().unwrap();
    }
}
