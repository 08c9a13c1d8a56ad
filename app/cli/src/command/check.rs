//! `lonewire check`: has the helper look at a tunnel's namespace from inside, and tells every probe.

use lonewire_api::Probe;
use serde_json::{Value, json};

use super::{DONE, Outcome};
use crate::{
    complete,
    context::{Context, Format},
    failure::{Exit, Failure},
    helper_error::{About, quoted, snake},
    print, select,
};

const EXAMPLES: &str = "\
Examples:
  lonewire check
  lonewire check home --json
  lonewire check --drop";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = "Looked at from here: the links, addresses, routes and kernel settings of the namespace, the process of the tunnel, the age of its handshake, \
and the files that name the DNS servers. Then a program is started in the tunnel, as every app is, and tries: which links and addresses it sees, to reach the host and its networks, the sockets and \
bus services by which the host's resolvers are asked, and where the way to the DNS servers leads. At last the link is cut, in a namespace made by the same plan for that (with --drop: the tunnel's own), \
and nothing may find a way. No name is looked up; single bytes to port 9 go to the host's networks and the DNS servers by the tunnel, if at all.\n\n\
With --terse the columns are probe, verdict, what was tried, what was found.\n\nExit status 6: a probe failed; 3: all is sealed, but there is no handshake.")]
pub struct Args {
    /// Name or id; the default tunnel without one
    #[arg(add = complete::tunnels())]
    tunnel: Option<String>,
    /// Cut the tunnel's own link for the drop test: its apps are offline for a moment
    #[arg(long)]
    drop: bool,
}

pub fn run(context: &Context, args: &Args) -> Outcome {
    let tunnel = select::tunnel_or_default(context, args.tunnel.as_deref())?;
    let name = &tunnel.info.name;
    let probes = context.call(About::Tunnel(name), async |client| match args.drop {
        true => client.check_and_drop(&tunnel.id).await,
        false => client.check(&tunnel.id).await,
    })?;
    if context.json() {
        let rows: Vec<Value> = probes.iter().map(to_json).collect();
        print::json(&json!({
            "schema": 1, "tunnel": tunnel.id, "name": name,
            "passed": probes.iter().all(|probe| probe.passed), "probes": rows,
        }))?;
    } else {
        let rows: Vec<_> = probes
            .iter()
            .map(|probe| row(probe, context.format))
            .collect();
        print::table(context, &["", "PROBE", "TRIED", "FOUND"], &rows)?;
    }
    verdict(name, &probes)
}

fn row(probe: &Probe, format: Format) -> Vec<String> {
    let mark = if probe.passed { "ok" } else { "FAIL" };
    match format {
        Format::Terse => vec![
            snake(&probe.probe),
            mark.to_lowercase(),
            probe.tried.clone(),
            probe.found.clone(),
        ],
        _ => vec![
            mark.to_owned(),
            words(&probe.probe).to_owned(),
            probe.tried.clone(),
            probe.found.clone(),
        ],
    }
}

fn to_json(probe: &Probe) -> Value {
    json!({ "probe": snake(&probe.probe), "passed": probe.passed, "tried": probe.tried, "found": probe.found })
}

/// What a probe looks at. What is not known is shown as it came.
fn words(code: &str) -> &str {
    match code {
        "links" => "network links",
        "data-plane" => "WireGuard",
        "sysctls" => "kernel settings",
        "dns" => "DNS servers",
        "inside" => "a look from inside",
        "links-visible" => "links an app sees",
        "host-addresses" => "the host's addresses",
        "lan" => "the host's networks",
        "host-unreachable" => "the host itself",
        "resolvers" => "the host's resolvers",
        "names" => "an app's DNS",
        "drop" => "with the link cut",
        other => other,
    }
}

/// No answer at all is no seal.
fn verdict(name: &str, probes: &[Probe]) -> Outcome {
    let failed: Vec<&str> = probes
        .iter()
        .filter(|probe| !probe.passed)
        .map(|probe| &*probe.probe)
        .collect();
    match failed[..] {
        [] if !probes.is_empty() => DONE,
        ["handshake"] => Err(Failure::new(
            Exit::Timeout,
            "no_handshake",
            format!("“{name}” is sealed, but the server does not answer"),
        )
        .hint("Its apps are offline. Nothing goes past the tunnel.")
        .hint(format!("See: lonewire log {}", quoted(name)))),
        _ => Err(Failure::new(
            Exit::Leak,
            "not_sealed",
            format!(
                "“{name}” is not as it must be: {}",
                failed
                    .iter()
                    .map(|code| words(code))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        )
        .hint(format!(
            "Take it down and up again: lonewire down {0} && lonewire up {0}",
            quoted(name)
        ))
        .hint("See: lonewire doctor")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probes(failed: &[&str]) -> Vec<Probe> {
        [
            "links",
            "addresses",
            "routes",
            "sysctls",
            "data-plane",
            "handshake",
            "dns",
        ]
        .iter()
        .map(|&code| Probe {
            probe: code.to_owned(),
            passed: !failed.contains(&code),
            tried: "look".to_owned(),
            found: "lo, lw0".to_owned(),
        })
        .collect()
    }

    fn exit(probes: &[Probe]) -> u8 {
        verdict("home", probes)
            .err()
            .map_or(0, |failure| failure.exit as u8)
    }

    #[test]
    fn only_a_missing_handshake_is_no_leak() {
        assert_eq!(exit(&probes(&[])), 0);
        assert_eq!(exit(&probes(&["handshake"])), 3);
        assert_eq!(exit(&probes(&["links"])), 6);
        assert_eq!(exit(&probes(&["links", "handshake"])), 6);
        assert_eq!(exit(&[]), 6);
    }

    #[test]
    fn each_probe_tells_what_was_found() {
        let probes = probes(&["links"]);
        assert_eq!(
            row(&probes[0], Format::Human),
            ["FAIL", "network links", "look", "lo, lw0"]
        );
        assert_eq!(
            row(&probes[4], Format::Terse),
            ["data_plane", "ok", "look", "lo, lw0"]
        );
        assert_eq!(
            to_json(&probes[4]),
            json!({ "probe": "data_plane", "passed": true, "tried": "look", "found": "lo, lw0" })
        );
    }
}
