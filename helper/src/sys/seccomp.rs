//! A filter of the helper's own, for the rest of its life: it runs no program. Beside that of its unit, and without one too.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

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
    seccompiler::apply_filter_all_threads(&program).map_err(|_| failed())
}
