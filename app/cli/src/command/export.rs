//! `export`: a tunnel's configuration as text. The secret keys never leave the helper; this writes the text anew from what was
//! parsed, so that there is no place for one.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use lonewire_core::wgconf::{self, Keys};
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    complete,
    config::check,
    context::Context,
    failure::{Exit, Failure},
    helper_error::About,
    select,
};

#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  lonewire export home\n  lonewire export home -o home.conf")]
pub struct Args {
    /// Name or id of the tunnel
    #[arg(add = complete::tunnels())]
    tunnel: String,
    /// A new file, instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel(context, &args.tunnel)?;
    let name = &tunnel.info.name;
    let detail = context.call(About::Tunnel(name), async |client| {
        client.show(&tunnel.id).await
    })?;
    let parsed = check::replacing(name, detail.config.as_bytes())?;
    let text = wgconf::to_text(&parsed.config, Keys::Omitted);
    if let Some(path) = &args.output {
        write_new(path, text.as_bytes())?;
    }
    if context.json() {
        let config = args.output.is_none().then_some(&**text);
        let file = args.output.as_ref().map(|path| path.to_string_lossy());
        anstream::println!(
            "{}",
            json!({ "schema": 1, "id": tunnel.id, "name": name, "config": config, "file": file })
        );
    } else if args.output.is_none() {
        anstream::print!("{}", *text);
    }
    DONE
}

/// All of the file or nothing; never over another.
fn write_new(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text)?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            Exit::Failure,
            "file_exists",
            format!("{} exists already", path.display()),
        )
        .hint("Nothing was written. Choose another name, or remove the file."),
        _ => Failure::system(path.display(), error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        write_new(&path, b"one").unwrap();
        assert_eq!(write_new(&path, b"two").unwrap_err().code, "file_exists");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
