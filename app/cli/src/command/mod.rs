//! The verbs, one a file. Each has `Args`, what its words and options are, and `run`, which answers the program's exit code.

pub mod check;
pub mod completions;
pub mod default;
pub mod doctor;
pub mod down;
pub mod duplicate;
pub mod edit;
pub mod export;
pub mod import;
pub mod list;
pub mod log;
pub mod monitor;
pub mod new;
pub mod ps;
pub mod remove;
pub mod rename;
pub mod run;
pub mod shell;
pub mod show;
pub mod status;
pub mod stop;
pub mod switch;
pub mod up;

use lonewire_api::TunnelState;
use serde_json::json;

use crate::{context::Context, failure::Failure, helper_error::snake, print, words};

/// The exit code of the whole program, or what went wrong.
pub type Outcome = Result<u8, Failure>;

/// All went well.
pub const DONE: Outcome = Ok(0);

/// Warnings and what was left out, for programs.
fn told(warnings: &[String], ignored: &[(u32, String)]) -> serde_json::Value {
    let warnings: Vec<String> = warnings.iter().map(|code| snake(code)).collect();
    let ignored: Vec<_> = ignored
        .iter()
        .map(|(line, key)| json!({ "line": line, "key": key }))
        .collect();
    json!({ "warnings": warnings, "ignored": ignored })
}

/// The same for people, on standard error.
fn tell(warnings: &[String], ignored: &[(u32, String)]) {
    for (line, key) in ignored {
        print::note(&format!("  {}", words::ignored(*line, key)));
    }
    for code in warnings {
        print::note(&format!("  {}", words::warning(code)));
    }
}

/// That a tunnel's change is done: programs get its id and name, people nothing.
fn done(context: &Context, id: &str, name: &str) -> Outcome {
    if context.json() {
        print::json(&json!({ "schema": 1, "id": id, "name": name }))?;
    }
    DONE
}

/// Whether there is anything of it in the system.
fn is_up(state: TunnelState) -> bool {
    state != TunnelState::Off
}
