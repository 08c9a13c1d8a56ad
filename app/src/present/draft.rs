//! A configuration before it is added, in words: what it is, what will surprise and what is left out.

use gettextrs::{gettext, ngettext};
use lonewire_core::wgconf::{Config, Parsed, Warning, warnings};

use super::fill;

/// Ranges that are listed at most.
const RANGES: usize = 3;

/// What stands in the review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub endpoint: String,
    pub addresses: String,
    pub dns: String,
    /// Whole sentences.
    pub warnings: Vec<String>,
    pub ignored: Vec<String>,
}

pub fn review(parsed: &Parsed) -> Review {
    let config = &parsed.config;
    let interface = &config.interface;
    let endpoints = config
        .peers
        .iter()
        .filter_map(|peer| peer.endpoint.as_ref());
    let ignored = parsed
        .ignored
        .iter()
        .map(|ignored| self::ignored(ignored.line, ignored.key));
    Review {
        endpoint: lines(endpoints),
        addresses: lines(&interface.addresses),
        dns: lines(&interface.dns),
        warnings: warnings(config)
            .into_iter()
            .map(|warning| sentence(warning, config))
            .collect(),
        ignored: ignored.collect(),
    }
}

/// In a few words, for a list of many.
pub fn verdict(parsed: &Parsed) -> String {
    let warnings = warnings(&parsed.config);
    match warnings.first() {
        Some(first) => warnings
            .iter()
            .skip(1)
            .fold(sentence(*first, &parsed.config), |text, warning| {
                format!("{text} {}", sentence(*warning, &parsed.config))
            }),
        None => review(parsed).endpoint.replace('\n', ", "),
    }
}

/// What was left out, and where it stood.
pub fn ignored(line: u32, key: &str) -> String {
    fill(
        &gettext("{key} (line {line})"),
        &[("key", key), ("line", &line.to_string())],
    )
}

/// Whether a text whose beginning this is may be a configuration: [Interface], behind nothing but comments.
pub fn begins_like_one(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let first = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty() && !line.starts_with(b"#"));
    first.is_some_and(|line| line.to_ascii_lowercase().starts_with(b"[interface]"))
}

/// A warning as a whole sentence.
fn sentence(warning: Warning, config: &Config) -> String {
    match warning {
        Warning::NoPeer => gettext("There is no peer yet: it can not connect."),
        Warning::NoDns => gettext("Apps will not resolve names: there is no DNS server."),
        Warning::DnsOutsideAllowedIps => {
            gettext("A DNS server is out of reach of the tunnel: apps may not resolve names.")
        }
        Warning::ManyDns => gettext("Only the first three DNS servers are used."),
        Warning::NotFullTunnel => reach(config),
        Warning::NoIpv6 => gettext("IPv6 is blocked: the tunnel has IPv4 only."),
    }
}

fn reach(config: &Config) -> String {
    let ranges: Vec<String> = config.allowed_ips().map(ToString::to_string).collect();
    if ranges.is_empty() {
        return gettext("Nothing is reachable: no peer has addresses.");
    }
    let shown = ranges
        .get(..ranges.len().min(RANGES))
        .unwrap_or_default()
        .join(", ");
    let more = ranges.len().saturating_sub(RANGES);
    if more == 0 {
        let count = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
        let text = ngettext(
            "Only {ranges} is reachable.",
            "Only {ranges} are reachable.",
            count,
        );
        return fill(&text, &[("ranges", &shown)]);
    }
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    fill(
        &ngettext(
            "Only {ranges} and {count} more range are reachable.",
            "Only {ranges} and {count} more ranges are reachable.",
            more,
        ),
        &[("ranges", &shown), ("count", &more.to_string())],
    )
}

fn lines(items: impl IntoIterator<Item = impl ToString>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use lonewire_core::wgconf;

    use super::*;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    fn parsed(interface: &str, peer: &str) -> Parsed {
        let text = format!(
            "[Interface]\nPrivateKey = {KEY}\n{interface}\n[Peer]\nPublicKey = {KEY}\nEndpoint = vpn.example:51820\n{peer}\n"
        );
        wgconf::parse_new(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_will_surprise_is_told_in_sentences_and_what_is_left_out_with_its_line() {
        let told = review(&parsed(
            "Address = 10.0.0.2/32\nPostUp = rm -rf /",
            "AllowedIPs = 10.0.0.0/8",
        ));
        assert_eq!(told.endpoint, "vpn.example:51820");
        assert_eq!(told.addresses, "10.0.0.2/32");
        assert_eq!(told.ignored, ["PostUp (line 4)"]);
        assert_eq!(
            told.warnings,
            [
                "Apps will not resolve names: there is no DNS server.",
                "Only 10.0.0.0/8 is reachable.",
                "IPv6 is blocked: the tunnel has IPv4 only."
            ]
        );
        let many = reach(
            &parsed(
                "",
                "AllowedIPs = 10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8, 13.0.0.0/8, 14.0.0.0/8",
            )
            .config,
        );
        assert_eq!(
            many,
            "Only 10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8 and 2 more ranges are reachable."
        );
    }

    #[test]
    fn a_good_one_is_told_by_its_endpoint() {
        let good = parsed(
            "Address = 10.0.0.2/32, fd00::2/128\nDNS = 10.0.0.1",
            "AllowedIPs = 0.0.0.0/0, ::/0",
        );
        assert_eq!(review(&good).warnings, Vec::<String>::new());
        assert_eq!(verdict(&good), "vpn.example:51820");
    }

    #[test]
    fn a_configuration_is_known_by_how_it_begins() {
        for (text, expected) in [
            ("[Interface]\nPri", true),
            (
                "\u{feff}# Device: Brave Cat\r\n\r\n [interface] # x\r\n",
                true,
            ),
            ("See [Interface]", false),
            ("# [Interface]", false),
            ("", false),
        ] {
            assert_eq!(begins_like_one(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn every_warning_is_a_sentence_of_its_own() {
        let config = parsed("", "").config;
        let mut told: Vec<_> = Warning::ALL
            .iter()
            .map(|warning| sentence(*warning, &config))
            .collect();
        assert!(told.iter().all(|text| text.ends_with('.')));
        told.sort();
        told.dedup();
        assert_eq!(told.len(), Warning::ALL.len());
    }
}
