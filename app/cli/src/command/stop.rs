//! `lonewire stop`: asks apps to end, or with force ends them.

use lonewire_api::{AppState, Code};
use serde_json::json;

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    failure::Failure,
    helper_error::About,
    print,
    select::{self, App},
};

const EXAMPLES: &str = "\
Examples:
  lonewire stop firefox
  lonewire stop 5f3a09c1 1234
  lonewire stop --all --force";

const NOTES: &str = "\
Apps get SIGTERM, with --force SIGKILL: their first process and all that came from it.";

#[derive(Debug, clap::Args)]
#[command(
    before_help = EXAMPLES,
    after_help = NOTES
)]
pub struct Args {
    /// Id, first digits of one, name, or pid of the first process
    #[arg(value_name = "APP", required_unless_present = "all", add = complete::apps())]
    apps: Vec<String>,
    /// Every app that runs
    #[arg(short, long, conflicts_with = "apps")]
    all: bool,
    /// Kill them instead of asking them to end
    #[arg(short, long)]
    force: bool,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let chosen = choose(&select::apps(context)?, args)?;
    if chosen.is_empty() && context.format == Format::Human {
        print::note("No app runs in a tunnel.");
        return DONE;
    }
    let mut first = None;
    let mut stopped = Vec::new();
    for app in &chosen {
        let result = context.call(About::App(&app.info.name), async |client| {
            match client.stop(&app.id, args.force).await {
                // It ended by itself in the meantime.
                Err(error) if error.code == Code::NotFound => Ok(()),
                other => other,
            }
        });
        match result {
            Ok(()) => stopped.push(&*app.id),
            Err(failure) => {
                first.get_or_insert(failure);
            }
        }
    }
    if context.json() {
        print::json(&json!({ "schema": 1, "stopped": stopped }))?;
    }
    first.map_or(DONE, Err)
}

/// Every app once; of all, those that run.
fn choose(apps: &[App], args: &Args) -> Result<Vec<App>, Failure> {
    if args.all {
        let live = |app: &&App| app.info.state != AppState::Ended;
        return Ok(apps.iter().filter(live).cloned().collect());
    }
    let mut chosen: Vec<App> = Vec::new();
    for word in &args.apps {
        let app = select::choose_app(apps, word)?;
        if chosen.iter().all(|other| other.id != app.id) {
            chosen.push(app);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use lonewire_api::AppInfo;

    use super::*;

    fn chosen(words: &[&str], all: bool) -> Result<Vec<String>, String> {
        let app = |id: &str, name: &str, state| App {
            id: id.to_owned(),
            info: AppInfo {
                name: name.to_owned(),
                state,
                ..AppInfo::default()
            },
        };
        let apps = [
            app("aaaa1111", "curl", AppState::Running),
            app("bbbb2222", "firefox", AppState::Stopped),
            app("cccc3333", "top", AppState::Ended),
        ];
        let args = Args {
            apps: words.iter().map(|&word| word.to_owned()).collect(),
            all,
            force: false,
        };
        choose(&apps, &args)
            .map(|apps| apps.into_iter().map(|app| app.id).collect())
            .map_err(|failure| failure.code)
    }

    #[test]
    fn an_app_named_twice_is_stopped_once() {
        assert_eq!(chosen(&["curl", "aaaa"], false).unwrap(), ["aaaa1111"]);
    }

    #[test]
    fn all_are_those_that_run() {
        assert_eq!(chosen(&[], true).unwrap(), ["aaaa1111", "bbbb2222"]);
    }

    #[test]
    fn one_wrong_word_stops_nothing() {
        assert_eq!(chosen(&["curl", "top"], false).unwrap_err(), "no_such_app");
    }
}
