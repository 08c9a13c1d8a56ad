//! `run`: start a program in a tunnel, and be it as far as its caller can tell.

use std::ffi::OsString;

use super::Outcome;
use crate::{
    context::Context,
    run::{self, Wish},
};

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire run -- firefox\n  lonewire run -t home -- curl https://example.org/\n  lonewire run --detach -- transmission-gtk"
)]
pub struct Args {
    #[command(flatten)]
    pub how: How,
    /// Do not wait for the program: print the app's id and go. It lives on when this terminal is closed
    #[arg(long)]
    detach: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What `run` and `shell` have in common.
#[derive(Debug, clap::Args)]
pub struct How {
    /// Name or id of the tunnel; without it the default tunnel. It is brought up where it is off
    #[arg(short, long, value_name = "TUNNEL")]
    pub tunnel: Option<String>,
    /// Seconds to wait for the handshake; 0 starts the program although it is offline
    #[arg(long, value_name = "SECONDS", default_value_t = 10, default_missing_value = "20", num_args = 0..=1, require_equals = true,
          value_parser = clap::value_parser!(u32).range(0..=20))]
    pub wait: u32,
    /// Start with the environment of a fresh login instead of this one
    #[arg(long)]
    pub clean_env: bool,
    /// What the app is called in lists
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
