//! `shell`: a login shell of the user's in a tunnel.

use std::ffi::OsString;

use super::{Outcome, run::How};
use crate::{
    context::Context,
    run::{self},
};

const NOTES: &str = "\
It is a login shell of yours, $SHELL, and all that is started from it is in the tunnel too. The exit status is as with \
lonewire run.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  lonewire shell\n  lonewire shell -t home",
    after_help = NOTES
)]
pub struct Args {
    #[command(flatten)]
    how: How,
}

pub fn run(context: &Context, args: Args) -> Outcome {
    let shell = std::env::var_os("SHELL")
        .filter(|shell| !shell.is_empty())
        .unwrap_or_else(|| "/bin/sh".into());
    let name = std::path::Path::new(&shell)
        .file_name()
        .map(OsString::from)
        .unwrap_or_default();
    // By the dash a shell knows that it is a login shell.
    let mut called = OsString::from("-");
    called.push(name);
    run::run(context, args.how.wish(vec![shell], Some(called), false))
}
