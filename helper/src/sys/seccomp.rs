//! A filter of the helper's own, for the rest of its life: it runs no program. Beside that of its unit, and without one too.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::{errno, os};
use crate::ports::{PortError, PortResult};

/// By these another program would run in this process or beside it. A thread is made by clone3(2), which libc falls back from.
const REFUSED: [libc::c_long; 3] = [libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace];

/// From now on execve(2) fails with EPERM, in this process and whatever comes of it.
///
/// # Errors
/// Where the kernel has no seccomp: then the helper does not start.
pub fn forbid_programs() -> PortResult<()> {
    let failed = || PortError::Os {
        what: "seccomp",
        errno: libc::EINVAL,
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|_| failed())?;
    let rules: BTreeMap<_, _> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(|_| failed())?;
    let program = BpfProgram::try_from(filter).map_err(|_| failed())?;
    install(&program)
}

/// prctl(2) and not seccomp(2): the unit's own filter does not let that through. To be called while there is one thread; later ones inherit it.
fn install(program: &BpfProgram) -> PortResult<()> {
    rustix::thread::set_no_new_privs(true).map_err(errno("no_new_privs"))?;
    let length = u16::try_from(program.len()).map_err(|_| PortError::Os {
        what: "seccomp",
        errno: libc::E2BIG,
    })?;
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
