// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of the system bus a program in a tunnel gets: the rules of xdg-dbus-proxy(1), which stands between the two. Its rules only allow, and a name that none of
//! them allows is not there; so "all but" is every name that there is, less these. A service that comes later and cannot be started by the bus is missed.

/// Where the proxy is, in the order in which it is looked for.
pub const PROXIES: [&str; 3] = [
    "/usr/bin/xdg-dbus-proxy",
    "/usr/local/bin/xdg-dbus-proxy",
    "/run/current-system/sw/bin/xdg-dbus-proxy",
];

/// Below `/run`: where the host's bus listens, and inside the proxy.
pub const SOCKET: &str = "dbus/system_bus_socket";

/// They look names up, reach the network or start programs for whoever asks them, outside of the tunnel. With each go the names below it.
const HIDDEN: &[&str] = &[
    "net.connman",
    "org.freedesktop.Avahi",
    "org.freedesktop.import1",
    "org.freedesktop.machine1",
    "org.freedesktop.network1",
    "org.freedesktop.portable1",
    "org.freedesktop.resolve1",
    "org.freedesktop.systemd1",
];

/// Tells what network there is, and is told nothing.
const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";

/// What reads and changes nothing, of every object.
const READING: &[&str] = &[
    "org.freedesktop.DBus.Introspectable.Introspect",
    "org.freedesktop.DBus.ObjectManager.GetManagedObjects",
    "org.freedesktop.DBus.Peer.Ping",
    "org.freedesktop.DBus.Properties.Get",
    "org.freedesktop.DBus.Properties.GetAll",
];

/// The proxy watches each name by a match rule of the program's connection, of which the bus allows 512.
const MOST_NAMES: usize = 256;

/// The proxy's rules, for the names that the bus has and those that it can start.
pub fn rules<'a>(own: &'a str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let is_below = |name: &str, top: &str| {
        name.strip_prefix(top)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_open = |name: &&str| {
        !name.starts_with(':')
            && !HIDDEN
                .iter()
                .chain(&[NETWORK_MANAGER])
                .any(|hidden| is_below(name, hidden))
    };
    let mut open: Vec<&str> = names.into_iter().filter(is_open).collect();
    open.sort_unstable();
    open.dedup();
    open.retain(|name| *name != own);
    let talk = std::iter::once(own).chain(open).take(MOST_NAMES);
    let mut rules = vec!["--filter".to_owned()];
    rules.extend(talk.map(|name| format!("--talk={name}")));
    rules.extend(
        READING
            .iter()
            .map(|method| format!("--call={NETWORK_MANAGER}={method}")),
    );
    rules.push(format!("--broadcast={NETWORK_MANAGER}=*"));
    rules
}

/// The proxy's command line: `line` and `host` are its descriptors, of the pair by which it tells that it listens, and of the socket of the host's bus.
pub fn command(line: i32, host: i32, rules: &[String]) -> Vec<String> {
    let fixed = [
        "xdg-dbus-proxy".to_owned(),
        format!("--fd={line}"),
        format!("unix:path=/proc/self/fd/{host}"),
        format!("/run/{SOCKET}"),
    ];
    fixed.into_iter().chain(rules.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_may_be_talked_to_but_those_that_lead_outside() {
        let names = [
            ":1.7",
            "org.freedesktop.login1",
            "org.freedesktop.resolve1",
            "org.freedesktop.Avahi",
            "org.freedesktop.systemd1.Sub",
            "org.freedesktop.systemd12",
            "org.freedesktop.NetworkManager",
            "org.freedesktop.NetworkManager.dnsmasq",
            "org.freedesktop.login1",
            "net.connman.iwd",
            "a.b",
        ];
        let rules = rules("org.lonewire.Helper1", names);
        let talk: Vec<_> = rules
            .iter()
            .filter_map(|rule| rule.strip_prefix("--talk="))
            .collect();
        assert_eq!(
            talk,
            [
                "org.lonewire.Helper1",
                "a.b",
                "org.freedesktop.login1",
                "org.freedesktop.systemd12"
            ]
        );
        assert_eq!(rules.first().map(String::as_str), Some("--filter"));
    }

    #[test]
    fn network_manager_is_only_read() {
        let rules = rules("a.b", ["org.freedesktop.NetworkManager"]);
        let of_it = rules.iter().filter(|rule| rule.contains("NetworkManager"));
        for rule in of_it {
            let (kind, rest) = rule.split_once('=').unwrap();
            let reads = ["Get", "GetAll", "GetManagedObjects", "Introspect", "Ping"];
            let member = rest.rsplit('.').next().unwrap();
            assert!(
                kind == "--broadcast" || kind == "--call" && reads.contains(&member),
                "{rule}"
            );
        }
    }

    #[test]
    fn a_crowd_of_names_does_not_use_up_the_programs_match_rules() {
        let many: Vec<_> = (0..1000).map(|number| format!("a.b{number}")).collect();
        let rules = rules("z.own", many.iter().map(String::as_str));
        assert!(rules.contains(&"--talk=z.own".to_owned()));
        assert!(rules.len() < 300, "{}", rules.len());
    }
}
