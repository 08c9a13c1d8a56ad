//! A `.deb`: what Debian asks of one beyond the files themselves, and nothing that a script could do that a trigger of another package does.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{Order, changelog, folder, listing, run, write};
use crate::install::Package;

/// Control files of `data/packaging/deb/PACKAGE`, and their modes; those that are not there are not needed.
const SCRIPTS: &[(&str, u32)] = &[
    ("config", 0o755),
    ("postinst", 0o755),
    ("prerm", 0o755),
    ("postrm", 0o755),
    ("templates", 0o644),
];

/// Makes a package in a folder, and gives its path.
///
/// # Errors
/// Something is not built, or a tool refuses.
pub fn deb(order: &Order, package: Package, to: &Path) -> Result<PathBuf> {
    let work = tempfile::tempdir()?;
    let name = package.name();
    let root = work.path().join(name);
    folder(&root)?;
    let programs = order.stage(package, &root)?;
    let docs = root.join("usr/share/doc").join(name);
    write(&docs.join("copyright"), order.read("copyright")?, 0o644)?;
    let changes = fs::read_to_string(order.project.join("CHANGELOG.md"))?;
    let changes = changelog::debian(&changes, &order.version, order.epoch)?;
    write(&docs.join("changelog"), changes, 0o644)?;
    let overrides = format!("deb/{name}/lintian-overrides");
    if let Ok(text) = order.read(&overrides) {
        let path = root.join("usr/share/lintian/overrides").join(name);
        write(&path, text, 0o644)?;
    }
    for path in listing(&root)? {
        if path.starts_with("usr/share/man") || path.ends_with("changelog") {
            compress(&root.join(path))?;
        }
    }

    let control = root.join("DEBIAN");
    let files = listing(&root)?;
    let architecture = run(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let text = order
        .read(&format!("deb/{name}/control"))?
        .replace("${version}", &order.version)
        .replace("${architecture}", architecture)
        .replace("${size}", &size(&root, &files)?.to_string())
        .replace("${libraries}", &libraries(work.path(), &programs)?);
    ensure!(!text.contains("${"), "unknown variable: {text}");
    write(&control.join("control"), text, 0o644)?;
    for (script, mode) in SCRIPTS {
        let path = format!("deb/{name}/{script}");
        if order.project.join("data/packaging").join(&path).exists() {
            write(&control.join(script), order.read(&path)?, *mode)?;
        }
    }
    let sums = run(Command::new("md5sum").current_dir(&root).args(&files))?;
    write(&control.join("md5sums"), sums, 0o644)?;

    let path = to.join(format!("{name}_{}_{architecture}.deb", order.version));
    let how = if order.is_small { "-Zxz" } else { "-Znone" };
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", how, "--build"])
        .arg(&root)
        .arg(&path)
        .env("SOURCE_DATE_EPOCH", order.epoch.to_string()))?;
    Ok(path)
}

/// By gzip(1), which writes neither name nor time.
pub(super) fn compress(path: &Path) -> Result<()> {
    run(Command::new("gzip").args(["-9", "--no-name"]).arg(path)).map(drop)
}

/// In units of 1024 bytes, each file and folder rounded up: Debian's `Installed-Size`.
fn size(root: &Path, files: &[PathBuf]) -> Result<u64> {
    let mut folders: Vec<_> = files
        .iter()
        .flat_map(|path| path.ancestors().skip(1))
        .collect();
    folders.sort();
    folders.dedup();
    let mut sum = folders.len() as u64;
    for path in files {
        sum += fs::metadata(root.join(path))?.size().div_ceil(1024);
    }
    Ok(sum)
}

/// The packages with the libraries that programs are linked to, in the versions whose symbols they use.
fn libraries(work: &Path, programs: &[PathBuf]) -> Result<String> {
    // The tool reads who asks.
    let asker = work.join("debian/control");
    write(
        &asker,
        "Source: lonewire\n\nPackage: lonewire\nArchitecture: any\n",
        0o644,
    )?;
    let text = run(Command::new("dpkg-shlibdeps")
        .current_dir(work)
        .args(["-O", "--warnings=1"])
        .args(programs))?;
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("shlibs:Depends="));
    list.map(str::to_owned)
        .with_context(|| format!("dpkg-shlibdeps: {text}"))
}
