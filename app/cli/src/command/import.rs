//! `import`: configurations from files, archives, pictures and standard input become tunnels. Keys go to the helper in sealed memory,
//! and nowhere else.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use lonewire_api::{Code, Imported};
use lonewire_client::config::{
    self, check, memfd, read,
    source::{self, Source},
};
use lonewire_core::name::TunnelName;
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    context::{Context, Format},
    failure::{Exit, Failure},
    helper_error::{self, About},
    picture, print, select,
};

/// Configurations a call: the bus passes 16 descriptors.
const BATCH: usize = 14;

const NOTES: &str = "\
Keys go to the helper and are never shown again. Commands of a configuration (PostUp and the like) are never run; what \
is left out is told with its line. With --terse the columns are id, name and file.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire import wg0.conf\n  lonewire import mullvad.zip\n  lonewire import qr-code.png --name phone\n  pass show vpn | lonewire import - --name home",
    after_help = NOTES
)]
pub struct Args {
    /// Configurations, .zip archives of them, pictures of QR codes, or - for standard input
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// What the tunnel is called, instead of the file's name
    #[arg(long)]
    name: Option<String>,
}

/// What became of everything.
#[derive(Default)]
struct Results {
    imported: Vec<(String, Imported)>,
    /// With what the person knows it by, unless the failure says so itself.
    refused: Vec<Failure>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let mut results = Results::default();
    let mut sources = Vec::new();
    for word in &args.files {
        for source in open(word) {
            match source.and_then(checked) {
                Ok(source) => sources.push(source),
                Err(error) => results.refused.push(error.into()),
            }
        }
    }
    if let Some(name) = &args.name {
        set_name(&mut sources, results.refused.len(), name)?;
    }
    let mut stopped = None;
    for batch in sources.chunks(BATCH) {
        if let Err(failure) = send(context, batch, &mut results) {
            stopped = Some(failure);
            break;
        }
    }
    show(context, &results)?;
    match stopped {
        Some(failure) if results.imported.is_empty() => Err(failure),
        Some(failure) => {
            let before = results.imported.len();
            Err(failure.hint(format!("{before} were imported before that.")))
        }
        None => summary(context, results),
    }
}

/// Everything a word of the command line means; `-` is standard input.
fn open(word: &Path) -> Vec<config::Result<Source>> {
    if word.as_os_str() != "-" {
        return source::open(word, picture::decode);
    }
    let origin = "standard input";
    match read::bytes(std::io::stdin().lock(), origin) {
        Ok(bytes) => source::of_bytes(origin, "", bytes, picture::decode),
        Err(error) => vec![Err(error)],
    }
}

fn checked(source: Source) -> config::Result<Source> {
    check::new(&source.origin, &source.text)?;
    Ok(source)
}

/// `--name` is for one configuration.
fn set_name(sources: &mut [Source], refused: usize, name: &str) -> Result<(), Failure> {
    let name = TunnelName::new(name).map_err(|error| Failure::usage(format!("--name: {error}")))?;
    match sources {
        [source] if refused == 0 => name.as_str().clone_into(&mut source.label),
        _ if sources.len() + refused > 1 => {
            return Err(Failure::usage(
                "--name is for one configuration, and these are several",
            ));
        }
        _ => {}
    }
    Ok(())
}

fn send(context: &Context, batch: &[Source], results: &mut Results) -> Result<(), Failure> {
    let sealed: Vec<OwnedFd> = batch
        .iter()
        .map(|source| memfd::sealed(&source.text))
        .collect::<config::Result<_>>()?;
    let answers = context.call(About::Nothing, async |client| {
        let configurations: Vec<_> = batch
            .iter()
            .zip(&sealed)
            .map(|(source, fd)| (&*source.label, fd.as_fd()))
            .collect();
        client.import(&configurations).await
    })?;
    for (source, answer) in batch.iter().zip(answers) {
        match answer {
            Ok(imported) => results.imported.push((source.origin.clone(), imported)),
            Err(error) => {
                let mut failure = helper_error::failure(&error, About::Nothing);
                failure.message = format!("{}: {}", source.origin, failure.message);
                if error.code == Code::NameInUse {
                    failure = failure.hint("Rename that one, or import this one with --name.");
                }
                results.refused.push(failure);
            }
        }
    }
    Ok(())
}

fn show(context: &Context, results: &Results) -> Result<(), Failure> {
    match context.format {
        Format::Json => {
            let tunnels: Vec<_> = results
                .imported
                .iter()
                .map(|(origin, imported)| {
                    let mut tunnel = super::told(&imported.warnings, &imported.ignored);
                    if let Some(fields) = tunnel.as_object_mut() {
                        fields.insert("id".to_owned(), imported.id.clone().into());
                        fields.insert("name".to_owned(), imported.name.clone().into());
                        fields.insert("file".to_owned(), origin.clone().into());
                    }
                    tunnel
                })
                .collect();
            let errors: Vec<_> = results
                .refused
                .iter()
                .filter_map(|failure| failure.to_json().get("error").cloned())
                .collect();
            print::json(&json!({ "schema": 1, "tunnels": tunnels, "errors": errors }))?;
        }
        Format::Terse => {
            let rows: Vec<_> = results
                .imported
                .iter()
                .map(|(origin, imported)| {
                    vec![imported.id.clone(), imported.name.clone(), origin.clone()]
                })
                .collect();
            print::text(&print::tabbed(&rows))?;
        }
        Format::Human => {
            for (_, imported) in &results.imported {
                print::text(&format!(
                    "Imported {} ({})\n",
                    imported.name,
                    select::short(&imported.id)
                ))?;
                super::tell(&imported.warnings, &imported.ignored);
            }
        }
    }
    Ok(())
}

/// The exit code is that of the first that was refused.
fn summary(context: &Context, mut results: Results) -> Outcome {
    let total = results.imported.len() + results.refused.len();
    if results.refused.is_empty() {
        return DONE;
    }
    if total == 1 {
        return Err(results.refused.remove(0));
    }
    if !context.json() {
        for failure in &results.refused {
            failure.show(false);
        }
    }
    let exit = results.refused.first().map(|failure| failure.exit);
    let message = match results.imported.len() {
        0 => format!("none of {total} configurations was imported"),
        count => format!("{count} of {total} configurations were imported"),
    };
    Err(Failure::new(
        exit.unwrap_or(Exit::Failure),
        if results.imported.is_empty() {
            "nothing_imported"
        } else {
            "partly_imported"
        },
        message,
    ))
}
