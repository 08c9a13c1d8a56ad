//! What a check found, in words: a probe as what was looked at, what it means, and what was seen.

use gettextrs::{gettext, ngettext};
use lonewire_api::Probe;

use super::fill;

/// A probe as a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was looked at.
    pub title: String,
    /// What the answer means.
    pub meaning: String,
    /// What was seen, as the service tells it.
    pub found: String,
    pub passed: bool,
}

/// A probe in words. A code that is not known here is told as it is.
pub fn line(probe: &Probe) -> Line {
    let (title, passed, failed) = match probe.probe.as_str() {
        "links" => (
            gettext("Network Links"),
            gettext("Apps see this tunnel and no other network"),
            gettext("Apps see a link that must not be there, or the tunnel’s is gone"),
        ),
        "addresses" => (
            gettext("Addresses"),
            gettext("The tunnel has the addresses of its configuration"),
            gettext("The addresses are not those of the configuration"),
        ),
        "routes" => (
            gettext("Routes"),
            gettext("Everything goes through the tunnel or nowhere"),
            gettext("Something could go a way that it must not"),
        ),
        "sysctls" => (
            gettext("Kernel Settings"),
            gettext("Nothing is forwarded or accepted from elsewhere"),
            gettext("A setting is not as Lonewire set it"),
        ),
        "data-plane" => (
            gettext("WireGuard"),
            gettext("Encryption is running"),
            gettext("Encryption is not running: apps are offline"),
        ),
        "handshake" => (
            gettext("Server"),
            gettext("The server answers"),
            gettext("The server does not answer: apps are offline"),
        ),
        "dns" => (
            gettext("DNS"),
            gettext("Apps ask the servers of this tunnel for names"),
            gettext("Apps would ask other servers for names"),
        ),
        "inside" => (
            gettext("View From Inside"),
            gettext("As it must be"),
            gettext("Lonewire could start no program in the tunnel to look around"),
        ),
        "links-visible" => (
            gettext("Links Seen by Apps"),
            gettext("Apps see no network but this tunnel"),
            gettext("Apps see a network of this computer"),
        ),
        "host-addresses" => (
            gettext("Addresses of This Computer"),
            gettext("Apps cannot see them"),
            gettext("Apps can see addresses of this computer"),
        ),
        "lan" => (
            gettext("Local Network"),
            gettext("Apps cannot reach it past the tunnel"),
            gettext("Apps reach it past the tunnel"),
        ),
        "host-unreachable" => (
            gettext("This Computer"),
            gettext("Apps have no way to it"),
            gettext("Apps have a way to it past the tunnel"),
        ),
        "resolvers" => (
            gettext("Name Services of This Computer"),
            gettext("Apps cannot ask them"),
            gettext("Apps could have names looked up past the tunnel"),
        ),
        "names" => (
            gettext("Names Looked Up by Apps"),
            gettext("The way to each server is the tunnel"),
            gettext("Apps would look names up past the tunnel"),
        ),
        "drop" => (
            gettext("With the Connection Cut"),
            gettext("Apps are offline, as they must be"),
            gettext("Apps find another way"),
        ),
        other => (
            other.to_owned(),
            gettext("As it must be"),
            gettext("Not as it must be"),
        ),
    };
    Line {
        title,
        meaning: if probe.passed { passed } else { failed },
        // The service tells it for those who look for a fault; where all is well, names and numbers alone are for everybody.
        found: if probe.passed && !DATA.contains(&probe.probe.as_str()) {
            String::new()
        } else {
            probe.found.clone()
        },
        passed: probe.passed,
    }
}

/// Probes that tell names and addresses, in no language.
const DATA: [&str; 3] = ["links", "addresses", "dns"];

/// What all probes say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub icon: &'static str,
    /// A style class of libadwaita.
    pub class: &'static str,
    pub title: String,
    pub text: String,
    /// Nothing but the server's silence, at most, is wrong.
    pub is_sealed: bool,
}

/// The verdict. No answer at all is no seal.
pub fn verdict(probes: &[Probe]) -> Verdict {
    let failed: Vec<&Probe> = probes.iter().filter(|probe| !probe.passed).collect();
    match failed[..] {
        [] if !probes.is_empty() => Verdict {
            icon: "lonewire-protected-symbolic",
            class: "success",
            title: gettext("All Is as It Must Be"),
            text: gettext("Apps in this tunnel use it and nothing else."),
            is_sealed: true,
        },
        [only] if only.probe == "handshake" => Verdict {
            icon: "lonewire-blocked-symbolic",
            class: "warning",
            title: gettext("Sealed, but the Server Does Not Answer"),
            text: gettext("Apps are offline. Nothing of theirs leaves another way."),
            is_sealed: true,
        },
        _ => {
            let count = failed.len();
            Verdict {
                icon: "lonewire-failed-symbolic",
                class: "error",
                title: fill(
                    &ngettext(
                        "{count} Check Failed",
                        "{count} Checks Failed",
                        u32::try_from(count).unwrap_or(u32::MAX),
                    ),
                    &[("count", &count.to_string())],
                ),
                text: gettext(
                    "Turn the tunnel off and on. If this comes back, another program interferes.",
                ),
                is_sealed: false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in the D-Bus contract of Tunnels.
    const CODES: [&str; 15] = [
        "links",
        "addresses",
        "routes",
        "sysctls",
        "data-plane",
        "handshake",
        "dns",
        "inside",
        "links-visible",
        "host-addresses",
        "lan",
        "host-unreachable",
        "resolvers",
        "names",
        "drop",
    ];

    fn probes(failed: &[&str]) -> Vec<Probe> {
        CODES
            .iter()
            .map(|code| Probe {
                probe: (*code).to_owned(),
                passed: !failed.contains(code),
                tried: "look".to_owned(),
                found: "lo, lw0".to_owned(),
            })
            .collect()
    }

    #[test]
    fn every_probe_of_the_contract_has_words_for_both_answers() {
        let contract = include_str!("../../../data/dbus/org.lonewire.Helper1.Tunnels.xml");
        for (good, bad) in probes(&[]).iter().zip(probes(&CODES)) {
            assert!(contract.contains(&format!("\"{}\"", good.probe)));
            let (good, bad) = (line(good), line(&bad));
            assert_ne!(good.meaning, bad.meaning);
            assert_eq!(good.title, bad.title);
            assert!(!CODES.contains(&good.title.as_str()));
            assert_eq!((good.passed, bad.passed), (true, false));
            // What is wrong is told in full.
            assert_eq!(bad.found, "lo, lw0");
        }
        assert_eq!(
            line(&Probe {
                probe: "moon".into(),
                ..Probe::default()
            })
            .title,
            "moon"
        );
    }

    #[test]
    fn only_a_silent_server_is_no_leak_and_no_answer_is_no_seal() {
        for (failed, class, is_sealed) in [
            (&[][..], "success", true),
            (&["handshake"], "warning", true),
            (&["links"], "error", false),
            (&["links", "handshake"], "error", false),
        ] {
            let verdict = verdict(&probes(failed));
            assert_eq!((verdict.class, verdict.is_sealed), (class, is_sealed));
        }
        assert!(!verdict(&[]).is_sealed);
    }
}
