//! `run`: start a program in a tunnel, and be it as far as its caller can tell.

use std::ffi::OsString;

use super::Outcome;
use crate::{
    context::Context,
    run::{self, Wish},
};

const NOTES: &str = "\
The program has your identity, your environment and your folder, but the tunnel's network alone, and LONEWIRE_TUNNEL \
is set for it. Where all three standard streams are terminals it gets a terminal of its own in front of yours: the \
size of the window, Ctrl-C and Ctrl-Z work as always. If lonewire is ended before it, it gets SIGHUP, unless it was \
started with --detach.\n\nThe exit status is the program's own, or 128 and the number of the signal that ended it. \
125: it was not started; 126: it cannot be executed; 127: there is no such program.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire run -- firefox\n  lonewire run -t home -- curl https://example.org/\n  lonewire run --detach -- transmission-gtk",
    after_help = NOTES,
    override_usage = "lonewire run [OPTIONS] [--] COMMAND [ARGUMENT]..."
)]
pub struct Args {
    #[command(flatten)]
    pub how: How,
    /// Print the app's id and end while the program runs on, also when this terminal is closed
    #[arg(long)]
    detach: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
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
        command,
    } = args;
    run::run(context, how.wish(command, None, detach))
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
