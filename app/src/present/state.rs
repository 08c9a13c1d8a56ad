//! How a tunnel's state looks and reads. Green is for a handshake alone.

use gettextrs::{gettext, ngettext};
use lonewire_api::{TunnelInfo, TunnelState};

use super::{fill, reason, time};

/// The look of a state: the shape alone tells it, and the colour once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// A symbolic icon of the program's own.
    pub icon: &'static str,
    /// A style class of libadwaita.
    pub class: &'static str,
}

/// Every class that a [`Look`] may have.
pub const CLASSES: &[&str] = &["dim-label", "accent", "success", "warning", "error"];

/// How a state looks when so many apps run in it.
pub fn look(state: TunnelState, apps: u32) -> Look {
    let (icon, class) = match (state, apps) {
        (TunnelState::Off, 0) => ("lonewire-off-symbolic", "dim-label"),
        (TunnelState::Off, _) => ("lonewire-offline-symbolic", "warning"),
        (TunnelState::Connecting, _) => ("lonewire-connecting-symbolic", "accent"),
        (TunnelState::Protected, _) => ("lonewire-protected-symbolic", "success"),
        (TunnelState::Blocked, _) => ("lonewire-blocked-symbolic", "warning"),
        (TunnelState::Failed, _) => ("lonewire-failed-symbolic", "error"),
        (TunnelState::Unknown, _) => ("lonewire-unknown-symbolic", "dim-label"),
    };
    Look { icon, class }
}

/// Place in a list that is sorted by state: what needs a person is first, what is off is last.
pub fn rank(state: TunnelState, apps: u32) -> u8 {
    match (state, apps) {
        (TunnelState::Failed, _) => 0,
        (TunnelState::Blocked, _) => 1,
        (TunnelState::Connecting, _) => 2,
        (TunnelState::Protected, _) => 3,
        (TunnelState::Unknown, _) => 4,
        (TunnelState::Off, 1..) => 5,
        (TunnelState::Off, 0) => 6,
    }
}

/// The state in one word.
pub fn word(state: TunnelState) -> String {
    match state {
        TunnelState::Off => gettext("Off"),
        TunnelState::Connecting => gettext("Connecting…"),
        TunnelState::Protected => gettext("Protected"),
        TunnelState::Blocked => gettext("Blocked"),
        TunnelState::Failed => gettext("Failed"),
        TunnelState::Unknown => gettext("Unknown"),
    }
}

/// "2 apps".
pub fn apps(count: u32) -> String {
    fill(
        &ngettext("{count} app", "{count} apps", count),
        &[("count", &count.to_string())],
    )
}

/// The line under a tunnel's name: "Protected · 2 apps", "Blocked — no handshake", "Off, 2 apps offline".
pub fn status(info: &TunnelInfo) -> String {
    let word = word(info.state);
    match (info.state, info.apps) {
        (TunnelState::Off, 0) => word,
        (TunnelState::Off, count) => fill(
            &ngettext(
                "Off, {count} app offline",
                "Off, {count} apps offline",
                count,
            ),
            &[("count", &count.to_string())],
        ),
        (TunnelState::Blocked | TunnelState::Failed, _) => {
            match info.reason.as_deref().map(reason::short) {
                // The state, then why.
                Some(why) => fill(
                    &gettext("{state} — {reason}"),
                    &[("state", &word), ("reason", &why)],
                ),
                None => word,
            }
        }
        (_, 0) => word,
        (_, count) => fill(
            // The state, then how many apps.
            &gettext("{state} · {apps}"),
            &[("state", &word), ("apps", &apps(count))],
        ),
    }
}

/// What a state means for the apps of a tunnel, in a sentence.
pub fn meaning(info: &TunnelInfo) -> String {
    match (info.state, info.apps) {
        (TunnelState::Off, 0) => gettext("Turn on to run apps in this tunnel"),
        (TunnelState::Off, _) => gettext("Apps in this tunnel are offline until it is on"),
        (TunnelState::Connecting, _) => {
            gettext("Waiting for the server. Apps are offline until it answers")
        }
        (TunnelState::Protected, _) => gettext("Apps in this tunnel have no other network"),
        (TunnelState::Blocked, _) => {
            gettext("Apps in this tunnel are offline. Nothing of theirs leaves another way")
        }
        (TunnelState::Failed, _) => gettext("Apps in this tunnel are offline"),
        (TunnelState::Unknown, _) => {
            gettext("The service tells a state that this window does not know")
        }
    }
}

/// The line under the switch: the state, since when, and what it means, at a Unix time in milliseconds.
pub fn sentence(info: &TunnelInfo, now: u64) -> String {
    let meaning = meaning(info);
    if info.state == TunnelState::Off || info.since == 0 {
        return meaning;
    }
    let since = match info.state {
        TunnelState::Protected => gettext("Protected since {time}"),
        TunnelState::Connecting => gettext("Connecting since {time}"),
        TunnelState::Blocked => gettext("Blocked since {time}"),
        TunnelState::Failed => gettext("Failed at {time}"),
        TunnelState::Off | TunnelState::Unknown => return meaning,
    };
    let since = fill(&since, &[("time", &time::clock(info.since, now))]);
    fill(
        // Since when, then what it means for apps.
        &gettext("{since}. {meaning}"),
        &[("since", &since), ("meaning", &meaning)],
    )
}

/// Whether the switch is on in a state: what the person asked for, not what came of it.
pub fn is_on(state: TunnelState) -> bool {
    matches!(
        state,
        TunnelState::Connecting
            | TunnelState::Protected
            | TunnelState::Blocked
            | TunnelState::Failed
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const STATES: [TunnelState; 6] = [
        TunnelState::Unknown,
        TunnelState::Off,
        TunnelState::Connecting,
        TunnelState::Protected,
        TunnelState::Blocked,
        TunnelState::Failed,
    ];

    #[test]
    fn every_state_has_its_own_shape_and_only_protected_is_green() {
        let mut shapes: HashSet<_> = STATES.map(|state| look(state, 0).icon).into();
        shapes.insert(look(TunnelState::Off, 2).icon);
        assert_eq!(shapes.len(), STATES.len() + 1);
        for state in STATES {
            for apps in [0, 2] {
                let look = look(state, apps);
                assert!(CLASSES.contains(&look.class));
                assert_eq!(look.class == "success", state == TunnelState::Protected);
            }
        }
    }

    #[test]
    fn the_line_under_a_name_tells_state_reason_and_apps() {
        for (state, reason, apps, expected) in [
            (TunnelState::Off, None, 0, "Off"),
            (TunnelState::Off, None, 1, "Off, 1 app offline"),
            (TunnelState::Off, None, 2, "Off, 2 apps offline"),
            (TunnelState::Connecting, None, 0, "Connecting…"),
            (TunnelState::Protected, None, 0, "Protected"),
            (TunnelState::Protected, None, 1, "Protected · 1 app"),
            (TunnelState::Protected, None, 2, "Protected · 2 apps"),
            (
                TunnelState::Blocked,
                Some("no-handshake"),
                2,
                "Blocked — no handshake",
            ),
            (
                TunnelState::Failed,
                Some("unheard-of"),
                0,
                "Failed — unheard-of",
            ),
            (TunnelState::Failed, None, 0, "Failed"),
            (TunnelState::Unknown, None, 0, "Unknown"),
        ] {
            let info = TunnelInfo {
                state,
                reason: reason.map(str::to_owned),
                apps,
                ..TunnelInfo::default()
            };
            assert_eq!(status(&info), expected);
            assert!(!meaning(&info).is_empty());
        }
    }

    #[test]
    fn the_switch_stays_on_where_the_service_goes_on_trying() {
        assert_eq!(STATES.map(is_on), [false, false, true, true, true, true]);
    }
}
