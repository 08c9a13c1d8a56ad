//! Reasons, the codes of the API, as sentences: what it is, and what to do about it.

use gettextrs::gettext;

/// A reason in a few words, for the line under a tunnel's name. A code that is not known here is told as it is.
pub fn short(code: &str) -> String {
    match code {
        "no-handshake" => gettext("no handshake"),
        "unresolvable" => gettext("server name not found"),
        "no-data-plane" => gettext("WireGuard ended"),
        "unsealed" => gettext("not sealed"),
        "no-uplink" => gettext("no network"),
        "needs-ipv4" => gettext("server needs IPv4"),
        "needs-ipv6" => gettext("server needs IPv6"),
        "captive-portal" => gettext("network wants a login"),
        "clock-behind" => gettext("wrong clock"),
        "key-in-use" => gettext("key in use"),
        "not-supported" => gettext("not supported here"),
        "system" => gettext("system error"),
        other => other.to_owned(),
    }
}

/// A reason as what happened and what to do. Both are whole sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    pub what: String,
    pub to_do: String,
}

/// What is to be told about a reason.
pub fn advice(code: Option<&str>) -> Advice {
    let (what, to_do) = match code.unwrap_or_default() {
        "no-handshake" => (
            gettext("The server does not answer."),
            gettext(
                "Check that this computer is online and that the configuration is still valid. Lonewire keeps trying.",
            ),
        ),
        "unresolvable" => (
            gettext("The server’s name was not found."),
            gettext(
                "Check that this computer is online, and the endpoint in the configuration. Lonewire keeps trying.",
            ),
        ),
        "no-data-plane" => (
            gettext("The WireGuard program of this tunnel ended."),
            gettext("Lonewire starts it again. If this stays, turn the tunnel off and on."),
        ),
        "unsealed" => (
            gettext("Something changed the network of this tunnel, so it was cut."),
            gettext("Turn the tunnel off and on. If this comes back, another program interferes."),
        ),
        "no-uplink" => (
            gettext("This computer is offline."),
            gettext("The tunnel goes on when there is a network again."),
        ),
        "needs-ipv4" => (
            gettext("The server has an IPv4 address, and this network has only IPv6."),
            gettext("Use another network, or a configuration whose endpoint has an IPv6 address."),
        ),
        "needs-ipv6" => (
            gettext("The server has an IPv6 address, and this network has only IPv4."),
            gettext("Use another network, or a configuration whose endpoint has an IPv4 address."),
        ),
        "captive-portal" => (
            gettext("This network wants you to log in first."),
            gettext("Log in with a browser outside the tunnel. The tunnel then goes on by itself."),
        ),
        "clock-behind" => (
            gettext("This computer’s clock is behind, and the server refuses what seems old."),
            gettext("Set date and time. The tunnel then goes on by itself."),
        ),
        "key-in-use" => (
            gettext("Another tunnel with the same key is on."),
            gettext("Turn the other one off first."),
        ),
        "not-supported" => (
            gettext("This computer can not run the tunnel as it is set up."),
            gettext(
                "Choose another backend in the options of the tunnel. Where none works, the kernel lacks the modules “wireguard” and “tun”.",
            ),
        ),
        _ => (
            gettext("The system refused what the tunnel needs."),
            gettext("Turn the tunnel off and on. The details are in the system’s log."),
        ),
    };
    Advice { what, to_do }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in the D-Bus contract of Tunnels.
    const CODES: [&str; 12] = [
        "no-handshake",
        "unresolvable",
        "no-data-plane",
        "unsealed",
        "no-uplink",
        "needs-ipv4",
        "needs-ipv6",
        "captive-portal",
        "clock-behind",
        "key-in-use",
        "not-supported",
        "system",
    ];

    #[test]
    fn every_reason_of_the_contract_has_words_of_its_own() {
        let contract = include_str!("../../../data/dbus/org.lonewire.Helper1.Tunnels.xml");
        for code in CODES {
            assert!(contract.contains(&format!("\"{code}\"")), "{code}");
            assert_ne!(short(code), code);
        }
        let mut told: Vec<_> = CODES.map(|code| advice(Some(code)).what).into();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), CODES.len());
    }

    #[test]
    fn a_reason_of_a_newer_service_is_told_as_it_is() {
        assert_eq!(short("sunspots"), "sunspots");
        assert_eq!(advice(None), advice(Some("sunspots")));
    }
}
