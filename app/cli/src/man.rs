//! The manual: a page for each verb and one for all, made from the same definitions as `--help`. What no definition knows stands here: what exit
//! codes mean, files and variables.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, italic, roman},
};

use crate::failure::Exit;

/// The argument by which `main` knows that pages are wanted; a folder follows. Nobody types it: packages are made with it.
pub const ARGUMENT: &str = "--write-manual";

const DESCRIPTION: &[&str] = &[
    "lonewire runs the programs you choose with one wire to the network: your WireGuard tunnel. Each tunnel has a network namespace of its own, \
     which holds nothing but lo and the WireGuard link. Cut the wire and the programs are offline, never exposed.",
    "A tunnel is a saved WireGuard configuration; it is named by its name, its id, or the beginning of either. An app is a program that was \
     started in a tunnel, and every process that came from it.",
    "A tunnel is off, connecting, protected, blocked or failed. Only in protected, which means that the server has answered a handshake, do apps \
     reach anything, and then through the tunnel alone. In every other state they are offline.",
    "Everything goes through the service lonewire-helper(8) on the system bus, which asks polkit(8) whether you may. Lists are tables on \
     a terminal and have tabs between their columns elsewhere; --terse has the same columns for ever. With --json a command prints \
     one object with \"schema\":1; times are RFC 3339, sizes are bytes, and an error is an object on standard error: \
     {\"error\":{\"code\",\"message\",\"line\"}}, with a line only where a configuration has one.",
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "LONEWIRE_TUNNEL",
        "Set for programs in a tunnel: the tunnel's id.",
    ),
    (
        "NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM",
        "Whether to colour what is printed, unless --color says so.",
    ),
    ("VISUAL, EDITOR", "What edit opens a configuration with."),
    ("SHELL", "What shell starts."),
];

const FILES: &[(&str, &str)] = &[
    (
        "$XDG_CONFIG_HOME/lonewire/config.toml (~/.config/lonewire/config.toml)",
        "Your settings: the default tunnel.",
    ),
    (
        "/etc/lonewire/config.toml",
        "The administrator's: how much users may have, see lonewire-helper(8).",
    ),
    (
        "/var/lib/lonewire/",
        "The saved tunnels with their keys, and the states they were in during the last 7 days; for root only.",
    ),
];

/// What stands behind 0 on each page.
const COMMON: &[Exit] = &[
    Exit::Failure,
    Exit::Usage,
    Exit::NotAuthorized,
    Exit::NotRunning,
    Exit::NoSuch,
    Exit::Interrupted,
];

/// The pages by their file names.
///
/// # Errors
/// None: it writes to memory.
pub fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut whole = crate::command().disable_help_subcommand(true);
    whole.build();
    let mut pages = vec![("lonewire.1".to_owned(), main_page(&whole)?)];
    for verb in whole.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("lonewire-{}.1", verb.get_name());
        pages.push((name, verb_page(verb)?));
    }
    Ok(pages)
}

/// Writes them into a folder; answers their paths.
///
/// # Errors
/// The system's.
pub fn write(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    pages()?
        .into_iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path)
        })
        .collect()
}

fn head(command: &Command, page: &mut Vec<u8>) -> io::Result<Man> {
    let man = Man::new(command.clone())
        .source(format!("lonewire {}", env!("CARGO_PKG_VERSION")))
        .manual("Lonewire");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    Ok(man)
}

fn main_page(whole: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = head(whole, &mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    for (index, text) in DESCRIPTION.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*text)]);
    }
    roff.control("SH", ["COMMANDS"]);
    for verb in whole.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        roff.control("TP", []);
        roff.text([bold(format!("lonewire-{}", verb.get_name())), roman("(1)")]);
        roff.text([roman(
            verb.get_about()
                .map(ToString::to_string)
                .unwrap_or_default(),
        )]);
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    exit_status(
        &mut roff,
        "",
        COMMON
            .iter()
            .copied()
            .chain([Exit::Timeout, Exit::Configuration, Exit::Leak]),
    );
    roff.control("PP", []);
    roff.text([
        bold("lonewire-run"),
        roman("(1) and "),
        bold("lonewire-shell"),
        roman("(1) exit as the program does; all that keeps a program from starting is 76, 77, 125, 126 or 127."),
    ]);
    list(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    list(&mut roff, "FILES", FILES);
    examples(&mut roff, whole);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("wg"),
        roman("(8), "),
        bold("wg-quick"),
        roman("(8), "),
        bold("ip-netns"),
        roman("(8), "),
        bold("polkit"),
        roman("(8)"),
    ]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn verb_page(verb: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = head(verb, &mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    let about = verb.get_long_about().or_else(|| verb.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let after = verb
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    for (index, text) in about
        .split("\n\n")
        .chain(after.split("\n\n"))
        .filter(|text| !text.is_empty())
        .enumerate()
    {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(format!("{}.", text.trim_end_matches('.')))]);
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    exit_status(&mut roff, verb.get_name(), codes(verb.get_name()));
    if matches!(verb.get_name(), "run" | "shell") {
        list(&mut roff, "ENVIRONMENT", &ENVIRONMENT[..1]);
    }
    list(&mut roff, "FILES", &FILES[..1]);
    examples(&mut roff, verb);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("lonewire"), roman("(1)")]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// What a verb can end with, beside 0.
fn codes(verb: &str) -> Vec<Exit> {
    let own: &[Exit] = match verb {
        "run" => {
            return vec![
                Exit::HandedOver,
                Exit::Refused,
                Exit::Own,
                Exit::CannotExecute,
                Exit::NoSuchProgram,
                Exit::Interrupted,
            ];
        }
        "shell" => {
            return vec![
                Exit::Own,
                Exit::CannotExecute,
                Exit::NoSuchProgram,
                Exit::Interrupted,
            ];
        }
        "up" | "switch" => &[Exit::Timeout, Exit::Leak],
        "check" => &[Exit::Timeout, Exit::Leak],
        "import" | "edit" => &[Exit::Configuration],
        "completions" => return vec![Exit::Failure, Exit::Usage],
        "doctor" => return vec![Exit::Failure, Exit::Usage, Exit::Interrupted],
        _ => &[],
    };
    COMMON.iter().chain(own).copied().collect()
}

fn exit_status(roff: &mut Roff, verb: &str, codes: impl IntoIterator<Item = Exit>) {
    roff.control("SH", ["EXIT STATUS"]);
    let mut codes: Vec<Exit> = codes.into_iter().collect();
    codes.sort_by_key(|code| *code as u8);
    let (first, last) = match verb {
        "run" | "shell" => (
            ("0 to 255", "The program's own exit code."),
            Some(("128+n", "The program was ended by signal n.")),
        ),
        _ => (("0", "All went well."), None),
    };
    let ours = codes
        .iter()
        .map(|code| ((*code as u8).to_string(), code.meaning()));
    let all = std::iter::once((first.0.to_owned(), first.1))
        .chain(ours)
        .chain(last.map(|(code, text)| (code.to_owned(), text)));
    for (code, text) in all {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(text)]);
    }
}

fn list(roff: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (name, text) in entries {
        roff.control("TP", []);
        roff.text([italic(*name)]);
        roff.text([roman(*text)]);
    }
}

/// The same examples that help begins with, as they are typed.
fn examples(roff: &mut Roff, command: &Command) {
    let text = command
        .get_before_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for line in text.lines().filter(|line| *line != "Examples:") {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}
