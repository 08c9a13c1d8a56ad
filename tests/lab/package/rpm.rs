//! The same split as `.rpm`, by rpmbuild(1) and `data/packaging/rpm/lonewire.spec`. Inspected by a test, installed by none.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{Order, deb, folder, listing, run, write};
use crate::install::Package;

/// Where zsh looks for completions beside Debian's place.
const ZSH: (&str, &str) = (
    "usr/share/zsh/vendor-completions",
    "usr/share/zsh/site-functions",
);

/// The licence of the C library that the static warden holds, where distributions have it; Debian's own packages name theirs instead.
const LGPL: &[&str] = &[
    "/usr/share/common-licenses/LGPL-2.1",
    "/usr/share/licenses/glibc/COPYING.LIB",
    "/usr/share/licenses/glibc-common/COPYING.LIB",
    "/usr/share/licenses/spdx/LGPL-2.1-or-later.txt",
];

/// Makes both packages in a folder, and gives their paths.
///
/// # Errors
/// Something is not built, or rpmbuild refuses.
pub fn rpms(order: &Order, to: &Path) -> Result<Vec<PathBuf>> {
    let work = tempfile::tempdir()?;
    let stage = work.path().join("stage");
    for package in Package::ALL {
        let root = stage.join(package.name());
        folder(&root)?;
        order.stage(package, &root)?;
        if root.join(ZSH.0).is_dir() {
            fs::rename(root.join(ZSH.0), root.join(ZSH.1))?;
        }
        for path in listing(&root)? {
            if path.starts_with("usr/share/man") {
                deb::compress(&root.join(path))?;
            }
        }
        let list: String = listing(&root)?
            .iter()
            .map(|path| format!("/{}\n", path.display()))
            .collect();
        write(
            &work.path().join(format!("{}.files", package.name())),
            list,
            0o644,
        )?;
    }
    let lgpl = LGPL.iter().find(|path| Path::new(path).exists());
    let lgpl = lgpl.with_context(|| format!("the text of LGPL-2.1 is in none of {LGPL:?}"))?;
    let define = |name: &str, value: &dyn std::fmt::Display| format!("--define={name} {value}");
    let host = "lonewire";
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet"])
        .arg(define("_topdir", &work.path().display()))
        .arg(define("_rpmdir", &work.path().join("made").display()))
        .arg(define("_buildhost", &host))
        .arg(define("use_source_date_epoch_as_buildtime", &1))
        .arg(define("clamp_mtime_to_source_date_epoch", &1))
        .arg(define(
            "_build_name_fmt",
            &"%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        ))
        .arg(define("lonewire_version", &order.version))
        .arg(define("lonewire_stage", &stage.display()))
        .arg(define("lonewire_lists", &work.path().display()))
        .arg(define("lonewire_lgpl", lgpl))
        .arg(define("lonewire_project", &order.project.display()))
        .arg(order.project.join("data/packaging/rpm/lonewire.spec"))
        .env("SOURCE_DATE_EPOCH", order.epoch.to_string()))?;
    let mut made = Vec::new();
    for name in listing(&work.path().join("made"))? {
        let path = to.join(&name);
        fs::copy(work.path().join("made").join(&name), &path)?;
        made.push(path);
    }
    ensure!(made.len() == Package::ALL.len(), "{made:?}");
    Ok(made)
}
