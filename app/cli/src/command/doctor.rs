//! `lonewire doctor`: what Lonewire needs, looked at one by one, each with what mends it. It changes nothing and asks for no
//! password.

use std::{fmt::Write as _, path::PathBuf};

use lonewire_api::Client;
use serde_json::{Value, json};

use super::{DONE, Outcome};
use crate::{
    context::{Context, Format},
    doctor::{Check, Helper, Status, bundle, judge, system::System},
    failure::{Exit, Failure},
    file::write_new,
    helper_error::{self, About},
    print, time,
};

const EXAMPLES: &str = "\
Examples:
  lonewire doctor
  lonewire doctor --bundle report.json";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = "A report for others (--bundle) tells the state of this machine and of your tunnels in numbers and \
codes. It holds no key, no name, no address and no endpoint; look into it before you send it.\n\nExit status 1: a check failed.")]
pub struct Args {
    /// Write a report for others into a new file (- is standard output), without keys, names, addresses and endpoints
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    bundle: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let mut checks = Vec::new();
    let helper = ask(&mut checks);
    let system = System::look();
    checks.extend(judge::of_system(&system, helper.as_ref()));
    for tunnel in helper.iter().flat_map(|helper| &helper.tunnels) {
        checks.extend(judge::of_tunnel(tunnel));
    }
    if let Some(path) = &args.bundle {
        let object = bundle::object(&checks, helper.as_ref(), &told(context), time::now());
        let text = format!("{object:#}\n");
        if path.as_os_str() == "-" {
            print::text(&text)?;
            return DONE;
        }
        write_new(path, text.as_bytes())?;
        print::note(&format!(
            "The report is in {}. Look into it before you send it.",
            path.display()
        ));
    }
    show(context, &checks)?;
    let failed = checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .count();
    match failed {
        0 => DONE,
        1 => Err(failure("one check failed".to_owned())),
        _ => Err(failure(format!("{failed} checks failed"))),
    }
}

/// What the report tells of each tunnel; of one that does not answer, nothing.
fn told(context: &Context) -> Vec<bundle::Told> {
    let Ok(client) = context.client() else {
        return Vec::new();
    };
    zbus::block_on(async {
        let mut told = Vec::new();
        for (id, _) in client.tunnels().await.unwrap_or_default() {
            if let Ok(detail) = client.show(&id).await {
                told.push((detail, client.log(&id, 0).await.unwrap_or_default()));
            }
        }
        told
    })
}

fn failure(message: String) -> Failure {
    Failure::new(Exit::Failure, "checks_failed", message)
        .hint("Below each of them stands what to do.")
}

fn show(context: &Context, checks: &[Check]) -> Result<(), Failure> {
    match context.format {
        Format::Json => print::json(&to_json(checks)),
        Format::Terse => {
            let rows: Vec<_> = checks
                .iter()
                .map(|check| {
                    vec![
                        check.code.to_owned(),
                        check.status.as_str().to_owned(),
                        check.found.clone(),
                        check.fix.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            print::text(&print::tabbed(&rows))
        }
        Format::Human => print::text(&human(checks)),
    }
}

fn to_json(checks: &[Check]) -> Value {
    let rows: Vec<Value> = checks
        .iter()
        .enumerate()
        .map(|(index, check)| {
            json!({
                "number": index + 1, "check": check.code, "status": check.status.as_str(),
                "found": check.found, "fix": check.fix,
            })
        })
        .collect();
    json!({ "schema": 1, "checks": rows })
}

fn human(checks: &[Check]) -> String {
    let mut text = String::new();
    for (index, check) in checks.iter().enumerate() {
        let colour = match check.status {
            Status::Ok => "\x1b[32m",
            Status::Warn => "\x1b[33m",
            Status::Fail => "\x1b[1;31m",
        };
        let _ = writeln!(
            text,
            "{:2}. {colour}{:4}\x1b[0m  {}",
            index + 1,
            check.status.as_str(),
            print::clean(&check.found)
        );
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "          {}", print::clean(fix));
        }
    }
    text
}

/// Asks bus and helper; `None` where one of them does not answer.
fn ask(checks: &mut Vec<Check>) -> Option<Helper> {
    let client = match zbus::block_on(lonewire_client::bus::client()) {
        Ok(client) => client,
        Err(_) => {
            checks.push(Check::bad(
                "system_bus",
                Status::Fail,
                "The system bus cannot be reached.",
                "Start D-Bus: systemctl start dbus",
            ));
            return None;
        }
    };
    checks.push(Check::ok("system_bus", "The system bus answers."));
    let asked = zbus::block_on(async {
        Ok(Helper {
            version: client.version().await?,
            features: client.features().await?,
            tunnels: client
                .tunnels()
                .await?
                .into_iter()
                .map(|(_, info)| info)
                .collect(),
            polkit: has_polkit(&client).await,
        })
    });
    match asked {
        Ok(helper) => {
            checks.push(judge::of_version(&helper.version));
            Some(helper)
        }
        Err(error) => {
            let failure = helper_error::failure(&error, About::Nothing);
            checks.push(Check::bad(
                "helper",
                Status::Fail,
                format!("The helper does not answer: {}.", failure.message),
                "See why: systemctl status lonewire-helper; journalctl -u lonewire-helper",
            ));
            None
        }
    }
}

async fn has_polkit(client: &Client) -> bool {
    let list = async |method: &str| {
        let reply = client
            .connection()
            .call_method(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                Some("org.freedesktop.DBus"),
                method,
                &(),
            )
            .await
            .ok()?;
        let names: Vec<String> = reply.body().deserialize().ok()?;
        Some(
            names
                .iter()
                .any(|name| name == "org.freedesktop.PolicyKit1"),
        )
    };
    list("ListNames").await == Some(true) || list("ListActivatableNames").await == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> [Check; 2] {
        [
            Check::ok("tun", "/dev/net/tun is there."),
            Check::bad("polkit", Status::Fail, "No\x07 polkit.", "Install it"),
        ]
    }

    #[test]
    fn people_get_numbers_and_what_to_do() {
        let text = human(&checks());
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            " 1. ok    /dev/net/tun is there.\n 2. fail  No\u{fffd} polkit.\n          Install it\n"
        );
    }

    #[test]
    fn programs_get_codes() {
        assert_eq!(
            to_json(&checks())["checks"][1],
            json!({ "number": 2, "check": "polkit", "status": "fail", "found": "No\u{7} polkit.", "fix": "Install it" })
        );
    }
}
