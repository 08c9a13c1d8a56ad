//! Options of a tunnel as a person types them, and what is wrong with them.

use std::net::IpAddr;

use gettextrs::gettext;
use lonewire_api::{Backend, OptionsChange, Start, TunnelOptions};

use super::fill;

/// More servers than that the service does not take.
const MOST_SERVERS: usize = 8;
const MOST: u32 = 65_535;

/// Backends in the order of the list that is chosen from.
pub const BACKENDS: [Backend; 3] = [Backend::Automatic, Backend::Kernel, Backend::Userspace];

/// When a tunnel can come up by itself, in the order of the list that is chosen from.
pub const STARTS: [Start; 3] = [Start::Never, Start::Login, Start::Boot];

/// What stands in the form. An empty text: as the configuration has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pub mtu: String,
    pub keepalive: String,
    pub dns: String,
    /// Index in [`BACKENDS`].
    pub backend: u32,
    pub down_with_last_app: bool,
    /// Index in [`STARTS`].
    pub start: u32,
}

impl From<&TunnelOptions> for Form {
    fn from(options: &TunnelOptions) -> Self {
        let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
        Self {
            mtu: number(options.mtu),
            keepalive: number(options.keepalive),
            dns: options.dns.clone().unwrap_or_default().join(", "),
            backend: index(&BACKENDS, options.backend),
            down_with_last_app: options.down_with_last_app.unwrap_or(false),
            start: index(&STARTS, options.start),
        }
    }
}

/// What is wrong with each field, if anything is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrong {
    pub mtu: Option<String>,
    pub keepalive: Option<String>,
    pub dns: Option<String>,
}

impl Form {
    /// What it asks for, all options of it.
    ///
    /// # Errors
    /// A field is not what it must be. `has_v6`: the tunnel has an IPv6 address.
    pub fn read(&self, has_v6: bool) -> Result<TunnelOptions, Wrong> {
        let mtu = number(&self.mtu, if has_v6 { 1280 } else { 576 });
        let keepalive = number(&self.keepalive, 0);
        let dns = servers(&self.dns);
        match (mtu, keepalive, dns) {
            (Ok(mtu), Ok(keepalive), Ok(dns)) => Ok(TunnelOptions {
                mtu,
                keepalive,
                dns,
                backend: chosen(&BACKENDS, self.backend),
                down_with_last_app: self.down_with_last_app.then_some(true),
                start: chosen(&STARTS, self.start),
            }),
            (mtu, keepalive, dns) => Err(Wrong {
                mtu: mtu.err(),
                keepalive: keepalive.err(),
                dns: dns.err(),
            }),
        }
    }
}

/// What makes options of others: only what differs is named.
pub fn change(before: &TunnelOptions, after: &TunnelOptions) -> OptionsChange {
    fn differs<T: Clone + PartialEq>(before: &Option<T>, after: &Option<T>) -> Option<Option<T>> {
        (before != after).then(|| after.clone())
    }
    OptionsChange {
        mtu: differs(&before.mtu, &after.mtu),
        keepalive: differs(&before.keepalive, &after.keepalive),
        backend: differs(&before.backend, &after.backend),
        dns: differs(&before.dns, &after.dns),
        down_with_last_app: differs(&before.down_with_last_app, &after.down_with_last_app),
        start: differs(&before.start, &after.start),
    }
}

/// Where a value is in its list, whose first is the default.
fn index<T: PartialEq>(list: &[T], value: Option<T>) -> u32 {
    let place = value.and_then(|value| list.iter().position(|one| *one == value));
    place.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
}

/// What was chosen from a list, where it is not the default.
fn chosen<T: Copy>(list: &[T], index: u32) -> Option<T> {
    let place = usize::try_from(index).ok().filter(|place| *place > 0)?;
    list.get(place).copied()
}

fn number(text: &str, least: u32) -> Result<Option<u32>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) if (least..=MOST).contains(&number) => Ok(Some(number)),
        _ => Err(fill(
            &gettext("a number from {least} to {most}"),
            &[("least", &least.to_string()), ("most", &MOST.to_string())],
        )),
    }
}

fn servers(text: &str) -> Result<Option<Vec<String>>, String> {
    let mut servers = Vec::new();
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    for word in words.filter(|word| !word.is_empty()) {
        let Ok(address) = word.parse::<IpAddr>() else {
            return Err(fill(
                &gettext("“{text}” is no IP address"),
                &[("text", word)],
            ));
        };
        servers.push(address.to_string());
    }
    if servers.len() > MOST_SERVERS {
        return Err(fill(
            &gettext("{most} servers at most"),
            &[("most", &MOST_SERVERS.to_string())],
        ));
    }
    Ok((!servers.is_empty()).then_some(servers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(mtu: &str, keepalive: &str, dns: &str) -> Form {
        Form {
            mtu: mtu.into(),
            keepalive: keepalive.into(),
            dns: dns.into(),
            ..Form::default()
        }
    }

    #[test]
    fn what_the_service_would_refuse_is_told_while_it_is_typed() {
        for (form, has_v6, is_right) in [
            (form("", "", ""), true, true),
            (form(" 1280 ", "0", "10.0.0.1, fd00::1"), true, true),
            (form("1279", "", ""), true, false),
            (form("576", "", ""), false, true),
            (form("575", "", ""), false, false),
            (form("65536", "", ""), false, false),
            (form("x", "", ""), false, false),
            (form("", "65536", ""), true, false),
            (form("", "-1", ""), true, false),
            (form("", "", "one.example"), true, false),
            (form("", "", &"1.1.1.1 ".repeat(9)), true, false),
        ] {
            assert_eq!(form.read(has_v6).is_ok(), is_right, "{form:?}");
        }
        let wrong = form("1", "1", "x").read(true).unwrap_err();
        assert!(wrong.mtu.is_some() && wrong.dns.is_some() && wrong.keepalive.is_none());
    }

    #[test]
    fn options_come_back_as_they_went_in() {
        let options = TunnelOptions {
            mtu: Some(1400),
            keepalive: Some(0),
            backend: Some(Backend::Userspace),
            dns: Some(vec!["10.0.0.1".into(), "fd00::1".into()]),
            down_with_last_app: Some(true),
            start: Some(Start::Boot),
        };
        let login = TunnelOptions {
            start: Some(Start::Login),
            ..TunnelOptions::default()
        };
        for options in [options, login, TunnelOptions::default()] {
            assert_eq!(Form::from(&options).read(true), Ok(options));
        }
    }

    #[test]
    fn only_what_differs_is_asked_for() {
        let before = TunnelOptions {
            mtu: Some(1400),
            keepalive: Some(5),
            ..TunnelOptions::default()
        };
        let after = TunnelOptions {
            keepalive: Some(5),
            dns: Some(vec!["10.0.0.1".into()]),
            ..TunnelOptions::default()
        };
        assert_eq!(
            change(&before, &after),
            OptionsChange {
                mtu: Some(None),
                dns: Some(Some(vec!["10.0.0.1".into()])),
                ..OptionsChange::default()
            }
        );
        assert_eq!(change(&after, &after), OptionsChange::default());
    }
}
