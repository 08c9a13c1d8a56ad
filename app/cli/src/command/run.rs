//! `run`: start a program in a tunnel, and be it as far as its caller can tell.

use std::ffi::OsString;

use std::io::IsTerminal as _;

use lonewire_client::desktop::{self, Target, entry, exec};

use super::Outcome;
use crate::{
    context::Context,
    failure::{Exit, Failure},
    notice,
    run::{self, Wish, instance::Watch},
};

const NOTES: &str = "\
The program has your identity, your environment and your folder, but the tunnel's network alone, and LONEWIRE_TUNNEL \
is set for it. Where all three standard streams are terminals it gets a terminal of its own in front of yours: the \
size of the window, Ctrl-C and Ctrl-Z work as always. If lonewire is ended before it, it gets SIGHUP, unless it was \
started with --detach.\n\nA browser that runs outside of the tunnel already opens its new windows there: with --separate-profile it has \
bookmarks, logins and settings of its own for this tunnel and hands nothing over.\n\nThe exit status is the program's own, or 128 and the \
number of the signal that ended it. 76: it is part of an instance outside of the tunnel; 77: this kind of program is not run; 125: it was \
not started; 126: it cannot be executed; 127: there is no such program.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire run -- firefox\n  lonewire run -t home -- curl https://example.org/\n  lonewire run --detach -- transmission-gtk\n  lonewire run --desktop-id firefox -- https://example.org/",
    after_help = NOTES,
    override_usage = "lonewire run [OPTIONS] [--] COMMAND [ARGUMENT]...\n       lonewire run [OPTIONS] --desktop-id ID [--action ACTION] [--] [FILE|URI]..."
)]
pub struct Args {
    #[command(flatten)]
    pub how: How,
    /// Print the app's id and end while the program runs on, also when this terminal is closed
    #[arg(long)]
    detach: bool,
    /// Start this installed app as a menu does, by its desktop file's name; what follows are files and addresses for it
    #[arg(long, value_name = "ID")]
    desktop_id: Option<String>,
    /// One of the app's own actions, such as new-window
    #[arg(long, value_name = "ACTION", requires = "desktop_id")]
    action: Option<String>,
    /// Give a browser a profile of its own for this tunnel, which is kept
    #[arg(long)]
    separate_profile: bool,
    /// The program and its arguments
    #[arg(
        required_unless_present = "desktop_id",
        trailing_var_arg = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

/// What `run` and `shell` have in common.
#[derive(Debug, clap::Args)]
pub struct How {
    /// Name or id of the tunnel, without it the default tunnel; it is brought up if it is off
    #[arg(short, long, value_name = "TUNNEL")]
    pub tunnel: Option<String>,
    /// Seconds to wait for a handshake, 20 without a number; with 0 the program starts although it is offline
    #[arg(long, value_name = "SECONDS", default_value_t = 10, default_missing_value = "20", num_args = 0..=1, require_equals = true,
          value_parser = clap::value_parser!(u32).range(0..=20))]
    pub wait: u32,
    /// Start with the environment of a fresh login instead of this one
    #[arg(long)]
    pub clean_env: bool,
    /// What the app is called in lists, instead of its file name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

pub fn run(context: &Context, args: Args) -> Outcome {
    let Args {
        how,
        detach,
        desktop_id,
        action,
        separate_profile,
        command,
    } = args;
    let Some(id) = desktop_id else {
        let program = command.first().map(std::path::Path::new);
        let watch = program.filter(|_| !separate_profile);
        let watch = watch.and_then(Watch::of_command);
        let wish = how.wish(command, None, detach);
        return run::run(
            context,
            Wish {
                separate_profile,
                watch,
                ..wish
            },
        );
    };
    let tunnel = how.tunnel.clone();
    let wish = app(
        how,
        &id,
        action.as_deref(),
        &command,
        detach,
        separate_profile,
    );
    let ran = wish
        .map_err(Failure::before_program)
        .and_then(|wish| run::run(context, wish));
    if let Err(failure) = &ran
        && !context.json()
        && !std::io::stderr().is_terminal()
    {
        // A launcher's words reach nobody.
        notice::tell(tunnel.as_deref(), &id, failure);
    }
    ran
}

/// An installed app, as a menu would start it.
fn app(
    how: How,
    id: &str,
    action: Option<&str>,
    words: &[OsString],
    detach: bool,
    separate_profile: bool,
) -> Result<Wish, Failure> {
    let entry = desktop::find::app(id)?;
    let locale = entry::locale();
    let name = entry.name(&locale).unwrap_or_else(|| entry.id.clone());
    let Some(line) = entry.exec(action) else {
        return Err(match action {
            Some(action) => Failure::new(
                Exit::Own,
                "no_such_action",
                format!("{name} has no action {action}"),
            )
            .hint(match &*entry.actions() {
                [] => "It has none at all.".to_owned(),
                actions => format!("It has: {}", actions.join(", ")),
            }),
            None => bad_entry(&entry, exec::Error::NoProgram),
        });
    };
    if entry.wants_terminal() && !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Own,
            "needs_terminal",
            format!("{name} runs in a terminal, and there is none here"),
        )
        .hint(format!(
            "On a terminal: lonewire run --desktop-id {}",
            entry.id
        )));
    }
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let targets: Vec<_> = words.iter().map(|word| Target::new(word, &here)).collect();
    let mut lines = exec::command_lines(&entry, &line, &targets, &locale)
        .map_err(|error| bad_entry(&entry, error))?;
    if lines.len() > 1 {
        return Err(Failure::new(
            Exit::Own,
            "one_at_a_time",
            format!("{name} opens one file or address at a time"),
        )
        .hint("Name one."));
    }
    let wish = how.wish(lines.pop().unwrap_or_default(), None, detach);
    let program = wish.command.first().map(std::path::Path::new);
    let watch = program
        .filter(|_| !separate_profile)
        .map(|program| Watch::of_app(entry.clone(), program));
    Ok(Wish {
        name: wish.name.or_else(|| entry.label(&locale)),
        folder: entry.folder(),
        app: Some(entry.id),
        separate_profile,
        watch,
        ..wish
    })
}

fn bad_entry(entry: &desktop::Entry, error: exec::Error) -> Failure {
    let code = match error {
        exec::Error::NotAFile(_) => "not_a_file",
        exec::Error::NoProgram | exec::Error::Quotes => "bad_desktop_entry",
    };
    let message = format!("the app {} cannot be started: {error}", entry.id);
    let failure = Failure::new(Exit::Own, code, message);
    match error {
        exec::Error::NotAFile(_) => failure,
        _ => failure.hint(format!("Its entry is {}.", entry.path.display())),
    }
}

impl How {
    pub fn wish(self, command: Vec<OsString>, called: Option<OsString>, detach: bool) -> Wish {
        let Self {
            tunnel,
            wait,
            clean_env,
            name,
        } = self;
        Wish {
            tunnel,
            wait,
            detach,
            clean_env,
            name,
            command,
            called,
            app: None,
            separate_profile: false,
            watch: None,
            folder: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: super::Args,
    }

    fn parsed(line: &str) -> Option<(Option<String>, Vec<std::ffi::OsString>)> {
        let line = Line::try_parse_from(line.split(' ')).ok()?;
        Some((line.args.how.tunnel, line.args.command))
    }

    #[test]
    fn what_follows_the_program_is_its_own() {
        for line in ["run -t home sh -c x -t y", "run -t home -- sh -c x -t y"] {
            let (tunnel, command) = parsed(line).unwrap();
            assert_eq!(tunnel.as_deref(), Some("home"), "{line}");
            assert_eq!(command, ["sh", "-c", "x", "-t", "y"], "{line}");
        }
        assert_eq!(parsed("run -- -x").unwrap().1, ["-x"]);
    }

    #[test]
    fn a_slip_in_an_option_is_no_program() {
        assert_eq!(parsed("run --detatch -- true"), None);
        assert_eq!(parsed("run --detatch true"), None);
    }
}
