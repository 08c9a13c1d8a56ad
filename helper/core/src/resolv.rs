// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text of the files that libc's lookups go by inside a namespace: resolv.conf(5), hosts(5), nsswitch.conf(5).
//! None of it may ever lead to a service of the host.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

/// Servers that glibc and musl read (MAXNS); more are not written, so that every program asks the same ones.
pub const MAX_SERVERS: usize = 3;

/// Stands where a tunnel has no DNS server. A file without a server would make libc ask 127.0.0.1, and other libraries what they please.
/// This one is the namespace's own loopback, where nobody listens: a lookup fails at once by "connection refused" and no packet reaches even the tunnel. An app
/// could only answer there with the right to bind port 53, which no app has; one that means to serve 127.0.0.1 is not asked by mistake.
pub const NO_SERVER: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);

/// Text of the namespace's `resolv.conf`: the first [`MAX_SERVERS`] servers and the search domains.
///
/// Without search domains it says `search .`: else glibc takes the domain of the host's own name and tells it to the tunnel's server.
pub fn resolv_conf(dns: &[IpAddr], search: &[String]) -> String {
    let mut text =
        String::from("# Made by Lonewire: the DNS servers of this tunnel, and no others.\n");
    // Writing to a string does not fail.
    for server in dns.iter().take(MAX_SERVERS) {
        let _ = writeln!(text, "nameserver {server}");
    }
    if dns.is_empty() {
        let _ = writeln!(text, "nameserver {NO_SERVER}");
    }
    let search = if search.is_empty() {
        ".".to_owned()
    } else {
        search.join(" ")
    };
    let _ = writeln!(text, "search {search}");
    if dns.is_empty() {
        // For resolvers that wait where they could see the refusal (musl).
        text.push_str("options timeout:1 attempts:1\n");
    }
    text
}

/// Text of the namespace's `hosts`: `localhost` and the host's own name, nothing of the host's file.
/// A name that is none (RFC 1123, underscores allowed) is left out.
pub fn hosts(host_name: &str) -> String {
    let mut text =
        String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    if is_host_name(host_name) && !host_name.eq_ignore_ascii_case("localhost") {
        let _ = match host_name.split_once('.') {
            Some((short, _)) => writeln!(text, "127.0.1.1\t{host_name} {short}"),
            None => writeln!(text, "127.0.1.1\t{host_name}"),
        };
    }
    text
}

/// What is wrong with the two files of a namespace, for a person to read; `None` while they are what [`resolv_conf`] and [`hosts`] made of these servers and
/// search domains. The host may have got another name since.
pub fn deviation(
    resolv_text: &str,
    hosts_text: &str,
    dns: &[IpAddr],
    search: &[String],
) -> Option<String> {
    if resolv_text != resolv_conf(dns, search) {
        let wanted: Vec<_> = match dns {
            [] => vec![NO_SERVER.into()],
            _ => dns.iter().copied().take(MAX_SERVERS).collect(),
        };
        // Only an address is told: the rest of the text is a stranger's.
        let others = resolv_text.lines().filter_map(|line| {
            let server = line.trim().strip_prefix("nameserver")?.trim();
            server
                .parse()
                .ok()
                .filter(|server| !wanted.contains(server))
        });
        let others: Vec<_> = others
            .take(MAX_SERVERS)
            .map(|server: IpAddr| server.to_string())
            .collect();
        return Some(match others[..] {
            [] => "resolv.conf is not as it was written".to_owned(),
            _ => format!("resolv.conf names another server: {}", others.join(", ")),
        });
    }
    let own = hosts_text
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("127.0.1.1\t"));
    let own = own
        .and_then(|names| names.split(' ').next())
        .unwrap_or_default();
    (hosts_text != hosts(own)).then(|| "hosts is not as it was written".to_owned())
}

/// The host's `nsswitch.conf` with `hosts: files myhostname dns`: no resolved, mDNS, sssd or whatever else would ask a service outside.
/// Every other line stays as it is; without a `hosts` line one is added.
pub fn nsswitch(host_text: &str) -> String {
    const HOSTS: &str = "hosts:          files myhostname dns\n";
    let mut text = String::with_capacity(host_text.len() + HOSTS.len());
    let mut written = false;
    for line in host_text.lines() {
        // As glibc reads it: the name of a database ends at a blank or a colon.
        let database = line
            .trim_start()
            .split(|c: char| c == ':' || c.is_whitespace())
            .next();
        if database == Some("hosts") {
            if !written {
                text.push_str(HOSTS);
            }
            written = true;
        } else {
            text.push_str(line.trim_end_matches('\r'));
            text.push('\n');
        }
    }
    if !written {
        text.push_str(HOSTS);
    }
    text
}

fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn servers(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn servers_and_search_domains_are_written_in_order() {
        insta::assert_snapshot!(resolv_conf(&servers(&["10.64.0.1", "fd00::1"]), &["corp.example".into(), "example".into()]), @"
        # Made by Lonewire: the DNS servers of this tunnel, and no others.
        nameserver 10.64.0.1
        nameserver fd00::1
        search corp.example example
        ");
    }

    #[test]
    fn a_fourth_server_is_not_written_since_glibc_would_not_ask_it() {
        let text = resolv_conf(
            &servers(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]),
            &[],
        );
        assert_eq!(text.matches("nameserver").count(), 3);
        assert!(!text.contains("10.0.0.4"));
    }

    #[test]
    fn without_a_server_lookups_are_sent_where_nothing_answers() {
        insta::assert_snapshot!(resolv_conf(&[], &[]), @"
        # Made by Lonewire: the DNS servers of this tunnel, and no others.
        nameserver 127.255.255.254
        search .
        options timeout:1 attempts:1
        ");
    }

    #[test]
    fn the_hosts_own_domain_is_never_the_search_domain() {
        assert!(resolv_conf(&servers(&["10.64.0.1"]), &[]).contains("\nsearch .\n"));
    }

    #[test]
    fn hosts_knows_localhost_and_the_hosts_name() {
        insta::assert_snapshot!(hosts("pc"), @"
        127.0.0.1	localhost
        ::1	localhost ip6-localhost ip6-loopback
        127.0.1.1	pc
        ");
        assert!(hosts("pc.home.example").ends_with("127.0.1.1\tpc.home.example pc\n"));
        for bad in [
            "",
            "localhost",
            "a b",
            "a\n1.2.3.4 bank.example",
            "-a",
            "a..b",
            "#",
            &"a".repeat(64),
        ] {
            assert_eq!(hosts(bad), hosts(""), "{bad:?}");
        }
    }

    #[test]
    fn files_are_told_when_they_are_not_as_written() {
        let dns = servers(&["10.64.0.1", "10.64.0.2"]);
        let search = ["corp.example".to_owned()];
        let (text, names) = (resolv_conf(&dns, &search), hosts("pc.home.example"));
        let found = |text: &str, names: &str| deviation(text, names, &dns, &search);
        assert_eq!(found(&text, &names), None);
        // The host was renamed, or has no name.
        assert_eq!(found(&text, &hosts("laptop")), None);
        assert_eq!(found(&text, &hosts("")), None);
        for (wrong, said) in [
            (
                text.replace("10.64.0.2", "192.0.2.53"),
                "resolv.conf names another server: 192.0.2.53",
            ),
            (
                format!("{text}nameserver\tfd00::53\n"),
                "resolv.conf names another server: fd00::53",
            ),
            (
                text.replace("nameserver 10.64.0.2\n", ""),
                "resolv.conf is not as it was written",
            ),
            (
                format!("{text}options ndots:0 \x1b[2J\n"),
                "resolv.conf is not as it was written",
            ),
            (
                text.replace("corp.example", "evil.example"),
                "resolv.conf is not as it was written",
            ),
            (String::new(), "resolv.conf is not as it was written"),
        ] {
            assert_eq!(found(&wrong, &names).as_deref(), Some(said), "{wrong}");
        }
        for wrong in [
            format!("192.0.2.1 bank.example\n{names}"),
            format!("{names}192.0.2.1 bank.example\n"),
            format!("{names}127.0.1.1\tlaptop\n"),
            format!("{}127.0.1.1\tlaptop bank.example\n", hosts("")),
            String::new(),
        ] {
            assert_eq!(
                found(&text, &wrong).as_deref(),
                Some("hosts is not as it was written"),
                "{wrong}"
            );
        }
        // Without a server of its own, a tunnel's file names the one that does not answer.
        assert_eq!(deviation(&resolv_conf(&[], &[]), &names, &[], &[]), None);
        let said = deviation(&text, &names, &[], &[]);
        assert_eq!(
            said.as_deref(),
            Some("resolv.conf names another server: 10.64.0.1, 10.64.0.2")
        );
    }

    #[test]
    fn nsswitch_replaces_the_hosts_line_and_keeps_the_rest() {
        let host = "# comment: hosts: x\npasswd: files systemd\n hosts:\tfiles mdns4_minimal [NOTFOUND=return] resolve dns\nnetworks: files\nhosts resolve\n";
        insta::assert_snapshot!(nsswitch(host), @"
        # comment: hosts: x
        passwd: files systemd
        hosts:          files myhostname dns
        networks: files
        ");
    }

    #[test]
    fn nsswitch_adds_a_missing_hosts_line() {
        assert_eq!(nsswitch(""), "hosts:          files myhostname dns\n");
        assert_eq!(
            nsswitch("passwd: files"),
            "passwd: files\nhosts:          files myhostname dns\n"
        );
        assert_eq!(
            nsswitch("#hosts: resolve\n"),
            "#hosts: resolve\nhosts:          files myhostname dns\n"
        );
        assert_eq!(
            nsswitch("\r\r\n"),
            "\nhosts:          files myhostname dns\n"
        );
        assert_eq!(
            nsswitch("hostsx: a\n"),
            "hostsx: a\nhosts:          files myhostname dns\n"
        );
    }

    proptest! {
        #[test]
        fn one_hosts_line_is_left_of_any_text(text in "(?s)(hosts ?:? ?[a-z]*\n|[^\n]*\n){0,8}") {
            let out = nsswitch(&text);
            let databases = out.lines().map(|line| line.trim_start().split([':', ' ', '\t']).next().unwrap_or(""));
            prop_assert_eq!(databases.filter(|name| *name == "hosts").count(), 1);
            prop_assert_eq!(nsswitch(&out), out);
        }
    }
}
