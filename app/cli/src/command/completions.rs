//! `completions`: what makes a shell complete verbs, options and the names of tunnels.

use clap_complete::{Shell, env::Shells};

use super::{DONE, Outcome};
use crate::{
    failure::{Exit, Failure},
    print,
};

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  source <(lonewire completions bash)\n  lonewire completions fish > ~/.config/fish/completions/lonewire.fish"
)]
pub struct Args {
    shell: Shell,
    /// Only verbs and options: a script that never calls lonewire
    #[arg(long = "static")]
    is_static: bool,
}

pub fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    if args.is_static {
        clap_complete::generate(args.shell, &mut crate::command(), "lonewire", &mut script);
    } else {
        let shell = args.shell.to_string();
        let shells = Shells::builtins();
        let completer = shells.completer(&shell).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "unknown_shell",
                format!("{shell} only has completions with --static"),
            )
        })?;
        completer
            .write_registration("COMPLETE", "lonewire", "lonewire", "lonewire", &mut script)
            .map_err(|error| Failure::system("completions", error))?;
    }
    print::text(&String::from_utf8_lossy(&script))?;
    DONE
}
