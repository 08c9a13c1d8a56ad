//! `edit`: a tunnel's configuration in the person's editor, or from a file, or when it starts. Stored keys read (unchanged) and stay where they
//! are; what was typed is never lost.

use std::{
    env, fs,
    io::{BufRead as _, Write as _},
    os::fd::AsFd as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use lonewire_api::{OptionsChange, Replaced, Start};
use lonewire_client::config::{check, memfd, read};
use serde_json::json;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    failure::{Exit, Failure},
    helper_error::{About, quoted},
    print,
    select::{self, Tunnel},
};

/// Editors that are tried where none is named.
const EDITORS: [&str; 4] = ["sensible-editor", "editor", "nano", "vi"];

const NOTES: &str = "\
Keys that are stored read (unchanged), and a line that still reads so keeps the stored key. A tunnel that is up takes \
the change over when it is next brought up. Whatever was typed is kept if it cannot be taken over.

A tunnel that starts at login comes up with your first session, and goes down with your last one, as every tunnel \
does unless you linger. One that starts at boot is there before anybody logs in, and stays, without the programs that your session started: \
an administrator has to allow it.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire edit home\n  EDITOR=nano lonewire edit home\n  lonewire edit home --from home.conf\n  lonewire edit home --start login",
    after_help = NOTES
)]
pub struct Args {
    /// Name or id of the tunnel
    #[arg(add = complete::tunnels())]
    tunnel: String,
    /// Take the configuration from a file (- for standard input) instead of opening an editor; keys may read (unchanged)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    from: Option<PathBuf>,
    /// Change when the tunnel comes up by itself, and not its configuration
    #[arg(long, value_name = "WHEN", value_enum, conflicts_with = "from")]
    start: Option<When>,
}

/// When a tunnel comes up by itself.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum When {
    /// Not by itself
    Never,
    /// With your first session
    Login,
    /// With the machine
    Boot,
}

impl From<When> for Start {
    fn from(when: When) -> Self {
        match when {
            When::Never => Self::Never,
            When::Login => Self::Login,
            When::Boot => Self::Boot,
        }
    }
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel(context, &args.tunnel)?;
    if let Some(when) = args.start {
        return set_start(context, &tunnel, when.into());
    }
    match &args.from {
        Some(path) if path.as_os_str() == "-" => {
            let text = read::bytes(std::io::stdin().lock(), "standard input")?;
            let replaced = replace(context, &tunnel, "standard input", &text)?;
            told(context, &tunnel, Some(&replaced))
        }
        Some(path) => {
            let text = read::file(path)?;
            let replaced = replace(context, &tunnel, &path.display().to_string(), &text)?;
            told(context, &tunnel, Some(&replaced))
        }
        None => {
            let replaced = in_editor(context, &tunnel)?;
            told(context, &tunnel, replaced.as_ref())
        }
    }
}

fn set_start(context: &Context, tunnel: &Tunnel, start: Start) -> Outcome {
    let name = &tunnel.info.name;
    let about = About::Tunnel(name);
    let detail = context.call(about, async |client| client.show(&tunnel.id).await)?;
    let is_new = detail.options.start.unwrap_or(Start::Never) != start;
    if is_new {
        let change = OptionsChange {
            start: Some(Some(start).filter(|start| *start != Start::Never)),
            ..OptionsChange::default()
        };
        context.call(about, async |client| {
            client.set_options(&tunnel.id, &change).await
        })?;
    }
    if context.json() {
        print::json(&json!({
            "schema": 1, "id": tunnel.id, "name": name, "changed": is_new, "start": start.as_str(),
        }))?;
    } else if context.format == Format::Human {
        print::note(&match start {
            Start::Never => format!("“{name}” does not come up by itself."),
            Start::Login => format!("“{name}” comes up when you log in."),
            Start::Boot => format!("“{name}” comes up when the machine starts."),
        });
    }
    DONE
}

/// Opens the editor until the text is good or the person gives up; `None` if nothing was changed.
fn in_editor(context: &Context, tunnel: &Tunnel) -> Result<Option<Replaced>, Failure> {
    let about = About::Tunnel(&tunnel.info.name);
    let detail = context.call(about, async |client| client.show(&tunnel.id).await)?;
    let before = template(&tunnel.info.name, &detail.config);
    let folder = private_folder()?;
    let path = folder.path().join("tunnel.conf");
    write_private(&path, &before)?;
    loop {
        if let Err(failure) = open_editor(&path) {
            return Err(match fs::read(&path) {
                Ok(text) if text == before.as_bytes() => failure,
                _ => keep(folder, failure, tunnel),
            });
        }
        let text = match read::file(&path) {
            Ok(text) => text,
            Err(error) => return Err(keep(folder, error.into(), tunnel)),
        };
        if *text == before.as_bytes() {
            return Ok(None);
        }
        let failure = match replace(context, tunnel, &tunnel.info.name, &text) {
            Ok(replaced) => return Ok(Some(replaced)),
            Err(failure) => failure,
        };
        if failure.exit != Exit::Configuration || !context.can_ask() {
            return Err(keep(folder, failure, tunnel));
        }
        failure.show(false);
        if !wants_again() {
            let failure = Failure::new(failure.exit, &failure.code, "nothing was changed");
            return Err(keep(folder, failure, tunnel));
        }
    }
}

/// The text to edit, with what a person has to know in front.
fn template(name: &str, config: &str) -> String {
    format!(
        "# The tunnel {name}. A key that reads (unchanged) stays as it is stored.\n# To change nothing, leave without saving.\n\n{config}"
    )
}

/// A folder of our own, in memory where the system has such a place: a key may be typed into the file.
fn private_folder() -> Result<TempDir, Failure> {
    let runtime = env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.is_dir());
    let mut builder = tempfile::Builder::new();
    builder.prefix("lonewire-edit-");
    let folder = runtime
        .and_then(|path| builder.tempdir_in(path).ok())
        .map_or_else(|| builder.tempdir(), Ok);
    folder.map_err(|error| Failure::system("a folder for the editor cannot be made", error))
}

fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| Failure::system(path.display(), error))
}

/// $VISUAL or $EDITOR, which may have arguments: the shell takes them apart, as everywhere.
fn open_editor(path: &Path) -> Result<(), Failure> {
    let named = ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(|name| env::var(name).ok())
        .find(|value| !value.trim().is_empty());
    let editor = named.or_else(|| {
        EDITORS
            .iter()
            .find(|name| is_in_path(name))
            .map(|name| (*name).to_owned())
    });
    let Some(editor) = editor else {
        return Err(
            Failure::new(Exit::Failure, "no_editor", "there is no editor")
                .hint("Set EDITOR, or give the file: lonewire edit TUNNEL --from FILE"),
        );
    };
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$@\""), &editor])
        .arg(path)
        .status()
        .map_err(|error| Failure::system(&editor, error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failure,
        "editor_failed",
        format!("the editor ({editor}) failed, and nothing was changed"),
    ))
}

fn is_in_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| {
        let file = folder.join(name);
        rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
    })
}

fn wants_again() -> bool {
    print::note("Edit again? [Y/n]");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok_and(|count| count > 0) && !line.trim().to_lowercase().starts_with('n')
}

/// Leaves the text where it is and says where.
fn keep(folder: TempDir, failure: Failure, tunnel: &Tunnel) -> Failure {
    let path = folder.keep().join("tunnel.conf");
    failure
        .hint(format!(
            "Your text is in {}; delete it when you are done, as it may hold a key.",
            path.display()
        ))
        .hint(format!(
            "Once it is corrected: lonewire edit {} --from {}",
            quoted(&tunnel.info.name),
            path.display()
        ))
}

fn replace(
    context: &Context,
    tunnel: &Tunnel,
    origin: &str,
    text: &Zeroizing<Vec<u8>>,
) -> Result<Replaced, Failure> {
    check::replacing(origin, text)?;
    let sealed = memfd::sealed(text)?;
    let about = About::Tunnel(&tunnel.info.name);
    context.call(about, async |client| {
        client.replace(&tunnel.id, sealed.as_fd()).await
    })
}

fn told(context: &Context, tunnel: &Tunnel, replaced: Option<&Replaced>) -> Outcome {
    let name = &tunnel.info.name;
    if context.json() {
        let mut object = match replaced {
            Some(replaced) => super::told(&replaced.warnings, &replaced.ignored),
            None => json!({}),
        };
        if let Some(fields) = object.as_object_mut() {
            fields.insert("schema".to_owned(), 1.into());
            fields.insert("id".to_owned(), tunnel.id.clone().into());
            fields.insert("name".to_owned(), name.clone().into());
            fields.insert("changed".to_owned(), replaced.is_some().into());
        }
        print::json(&object)?;
        return DONE;
    }
    let Some(replaced) = replaced else {
        print::note("Nothing was changed.");
        return DONE;
    };
    if context.format == Format::Human {
        print::note(&format!("“{name}” was changed."));
        if super::is_up(tunnel.info.state) {
            print::note("  It is up, and takes this over when it is next brought up.");
        }
        super::tell(&replaced.warnings, &replaced.ignored);
    }
    DONE
}
